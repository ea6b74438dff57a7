/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/addr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/number.h"

/*
 * The IPv4 address that text begins with, as strict as inet_pton(3) on one: returns what follows it, or NULL. Ten thousand
 * targets are read at each reload, and this takes a quarter of its time.
 */
static const char *ipv4_take(const char *text, struct addr *ret)
{
	*ret = (struct addr){ .family = AF_INET };
	for (size_t i = 0; i < 4; i++) {
		const char *digits = text;
		unsigned n = 0, digit;

		for (; (digit = (unsigned)*text - '0') <= 9 && n <= UINT8_MAX; text++)
			n = n * 10 + digit;
		if (text == digits || n > UINT8_MAX || (*digits == '0' && text - digits > 1))
			return NULL;
		ret->bytes[i] = (uint8_t)n;
		if (i < 3 && *text++ != '.')
			return NULL;
	}
	return text;
}

int addr_parse(const char *text, struct addr *ret)
{
	struct addr a;
	const char *rest = ipv4_take(text, &a);

	if (!rest || *rest) {
		a = (struct addr){ .family = AF_INET6 };
		if (inet_pton(AF_INET6, text, &a.in6) != 1)
			return -EINVAL;
	}
	*ret = a;
	return 0;
}

/* "[ADDRESS]", "[ADDRESS]:PORT" or an IPv6 address alone. *ret_port_text: NULL without a port. */
static int ipv6_port_split(const char *text, struct addr *ret, const char **ret_port_text)
{
	char host[ADDR_PORT_STR_MAX], *close;
	size_t len = strlen(text);
	int r;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len + 1);
	*ret_port_text = NULL;
	if (host[0] != '[')
		return addr_parse(host, ret);
	close = strchr(host, ']');
	if (!close || (close[1] && close[1] != ':'))
		return -EINVAL;
	if (close[1])
		*ret_port_text = text + (close + 2 - host);
	*close = '\0';
	r = addr_parse(host + 1, ret);
	return r == 0 && ret->family != AF_INET6 ? -EINVAL : r;
}

int addr_port_parse(const char *text, struct addr *ret, uint16_t *ret_port)
{
	struct addr a;
	const char *port_text = ipv4_take(text, &a);
	uint64_t port = 0;
	int r = 0;

	if (!port_text)
		r = ipv6_port_split(text, &a, &port_text);
	else if (!*port_text)
		port_text = NULL;
	else if (*port_text++ != ':')
		r = -EINVAL;
	if (r == 0 && port_text)
		r = number_parse(port_text, UINT16_MAX, &port);
	if (r < 0)
		return -EINVAL;
	*ret = a;
	*ret_port = (uint16_t)port;
	return 0;
}

static void mask_bytes(uint8_t *bytes, size_t len_bytes, unsigned prefix_len)
{
	for (size_t i = 0; i < len_bytes; i++) {
		unsigned bits = prefix_len > i * 8 ? prefix_len - (unsigned)(i * 8) : 0;

		if (bits < 8)
			bytes[i] &= (uint8_t)(0xff00U >> bits);
	}
}

int prefix_parse(const char *text, struct prefix *ret)
{
	char host[ADDR_STR_MAX];
	struct prefix p = { 0 };
	const char *slash = strchr(text, '/');
	size_t len = slash ? (size_t)(slash - text) : strlen(text);
	struct addr masked;
	uint64_t bits;
	int r;

	if (len >= sizeof(host))
		return -EINVAL;
	memcpy(host, text, len);
	host[len] = '\0';
	r = addr_parse(host, &p.addr);
	if (r < 0)
		return r;
	bits = addr_len_bytes(&p.addr) * 8;
	if (slash) {
		if (number_parse(slash + 1, bits, &bits) < 0)
			return -EINVAL;
	}
	p.len = (uint8_t)bits;
	masked = p.addr;
	mask_bytes(masked.bytes, addr_len_bytes(&masked), p.len);
	if (!addr_eq(&masked, &p.addr))
		return -ERANGE;
	*ret = p;
	return 0;
}

const char *addr_format(const struct addr *a, char buf[static ADDR_STR_MAX])
{
	if (a->family == AF_UNSPEC || !inet_ntop(a->family, a->bytes, buf, ADDR_STR_MAX))
		strcpy(buf, "-");
	return buf;
}

const char *addr_port_format(const struct addr *a, uint16_t port,
			     char buf[static ADDR_PORT_STR_MAX])
{
	char host[ADDR_STR_MAX];

	addr_format(a, host);
	(void)snprintf(buf, ADDR_PORT_STR_MAX, a->family == AF_INET6 ? "[%s]:%u" : "%s:%u", host,
		       port);
	return buf;
}

int addr_cmp(const struct addr *a, const struct addr *b)
{
	if (a->family != b->family)
		return a->family < b->family ? -1 : 1;
	return memcmp(a->bytes, b->bytes, addr_len_bytes(a));
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
	return addr_cmp(a, b) == 0;
}

bool prefix_contains(const struct prefix *p, const struct addr *a)
{
	struct addr masked = *a;

	if (p->addr.family != a->family)
		return false;
	mask_bytes(masked.bytes, addr_len_bytes(&masked), p->len);
	return addr_eq(&masked, &p->addr);
}

size_t addr_len_bytes(const struct addr *a)
{
	switch (a->family) {
	case AF_INET:
		return 4;
	case AF_INET6:
		return 16;
	default:
		return 0;
	}
}

bool addr_is_host(const struct addr *a)
{
	switch (a->family) {
	case AF_INET:
		return a->bytes[0] != 0 && a->bytes[0] < 224;
	case AF_INET6:
		return !IN6_IS_ADDR_UNSPECIFIED(&a->in6) && !IN6_IS_ADDR_MULTICAST(&a->in6);
	default:
		return false;
	}
}

socklen_t addr_to_sockaddr(const struct addr *a, uint16_t port, struct sockaddr_storage *ret)
{
	memset(ret, 0, sizeof(*ret));
	if (a->family == AF_INET6) {
		struct sockaddr_in6 sin6 = {
			.sin6_family = AF_INET6,
			.sin6_port = htons(port),
			.sin6_addr = a->in6,
		};

		memcpy(ret, &sin6, sizeof(sin6));
		return sizeof(sin6);
	}
	struct sockaddr_in sin = {
		.sin_family = AF_INET,
		.sin_port = htons(port),
		.sin_addr = a->in,
	};

	memcpy(ret, &sin, sizeof(sin));
	return sizeof(sin);
}

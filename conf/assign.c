/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/assign.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/value.h"

enum {
	VALUE_SHOWN_MAX =
		200, /* bytes of a bad value in its message, which must have room for the remedy */
};

void *assign_append(void **items, size_t *n, size_t item_size)
{
	char *item;

	if ((*n & (*n - 1)) == 0) {
		void *grown = reallocarray(*items, *n ? *n * 2 : 1, item_size);

		if (!grown)
			return NULL;
		*items = grown;
	}
	item = (char *)*items + *n * item_size;
	memset(item, 0, item_size);
	(*n)++;
	return item;
}

static void describe_choices(const struct key *key, FILE *f)
{
	for (const struct key_choice *c = key->choices; c->name; c++)
		(void)fprintf(f, "%s%s",
			      c == key->choices ? ""
			      : c[1].name	? ", "
						: " or ",
			      c->name);
}

static void describe_limits(const struct key *key, FILE *f)
{
	char low[VALUE_DURATION_STR_MAX], high[VALUE_DURATION_STR_MAX];

	if (key->type == KEY_DURATION)
		(void)fprintf(f, "%s to %s", value_format_duration(key->min, low),
			      value_format_duration(key->max, high));
	else
		(void)fprintf(f, "%llu to %llu", (unsigned long long)key->min,
			      (unsigned long long)key->max);
}

static const char *const type_descriptions[_KEY_TYPE_MAX] = {
	[KEY_BOOL] = "yes or no",
	[KEY_TEXT] = "text",
	[KEY_FILE] = "a path",
	[KEY_URL_PATH] = "a path that begins with a slash and has no blanks",
	[KEY_HOST] = "a host name or an address",
	[KEY_SOCKET] = "an address and a port, such as 127.0.0.1:9100 or [::1]:9100",
	[KEY_INTERFACE] = "an interface name of at most 15 characters",
	[KEY_ZONE] = "1 to 31 of the characters A-Z a-z 0-9 -",
	[KEY_ADDRESS] = "an IPv4 or IPv6 address of a host",
	[KEY_PORTS] = "a port of 1 to 65535, a range such as 8000-8010, or all",
	[KEY_MATCHER] = "codes of 0 to 599, such as 200,202 or 200-299, 16 parts at most",
	[KEY_ALGORITHM] = "an algorithm",
	[KEY_TEXTS] = "words",
	[KEY_NAMES] = "names of security groups",
	[KEY_PREFIXES] = "prefixes or addresses",
	[KEY_FORWARDS] = "GROUP or GROUP:WEIGHT",
	[KEY_TARGETS] = "ADDRESS[:PORT] [weight=N] [zone=ZONE]",
	[KEY_RULES] = "PROTOCOL [PORTS] from|to PREFIX",
};

void assign_describe(const struct key *key, char *buf, size_t size)
{
	_cleanup_fclose_ FILE *f = fmemopen(buf, size, "w");

	buf[0] = '\0';
	if (!f)
		return;
	if (key->choices)
		describe_choices(key, f);
	else if (key->type == KEY_UINT || key->type == KEY_DURATION)
		describe_limits(key, f);
	else
		(void)fputs(type_descriptions[key->type], f);
	if (key->zero)
		(void)fprintf(f, ", or %s", key->zero);
}

static int reject(const struct assign_place *at, const char *value, int r)
{
	char accepted[512];

	if (r == -ENOMEM)
		return r;
	if (r == -EBADMSG) {
		diag_add(
			at->diags, DIAG_ERROR, at->path, at->line,
			"%s: %s: the quotes are not closed at the end of the line, or an escape is "
			"none of \\\" \\\\ \\n \\r \\t \\xHH",
			at->key->name, value);
		return -EINVAL;
	}
	assign_describe(at->key, accepted, sizeof(accepted));
	diag_add(at->diags, DIAG_ERROR, at->path, at->line, "%s: \"%.*s%s\" is %s; accepted: %s",
		 at->key->name, VALUE_SHOWN_MAX, value,
		 strlen(value) > VALUE_SHOWN_MAX ? "..." : "",
		 r == -ERANGE ? "out of range" : "not valid", accepted);
	return -EINVAL;
}

static void store_uint(const struct key *key, void *member, uint64_t n)
{
	uint8_t u8 = (uint8_t)n;
	uint16_t u16 = (uint16_t)n;
	uint32_t u32 = (uint32_t)n;

	switch (key->size) {
	case sizeof(u8):
		memcpy(member, &u8, sizeof(u8));
		break;
	case sizeof(u16):
		memcpy(member, &u16, sizeof(u16));
		break;
	case sizeof(u32):
		memcpy(member, &u32, sizeof(u32));
		break;
	default:
		assert(key->size == sizeof(n));
		memcpy(member, &n, sizeof(n));
	}
}

/* The member may hold a default, which is replaced. */
static int store_text(void *member, const char *text)
{
	char *copy = strdup(text), *old;

	if (!copy)
		return -ENOMEM;
	memcpy(&old, member, sizeof(old));
	free(old);
	memcpy(member, &copy, sizeof(copy));
	return 0;
}

static int assign_number(const struct key *key, void *member, const char *value)
{
	uint64_t n = 0;
	int r = 0;

	if (!key->zero || strcmp(value, key->zero) != 0) {
		r = key->type == KEY_DURATION ? value_parse_duration(value, &n)
					      : number_parse(value, UINT64_MAX, &n);
		if (r == 0 && (n < key->min || n > key->max) && !(key->zero && n == 0))
			r = -ERANGE;
	}
	if (r == 0)
		store_uint(key, member, n);
	return r;
}

static int reject_choice(const struct assign_place *at, const char *value)
{
	struct value_suggestion near = { NULL, 0 };
	char accepted[512];

	for (const struct key_choice *c = at->key->choices; c->name; c++)
		value_suggest(&near, value, c->name);
	if (!near.name)
		return reject(at, value, -EINVAL);
	assign_describe(at->key, accepted, sizeof(accepted));
	diag_add(at->diags, DIAG_ERROR, at->path, at->line,
		 "%s: \"%s\" is not valid, did you mean \"%s\"? accepted: %s", at->key->name, value,
		 near.name, accepted);
	return -EINVAL;
}

static int assign_choice(const struct assign_place *at, void *member, const char *value)
{
	for (const struct key_choice *c = at->key->choices; c->name; c++) {
		if (strcmp(value, c->name) != 0)
			continue;
		if (at->key->type == KEY_CHOICE_TEXT)
			return store_text(member, value);
		store_uint(at->key, member, c->value);
		return 0;
	}
	return reject_choice(at, value);
}

static int assign_algorithm(const struct assign_place *at, void *member, char *value)
{
	struct value_suggestion near = { NULL, 0 };
	struct conf_algorithm algorithm;
	int r = value_parse_algorithm(value, &algorithm);

	if (r == 0) {
		memcpy(member, &algorithm, sizeof(algorithm));
		return 0;
	}
	if (r == -ENOTSUP) {
		diag_add(at->diags, DIAG_ERROR, at->path, at->line,
			 "%s: \"%s\": after the name only fallback and port may follow, and only "
			 "for "
			 "flow-hash, source-ip-hash, mh and sh",
			 at->key->name, value);
		return -EINVAL;
	}
	for (const char *const *name = value_algorithm_names(); *name; name++)
		value_suggest(&near, value, *name);
	diag_add(at->diags, DIAG_ERROR, at->path, at->line, "%s: \"%s\" is not an algorithm%s%s%s",
		 at->key->name, value,
		 near.name ? ", did you mean \""
			   : "; round-robin, least-connections, flow-hash, "
			     "source-ip-hash or a scheduler of the kernel",
		 near.name ? near.name : "", near.name ? "\"?" : "");
	return -EINVAL;
}

static int assign_text(const struct key *key, void *member, char *value)
{
	uint64_t len;

	if (value_unquote(value) < 0)
		return -EBADMSG;
	len = strlen(value);
	if (key->type == KEY_TEXT && len > key->max)
		return -ERANGE;
	if (key->type == KEY_FILE && (len == 0 || len > 4095 || (key->min && value[0] != '/')))
		return -EINVAL;
	if (key->type == KEY_URL_PATH) {
		if (value[0] != '/')
			return -EINVAL;
		if (len > key->max)
			return -ERANGE;
		/* Bytes above 0x7f are below the blank where char is signed, and beyond the tilde elsewhere. */
		for (const char *p = value; *p; p++)
			if (*p <= ' ' || *p > '~')
				return -EINVAL;
	}
	return store_text(member, value);
}

/* "NAME", "NAME:PORT", "ADDRESS" or "ADDRESS:PORT". */
static int assign_host(void *member, const char *value)
{
	char host[CONF_HOST_MAX + 1];
	const char *colon = strchr(value, ':');
	size_t len = colon ? (size_t)(colon - value) : strlen(value);
	struct addr addr;
	uint16_t port;
	uint64_t number;

	if (addr_port_parse(value, &addr, &port) < 0) {
		if (len >= sizeof(host))
			return -ERANGE;
		memcpy(host, value, len);
		host[len] = '\0';
		if (!value_is_host(host) ||
		    (colon && (number_parse(colon + 1, UINT16_MAX, &number) < 0 || !number)))
			return -EINVAL;
	}
	return store_text(member, value);
}

static int assign_socket(void *member, const char *value)
{
	struct addr addr;
	uint16_t port;
	int r = addr_port_parse(value, &addr, &port);

	if (r < 0 || port == 0)
		return -EINVAL;
	return store_text(member, value);
}

static int assign_word(const struct key *key, char *member, const char *value)
{
	if (key->zero && strcmp(value, key->zero) == 0) {
		memset(member, 0, key->size);
		return 0;
	}
	if (strlen(value) >= key->size)
		return -ERANGE;
	if (key->type == KEY_INTERFACE ? !value_is_interface(value) : !value_is_name(value))
		return -EINVAL;
	memset(member, 0, key->size);
	strcpy(member, value);
	return 0;
}

static int assign_ports(struct conf_range *member, const char *value)
{
	struct conf_range range = { 0, 0 };
	int r;

	if (strcmp(value, "all") != 0 && strcmp(value, "0") != 0) {
		r = value_parse_range(value, 1, UINT16_MAX, &range);
		if (r < 0)
			return r;
	}
	*member = range;
	return 0;
}

static int assign_address(struct addr *member, const char *value)
{
	struct addr addr;
	int r = addr_parse(value, &addr);

	if (r < 0)
		return r;
	if (!addr_is_host(&addr))
		return -EINVAL;
	*member = addr;
	return 0;
}

int assign_scalar(const struct assign_place *at, void *object, char *value)
{
	const struct key *key = at->key;
	char *member = (char *)object + key->offset;
	int r;

	switch (key->type) {
	case KEY_BOOL:
		r = value_parse_bool(value, (bool *)member);
		break;
	case KEY_UINT:
	case KEY_DURATION:
		r = assign_number(key, member, value);
		break;
	case KEY_CHOICE:
	case KEY_CHOICE_TEXT:
		return assign_choice(at, member, value);
	case KEY_ALGORITHM:
		return assign_algorithm(at, member, value);
	case KEY_TEXT:
	case KEY_FILE:
	case KEY_URL_PATH:
		r = assign_text(key, member, value);
		break;
	case KEY_HOST:
		r = assign_host(member, value);
		break;
	case KEY_SOCKET:
		r = assign_socket(member, value);
		break;
	case KEY_INTERFACE:
	case KEY_ZONE:
		r = assign_word(key, member, value);
		break;
	case KEY_ADDRESS:
		r = assign_address((struct addr *)(void *)member, value);
		break;
	case KEY_PORTS:
		r = assign_ports((struct conf_range *)(void *)member, value);
		break;
	case KEY_MATCHER:
		r = value_parse_matcher(value, (struct conf_matcher *)(void *)member);
		break;
	default:
		assert(!"a list is not a scalar");
		r = -EINVAL;
	}
	return r < 0 ? reject(at, value, r) : 0;
}

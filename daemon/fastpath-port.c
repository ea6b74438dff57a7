/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-port.h"

#include <assert.h>
#include <ctype.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/value.h"

static const char *const kinds[_FASTPATH_PORT_KIND_MAX] = {
	[FASTPATH_PORT_PCI] = "pci",
	[FASTPATH_PORT_AF_PACKET] = "af_packet",
	[FASTPATH_PORT_AF_XDP] = "af_xdp",
	[FASTPATH_PORT_OTHER] = "other",
};

const char *fastpath_port_kind_to_string(enum fastpath_port_kind k)
{
	assert(k < _FASTPATH_PORT_KIND_MAX);
	return kinds[k];
}

int fastpath_port_kind_parse(const char *text, enum fastpath_port_kind *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		if (!strcmp(text, kinds[i])) {
			*ret = (enum fastpath_port_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* Does the text have this form? 'x' stands for a hexadecimal digit, '7' for 0 to 7. */
static bool has_form(const char *text, const char *form)
{
	if (strlen(text) != strlen(form))
		return false;
	for (size_t i = 0; form[i]; i++) {
		if (form[i] == 'x'   ? !isxdigit((unsigned char)text[i])
		    : form[i] == '7' ? text[i] < '0' || text[i] > '7'
				     : text[i] != form[i])
			return false;
	}
	return true;
}

int pci_address_parse(const char *text, char ret[static PCI_ADDRESS_MAX])
{
	const char *domain = "";

	if (has_form(text, "xx:xx.7"))
		domain = "0000:";
	else if (!has_form(text, "xxxx:xx:xx.7"))
		return -EINVAL;
	(void)snprintf(ret, PCI_ADDRESS_MAX, "%s%s", domain, text);
	/* sysfs has the names in small letters. */
	for (char *c = ret; *c; c++)
		*c = (char)tolower((unsigned char)*c);
	return 0;
}

static bool begins_with(const char *text, const char *prefix)
{
	return strncmp(text, prefix, strlen(prefix)) == 0;
}

/* The value of an argument of a virtual device; its length in *ret_len. NULL: it is not given. */
static const char *find_argument(const char *spec, const char *name, size_t *ret_len)
{
	size_t len = strlen(name);

	for (const char *at = strchr(spec, ','); at; at = strchr(at + 1, ',')) {
		if (strncmp(at + 1, name, len) != 0 || at[1 + len] != '=')
			continue;
		at += len + 2;
		*ret_len = strcspn(at, ",");
		return at;
	}
	return NULL;
}

static int find_interface(const char *spec, char ret[static IFNAMSIZ])
{
	size_t len = 0;
	const char *value = find_argument(spec, "iface", &len);

	if (!value || len >= IFNAMSIZ)
		return -EINVAL;
	memcpy(ret, value, len);
	ret[len] = '\0';
	return value_is_interface(ret) ? 0 : -EINVAL;
}

/* DPDK's default is one. */
static int find_queues(const char *spec, unsigned *ret)
{
	char text[8];
	uint64_t n = 1;
	size_t len = 0;
	const char *value = find_argument(spec, "queue_count", &len);

	if (value) {
		if (len >= sizeof(text))
			return -EINVAL;
		memcpy(text, value, len);
		text[len] = '\0';
		if (number_parse(text, UINT16_MAX, &n) < 0 || n == 0)
			return -EINVAL;
	}
	*ret = (unsigned)n;
	return 0;
}

int fastpath_port_parse(const char *spec, struct fastpath_port *ret)
{
	struct fastpath_port p = { .kind = FASTPATH_PORT_OTHER };

	if (strlen(spec) >= sizeof(p.spec))
		return -EINVAL;
	if (pci_address_parse(spec, p.pci) == 0) {
		p.kind = FASTPATH_PORT_PCI;
		memcpy(p.spec, p.pci, sizeof(p.pci));
		*ret = p;
		return 0;
	}
	if (!begins_with(spec, "net_"))
		return -EINVAL;
	if (begins_with(spec, "net_af_packet"))
		p.kind = FASTPATH_PORT_AF_PACKET;
	else if (begins_with(spec, "net_af_xdp"))
		p.kind = FASTPATH_PORT_AF_XDP;
	if (p.kind != FASTPATH_PORT_OTHER && find_interface(spec, p.interface) < 0)
		return -EINVAL;
	if (p.kind == FASTPATH_PORT_AF_XDP && find_queues(spec, &p.n_queues) < 0)
		return -EINVAL;
	(void)snprintf(p.spec, sizeof(p.spec), "%s", spec);
	*ret = p;
	return 0;
}

int fastpath_exception_name(const char *base, size_t index, char ret[static IFNAMSIZ])
{
	size_t len = strlen(base), stem = len;
	uint64_t number = 0;
	int n;

	if (index == 0) {
		n = snprintf(ret, IFNAMSIZ, "%s", base);
		return n < 0 || n >= IFNAMSIZ ? -ENAMETOOLONG : 0;
	}
	while (stem > 0 && isdigit((unsigned char)base[stem - 1]))
		stem--;
	if (stem < len && number_parse(base + stem, UINT32_MAX, &number) < 0)
		return -ENAMETOOLONG;
	n = snprintf(ret, IFNAMSIZ, "%.*s%llu", (int)stem, base,
		     (unsigned long long)number + index);
	return n < 0 || n >= IFNAMSIZ ? -ENAMETOOLONG : 0;
}

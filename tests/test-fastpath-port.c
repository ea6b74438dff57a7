/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/fastpath-port.h"

static void test_pci_address(void **state)
{
	static const struct {
		const char *text, *address; /* NULL = none */
	} cases[] = {
		{ "0000:00:06.0", "0000:00:06.0" },
		{ "00:06.0", "0000:00:06.0" },
		{ "0001:aF:1f.7", "0001:af:1f.7" },
		{ "", NULL },
		{ "00:06", NULL },
		{ "00:06.8", NULL },
		{ "0:06.0", NULL },
		{ "00:06.0 ", NULL },
		{ "0000.00.06.0", NULL },
		{ "gggg:00:06.0", NULL },
		{ "00000:00:06.0", NULL },
	};
	char address[PCI_ADDRESS_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = pci_address_parse(cases[i].text, address);

		assert_int_equal(r, cases[i].address ? 0 : -EINVAL);
		if (cases[i].address)
			assert_string_equal(address, cases[i].address);
	}
}

static void test_port(void **state)
{
	static const struct {
		const char *spec;
		int error;
		enum fastpath_port_kind kind;
		const char *normal, *interface;
	} cases[] = {
		{ "00:06.0", 0, FASTPATH_PORT_PCI, "0000:00:06.0", "" },
		{ "net_af_packet0,iface=eth1", 0, FASTPATH_PORT_AF_PACKET, NULL, "eth1" },
		{ "net_af_packet_x,qdisc_bypass=1,iface=ens6,blocksz=4096", 0,
		  FASTPATH_PORT_AF_PACKET, NULL, "ens6" },
		{ "net_af_xdp1,iface=a.b-c,start_queue=0", 0, FASTPATH_PORT_AF_XDP, NULL, "a.b-c" },
		{ "net_af_xdp0,iface=e,queue_count=4", 0, FASTPATH_PORT_AF_XDP, NULL, "e" },
		{ "net_af_xdp0,iface=e,queue_count=0", -EINVAL, 0, NULL, NULL },
		{ "net_af_xdp0,iface=e,queue_count=many", -EINVAL, 0, NULL, NULL },
		{ "net_tap0,iface=x", 0, FASTPATH_PORT_OTHER, NULL, "" },
		{ "net_ring0", 0, FASTPATH_PORT_OTHER, NULL, "" },
		{ "net_af_packet0", -EINVAL, 0, NULL, NULL },
		{ "net_af_packet0,iface=", -EINVAL, 0, NULL, NULL },
		{ "net_af_packet0,iface=a/b", -EINVAL, 0, NULL, NULL },
		{ "net_af_packet0,xiface=eth1", -EINVAL, 0, NULL, NULL },
		{ "net_af_xdp0,iface=sixteen-bytes-xx", -EINVAL, 0, NULL, NULL },
		{ "eth1", -EINVAL, 0, NULL, NULL },
		{ "", -EINVAL, 0, NULL, NULL },
	};
	char longest[FASTPATH_PORT_SPEC_MAX + 1];
	struct fastpath_port p;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(fastpath_port_parse(cases[i].spec, &p), cases[i].error);
		if (cases[i].error)
			continue;
		assert_int_equal(p.kind, cases[i].kind);
		assert_string_equal(p.spec, cases[i].normal ? cases[i].normal : cases[i].spec);
		assert_string_equal(p.interface, cases[i].interface);
		if (p.kind == FASTPATH_PORT_AF_XDP)
			assert_int_equal(p.n_queues, strstr(p.spec, "=4") ? 4 : 1);
	}
	memset(longest, 'x', sizeof(longest));
	memcpy(longest, "net_", 4);
	longest[FASTPATH_PORT_SPEC_MAX] = '\0';
	assert_int_equal(fastpath_port_parse(longest, &p), -EINVAL);
	longest[FASTPATH_PORT_SPEC_MAX - 1] = '\0';
	assert_int_equal(fastpath_port_parse(longest, &p), 0);
}

static void test_kind(void **state)
{
	enum fastpath_port_kind k;

	(void)state;
	for (int i = 0; i < _FASTPATH_PORT_KIND_MAX; i++) {
		const char *text = fastpath_port_kind_to_string((enum fastpath_port_kind)i);

		assert_int_equal(fastpath_port_kind_parse(text, &k), 0);
		assert_int_equal(k, i);
	}
	assert_int_equal(fastpath_port_kind_parse("none", &k), -EINVAL);
}

static void test_exception_name(void **state)
{
	static const struct {
		const char *base;
		size_t index;
		const char *name; /* NULL = too long */
	} cases[] = {
		{ "ipvsd0", 0, "ipvsd0" },
		{ "ipvsd0", 1, "ipvsd1" },
		{ "ipvsd9", 3, "ipvsd12" },
		{ "exception", 0, "exception" },
		{ "exception", 2, "exception2" },
		{ "7", 1, "8" },
		{ "fifteen-bytes-9", 0, "fifteen-bytes-9" },
		{ "fifteen-bytes-9", 1, NULL },
		{ "sixteen-bytes-xx", 0, NULL },
	};
	char name[IFNAMSIZ];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = fastpath_exception_name(cases[i].base, cases[i].index, name);

		assert_int_equal(r, cases[i].name ? 0 : -ENAMETOOLONG);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pci_address),
		cmocka_unit_test(test_port),
		cmocka_unit_test(test_kind),
		cmocka_unit_test(test_exception_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

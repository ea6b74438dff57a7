/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the fast path asks of the kernel's routes and neighbours, in a network namespace of this process. */

#include <errno.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <linux/rtnetlink.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <cmocka.h>
#include <netlink/netlink.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/route-query.h"

static void shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s failed", command);
}

static struct addr address(const char *text)
{
	struct addr a = { 0 };

	if (text)
		assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static int setup(void **state)
{
	struct nl_sock *s;

	if (system("modprobe 8021q") != 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	shell("ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; "
	      "ip link set v1 up; ip addr add 10.1.0.1/24 dev v0; "
	      "ip addr add 2001:db8:1::1/64 dev v0 nodad; ip link set v0 mtu 1450; "
	      "ip link add link v0 name v0.5 type vlan id 5; ip link set v0.5 up mtu 1400; "
	      "ip addr add 10.5.0.1/24 dev v0.5; ip addr add 2001:db8:5::1/64 dev v0.5 nodad; "
	      "ip route add 10.2.0.0/16 via 10.1.0.254; ip route add 10.3.0.0/16 via 10.5.0.254 "
	      "mtu 1300; "
	      "ip route add 10.4.0.0/16 via inet6 2001:db8:1::fe dev v0; "
	      "ip route add unreachable 10.6.0.0/16; ip route add blackhole 10.7.0.0/16; "
	      "ip route add 2001:db8:2::/64 via 2001:db8:5::fe; "
	      "ip neigh add 10.1.0.9 lladdr 02:00:00:00:00:09 dev v0 nud permanent");
	assert_int_equal(route_query_open(&s), 0);
	*state = s;
	return 0;
}

static int teardown(void **state)
{
	nl_socket_free(*state);
	return 0;
}

static void test_routes(void **state)
{
	static const struct {
		const char *to, *interface, *parent, *gateway, *source;
		uint16_t vlan, mtu;
	} cases[] = {
		{ "10.1.0.9", "v0", "v0", "10.1.0.9", "10.1.0.1", 0, 1450 },
		{ "10.2.3.4", "v0", "v0", "10.1.0.254", "10.1.0.1", 0, 1450 },
		{ "10.5.0.9", "v0.5", "v0", "10.5.0.9", "10.5.0.1", 5, 1400 },
		{ "10.3.3.3", "v0.5", "v0", "10.5.0.254", "10.5.0.1", 5, 1300 },
		{ "10.4.0.1", "v0", "v0", "2001:db8:1::fe", "10.1.0.1", 0, 1450 },
		{ "2001:db8:1::9", "v0", "v0", "2001:db8:1::9", "2001:db8:1::1", 0, 1450 },
		{ "2001:db8:2::9", "v0.5", "v0", "2001:db8:5::fe", "2001:db8:5::1", 5, 1400 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct addr to = address(cases[i].to), gateway = address(cases[i].gateway),
				  source = address(cases[i].source);
		struct route_answer a;

		assert_int_equal(route_query(*state, &to, &a), 0);
		assert_int_equal(a.ifindex, if_nametoindex(cases[i].interface));
		assert_int_equal(a.parent, if_nametoindex(cases[i].parent));
		assert_int_equal(a.vlan, cases[i].vlan);
		assert_int_equal(a.mtu, cases[i].mtu);
		assert_true(addr_eq(&a.gateway, &gateway));
		assert_true(addr_eq(&a.source, &source));
	}
}

/* To nowhere, to ourselves. The socket is as good as before. */
static void test_no_route(void **state)
{
	static const char *const cases[] = { "10.6.0.1",      "10.7.0.1", "192.0.2.1",
					     "2001:db8:9::1", "10.1.0.1", "2001:db8:1::1" };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct addr to = address(cases[i]);
		struct route_answer a;

		assert_true(route_query(*state, &to, &a) < 0);
	}
	test_routes(state);
}

static void test_neighbours(void **state)
{
	static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 9 };
	const struct addr known = address("10.1.0.9"), unknown = address("10.1.0.77");
	const int ifindex = (int)if_nametoindex("v0");
	struct neighbour_answer a;

	assert_int_equal(neighbour_query(*state, ifindex, &known, &a), 0);
	assert_true(a.valid);
	assert_int_equal(a.ifindex, ifindex);
	assert_true(addr_eq(&a.addr, &known));
	assert_memory_equal(a.mac, mac, sizeof(mac));
	assert_int_equal(neighbour_query(*state, ifindex, &unknown, &a), -ENOENT);

	/* Use of it makes the kernel look for it: it is there then, and not valid. */
	assert_int_equal(neighbour_use(*state, ifindex, &unknown), 0);
	assert_int_equal(neighbour_query(*state, ifindex, &unknown, &a), 0);
	assert_false(a.valid);
	assert_int_equal(neighbour_use(*state, 9999, &unknown), -ENODEV);
}

/* An answer that nobody fetched is of another request. */
static void test_left_over(void **state)
{
	struct nl_msg *m = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST);
	const struct ifinfomsg header = { .ifi_index = 9999 };

	assert_non_null(m);
	assert_int_equal(nlmsg_append(m, (void *)(uintptr_t)&header, sizeof(header), NLMSG_ALIGNTO),
			 0);
	assert_true(nl_send_auto(*state, m) > 0);
	nlmsg_free(m);
	test_routes(state);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_no_route),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_left_over),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Addresses, routes, MTU and settings of an interface go to another one and come back exactly, as iproute2 sees them;
 * a muted interface still shows its frames to packet sockets. In network namespaces of its own; needs no IPVS.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <net/ethernet.h>
#include <poll.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include <netpacket/packet.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/interface-mute.h"
#include "daemon/interface-neighbour.h"
#include "daemon/interface.h"

enum {
	OUTPUT_MAX = 16 * 1024,
};

static void shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s", command);
}

/* What iproute2 says of an interface. */
static char *look(const char *interface)
{
	char command[512];
	char *text = calloc(1, OUTPUT_MAX);
	FILE *f;

	assert_non_null(text);
	(void)snprintf(
		command, sizeof(command),
		"ip -o link show dev %s | grep -o 'mtu [0-9]*\\|,UP'; ip -d -o address show dev "
		"%s | sed 's/^[0-9]*: //'; ip -d -4 route show table all dev %s; ip -d -6 route "
		"show table all dev %s | grep -v 'table local'; ip -d route show table 7 "
		"2>/dev/null; "
		"cat /proc/sys/net/ipv4/conf/%s/rp_filter",
		interface, interface, interface, interface, interface);
	f = popen(command, "re");
	assert_non_null(f);
	(void)fread(text, 1, OUTPUT_MAX - 1, f);
	(void)pclose(f);
	return text;
}

static int set_up(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL) < 0)
		return -errno;
	shell("set -e; ip -batch - <<EOF\n"
	      "link set lo up\n"
	      "link add x type veth peer name peer\n"
	      "link add other type veth peer name other-peer\n"
	      "link set dev x mtu 1400\n"
	      "link set dev x up\nlink set dev peer up\n"
	      "link set dev other up\nlink set dev other-peer up\n"
	      "address add 10.1.0.1/24 dev x label x:one\n"
	      "address add 10.1.0.2/24 dev x\n"
	      "address add 10.2.0.1/16 brd + dev x noprefixroute\n"
	      "address add 10.9.0.1 peer 10.9.0.2/32 dev x\n"
	      "address add 10.5.0.1/24 dev other\n"
	      "address add 2001:db8:1::1/64 dev x nodad\n"
	      "address add 2001:db8:2::1/128 dev x nodad preferred_lft 0\n"
	      "route add default via 10.1.0.254 dev x metric 50\n"
	      "route add 10.7.0.0/16 dev x scope link\n"
	      "route add 10.8.0.0/16 via 10.7.0.1 src 10.1.0.2 mtu 1300\n"
	      "route add 10.10.0.0/16 nexthop via 10.1.0.3 dev x weight 2 nexthop via 10.5.0.2 dev "
	      "other\n"
	      "route add 10.11.0.0/16 via 10.1.0.9 table 7\n"
	      "route add 192.0.2.0/24 via 172.16.0.1 dev x onlink\n"
	      "route add default via 2001:db8:1::2 dev x metric 7 expires 900\n"
	      "route add 2001:db8:7::/64 via 2001:db8:1::3 dev x pref high\n"
	      "EOF\n"
	      "echo 2 >/proc/sys/net/ipv4/conf/x/rp_filter\n"
	      "for i in $(seq 100); do ip -6 address show dev x | grep -q tentative || break; "
	      "sleep 0.1; done");
	return 0;
}

static void add_exception(void)
{
	shell("ip link add ipvsd0 type veth peer name ipvsd0-peer && ip link set dev ipvsd0-peer "
	      "up");
}

/* Seconds go by; all else must be the same. */
static void strip_expiry(char *text)
{
	for (char *at = text; (at = strstr(at, "expires ")); at++)
		memset(at, '-', strcspn(at, " \n") + 1 + strcspn(at + 8, " \n"));
}

static void assert_same(const char *interface, const char *before)
{
	_cleanup_free_ char *now = look(interface);

	strip_expiry(now);
	if (strcmp(now, before) == 0)
		return;
	(void)fprintf(stderr, "now:\n%sbefore:\n%s", now, before);
	fail();
}

static void test_there_and_back(void **state)
{
	_cleanup_(interface_state_deinit) struct interface_state s = INTERFACE_STATE_INIT;
	_cleanup_(interface_state_deinit) struct interface_state read = INTERFACE_STATE_INIT;
	_cleanup_free_ char *before = look("x"), *other = look("other"), *moved = NULL;
	json_t *j;

	(void)state;
	strip_expiry(before);
	strip_expiry(other);
	add_exception();
	assert_int_equal(interface_save("x", &s), 0);
	assert_int_equal(s.mtu, 1400);
	assert_int_equal(interface_strip(&s, "x"), 0);
	assert_int_equal(interface_give(&s, "ipvsd0", NULL), 0);
	moved = look("ipvsd0");
	assert_non_null(strstr(moved, "10.1.0.1/24"));
	assert_non_null(strstr(moved, "10.9.0.1 peer 10.9.0.2"));
	assert_non_null(strstr(moved, "2001:db8:2::1/128"));
	assert_non_null(strstr(moved, "default via 10.1.0.254"));
	assert_non_null(strstr(moved, "10.11.0.0/16 via 10.1.0.9"));
	assert_non_null(strstr(moved, "192.0.2.0/24 via 172.16.0.1"));
	assert_non_null(strstr(moved, "default via 2001:db8:1::2"));
	assert_non_null(strstr(moved, "mtu 1400"));
	assert_int_equal(system("ip route get 10.8.0.1 | grep -q 'dev ipvsd0 src 10.1.0.2'"), 0);
	assert_int_equal(system("ip route show 10.10.0.0/16 | grep -q 'dev ipvsd0 weight 2'"), 0);

	/* The way back goes by what was on disk, with the exception interface gone as after a crash. */
	j = interface_state_to_json(&s);
	assert_non_null(j);
	assert_int_equal(interface_state_from_json(j, &read), 0);
	json_decref(j);
	shell("ip link del ipvsd0");
	assert_int_equal(interface_give(&read, "x", NULL), 0);
	assert_same("x", before);
	/* Once more: nothing changes. */
	assert_int_equal(interface_give(&read, "x", NULL), 0);
	assert_same("x", before);
}

/* As a PCI device: the interface itself goes and comes with the kernel's defaults. */
static void test_device_gone(void **state)
{
	_cleanup_(interface_state_deinit) struct interface_state s = INTERFACE_STATE_INIT;
	_cleanup_free_ char *before = look("x");

	(void)state;
	strip_expiry(before);
	assert_int_equal(interface_save("x", &s), 0);
	shell("ip link del x && ip link add x type veth peer name peer && ip link set dev peer up");
	assert_int_equal(interface_give(&s, "x", NULL), 0);
	/* Routes of addresses of its own making, as the link-local one, come when the link is up. */
	shell("for i in $(seq 100); do ip -6 address show dev x | grep -q tentative || break; "
	      "sleep 0.1; done");
	{
		_cleanup_free_ char *now = look("x");

		assert_non_null(strstr(now, "mtu 1400"));
		assert_non_null(strstr(now, "default via 10.1.0.254"));
		assert_non_null(strstr(now, "10.11.0.0/16 via 10.1.0.9"));
		assert_non_null(strstr(now, "default via 2001:db8:1::2"));
		assert_int_equal(now[strlen(now) - 2], '2'); /* rp_filter */
	}
	assert_int_equal(interface_strip(&s, "nothing"), -ENODEV);
	assert_int_equal(interface_give(&s, "nothing", NULL), -ENODEV);
}

static void test_check(void **state)
{
	char reason[INTERFACE_REASON_MAX] = "";

	(void)state;
	assert_int_equal(interface_check("other", true, reason), 0);
	assert_int_equal(interface_check("x", false, reason), 0);
	assert_int_equal(interface_check("x", true, reason), -EBUSY);
	assert_non_null(strstr(reason, "--force"));
	assert_int_equal(interface_check("nothing", true, reason), -ENODEV);
	shell("ip link add link other name other.5 type vlan id 5 2>/dev/null || ip link add link "
	      "other name other.5 type macvlan");
	assert_int_equal(interface_check("other", true, reason), -EBUSY);
	assert_non_null(strstr(reason, "other.5"));
	shell("ip link del other.5; ip link add bridge type bridge; ip link set dev other master "
	      "bridge");
	assert_int_equal(interface_check("other", true, reason), -EBUSY);
	assert_non_null(strstr(reason, "bridge"));
}

static void test_mute(void **state)
{
	static const char *const names[] = { "peer", "other" };
	struct sockaddr_ll any = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ARP) };
	_cleanup_close_ int fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, htons(ETH_P_ARP));
	struct pollfd p = { .fd = fd, .events = POLLIN };
	char buf[128];

	(void)state;
	/* The other end in a namespace of its own asks for an address of this side. */
	shell("unshare -n sleep 60 & echo $! >/run/netns-interface.pid; sleep 0.2; ip link set dev "
	      "x "
	      "netns $(cat /run/netns-interface.pid) && nsenter -n -t $(cat "
	      "/run/netns-interface.pid) "
	      "sh -c 'ip link set dev x up; ip address add 10.66.0.2/24 dev x' && ip address add "
	      "10.66.0.1/24 dev peer");
	shell("nsenter -n -t $(cat /run/netns-interface.pid) ping -c1 -W1 10.66.0.1 >/dev/null");
	assert_int_equal(interface_mute(names, 2), 0);
	assert_int_equal(interface_mute(names, 2), 0);
	any.sll_ifindex = (int)if_nametoindex("peer");
	assert_int_equal(bind(fd, (struct sockaddr *)&any, sizeof(any)), 0);
	assert_int_not_equal(
		system("nsenter -n -t $(cat /run/netns-interface.pid) sh -c 'ip neigh flush dev x; "
		       "ping -c1 -W1 10.66.0.1 >/dev/null'"),
		0);
	assert_int_equal(poll(&p, 1, 0), 1);
	assert_true(recv(fd, buf, sizeof(buf), MSG_DONTWAIT) > 0);
	assert_int_equal(interface_unmute(), 0);
	assert_int_equal(interface_unmute(), 0);
	shell("nsenter -n -t $(cat /run/netns-interface.pid) ping -c1 -W1 10.66.0.1 >/dev/null; "
	      "r=$?; "
	      "kill $(cat /run/netns-interface.pid); rm /run/netns-interface.pid; exit $r");
}

/* A file that was tampered with, or cut: refused, never obeyed in part. */
/* Known neighbours go along; those that never answered do not. */
static void test_neighbours(void **state)
{
	_cleanup_(interface_neighbours_deinit) struct interface_neighbours known =
		INTERFACE_NEIGHBOURS_INIT;

	(void)state;
	shell("ip neigh add 10.1.0.77 lladdr 02:00:00:00:00:77 nud reachable dev x\n"
	      "ip neigh add 10.1.0.78 lladdr 02:00:00:00:00:78 nud permanent dev x\n"
	      "ip neigh add 10.1.0.79 nud failed dev x\n"
	      "ip neigh add 2001:db8::77 lladdr 02:00:00:00:00:79 nud stale dev x");
	assert_int_equal(interface_neighbours_save("x", &known), 0);
	assert_int_equal(known.n, 3);
	assert_int_equal(interface_neighbours_give(&known, "other"), 0);
	shell("ip neigh show dev other | grep '10.1.0.77 lladdr 02:00:00:00:00:77 STALE' &&"
	      "ip neigh show dev other | grep '10.1.0.78 lladdr 02:00:00:00:00:78 PERMANENT' &&"
	      "ip neigh show dev other | grep '2001:db8::77 lladdr 02:00:00:00:00:79' &&"
	      "! ip neigh show dev other | grep 10.1.0.79");
	assert_int_equal(interface_neighbours_give(&known, "absent"), -ENODEV);
}

static void test_distrust(void **state)
{
	static const char *const texts[] = {
		"{}",
		"[]",
		"{\"name\": \"\", \"index\": 1, \"mtu\": 1, \"up\": true, \"items\": [], "
		"\"settings\": {}}",
		"{\"name\": \"x\", \"index\": 0, \"mtu\": 1, \"up\": true, \"items\": [], "
		"\"settings\": {}}",
		"{\"name\": \"x\", \"index\": 1, \"mtu\": 1, \"up\": true, \"items\": {}, "
		"\"settings\": {}}",
		"{\"name\": \"x\", \"index\": 1, \"mtu\": 1, \"up\": true, \"items\": [], "
		"\"settings\": 1}",
		"{\"name\": \"x\", \"index\": 1, \"mtu\": 1, \"up\": true, \"settings\": {},"
		" \"items\": [{\"kind\": \"address\", \"message\": \"0a\"}]}",
		"{\"name\": \"x\", \"index\": 1, \"mtu\": 1, \"up\": true, \"settings\": {},"
		" \"items\": [{\"kind\": \"route\", \"message\": \"0a400080fe0000000g\"}]}",
	};
	struct interface_state s;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		json_t *j = json_loads(texts[i], 0, NULL);

		assert_non_null(j);
		assert_int_equal(interface_state_from_json(j, &s), -EBADMSG);
		json_decref(j);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_there_and_back, set_up),
		cmocka_unit_test_setup(test_device_gone, set_up),
		cmocka_unit_test_setup(test_check, set_up),
		cmocka_unit_test_setup(test_mute, set_up),
		cmocka_unit_test_setup(test_neighbours, set_up),
		cmocka_unit_test(test_distrust),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

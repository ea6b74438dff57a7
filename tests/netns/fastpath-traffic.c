/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ipvsd-fastpath between real hosts: their kernels verify every checksum, real servers answer. Runs on any kernel: no
 * IPVS is needed.
 */

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/netns/fastpath-gateway.h"
#include "tests/netns/conversation.h"

enum {
	WEB_PORT = 80,
	ECHO_PORT = 7,
	SMALL_MTU = 1400,
	EXCHANGE_BYTES = 1000000,
};

/* In which a change of a link reaches the workers. */
#define ROUTE_TIMEOUT_USEC (10 * USEC_PER_SEC)

/* Changes of routes are followed within a tenth of it. */
#define HELD_USEC (200 * USEC_PER_MSEC)

static const struct lab_spec two_targets = { .targets = { 2, 0 } };
static struct fastpath_gateway gateway; /* of the running group */

static int family_of(size_t i)
{
	return i == 1 ? AF_INET6 : AF_INET;
}

/* The same service on both virtual addresses. */
static void program_both(uint8_t protocol, uint16_t port, enum ipvs_forward forward,
			 unsigned n_dests)
{
	const struct fastpath_service services[] = {
		{ LAB_VIP, protocol, port, port, "rr", forward, n_dests },
		{ LAB_VIP6, protocol, port, port, "rr", forward, n_dests },
	};

	fastpath_gateway_program(&gateway, services, ARRAY_SIZE(services));
}

/* nginx on a target, with a file of random bytes under its root; all targets have the same. */
static void start_nginx(const struct lab_host *h, struct lab_process *ret)
{
	char conf[64];
	const char *const argv[] = { "nginx", "-e", "stderr", "-c", conf, NULL };

	(void)snprintf(conf, sizeof(conf), "/run/nginx-%s.conf", h->name);
	fastpath_shell(h,
		       "cat > %s <<END\n"
		       "daemon off; master_process off; pid /run/%s.pid;\n"
		       "events {}\n"
		       "http { access_log off; client_body_temp_path /run/%s;\n"
		       " proxy_temp_path /run/%s; fastcgi_temp_path /run/%s;\n"
		       " uwsgi_temp_path /run/%s; scgi_temp_path /run/%s;\n"
		       " server { listen 80; listen [::]:80; root /run; } }\nEND",
		       conf, h->name, h->name, h->name, h->name, h->name, h->name);
	assert_int_equal(lab_spawn(h, argv, NULL, ret), 0);
	fastpath_shell(h, "curl -s --retry 20 --retry-connrefused --retry-delay 0 "
			  "--retry-max-time 20 -o /dev/null http://127.0.0.1/file -r 0-1");
}

static void test_downloads(void **state)
{
	struct lab_process nginx[2] = { LAB_PROCESS_INIT, LAB_PROCESS_INIT };

	(void)state;
	fastpath_shell(&gateway.lab->router, "head -c 5000000 /dev/urandom > /run/file");
	for (size_t i = 0; i < ARRAY_SIZE(nginx); i++)
		start_nginx(&gateway.lab->targets[i], &nginx[i]);
	program_both(IPPROTO_TCP, WEB_PORT, IPVS_FORWARD_MASQ, 2);
	fastpath_shell(&gateway.lab->internet,
		       "for i in 1 2 3 4; do for vip in " LAB_VIP " [" LAB_VIP6 "]; do"
		       " curl -gsS --fail --max-time 60 -o /run/copy http://$vip/file;"
		       " cmp /run/file /run/copy; done; done");
	for (size_t i = 0; i < ARRAY_SIZE(nginx); i++)
		lab_process_deinit(&nginx[i]);
}

/* The kernel spreads frames over the workers by a hash of its own: half of them reach a stranger. */
static void test_hand_over(void **state)
{
	const uint64_t before = fastpath_counter(&gateway, "handed-over");

	test_downloads(state);
	assert_true(fastpath_counter(&gateway, "handed-over") > before);
	assert_int_equal(fastpath_counter(&gateway, "drop-handover"), 0);
}

/* Both directions at once, large segments, and the end of the connection seen by both sides. */
static void exchange_tcp(const char *vip, const char *server_address)
{
	_cleanup_close_ int listener = conversation_server(&gateway.lab->targets[0], SOCK_STREAM,
							   server_address, ECHO_PORT);
	_cleanup_close_ int client =
		conversation_client(&gateway.lab->internet, SOCK_STREAM, vip, ECHO_PORT);
	_cleanup_close_ int server = conversation_accept(listener);

	conversation_tcp_exchange(client, server, EXCHANGE_BYTES);
}

static void test_tcp(void **state)
{
	static const enum ipvs_forward forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_FULL_NAT };

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(forwards); f++) {
		program_both(IPPROTO_TCP, ECHO_PORT, forwards[f], 1);
		exchange_tcp(LAB_VIP, gateway.lab->targets[0].address);
		exchange_tcp(LAB_VIP6, gateway.lab->targets[0].address6);
	}
}

static void echo_udp(const size_t *sizes, size_t n_sizes)
{
	program_both(IPPROTO_UDP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++) {
		const struct lab_host *h = &gateway.lab->targets[0];
		_cleanup_close_ int server = conversation_server(
			h, SOCK_DGRAM, i == 1 ? h->address6 : h->address, ECHO_PORT);
		_cleanup_close_ int client = conversation_client(&gateway.lab->internet, SOCK_DGRAM,
								 fastpath_vips[i], ECHO_PORT);

		for (size_t s = 0; s < n_sizes; s++)
			conversation_udp_echo(client, server, sizes[s]);
	}
}

static void test_udp(void **state)
{
	static const size_t sizes[] = { 1, 512, 1452 };

	(void)state;
	echo_udp(sizes, ARRAY_SIZE(sizes));
}

/* Both ways. Not with net_af_packet, which joins its sockets with PACKET_FANOUT_FLAG_DEFRAG: what comes is whole. */
static void test_fragments(void **state)
{
	static const size_t sizes[] = { 1500, 4000, 20000 };

	(void)state;
	echo_udp(sizes, ARRAY_SIZE(sizes));
	fastpath_shell(&gateway.lab->internet, "ping -q -c 2 -i 0.02 -s 4000 " LAB_VIP
					       " && ping -q -c 2 -i 0.02 -s 4000 10.0.0.10"
					       " && ping -q -c 2 -i 0.02 -s 4000 " LAB_VIP6);
}

static void test_ping(void **state)
{
	(void)state;
	program_both(IPPROTO_TCP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	fastpath_shell(&gateway.lab->internet, "ping -q -c 3 -i 0.02 -s 1000 " LAB_VIP
					       " && ping -q -c 3 -i 0.02 -s 1000 " LAB_VIP6);
}

/* What no service takes is the kernel's: its own pings, refused connections. */
static void test_kernel_has_the_rest(void **state)
{
	(void)state;
	program_both(IPPROTO_TCP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	fastpath_shell(&gateway.lab->gateway,
		       "ping -q -c 2 -i 0.02 10.0.0.1 && ping -q -c 2 -i 0.02 "
		       "198.51.100.2 && ping -q -c 2 -i 0.02 2001:db8:0:1::10");
	fastpath_shell(&gateway.lab->internet,
		       "r=0; curl -s --max-time 20 http://" LAB_VIP ":81/ || r=$?; [ $r = 7 ]");
}

static void test_ttl(void **state)
{
	(void)state;
	program_both(IPPROTO_UDP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++) {
		const struct lab_host *h = &gateway.lab->targets[0];
		const bool v6 = family_of(i) == AF_INET6;
		const int on = 1, hops = 2; /* the router leaves one */
		_cleanup_close_ int server = conversation_server(
			h, SOCK_DGRAM, v6 ? h->address6 : h->address, ECHO_PORT);
		_cleanup_close_ int client = conversation_client(&gateway.lab->internet, SOCK_DGRAM,
								 fastpath_vips[i], ECHO_PORT);
		uint32_t info;

		assert_int_equal(setsockopt(client, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
					    v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on)),
				 0);
		assert_int_equal(setsockopt(client, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
					    v6 ? IPV6_UNICAST_HOPS : IP_TTL, &hops, sizeof(hops)),
				 0);
		assert_int_equal(conversation_udp_try(client, server, 100), -EIO);
		if (v6)
			conversation_expect_icmp(client, AF_INET6, ICMP6_TIME_EXCEEDED, 0, &info);
		else
			conversation_expect_icmp(client, AF_INET, ICMP_TIME_EXCEEDED, ICMP_EXC_TTL,
						 &info);
	}
}

struct pair {
	int client, server;
};

static bool is_refused(void *userdata)
{
	const struct pair *p = userdata;

	return conversation_udp_try(p->client, p->server, SMALL_MTU + 1) == -EIO;
}

/* The way to the targets becomes narrower than that to the clients: the program hears of it, and says so. */
static void test_path_mtu(void **state)
{
	(void)state;
	fastpath_shell(&gateway.lab->gateway, "ip link set ipvsd1 mtu %d", SMALL_MTU);
	program_both(IPPROTO_UDP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++) {
		const struct lab_host *h = &gateway.lab->targets[0];
		const bool v6 = family_of(i) == AF_INET6;
		const int on = 1, never = IP_PMTUDISC_PROBE; /* IPv6's has the same number */
		_cleanup_close_ int server = conversation_server(
			h, SOCK_DGRAM, v6 ? h->address6 : h->address, ECHO_PORT);
		_cleanup_close_ int client = conversation_client(&gateway.lab->internet, SOCK_DGRAM,
								 fastpath_vips[i], ECHO_PORT);
		uint32_t mtu = 0;

		assert_int_equal(setsockopt(client, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
					    v6 ? IPV6_RECVERR : IP_RECVERR, &on, sizeof(on)),
				 0);
		assert_int_equal(setsockopt(client, v6 ? IPPROTO_IPV6 : IPPROTO_IP,
					    v6 ? IPV6_MTU_DISCOVER : IP_MTU_DISCOVER, &never,
					    sizeof(never)),
				 0);
		assert_int_equal(lab_wait_until(is_refused, &(struct pair){ client, server },
						ROUTE_TIMEOUT_USEC),
				 0);
		if (v6)
			conversation_expect_icmp(client, AF_INET6, ICMP6_PACKET_TOO_BIG, 0, &mtu);
		else
			conversation_expect_icmp(client, AF_INET, ICMP_DEST_UNREACH,
						 ICMP_FRAG_NEEDED, &mtu);
		assert_int_equal(mtu, SMALL_MTU);
	}
}

static void test_tcp_path_mtu(void **state)
{
	(void)state;
	fastpath_shell(&gateway.lab->gateway, "ip link set ipvsd1 mtu %d", SMALL_MTU);
	program_both(IPPROTO_TCP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	exchange_tcp(LAB_VIP, gateway.lab->targets[0].address);
	exchange_tcp(LAB_VIP6, gateway.lab->targets[0].address6);
}

/* Without DF, the packet is cut in two on its way. */
static void test_fragmentation(void **state)
{
	const struct lab_host *h = &gateway.lab->targets[0];
	_cleanup_close_ int server = conversation_server(h, SOCK_DGRAM, h->address, ECHO_PORT);
	_cleanup_close_ int client =
		conversation_client(&gateway.lab->internet, SOCK_DGRAM, LAB_VIP, ECHO_PORT);
	const int never = IP_PMTUDISC_DONT;

	(void)state;
	fastpath_shell(&gateway.lab->gateway, "ip link set ipvsd1 mtu %d", SMALL_MTU);
	program_both(IPPROTO_UDP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	assert_int_equal(setsockopt(client, IPPROTO_IP, IP_MTU_DISCOVER, &never, sizeof(never)), 0);
	conversation_udp_echo(client, server, 1450);
	conversation_udp_echo(client, server, 6000);
}

/* A target gets another network card, and says so; routes to it come and go. */
static void test_next_hop_changes(void **state)
{
	const struct lab_host *h = &gateway.lab->targets[0];

	(void)state;
	program_both(IPPROTO_TCP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	exchange_tcp(LAB_VIP, h->address);
	fastpath_shell(h, "echo 1 > /proc/sys/net/ipv4/conf/eth0/arp_notify; "
			  "echo 1 > /proc/sys/net/ipv6/conf/eth0/ndisc_notify; "
			  "ip link set eth0 address 02:00:00:00:aa:01");
	exchange_tcp(LAB_VIP, h->address);
	/* Not a flush, which gives up where neighbours come back while it runs. */
	fastpath_shell(&gateway.lab->gateway, "ip neigh del %s dev ipvsd1", h->address);
	exchange_tcp(LAB_VIP, h->address);
	/* Through the other target, which forwards. */
	fastpath_shell(&gateway.lab->targets[1], "echo 1 > /proc/sys/net/ipv4/ip_forward");
	fastpath_shell(&gateway.lab->gateway, "ip route add %s/32 via %s", h->address,
		       gateway.lab->targets[1].address);
	exchange_tcp(LAB_VIP, h->address);
	fastpath_shell(&gateway.lab->gateway, "ip route del %s/32", h->address);
	exchange_tcp(LAB_VIP, h->address);
}

#define FORWARDED "awk '/^Ip: [0-9]/ { print $7 }' /proc/net/snmp"

static void note_forwarded(void)
{
	fastpath_shell(&gateway.lab->targets[1], FORWARDED " > /run/forwarded");
}

/* Has the other target forwarded since it was noted? */
static void assert_forwarded(bool forwarded)
{
	fastpath_shell(&gateway.lab->targets[1], "[ $(" FORWARDED ") %s $(cat /run/forwarded) ]",
		       forwarded ? "-gt" : "-eq");
}

/* While routes are held they may be nonsense: what has a next hop keeps it. */
static void test_held_routes(void **state)
{
	const struct lab_host *h = &gateway.lab->targets[0];

	(void)state;
	program_both(IPPROTO_TCP, ECHO_PORT, IPVS_FORWARD_MASQ, 1);
	fastpath_shell(&gateway.lab->targets[1], "echo 1 > /proc/sys/net/ipv4/ip_forward");
	exchange_tcp(LAB_VIP, h->address);
	note_forwarded();
	assert_int_equal(channel_hold_routes(gateway.channel, true), 0);
	fastpath_shell(&gateway.lab->gateway, "ip route add %s/32 via %s", h->address,
		       gateway.lab->targets[1].address);
	lab_sleep(HELD_USEC);
	exchange_tcp(LAB_VIP, h->address);
	assert_forwarded(false);
	assert_int_equal(channel_hold_routes(gateway.channel, false), 0);
	exchange_tcp(LAB_VIP, h->address);
	assert_forwarded(true);
	fastpath_shell(&gateway.lab->gateway, "ip route del %s/32", h->address);
	exchange_tcp(LAB_VIP, h->address);
}

static int restore_mtu(void **state)
{
	(void)state;
	fastpath_shell(&gateway.lab->gateway, "ip link set ipvsd1 mtu 1500");
	return 0;
}

/* CPU time that the process has used; exact, where /proc/PID/stat counts the ticks that happen to meet it. */
static usec_t cpu_usec(pid_t pid)
{
	struct timespec ts;
	clockid_t clock;

	assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
	assert_return_code(clock_gettime(clock, &ts), errno);
	return (usec_t)ts.tv_sec * USEC_PER_SEC + (usec_t)ts.tv_nsec / 1000;
}

/* Less than 3 % of one CPU in half a second? */
static bool is_idle(void *data)
{
	const pid_t pid = *(const pid_t *)data;
	const usec_t start = clock_monotonic_usec(), before = cpu_usec(pid);

	lab_sleep(USEC_PER_SEC / 2);
	return cpu_usec(pid) - before < (clock_monotonic_usec() - start) * 3 / 100;
}

/*
 * Without traffic it lets go of the CPU. Stray frames (neighbour discovery) and a busy machine, where each sleep costs
 * more, may delay that; a worker that polls never comes below its whole CPU.
 */
static void test_idle(void **state)
{
	(void)state;
	assert_int_equal(lab_wait_until(is_idle, &gateway.process.pid, 20 * USEC_PER_SEC), 0);
}

static void start(enum fastpath_ports ports, const char *workers)
{
	fastpath_gateway_start(&gateway, ports, workers, &two_targets);
	fastpath_gateway_add_locals(&gateway);
}

static void start_af_packet(void **state)
{
	(void)state;
	start(FASTPATH_AF_PACKET, "1");
}

static void start_two_workers(void **state)
{
	(void)state;
	start(FASTPATH_AF_PACKET, "0,1");
}

static void start_tap(void **state)
{
	(void)state;
	start(FASTPATH_TAP, "1");
}

static void start_af_xdp(void **state)
{
	(void)state;
	start(FASTPATH_AF_XDP, "1");
}

static void start_jumbo(void **state)
{
	(void)state;
	start(FASTPATH_AF_PACKET_JUMBO, "1");
}

static void stop(void **state)
{
	(void)state;
	fastpath_gateway_stop(&gateway);
}

#define USUAL_TESTS                                                                                \
	cmocka_unit_test(test_tcp), cmocka_unit_test(test_udp), cmocka_unit_test(test_ping),       \
		cmocka_unit_test(test_kernel_has_the_rest)
#define THOROUGH_TESTS                                                                             \
	cmocka_unit_test(test_downloads), USUAL_TESTS, cmocka_unit_test(test_ttl),                 \
		cmocka_unit_test_teardown(test_path_mtu, restore_mtu),                             \
		cmocka_unit_test_teardown(test_tcp_path_mtu, restore_mtu),                         \
		cmocka_unit_test(test_next_hop_changes), cmocka_unit_test(test_held_routes),       \
		cmocka_unit_test(test_idle)
#define FRAGMENT_TESTS                                                                             \
	cmocka_unit_test(test_fragments), cmocka_unit_test_teardown(test_fragmentation, restore_mtu)

/* The same tests on one kind of port after the other; each kind is started and stopped by a test of its own. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(start_af_packet),
		THOROUGH_TESTS,
		cmocka_unit_test(stop),
		cmocka_unit_test(start_two_workers),
		cmocka_unit_test(test_hand_over),
		USUAL_TESTS,
		cmocka_unit_test(stop),
		cmocka_unit_test(start_tap),
		THOROUGH_TESTS,
		FRAGMENT_TESTS,
		cmocka_unit_test(stop),
		cmocka_unit_test(start_af_xdp),
		THOROUGH_TESTS,
		FRAGMENT_TESTS,
		cmocka_unit_test(stop),
		cmocka_unit_test(start_jumbo),
		cmocka_unit_test(test_downloads),
		USUAL_TESTS,
		cmocka_unit_test(stop),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

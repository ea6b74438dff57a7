/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ipvsd-fastpath and the programs that people look at a network with: iperf3, traceroute, a DNS server and its client;
 * and a path whose errors do not come back. Runs on any kernel: no IPVS is needed.
 */

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/netns/conversation.h"
#include "tests/netns/fastpath-gateway.h"

enum {
	DNS_PORT = 53,
	ECHO_PORT = 7,
	EXCHANGE_BYTES = 300000,
	IPERF_PORT = 5201,
	TRACE_PORT = 33434,
	TRACE_HOPS = 3, /* router, gateway, target */
};

static const struct lab_spec one_target = { .targets = { 1, 0 } };
static struct fastpath_gateway gateway;

static void start_server(const char *const *argv, struct lab_process *ret)
{
	assert_int_equal(lab_spawn(&gateway.lab->targets[0], argv, NULL, ret), 0);
}

/* By both virtual addresses; the control connection and the data of UDP are two services. */
static void program(uint16_t port, enum ipvs_forward forward)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP };
	struct fastpath_service services[ARRAY_SIZE(fastpath_vips) * ARRAY_SIZE(protocols)];
	size_t n = 0;

	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++)
		for (size_t p = 0; p < ARRAY_SIZE(protocols); p++)
			services[n++] = (struct fastpath_service){
				fastpath_vips[i], protocols[p], port, port, "rr", forward, 1
			};
	fastpath_gateway_program(&gateway, services, n);
}

/* Datagrams that came to a host, and whose socket was full. */
#define NO_ROOM                                                                                    \
	"awk '/^Udp: [0-9]/ { n += $6 } /^Udp6RcvbufErrors/ { n += $2 } END { print n }' "         \
	"/proc/net/snmp /proc/net/snmp6"

/*
 * Both directions; iperf3 ends when all is sent, not received: what is in both sides' buffers may be missing. And UDP,
 * of which the server's host must have got all: the server's report says how many were lost. A server that a busy
 * machine stops for 40 ms loses some by itself.
 */
static void test_iperf3(void **state)
{
	static const enum ipvs_forward forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_FULL_NAT };
	static const char *const argv[] = { "iperf3", "-s", NULL };
	struct lab_process server = LAB_PROCESS_INIT;

	(void)state;
	start_server(argv, &server);
	for (size_t f = 0; f < ARRAY_SIZE(forwards); f++) {
		program(IPERF_PORT, forwards[f]);
		for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++) {
			fastpath_shell(&gateway.lab->targets[0], NO_ROOM " > /run/no-room");
			fastpath_shell(
				&gateway.lab->internet,
				"set -e; try() { n=0; until iperf3 -c %s --connect-timeout 2000 -J "
				"$@ "
				"> /run/iperf; do n=$((n + 1)); [ $n -lt 20 ]; sleep 0.1; done; }; "
				"received() { jq -e "
				"\".end.sum_received.bytes >= $1\" /run/iperf; "
				"}; "
				"try -w 128K -n 4M; received 1000000; "
				"try -w 128K -n 4M -R; received 1000000; "
				"try -u -b 20M -n 500K -l 1000; "
				"jq -e '.end.sum.packets >= 500' /run/iperf",
				fastpath_vips[i]);
			fastpath_shell(&gateway.lab->targets[0],
				       "n=$(($(" NO_ROOM ") - $(cat /run/no-room))); "
				       "jq -e \".end.sum.lost_packets <= $n\" /run/iperf");
		}
	}
	lab_process_deinit(&server);
}

/*
 * The client's own router, the gateway, and then the target under the virtual address. The gateway answers from that
 * address too, as icmp_send() does about a packet to an address of its own.
 */
static void test_traceroute(void **state)
{
	struct fastpath_service services[2 * TRACE_HOPS];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(services); i++)
		services[i] = (struct fastpath_service){ fastpath_vips[i % 2],
							 IPPROTO_UDP,
							 (uint16_t)(TRACE_PORT + 1 + i / 2),
							 (uint16_t)(TRACE_PORT + 1 + i / 2),
							 "rr",
							 IPVS_FORWARD_MASQ,
							 1 };
	fastpath_gateway_program(&gateway, services, ARRAY_SIZE(services));
	fastpath_shell(&gateway.lab->internet,
		       "set -e; busybox traceroute -4 -n -q 1 -w 3 -m 5 " LAB_VIP
		       " > /run/trace; cat /run/trace; "
		       "grep -E '^ *1 +198\\.51\\.100\\.1 ' /run/trace; "
		       "grep -E '^ *2 +" LAB_VIP " ' /run/trace; "
		       "grep -E '^ *3 +" LAB_VIP " ' /run/trace; [ $(wc -l < /run/trace) = 4 ]");
	fastpath_shell(&gateway.lab->internet,
		       "set -e; busybox traceroute -6 -n -q 1 -w 3 -m 5 " LAB_VIP6
		       " > /run/trace; cat /run/trace; "
		       "grep -E '^ *1 +2001:db8:100::1 ' /run/trace; "
		       "grep -E '^ *2 +" LAB_VIP6 " ' /run/trace; "
		       "grep -E '^ *3 +" LAB_VIP6 " ' /run/trace; [ $(wc -l < /run/trace) = 4 ]");
}

static void test_dns(void **state)
{
	static const char *const argv[] = { "dnsmasq",
					    "--keep-in-foreground",
					    "--conf-file=/dev/null",
					    "--pid-file",
					    "--user=root",
					    "--no-resolv",
					    "--no-hosts",
					    "--address=/service.test/192.0.2.77",
					    "--address=/service.test/2001:db8:77::1",
					    NULL };
	struct lab_process server = LAB_PROCESS_INIT;

	(void)state;
	start_server(argv, &server);
	program(DNS_PORT, IPVS_FORWARD_MASQ);
	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++)
		fastpath_shell(&gateway.lab->internet,
			       "n=0; until busybox nslookup service.test %s > /run/dns; do "
			       "n=$((n + 1)); [ $n -lt 20 ] || exit 1; sleep 0.1; done; "
			       "grep -F 192.0.2.77 /run/dns && grep -F 2001:db8:77::1 /run/dns",
			       fastpath_vips[i]);
	lab_process_deinit(&server);
}

/*
 * Beyond the gateway the path to the client is narrow, and what says so is filtered. The target's kernel finds out by
 * itself, as it would without a balancer; both hear of no error.
 */
static void test_black_hole(void **state)
{
	_cleanup_close_ int listener = conversation_server(
		&gateway.lab->targets[0], SOCK_STREAM, gateway.lab->targets[0].address, ECHO_PORT);
	_cleanup_close_ int client = -1, server = -1;

	(void)state;
	fastpath_shell(&gateway.lab->targets[0], "echo 1 > /proc/sys/net/ipv4/tcp_mtu_probing; "
						 "echo 1 > /proc/sys/net/ipv4/tcp_retries1");
	fastpath_shell(
		&gateway.lab->router,
		"ip route replace 198.51.100.0/24 dev internet mtu lock 1300; nft add table inet "
		"hole; "
		"nft 'add chain inet hole out { type filter hook output priority 0; }'; "
		"nft 'add rule inet hole out icmp type destination-unreachable counter drop'");
	program(ECHO_PORT, IPVS_FORWARD_MASQ);
	client = conversation_client(&gateway.lab->internet, SOCK_STREAM, LAB_VIP, ECHO_PORT);
	server = conversation_accept(listener);
	conversation_tcp_exchange(client, server, EXCHANGE_BYTES);
	fastpath_shell(&gateway.lab->router,
		       "nft list table inet hole | grep -E 'counter packets [1-9]'; "
		       "nft delete table inet hole");
}

static int start(void **state)
{
	*state = &gateway;
	fastpath_gateway_start(&gateway, FASTPATH_AF_PACKET, "1", &one_target);
	fastpath_gateway_add_locals(&gateway);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_iperf3),
		cmocka_unit_test(test_traceroute),
		cmocka_unit_test(test_dns),
		cmocka_unit_test(test_black_hole),
	};

	return cmocka_run_group_tests(tests, start, fastpath_gateway_tear_down);
}

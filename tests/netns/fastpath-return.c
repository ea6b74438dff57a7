/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ipvsd-fastpath and real hosts whose answers do not pass it: direct routing, and IP in IP, whose outer header the test
 * takes off in place of a kernel that may lack the module.
 */

#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/netns/fastpath-gateway.h"
#include "tests/netns/conversation.h"

enum {
	ECHO_PORT = 7,
	EXCHANGE_BYTES = 300000,
	PACKET_MAX = 2048,
};

static const struct lab_spec direct_return = { .targets = { 1, 0 }, .direct_return = true };
static struct fastpath_gateway gateway;

static void program(const char *vip, uint8_t protocol, enum ipvs_forward forward)
{
	const struct fastpath_service service = { vip,	protocol, ECHO_PORT, ECHO_PORT,
						  "rr", forward,  1 };

	fastpath_gateway_program(&gateway, &service, 1);
}

static void test_direct_tcp(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fastpath_vips); i++) {
		_cleanup_close_ int listener = conversation_server(
			&gateway.lab->targets[0], SOCK_STREAM, fastpath_vips[i], ECHO_PORT);
		_cleanup_close_ int client = -1, server = -1;

		program(fastpath_vips[i], IPPROTO_TCP, IPVS_FORWARD_ROUTE);
		client = conversation_client(&gateway.lab->internet, SOCK_STREAM, fastpath_vips[i],
					     ECHO_PORT);
		server = conversation_accept(listener);
		conversation_tcp_exchange(client, server, EXCHANGE_BYTES);
		assert_int_equal(fastpath_counter(&gateway, "forwarded-out"), 0);
	}
}

static void test_direct_udp(void **state)
{
	_cleanup_close_ int server =
		conversation_server(&gateway.lab->targets[0], SOCK_DGRAM, LAB_VIP, ECHO_PORT);
	_cleanup_close_ int client =
		conversation_client(&gateway.lab->internet, SOCK_DGRAM, LAB_VIP, ECHO_PORT);

	(void)state;
	program(LAB_VIP, IPPROTO_UDP, IPVS_FORWARD_ROUTE);
	conversation_udp_echo(client, server, 1400);
}

/* Packets written there come in on the target. */
static int open_tun(const struct lab_host *h)
{
	struct ifreq request = { .ifr_name = "decap", .ifr_flags = IFF_TUN | IFF_NO_PI };
	_lab_leave_ int back = -1;
	int fd;

	assert_int_equal(lab_enter(h, &back), 0);
	fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETIFF, &request), 0);
	fastpath_shell(h, "ip link set decap up");
	return fd;
}

static void test_ipip(void **state)
{
	const struct lab_host *h = &gateway.lab->targets[0];
	_cleanup_close_ int server = conversation_server(h, SOCK_DGRAM, LAB_VIP, ECHO_PORT);
	_cleanup_close_ int client =
		conversation_client(&gateway.lab->internet, SOCK_DGRAM, LAB_VIP, ECHO_PORT);
	_cleanup_close_ int raw = lab_socket(h, AF_INET, SOCK_RAW, IPPROTO_IPIP);
	_cleanup_close_ int tun = open_tun(h);
	struct pollfd p = { .fd = raw, .events = POLLIN };
	static const char request[] = "through the tunnel";
	uint8_t packet[PACKET_MAX];
	struct addr expected, source;
	struct iphdr outer;
	char answer[64];
	ssize_t n;

	(void)state;
	assert_true(raw >= 0);
	program(LAB_VIP, IPPROTO_UDP, IPVS_FORWARD_TUNNEL);
	assert_int_equal(send(client, request, sizeof(request), 0), sizeof(request));
	assert_int_equal(poll(&p, 1, 20000), 1);
	n = recv(raw, packet, sizeof(packet), 0);
	assert_int_equal(n, 2 * sizeof(struct iphdr) + 8 + sizeof(request));
	memcpy(&outer, packet, sizeof(outer));
	source = (struct addr){ .family = AF_INET };
	memcpy(source.bytes, &outer.saddr, 4);
	assert_int_equal(addr_parse("10.0.1.5", &expected), 0);
	assert_true(addr_eq(&source, &expected)); /* ours on that link */
	assert_int_equal(outer.protocol, IPPROTO_IPIP);
	assert_int_equal(outer.ihl, 5);

	/* The inner packet, as a kernel with the module would go on with it. */
	n -= (ssize_t)sizeof(outer);
	assert_int_equal(write(tun, packet + sizeof(outer), (size_t)n), n);
	p.fd = server;
	assert_int_equal(poll(&p, 1, 20000), 1);
	assert_int_equal(recv(server, answer, sizeof(answer), 0), sizeof(request));
	assert_memory_equal(answer, request, sizeof(request));
}

static int start(void **state)
{
	*state = &gateway;
	fastpath_gateway_start(&gateway, FASTPATH_AF_PACKET, "1", &direct_return);
	fastpath_shell(&gateway.lab->targets[0], "ip addr add " LAB_VIP "/32 dev lo; "
						 "ip addr add " LAB_VIP6 "/128 dev lo nodad");
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_direct_tcp),
		cmocka_unit_test(test_direct_udp),
		cmocka_unit_test(test_ipip),
	};

	return cmocka_run_group_tests(tests, start, fastpath_gateway_tear_down);
}

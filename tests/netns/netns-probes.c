/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Each kind of check by the daemon and its workers, against hosts of the lab: who is well and who is not, marks, and
 * probes through targets that have the listener's address or lack it.
 */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/addr.h"
#include "tests/lab/fixture.h"

#define A1 "10.0.1.10"
#define B1 "10.0.2.10"
#define A1_6 "2001:db8:0:1::10"
#define B1_6 "2001:db8:0:2::10"
#define NOBODY "10.0.1.99"
#define SCHEDULE                                                                                   \
	"health-check-interval = 1s\nhealth-check-timeout = 500ms\nhealthy-threshold = 1\n"        \
	"unhealthy-threshold = 2\n"
#define GROUP(name, targets, keys) "[target-group " name "]\ntargets = " targets "\n" keys SCHEDULE
#define LISTENER(name, port, group)                                                                \
	"[listener " name "]\naddress = " LAB_VIP "\nport = " port "\nforward = " group "\n"

enum {
	UDP_PORT = 9999,
	AGENT_PORT = 9998,
	MARK = 77,
};

static struct fixture f;
static pid_t helper;

static int listen_at(int type, uint16_t port)
{
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, type | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin, sizeof(sin)) < 0 ||
	    (type == SOCK_STREAM && listen(fd, 16) < 0))
		_exit(1);
	return fd;
}

/* On a1: echoes datagrams; an agent that says "up 25%". */
static void help(void)
{
	struct pollfd fds[2] = { { .events = POLLIN }, { .events = POLLIN } };
	struct sockaddr_storage from;
	char bytes[512];
	int back;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || lab_enter(lab_host(f.lab, "a1"), &back) < 0)
		_exit(1);
	fds[0].fd = listen_at(SOCK_DGRAM, UDP_PORT);
	fds[1].fd = listen_at(SOCK_STREAM, AGENT_PORT);
	while (poll(fds, 2, -1) > 0) {
		if (fds[0].revents) {
			socklen_t len = sizeof(from);
			ssize_t n = recvfrom(fds[0].fd, bytes, sizeof(bytes), 0,
					     (struct sockaddr *)&from, &len);

			if (n >= 0)
				(void)sendto(fds[0].fd, bytes, (size_t)n, 0,
					     (struct sockaddr *)&from, len);
		}
		if (fds[1].revents) {
			int fd = accept(fds[1].fd, NULL, NULL);

			(void)!write(fd, "up 25%\n", 7);
			(void)close(fd);
		}
	}
	_exit(1);
}

static void set_up(bool direct_return)
{
	const struct lab_spec spec = { .targets = { 1, 1 }, .direct_return = direct_return };

	f = (struct fixture){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(f.servers); i++)
		f.servers[i] = LAB_SERVER_INIT;
	assert_int_equal(lab_new(&spec, &f.lab), 0);
	for (size_t i = 0; i < f.lab->n_targets; i++)
		assert_int_equal(lab_server_start(&f.lab->targets[i], &f.servers[i]), 0);
	assert_int_equal(gateway_new(f.lab, &f.gateway), 0);
	helper = fork();
	assert_true(helper >= 0);
	if (helper == 0)
		help();
}

static int tear_down(void **state)
{
	(void)state;
	if (helper > 0) {
		(void)kill(helper, SIGKILL);
		(void)waitpid(helper, NULL, 0);
	}
	helper = 0;
	fixture_deinit(&f);
	return 0;
}

static void wait_weight(uint16_t port, int64_t weight)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;

	while (gateway_weight(f.gateway, LAB_VIP, port, A1) != weight) {
		if (clock_monotonic_usec() > end)
			fail_msg("port %u: weight %ld", port,
				 (long)gateway_weight(f.gateway, LAB_VIP, port, A1));
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

static void run_ok(const struct lab_host *host, const char *const *argv)
{
	struct lab_result r = LAB_RESULT_INIT;

	assert_int_equal(lab_run(host, argv, &r), 0);
	if (r.status != 0)
		fail_msg("%s %s: %s", argv[0], argv[1], r.err);
	lab_result_deinit(&r);
}

/* Lines of `ip`, by one process. */
static void ip_batch(const struct lab_host *host, const char *lines)
{
	static const char *const argv[] = { "ip", "-batch", "/run/ip-batch", NULL };
	FILE *file = fopen(argv[2], "we");

	assert_non_null(file);
	assert_true(fputs(lines, file) >= 0);
	assert_int_equal(fclose(file), 0);
	run_ok(host, argv);
}

static const char kinds[] = LAB_CONF_GLOBAL "health-exec-user = nobody\n" LISTENER(
	"l1", "8001", "ping") LISTENER("l2", "8002", "datagram") LISTENER("l3", "8003", "program")
	LISTENER("l4", "8004", "agent") LISTENER("l5", "8005", "marked")
		LISTENER("l6", "8006", "plain") GROUP("ping", A1 ":80\n " B1 ":80\n " NOBODY ":80",
						      "health-check-protocol = icmp\n")
			GROUP("datagram", A1 ":9999\n " B1 ":9999",
			      "health-check-protocol = udp\nhealth-check-send = \"ping\\r\\n\"\n"
			      "health-check-expect = \"regex:^p.ng\"\n")
				GROUP("program", A1 ":80 weight=100\n " B1 ":80 weight=100",
				      "health-check-protocol = exec\nhealth-check-command = "
				      "/bin/sh -c 'echo weight 30%; "
				      "test $IPVSD_TARGET_ADDRESS = " A1
				      "'\n") GROUP("agent",
						   A1 ":9998 weight=100\n " B1 ":9998 weight=100",
						   "health-check-protocol = agent\n")
					GROUP("marked", A1 ":8080\n " B1 ":8080",
					      "health-check-firewall-mark = 77\n")
						GROUP("plain", A1 ":8080\n " B1 ":8080", "");

static void test_kinds(void **state)
{
	/* What carries the mark does not reach b1. */
	static const char *const rule[] = { "ip", "rule", "add",      "fwmark", "77",
					    "to", B1,	  "prohibit", NULL };

	(void)state;
	set_up(false);
	run_ok(&f.lab->gateway, rule);
	assert_int_equal(lab_sysctl_set(&f.lab->gateway, "net/ipv4/ping_group_range", "1 0"), 0);
	assert_int_equal(gateway_configure(f.gateway, "%s", kinds), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	fixture_wait_state(&f, "ping", A1, "healthy");
	fixture_wait_state(&f, "ping", B1, "healthy");
	fixture_wait_state(&f, "ping", NOBODY, "unhealthy");
	fixture_wait_state(&f, "datagram", A1, "healthy");
	fixture_wait_state(&f, "datagram", B1, "unhealthy");
	fixture_wait_state(&f, "program", A1, "healthy");
	fixture_wait_state(&f, "program", B1, "unhealthy");
	fixture_wait_state(&f, "agent", A1, "healthy");
	fixture_wait_state(&f, "agent", B1, "unhealthy");
	fixture_wait_state(&f, "plain", A1, "healthy");
	fixture_wait_state(&f, "plain", B1, "healthy");
	fixture_wait_state(&f, "marked", A1, "healthy");
	fixture_wait_state(&f, "marked", B1, "unhealthy");
	/* What program and agent say of the weight. */
	wait_weight(8003, 30);
	wait_weight(8004, 25);
}

static const char through[] = LAB_CONF_GLOBAL LISTENER("web", "8080", "direct")
	LISTENER("far", "8081", "tunnel")
		GROUP("direct", A1 ":8080\n " B1 ":8080",
		      "forwarding = direct\nhealth-check-via-vip = yes\n"
		      "health-check-protocol = http\nhealth-check-path = "
		      "/healthz\n") "[listener web6]\naddress = " LAB_VIP6
				    "\nport = 8080\nforward = direct6\n" GROUP(
					    "direct6", "[" A1_6 "]:8080\n [" B1_6 "]:8080",
					    "forwarding = "
					    "direct\nhealth-check-via-vip = yes\n")
					    GROUP("tunnel", A1 "\n " B1,
						  "forwarding = "
						  "ipip\nhealth-check-via-vip = "
						  "yes\nhealth-check-port = "
						  "8080\n");

/* Each to a1 alone, and to its own address beside them. */
#define TUNNEL(name, vip, port, target, forwarding)                                                \
	"[listener " name "]\naddress = " vip "\nport = " port "\nforward = " name                 \
	"\n" GROUP(name, target,                                                                   \
		   "forwarding = " forwarding "\nhealth-check-via-vip = yes\n"                     \
		   "health-check-port = 8080\n")
#define TUNNELS(suffix, vip, target)                                                               \
	TUNNEL("ipip" suffix, vip, "8091", target, "ipip")                                         \
	TUNNEL("gue" suffix, vip, "8092", target, "gue")                                           \
	TUNNEL("gre" suffix, vip, "8093", target, "gre")

static const char tunnels[] = TUNNELS("", LAB_VIP, A1) TUNNELS("6", LAB_VIP6, A1_6)
	LISTENER("own", "8094", "own") GROUP("own", A1 ":8080", "");

#define OPEN_GUE "fou add port 6080 gue\nfou add port 6080 gue -6\n"

/*
 * Takes packets out of tunnels, whose source is an address that the interfaces have no route back to. What comes out of
 * the UDP of gue goes to the device of the protocol within, which is that of ipip.
 */
static void add_tunnels(struct lab_host *h)
{
	ip_batch(h, "link add tun up type ipip local " A1 "\n"
		    "link add gre up type gre local " A1 "\n"
		    "link add tun6 up type ip6tnl mode ip6ip6 local " A1_6 "\n"
		    "link add gre6 up type ip6gre local " A1_6 "\n" OPEN_GUE);
	assert_int_equal(lab_sysctl_set(h, "net/ipv4/conf/all/rp_filter", "0"), 0);
	assert_int_equal(lab_sysctl_set(h, "net/ipv4/conf/tun/rp_filter", "0"), 0);
	assert_int_equal(lab_sysctl_set(h, "net/ipv4/conf/gre/rp_filter", "0"), 0);
	/* Each probe gets its error. */
	assert_int_equal(lab_sysctl_set(h, "net/ipv4/icmp_ratelimit", "0"), 0);
}

static void test_via_vip(void **state)
{
	_cleanup_free_ char *before = NULL, *after = NULL;
	struct lab_host *a1, *b1;

	(void)state;
	set_up(true);
	a1 = lab_host(f.lab, "a1");
	b1 = lab_host(f.lab, "b1");
	add_tunnels(a1);
	assert_int_equal(lab_address_add(a1, "lo", LAB_VIP "/32"), 0);
	assert_int_equal(lab_address_add(a1, "lo", LAB_VIP6 "/128"), 0);
	assert_int_equal(gateway_configure(f.gateway, "%s%s", through, tunnels), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	fixture_wait_state(&f, "direct", A1, "healthy");
	fixture_wait_state(&f, "direct", B1, "unhealthy"); /* which answers at its own address */
	fixture_wait_state(&f, "direct6", A1_6, "healthy");
	fixture_wait_state(&f, "direct6", B1_6, "unhealthy");
	fixture_wait_state(&f, "tunnel", A1, "healthy");
	fixture_wait_state(&f, "tunnel", B1, "unhealthy");

	/* The services stay through a crash, and are the next daemon's. */
	before = gateway_ipvsadm(f.gateway);
	assert_non_null(strstr(before, "-A -f "));
	assert_int_equal(gateway_stop(f.gateway, SIGKILL), 128 + SIGKILL);
	assert_int_equal(gateway_start(f.gateway), 0);
	fixture_wait_state(&f, "direct", A1, "healthy");
	fixture_wait_state(&f, "direct", B1, "unhealthy");
	after = gateway_ipvsadm(f.gateway);
	assert_string_equal(before, after);

	assert_int_equal(lab_address_add(b1, "lo", LAB_VIP "/32"), 0);
	fixture_wait_state(&f, "direct", B1, "healthy");
	assert_int_equal(lab_address_remove(a1, "lo", LAB_VIP "/32"), 0);
	fixture_wait_state(&f, "direct", A1, "unhealthy");
	fixture_wait_state(&f, "tunnel", A1, "unhealthy");
}

/* Whatever a slow machine made of the first failure. */
static void wait_reason(const char *group, const char *target, const char *detail)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	char buf[FIXTURE_TEXT_MAX];

	fixture_wait_state(&f, group, target, detail ? "unhealthy" : "healthy");
	while (detail && strcmp(fixture_text(&f, group, target, "detail", buf), detail) != 0) {
		if (clock_monotonic_usec() > end)
			fail_msg("%s of %s: %s, not %s", target, group, buf, detail);
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

/*
 * NULL: healthy. The kernel hands a target's ICMP error on to who sent what is in the tunnel, but not from ipip and not
 * with IPv6.
 */
static void wait_tunnels(const char *ipip, const char *gue, const char *gre)
{
	static const char silence[] = "connect timed out";

	wait_reason("ipip", A1, ipip);
	wait_reason("ipip6", A1_6, ipip ? silence : NULL);
	wait_reason("gue", A1, gue);
	wait_reason("gue6", A1_6, gue ? silence : NULL);
	wait_reason("gre", A1, gre);
	wait_reason("gre6", A1_6, gre ? silence : NULL);
	wait_reason("own", A1, NULL);
}

/* A target that has the listener's address and answers at its own, but takes nothing out of its tunnel. */
static void test_via_tunnels(void **state)
{
	struct lab_host *a1 = lab_host(f.lab, "a1");

	(void)state;
	assert_int_equal(lab_address_add(a1, "lo", LAB_VIP "/32"), 0);
	wait_tunnels(NULL, NULL, NULL);
	ip_batch(a1, "fou del port 6080\nfou del port 6080 -6\n"
		     "link set gre down\nlink set gre6 down\n");
	wait_tunnels(NULL, "refused", "refused");
	ip_batch(a1, "link set tun down\nlink set tun6 down\n" OPEN_GUE
		     "link set gre up\nlink set gre6 up\n");
	wait_tunnels("connect timed out", "refused", NULL);
	ip_batch(a1, "link set tun up\nlink set tun6 up\n");
	wait_tunnels(NULL, NULL, NULL);
}

/* Without the key the services go, and the targets are probed at their own addresses. */
static void test_via_vip_ends(void **state)
{
	_cleanup_free_ char *table = NULL;
	struct lab_result r = LAB_RESULT_INIT;

	(void)state;
	assert_int_equal(gateway_configure(f.gateway, "%s",
					   LAB_CONF_GLOBAL LISTENER("web", "8080", "direct")
						   GROUP("direct", A1 ":8080\n " B1 ":8080",
							 "forwarding = direct\n")),
			 0);
	fixture_reload(&f, 0, &r);
	lab_result_deinit(&r);
	fixture_wait_state(&f, "direct", A1, "healthy");
	fixture_wait_state(&f, "direct", B1, "healthy");
	table = gateway_ipvsadm(f.gateway);
	assert_non_null(table);
	for (const char *at = table; (at = strstr(at, "-A -f ")); at++)
		assert_int_equal(strtoul(at + strlen("-A -f "), NULL, 10), 0x7fffffff);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_teardown(test_kinds, tear_down),
		cmocka_unit_test(test_via_vip),
		cmocka_unit_test(test_via_tunnels),
		cmocka_unit_test_teardown(test_via_vip_ends, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

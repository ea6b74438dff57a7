/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-kernel-plane [ROUNDS [FLOWS]]
 *
 * The kernel's IPVS beside one worker of the fast path, on the same machine and the same traffic: UDP in 64-byte
 * packets from FLOWS (100000) clients at random, nat, wrr over 1000 destinations, the way of the requests. Needs a
 * kernel with IPVS, pktgen and dummy; makes a network namespace of its own.
 *
 * Each side has its own port in memory: the worker DPDK's net_ring (plane-rig.h), the kernel a veth pair on either
 * side, into which pktgen sends. What pktgen and its buffers cost, sending to a device that throws away, is taken off.
 * What is left out, interrupts and descriptors of a real port, costs the kernel no less than a poll-mode driver.
 *
 * Beside it the kernel without any device, which no traffic has: pktgen gives packets to the stack as if they had been
 * received (xmit_mode netif_receive), and they leave by a dummy. Taken off is what it costs to have the stack drop them
 * at once, being for another's MAC.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "tests/bench/plane-rig.h"
#include "tests/bench/stats.h"

enum {
	DESTS = 1000,
	PACKETS = 100000, /* of a sample of the kernel */
	FRAMES =
		512, /* in flight at the worker: the kernel has one buffer, which stays in the cache */
	PASSES = 8, /* of PLANE_RIG_FRAMES: about as many of the worker */
	FIRST_CLIENT = 0x0a000000,
};

#define GOAL 0.1

static const char setup[] =
	"set -e\n"
	"for name in in0 out0; do\n"
	"	echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6 || true\n"
	"	echo 0 >/proc/sys/net/ipv4/conf/$name/rp_filter\n"
	"	ip link set $name up\n"
	"done\n"
	"echo 0 >/proc/sys/net/ipv4/conf/all/rp_filter\n"
	"echo 1 >/proc/sys/net/ipv4/ip_forward\n"
	"ip link set in0 address 02:00:00:00:00:01\n"
	"ip addr add 203.0.113.1/32 dev in0; ip route add 10.0.0.0/8 dev in0\n"
	"ip addr add 192.0.2.1/24 dev out0\n"
	"ip neigh add 192.0.2.2 lladdr 02:00:00:00:00:03 dev out0 nud permanent\n"
	"ip route add 198.18.0.0/16 via 192.0.2.2\n";

static const char dummies[] = "ip link add in0 type dummy; ip link add out0 type dummy\n";
static const char veths[] =
	"ip link add in0 type veth peer name in1; ip link add out0 type veth peer name out1\n"
	"ip link add nowhere type dummy\n"
	"for name in in1 out1 nowhere; do\n"
	"	echo 1 >/proc/sys/net/ipv6/conf/$name/disable_ipv6 || true\n"
	"	ip link set $name up\n"
	"done\n";

static void die(const char *what)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void write_line(const char *path, const char *line)
{
	FILE *f = fopen(path, "we");

	if (!f || fprintf(f, "%s\n", line) < 0 || fclose(f) != 0)
		die(line);
}

static FILE *open_pipe(const char *command)
{
	FILE *f = popen(command, "we");

	if (!f)
		die(command);
	return f;
}

static void close_pipe(FILE *f, const char *command)
{
	if (pclose(f) != 0) {
		(void)fprintf(stderr, "bench: %s failed\n", command);
		exit(1);
	}
}

/* A new namespace with these devices. Returns its descriptor, to be there again with setns(). */
static int make_gateway(const char *devices)
{
	FILE *f;
	int fd;

	if (unshare(CLONE_NEWNET) < 0)
		die("a network namespace");
	f = open_pipe("sh");
	(void)fprintf(f, "%s%s", devices, setup);
	close_pipe(f, "sh");
	f = open_pipe("ipvsadm -R");
	(void)fprintf(f, "-A -u 203.0.113.1:80 -s wrr\n");
	for (unsigned i = 0; i < DESTS; i++)
		(void)fprintf(f, "-a -u 203.0.113.1:80 -r 198.18.%u.%u:8080 -m -w 1\n", 1 + i / 256,
			      i % 256);
	close_pipe(f, "ipvsadm -R");
	fd = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		die("/proc/self/ns/net");
	return fd;
}

#define OUR_MAC "02:00:00:00:00:01"
#define VIRTUAL "203.0.113.1"

enum kind {
	VETH_PKTGEN,
	VETH_IPVS,
	BARE_PKTGEN,
	BARE_FORWARD,
	BARE_IPVS,
	_KIND_MAX,
};

static const struct traffic {
	const char *name, *device, *mode, *mac, *first, *last;
	bool veth, leaves;
} kinds[_KIND_MAX] = {
	[VETH_PKTGEN] = { "pktgen alone, sending", "nowhere", "start_xmit", OUR_MAC, VIRTUAL,
			  VIRTUAL, true, false },
	[VETH_IPVS] = { "kernel, IPVS nat, veth", "in1", "start_xmit", OUR_MAC, VIRTUAL, VIRTUAL,
			true, true },
	[BARE_PKTGEN] = { "pktgen alone, receiving", "in0", "netif_receive", "02:00:00:00:00:09",
			  VIRTUAL, VIRTUAL, false, false },
	[BARE_FORWARD] = { "kernel, forwarded, no service, no device", "in0", "netif_receive",
			   OUR_MAC, "198.18.1.0", "198.18.4.231", false, true },
	[BARE_IPVS] = { "kernel, IPVS nat, no device", "in0", "netif_receive", OUR_MAC, VIRTUAL,
			VIRTUAL, false, true },
};

/* By `veth`. */
static int gateways[2];

/* One setting a write: pktgen reads no further. */
static void configure(const char *path, char *settings)
{
	char *rest = NULL;

	for (char *line = strtok_r(settings, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
		write_line(path, line);
}

/* Microseconds, as pktgen says at the end; until then it repeats the last setting. */
static double result(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char line[512];
	double usec;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "Result: OK: %lf(", &usec) == 1)
			return usec;
	return 0;
}

/* pktgen's thread removes them when it comes to it: one that is added before that would go as well. */
static void remove_devices(void)
{
	write_line("/proc/net/pktgen/kpktgend_0", "rem_device_all");
	for (unsigned i = 0; i < 6000; i++) {
		_cleanup_fclose_ FILE *f = fopen("/proc/net/pktgen/kpktgend_0", "re");
		char line[256], name[32];
		bool some = false;

		while (f && fgets(line, sizeof(line), f))
			some |= sscanf(line, "Running: %31s", name) == 1 ||
				sscanf(line, "Stopped: %31s", name) == 1;
		if (f && !some)
			return;
		(void)usleep(10000);
	}
	errno = ETIMEDOUT;
	die("pktgen's devices");
}

/* Sends all in one go. Returns the microseconds that it took. */
static double generate(const struct traffic *t, size_t flows, size_t packets, bool at_random)
{
	const struct in_addr last = { .s_addr = htonl(FIRST_CLIENT + (uint32_t)flows) };
	char path[64], settings[512];

	remove_devices();
	(void)snprintf(path, sizeof(path), "add_device %s", t->device);
	write_line("/proc/net/pktgen/kpktgend_0", path);
	(void)snprintf(path, sizeof(path), "/proc/net/pktgen/%s", t->device);
	(void)snprintf(settings, sizeof(settings),
		       "clone_skb 0\npkt_size 60\ndelay 0\nflag NO_TIMESTAMP\n%s\n"
		       "xmit_mode %s\ncount %zu\nsrc_mac 02:00:00:00:00:02\ndst_mac %s\n"
		       "src_min 10.0.0.0\nsrc_max %s\ndst_min %s\ndst_max %s\n"
		       "udp_src_min 1024\nudp_src_max 1024\nudp_dst_min 80\nudp_dst_max 80\n",
		       at_random ? "flag IPSRC_RND" : "flag !IPSRC_RND", t->mode, packets, t->mac,
		       inet_ntoa(last), t->first, t->last);
	configure(path, settings);
	write_line("/proc/net/pktgen/pgctrl", "start");
	/* It waits for the end, but not where its thread has not begun after 125 ms. */
	for (unsigned i = 0; i < 6000; i++) {
		const double usec = result(path);

		if (usec > 0)
			return usec;
		(void)usleep(10000);
	}
	errno = ETIMEDOUT;
	die("pktgen");
	return 0;
}

/* Packets that out0 has sent. */
static unsigned long long n_sent(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/net/dev", "re");
	unsigned long long n = 0;
	char line[512];

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, " out0: %*u %*u %*u %*u %*u %*u %*u %*u %*u %llu", &n) == 1)
			return n;
	die("/proc/net/dev");
	return 0;
}

/* Nanoseconds a packet. What is to leave must leave, all of it. */
static double kernel_sample(const struct traffic *t, size_t flows, size_t packets, bool at_random)
{
	unsigned long long before, sent;
	double usec;

	if (setns(gateways[t->veth], CLONE_NEWNET) < 0)
		die("setns");
	before = n_sent();
	usec = generate(t, flows, packets, at_random);
	sent = n_sent() - before;
	if (sent != (t->leaves ? packets : 0)) {
		(void)fprintf(stderr, "bench: %s: %llu of %zu packets left\n", t->name, sent,
			      packets);
		exit(1);
	}
	return usec * 1000 / (double)packets;
}

static double worker_sample(struct plane_rig *rig, enum plane_rig_work work)
{
	struct plane_rig_time t = { 0 };

	plane_rig_steady(rig, 0, work, PASSES, &t);
	return t.nsec / (double)t.frames;
}

enum row {
	VETH_NET = _KIND_MAX,
	BARE_NET,
	WORKER,
	LIMIT,
	_ROW_MAX,
};

static void compare(struct plane_rig *rig, unsigned rounds, size_t flows)
{
	struct stats_series s[_ROW_MAX] = {
		[VETH_NET] = { .name = "kernel, veth, without pktgen" },
		[BARE_NET] = { .name = "kernel, no device, without pktgen" },
		[WORKER] = { .name = "fast path, nat" },
		[LIMIT] = { .name = "fast path's limit (look-up and rewrite)" },
	};
	const struct stats_series *rows[_ROW_MAX];

	for (int k = 0; k < _ROW_MAX; k++) {
		s[k].unit = "ns";
		rows[k] = &s[k];
		if (k < _KIND_MAX)
			s[k].name = kinds[k].name;
	}
	for (unsigned i = 0; i < rounds + 1; i++) {
		double nsec[_ROW_MAX];

		for (int k = 0; k < _KIND_MAX; k++)
			nsec[k] = kernel_sample(&kinds[k], flows, PACKETS, true);
		nsec[VETH_NET] = nsec[VETH_IPVS] - nsec[VETH_PKTGEN];
		nsec[BARE_NET] = nsec[BARE_IPVS] - nsec[BARE_PKTGEN];
		nsec[WORKER] = worker_sample(rig, PLANE_RIG_DIRECTOR);
		nsec[LIMIT] = worker_sample(rig, PLANE_RIG_LIMIT);
		for (int k = 0; i > 0 && k < _ROW_MAX; k++) /* the first warms up */
			stats_add(&s[k], nsec[k]);
	}
	stats_print_table("a packet, on one processor", rows, _ROW_MAX);
	(void)stats_print_ratio(&s[WORKER], &s[VETH_NET], GOAL);
	(void)stats_print_ratio(&s[WORKER], &s[BARE_NET], 0);
}

static void print_table_size(void)
{
	_cleanup_fclose_ FILE *f = fopen("/sys/module/ip_vs/parameters/conn_tab_bits", "re");
	int bits;

	if (f && fscanf(f, "%d", &bits) == 1)
		printf("the kernel's table of connections has 2^%d rows\n", bits);
}

int main(int argc, char **argv)
{
	const unsigned rounds = argc > 1 ? (unsigned)strtoul(argv[1], NULL, 10) : 5;
	const size_t flows = argc > 2 ? strtoul(argv[2], NULL, 10) : 100000;
	const struct plane_rig_config config = { .forward = IPVS_FORWARD_MASQ,
						 .scheduler = "wrr",
						 .n_dests = DESTS,
						 .max_flows = flows,
						 .n_lanes = 1,
						 .udp = true,
						 .requests_only = true };
	struct plane_rig *rig;

	if (rounds < 1 || rounds > STATS_SAMPLES_MAX || flows < 1 || flows > 1U << 22)
		return 2;
	plane_rig_environment(argv[0]);
	rig = plane_rig_new(&config);
	plane_rig_open(rig, flows);
	plane_rig_set_frames(rig, FRAMES);
	/* Where they are built in or loaded already, this fails, and nothing is wrong. */
	(void)system("modprobe -qa ip_vs ip_vs_wrr dummy veth pktgen");
	gateways[false] = make_gateway(dummies);
	gateways[true] = make_gateway(veths);
	printf("kernel and fast path, UDP, 64-byte packets of %zu flows, nat, wrr over %d "
	       "destinations\n",
	       flows, DESTS);
	print_table_size();
	/* Every flow is opened before any is measured. */
	(void)kernel_sample(&kinds[VETH_IPVS], flows, 2 * flows, false);
	(void)kernel_sample(&kinds[BARE_IPVS], flows, 2 * flows, false);
	compare(rig, rounds, flows);
	plane_rig_free(rig);
	return 0;
}

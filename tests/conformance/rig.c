/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/rig.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/icmp6.h>
#include <netinet/ip6.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "tests/lab/lab.h"
#include "tests/conformance/rig-fastpath.h"
#include "tests/lab/process.h"

enum {
	ETHER = 14,
	ARP_BYTES = 28,
	NS_BYTES = 24, /* without options */
	BARRIER_ID = 0x4950,
	WARM_UP_TRIES = 20,
};

#define BARRIER_TIMEOUT_USEC (10 * USEC_PER_SEC)
#define WARM_UP_TIMEOUT_USEC (200 * USEC_PER_MSEC)

const uint8_t rig_gateway_mac[6] = { 2, 0, 0, 0, 0, 1 };
const uint8_t rig_router_mac[6] = { 2, 0, 0, 0, 0, 0xfe };

struct side {
	struct lab_host host;	 /* its namespace */
	int fd;			 /* owned; AF_PACKET on the test's end of the link */
	struct channel *channel; /* owned */
	struct lab_process process;
};

struct rig {
	bool twin;	      /* both sides are kernels */
	struct lab_host test; /* where the other ends of the links are */
	struct side sides[_RIG_PLANE_MAX];
	uint16_t barrier;
};

void rig_target_mac(unsigned target, uint8_t ret[6])
{
	const uint8_t mac[6] = { 2, 0, 0, 0, 1, (uint8_t)target };

	memcpy(ret, mac, sizeof(mac));
}

static void make_addr(struct addr *ret, bool v6, uint32_t in4, const char *prefix6, uint32_t low)
{
	*ret = (struct addr){ .family = v6 ? AF_INET6 : AF_INET };
	if (!v6) {
		ret->in.s_addr = htonl(in4);
		return;
	}
	if (addr_parse(prefix6, ret) < 0)
		abort();
	low = htonl(low);
	memcpy(ret->bytes + 12, &low, 4);
}

void rig_target(unsigned target, bool v6, struct addr *ret)
{
	make_addr(ret, v6, 0xc6120100 + target, "2001:db8:1::", 0x10000 + target);
}

void rig_virtual(unsigned number, bool v6, struct addr *ret)
{
	make_addr(ret, v6, 0xcb007100 + number, "2001:db8:203::", number);
}

void rig_client(uint32_t number, bool v6, struct addr *ret)
{
	make_addr(ret, v6, 0x0a000000 + number, "2001:db8:c::", number);
}

void rig_router(bool v6, struct addr *ret)
{
	make_addr(ret, v6, 0xc61200fe, "2001:db8:1::", 0xfe);
}

static void gateway_addr(bool v6, struct addr *ret)
{
	make_addr(ret, v6, 0xc6120001, "2001:db8:1::", 1);
}

/* Who has the address on the link: false for what is nobody's. */
static bool mac_of(const uint8_t *address, bool v6, uint8_t ret[6])
{
	struct addr a;

	rig_router(v6, &a);
	if (memcmp(address, a.bytes, addr_len_bytes(&a)) == 0) {
		memcpy(ret, rig_router_mac, 6);
		return true;
	}
	for (unsigned t = 1; t <= RIG_TARGETS_MAX; t++) {
		rig_target(t, v6, &a);
		if (memcmp(address, a.bytes, addr_len_bytes(&a)) == 0) {
			rig_target_mac(t, ret);
			return true;
		}
	}
	return false;
}

static void answer_arp(const struct side *s, const struct frame *f)
{
	const uint8_t *arp = f->bytes + ETHER;
	struct frame reply = { .len_bytes = ETHER + ARP_BYTES };
	uint8_t mac[6];

	if (f->len_bytes < ETHER + ARP_BYTES || arp[7] != 1 || !mac_of(arp + 24, false, mac))
		return;
	memcpy(reply.bytes, f->bytes + 6, 6);
	memcpy(reply.bytes + 6, mac, 6);
	memcpy(reply.bytes + 12, f->bytes + 12, ETHER - 12 + ARP_BYTES);
	reply.bytes[ETHER + 7] = 2;
	memcpy(reply.bytes + ETHER + 8, mac, 6);
	memcpy(reply.bytes + ETHER + 14, arp + 24, 4);
	memcpy(reply.bytes + ETHER + 18, arp + 8, 10);
	(void)send(s->fd, reply.bytes, reply.len_bytes, 0);
}

static void answer_solicitation(const struct side *s, const struct frame *f)
{
	const uint8_t *ip = f->bytes + ETHER, *ns = ip + sizeof(struct ip6_hdr);
	struct frame reply = { .len_bytes = ETHER + sizeof(struct ip6_hdr) + NS_BYTES + 8 };
	uint8_t *rip = reply.bytes + ETHER, *na = rip + sizeof(struct ip6_hdr), mac[6];
	uint8_t pseudo[40] = { 0 };
	uint16_t checksum;

	if (f->len_bytes < ETHER + sizeof(struct ip6_hdr) + NS_BYTES || !mac_of(ns + 8, true, mac))
		return;
	memcpy(reply.bytes, f->bytes + 6, 6);
	memcpy(reply.bytes + 6, mac, 6);
	memcpy(reply.bytes + 12, f->bytes + 12, 2);
	rip[0] = 0x60;
	rip[5] = NS_BYTES + 8;
	rip[6] = IPPROTO_ICMPV6;
	rip[7] = 255;
	memcpy(rip + 8, ns + 8, 16);
	memcpy(rip + 24, ip + 8, 16);
	na[0] = ND_NEIGHBOR_ADVERT;
	na[4] = 0x60; /* solicited, override */
	memcpy(na + 8, ns + 8, 16);
	na[24] = ND_OPT_TARGET_LINKADDR;
	na[25] = 1;
	memcpy(na + 26, mac, 6);
	memcpy(pseudo, rip + 8, 32);
	pseudo[35] = NS_BYTES + 8;
	pseudo[39] = IPPROTO_ICMPV6;
	checksum = frame_checksum((uint16_t)~frame_checksum(0, pseudo, sizeof(pseudo)), na,
				  NS_BYTES + 8);
	na[2] = (uint8_t)(checksum >> 8);
	na[3] = (uint8_t)checksum;
	(void)send(s->fd, reply.bytes, reply.len_bytes, 0);
}

/* Frames that every host makes: answered or passed over. False: the frame is one that the test caused. */
static bool is_housekeeping(const struct side *s, const struct frame *f)
{
	uint16_t type = (uint16_t)(f->bytes[12] << 8 | f->bytes[13]);
	const uint8_t *ip = f->bytes + ETHER;
	uint8_t icmp;

	if (type == ETHERTYPE_ARP) {
		answer_arp(s, f);
		return true;
	}
	if (type == ETHERTYPE_IP)
		return ip[9] == IPPROTO_IGMP;
	if (type != ETHERTYPE_IPV6)
		return true;
	if (ip[6] == IPPROTO_HOPOPTS)
		return true; /* MLD */
	if (ip[6] != IPPROTO_ICMPV6)
		return false;
	icmp = ip[sizeof(struct ip6_hdr)];
	if (icmp == ND_NEIGHBOR_SOLICIT)
		answer_solicitation(s, f);
	return icmp >= MLD_LISTENER_QUERY && icmp <= ND_REDIRECT;
}

/* Reads one frame that the plane sent: 1, 0 at the deadline, or negative errno. */
static int next_frame(const struct side *s, usec_t deadline, struct frame *ret)
{
	struct pollfd p = { .fd = s->fd, .events = POLLIN };

	for (;;) {
		struct sockaddr_ll from = { 0 };
		socklen_t from_len = sizeof(from);
		usec_t now;
		ssize_t n = recvfrom(s->fd, ret->bytes, sizeof(ret->bytes), MSG_DONTWAIT,
				     (struct sockaddr *)&from, &from_len);

		if (n >= ETHER && from.sll_pkttype != PACKET_OUTGOING) {
			ret->len_bytes = (size_t)n;
			return 1;
		}
		if (n >= 0)
			continue;
		if (errno != EAGAIN)
			return -errno;
		now = clock_monotonic_usec();
		if (now >= deadline)
			return 0;
		(void)poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1);
	}
}

/* An echo request to the gateway, from the router (target 0) or a target. */
static int send_echo(struct rig *r, const struct side *s, unsigned target, bool v6)
{
	struct frame_spec spec = { .ttl = 64 };
	struct frame f;

	memcpy(spec.src_mac, rig_router_mac, 6);
	memcpy(spec.dst_mac, rig_gateway_mac, 6);
	rig_router(v6, &spec.src);
	if (target > 0) {
		rig_target_mac(target, spec.src_mac);
		rig_target(target, v6, &spec.src);
	}
	gateway_addr(v6, &spec.dst);
	frame_build_echo(&spec, BARRIER_ID, ++r->barrier, &f);
	return send(s->fd, f.bytes, f.len_bytes, 0) < 0 ? -errno : 0;
}

/* Until the last echo request is answered; -ETIMEDOUT. */
static int collect(struct rig *r, struct side *s, bool v6, usec_t timeout_usec,
		   struct rig_output *ret)
{
	usec_t deadline = clock_monotonic_usec() + timeout_usec;
	struct addr gateway;
	struct frame f;
	int k;

	gateway_addr(v6, &gateway);
	ret->n = ret->lost = 0;
	while ((k = next_frame(s, deadline, &f)) > 0) {
		if (is_housekeeping(s, &f))
			continue;
		if (frame_is_echo_reply(&f, &gateway, BARRIER_ID, r->barrier))
			return 0;
		if (ret->n < RIG_OUTPUTS_MAX)
			ret->frames[ret->n++] = f;
		else
			ret->lost++;
	}
	return k < 0 ? k : -ETIMEDOUT;
}

/* So that no step waits for a neighbour: the gateway learns every host by answering it. */
static int warm_up(struct rig *r, struct side *s)
{
	static struct rig_output ignored;

	for (unsigned i = 0; i < 2 * (RIG_TARGETS_MAX + 1); i++) {
		unsigned target = i / 2;
		bool v6 = i % 2;
		int k = -ETIMEDOUT;

		for (int try = 0; k == -ETIMEDOUT && try < WARM_UP_TRIES; try++) {
			k = send_echo(r, s, target, v6);
			if (k == 0)
				k = collect(r, s, v6, WARM_UP_TIMEOUT_USEC, &ignored);
		}
		if (k < 0)
			return lab_fail(-k, "%s: no answer to host %u", s->host.name, target);
	}
	return 0;
}

int rig_exchange(struct rig *r, enum rig_plane p, const struct frame *frames, size_t n, bool v6,
		 struct rig_output *ret)
{
	struct side *s = &r->sides[p];
	int k = 0;

	for (size_t i = 0; k == 0 && i < n; i++)
		if (send(s->fd, frames[i].bytes, frames[i].len_bytes, 0) < 0)
			k = -errno;
	if (k == 0)
		k = send_echo(r, s, 0, v6);
	if (k == 0)
		k = collect(r, s, v6, BARRIER_TIMEOUT_USEC, ret);
	return k < 0 ? lab_fail(-k, "%s: barrier", s->host.name) : 0;
}

char *rig_connections(struct rig *r, enum rig_plane p)
{
	_cleanup_fclose_ FILE *f = NULL;
	_lab_leave_ int back = -1;
	char *text = NULL;
	size_t size = 0;

	if (p == RIG_FASTPATH && !r->twin)
		return rig_fastpath_connections(r->sides[p].channel);
	if (lab_enter(&r->sides[p].host, &back) < 0)
		return NULL;
	f = fopen("/proc/thread-self/net/ip_vs_conn", "re");
	if (!f || getdelim(&text, &size, '\0', f) < 0) {
		(void)lab_fail(errno, "read /proc/net/ip_vs_conn");
		free(text);
		return NULL;
	}
	return text;
}

struct channel *rig_channel(struct rig *r, enum rig_plane p)
{
	return r->sides[p].channel;
}

static int run_script(const struct lab_host *h, const char *script)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	int k = lab_run(h, (const char *const[]){ "sh", "-e", "-c", script, NULL }, &result);

	if (k == 0 && result.status != 0) {
		(void)fprintf(stderr, "%s: %s%s\n", h->name, result.out, result.err);
		return -EIO;
	}
	return k;
}

static int make_namespace(struct lab_host *h, const char *name)
{
	_lab_leave_ int back = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);

	(void)snprintf(h->name, sizeof(h->name), "%s", name);
	if (back < 0 || unshare(CLONE_NEWNET) < 0)
		return lab_fail(errno, "make a network namespace");
	h->ns = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	return h->ns < 0 ? lab_fail(errno, "open a network namespace") : 0;
}

/* Nothing but what the test causes: no neighbour is asked again while nobody answers. */
#define QUIET(dev)                                                                                 \
	"sysctl -qw net.ipv6.conf." dev ".accept_dad=0 net.ipv6.conf." dev ".accept_ra=0\n"        \
	"sysctl -qw net.ipv6.conf." dev ".router_solicitations=0\n"                                \
	"sysctl -qw net.ipv6.conf." dev ".addr_gen_mode=1\n"                                       \
	"sysctl -qw net.ipv4.neigh." dev ".base_reachable_time_ms=36000000\n"                      \
	"sysctl -qw net.ipv6.neigh." dev ".base_reachable_time_ms=36000000\n"

#define GATEWAY_ADDRESSES(dev)                                                                     \
	"ip addr add 198.18.0.1/16 dev " dev "; ip -6 addr add 2001:db8:1::1/64 dev " dev "\n"     \
	"ip route add default via 198.18.0.254; ip -6 route add default via 2001:db8:1::fe\n"      \
	"for n in $(seq 1 16); do echo addr add 203.0.113.$n/32 dev lo;\n"                         \
	" printf '%s\\n' \"addr add 2001:db8:203::$(printf %x $n)/128 dev lo\"; done |"            \
	" ip -batch -\n"

#define GATEWAY_SYSCTLS                                                                            \
	"sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1\n"                        \
	"sysctl -qw net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.default.rp_filter=0\n"             \
	"sysctl -qw net.ipv4.conf.all.send_redirects=0 net.ipv4.conf.default.send_redirects=0\n"   \
	"sysctl -qw net.ipv4.icmp_ratelimit=0 net.ipv6.icmp.ratelimit=0\n"                         \
	"sysctl -qw net.ipv4.icmp_msgs_per_sec=1000000 || true\n"                                  \
	"ip link set lo up\n"

static int make_links(struct rig *r)
{
	static const char *const ends[] = { "kernel", "fast" };
	char script[2048];
	int k = 0;

	for (int p = 0; k == 0 && p < _RIG_PLANE_MAX; p++) {
		(void)snprintf(script, sizeof(script),
			       "ip link add %s type veth peer name eth0 netns /proc/%d/fd/%d\n"
			       "ethtool -K %s tx off gro off >/dev/null\n"
			       "sysctl -qw net.ipv6.conf.%s.disable_ipv6=1\n"
			       "ip link set %s up arp off",
			       ends[p], (int)getpid(), r->sides[p].host.ns, ends[p], ends[p],
			       ends[p]);
		k = run_script(&r->test, script);
		if (k == 0)
			k = run_script(
				&r->sides[p].host, GATEWAY_SYSCTLS
				"ip link set eth0 address 02:00:00:00:00:01\n"
				"ethtool -K eth0 tx off gro off tso off gso off >/dev/null\n" QUIET(
					"eth0") "ip link set eth0 up\n");
	}
	return k;
}

static int open_link(struct rig *r, enum rig_plane p)
{
	struct sockaddr_ll at = { .sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL) };
	_lab_leave_ int back = -1;
	int k = lab_enter(&r->test, &back), fd, size = 4 << 20;

	if (k < 0)
		return k;
	at.sll_ifindex = (int)if_nametoindex(p == RIG_KERNEL ? "kernel" : "fast");
	fd = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
	r->sides[p].fd = fd;
	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0)
		return lab_fail(errno, "packet socket");
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	return 0;
}

static int start_kernel(struct side *s)
{
	_lab_leave_ int back = -1;
	int k = run_script(&s->host, GATEWAY_ADDRESSES("eth0"));

	if (k == 0)
		k = lab_enter(&s->host, &back);
	return k < 0 ? k : lab_fail(-channel_open_kernel(&s->channel), "open the kernel's IPVS");
}

static int start_fastpath(struct side *s, const struct rig_options *o)
{
	int k = rig_fastpath_start(&s->host, o->program, o->directory, &s->process, &s->channel);

	return k < 0 ? k
		     : run_script(&s->host,
				  QUIET(RIG_EXCEPTION) "ip link set " RIG_EXCEPTION
						       " up\n" GATEWAY_ADDRESSES(RIG_EXCEPTION));
}

int rig_new(const struct rig_options *o, struct rig **ret)
{
	struct rig *r = calloc(1, sizeof(*r));
	int k;

	if (!r)
		return -ENOMEM;
	r->twin = !o->program;
	r->test.ns = -1;
	for (int p = 0; p < _RIG_PLANE_MAX; p++) {
		r->sides[p].fd = r->sides[p].host.ns = -1;
		r->sides[p].process = LAB_PROCESS_INIT;
	}
	k = make_namespace(&r->test, "test");
	if (k == 0)
		k = make_namespace(&r->sides[RIG_KERNEL].host, "kernel");
	if (k == 0)
		k = make_namespace(&r->sides[RIG_FASTPATH].host, "fast path");
	if (k == 0)
		k = make_links(r);
	for (int p = 0; k == 0 && p < _RIG_PLANE_MAX; p++)
		k = open_link(r, (enum rig_plane)p);
	if (k == 0)
		k = start_kernel(&r->sides[RIG_KERNEL]);
	if (k == 0)
		k = r->twin ? start_kernel(&r->sides[RIG_FASTPATH])
			    : start_fastpath(&r->sides[RIG_FASTPATH], o);
	for (int p = 0; k == 0 && p < _RIG_PLANE_MAX; p++)
		k = warm_up(r, &r->sides[p]);
	if (k < 0) {
		rig_free(r);
		return k;
	}
	*ret = r;
	return 0;
}

void rig_free(struct rig *r)
{
	if (!r)
		return;
	for (int p = 0; p < _RIG_PLANE_MAX; p++) {
		struct side *s = &r->sides[p];

		channel_free(s->channel);
		lab_process_deinit(&s->process);
		cleanup_close(&s->fd);
		cleanup_close(&s->host.ns);
	}
	cleanup_close(&r->test.ns);
	free(r);
}

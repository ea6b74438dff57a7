/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/plane-rig-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <netinet/udp.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/rewrite.h"

enum {
	ETHER = 14,
	FRAME = 60,
	BURST = PORT_BURST,
	CLIENT_BITS = 22, /* addresses; further flows take further ports */
	PORTION = 2048,	  /* of two lanes at once: the ring of the hand-over takes it */
};

static uint64_t next_random(struct plane_rig_lane *l)
{
	l->random ^= l->random << 13;
	l->random ^= l->random >> 7;
	l->random ^= l->random << 17;
	return l->random;
}

static bool has_answers(const struct plane_rig *r)
{
	return !r->config.requests_only && (r->config.forward == IPVS_FORWARD_MASQ ||
					    r->config.forward == IPVS_FORWARD_FULL_NAT);
}

/* Writes the frame of a flow into the buffer: from the client, or the answer. `flags` are TCP's. */
static void stamp(const struct plane_rig *r, struct rte_mbuf *m, size_t flow, bool answer,
		  uint8_t flags)
{
	struct plane_rig_answer a = {
		.src_be = htonl(0x0a000000 + (uint32_t)(flow & ((1 << CLIENT_BITS) - 1))),
		.dst_be = htonl(PLANE_RIG_VIRTUAL_ADDRESS),
		.sport_be = htons((uint16_t)(1024 + (flow >> CLIENT_BITS))),
		.dport_be = htons(PLANE_RIG_VIRTUAL_PORT),
	};
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64 };
	uint8_t *p;

	if (answer)
		a = r->answers[flow];
	rte_pktmbuf_reset_headroom(m);
	m->data_len = m->pkt_len = FRAME;
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	m->port = r->port.id;
	p = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(p, plane_rig_our_mac, PACKET_MAC_LEN);
	memcpy(p + 6, answer ? plane_rig_dest_mac : plane_rig_client_mac, PACKET_MAC_LEN);
	p[12] = 8;
	p[13] = 0;
	ip.protocol = r->config.udp ? IPPROTO_UDP : IPPROTO_TCP;
	ip.tot_len = htons(r->config.udp ? FRAME - ETHER : 40);
	ip.saddr = a.src_be;
	ip.daddr = a.dst_be;
	ip.check = htons(rewrite_checksum_fold(rewrite_checksum_add(0, &ip, sizeof(ip))));
	memcpy(p + ETHER, &ip, sizeof(ip));
	if (r->config.udp) {
		struct udphdr udp = { .source = a.sport_be,
				      .dest = a.dport_be,
				      .len = htons(FRAME - ETHER - sizeof(ip)) };

		memcpy(p + ETHER + sizeof(ip), &udp, sizeof(udp));
	} else {
		struct tcphdr tcp = { .source = a.sport_be, .dest = a.dport_be, .doff = 5 };

		((uint8_t *)&tcp)[13] = flags;
		memcpy(p + ETHER + sizeof(ip), &tcp, sizeof(tcp));
	}
}

/* What came out of the flow's first packet says how it will be answered. */
static void learn(struct plane_rig *r, const struct rte_mbuf *m, size_t flow)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *) + ETHER;
	struct plane_rig_answer *a = &r->answers[flow];

	memcpy(&a->dst_be, p + 12, 4);
	memcpy(&a->src_be, p + 16, 4);
	memcpy(&a->dport_be, p + 20, 2);
	memcpy(&a->sport_be, p + 22, 2);
}

struct start {
	double cpu_nsec;
	uint64_t cycles;
};

static double cpu_nsec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static struct start start_now(void)
{
	return (struct start){ .cpu_nsec = cpu_nsec(), .cycles = rte_rdtsc() };
}

static void add_since(const struct start *s, struct plane_rig_time *t, size_t frames)
{
	t->cycles += (double)(rte_rdtsc() - s->cycles);
	t->nsec += cpu_nsec() - s->cpu_nsec;
	t->frames += frames;
}

static void swap_macs(struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), mac[PACKET_MAC_LEN];

	memcpy(mac, p, PACKET_MAC_LEN);
	memcpy(p, p + PACKET_MAC_LEN, PACKET_MAC_LEN);
	memcpy(p + PACKET_MAC_LEN, mac, PACKET_MAC_LEN);
}

/* Parse, look up, write to the record, change every field of the headers: what no balancer can do without. */
static void limit(const struct plane_rig_lane *l, struct rte_mbuf **mbufs, unsigned n)
{
	struct flow_table *t = director_flows(worker_director(l->worker));
	struct packet packets[BURST];
	const struct flow_key *keys[BURST];
	flow_ref refs[BURST];

	for (unsigned i = 0; i < n; i++) {
		packet_parse(rte_pktmbuf_mtod(mbufs[i], uint8_t *), mbufs[i]->data_len,
			     mbufs[i]->pkt_len, true, &packets[i]);
		keys[i] = &packets[i].key;
	}
	flow_lookup_bulk(t, keys, n, refs);
	for (unsigned i = 0; i < n; i++) {
		volatile uint32_t *expires = &flow_at(t, FLOW_REF_INDEX(refs[i]))->expires;
		struct flow_key to;

		*expires = *expires;
		flow_key_reverse(&packets[i].key, &to);
		(void)rewrite_flow(&packets[i], &to);
		rewrite_ttl(&packets[i]);
		swap_macs(mbufs[i]);
	}
}

static void simple_turn(const struct plane_rig *r, unsigned lane, enum plane_rig_work work)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(r->port.id, (uint16_t)lane, mbufs, BURST);

	if (work == PLANE_RIG_LIMIT)
		limit(&r->lanes[lane], mbufs, n);
	for (uint16_t i = 0; work == PLANE_RIG_MACSWAP && i < n; i++)
		swap_macs(mbufs[i]);
	if (rte_eth_tx_burst(r->port.id, (uint16_t)lane, mbufs, n) != n)
		plane_rig_die("the port in memory is full", ENOBUFS);
}

/* As in the worker's own loop. */
static unsigned turn(const struct plane_rig *r, unsigned lane)
{
	const unsigned n = worker_turn(r->workers[lane]);

	rte_rcu_qsbr_quiescent(r->shared.qsbr, lane);
	return n;
}

static void recorded_turn(const struct plane_rig *r, unsigned lane, struct plane_rig_time *t)
{
	const uint64_t cycles = rte_rdtsc();

	(void)turn(r, lane);
	if (t->n_turns < t->max_turns)
		t->turns[t->n_turns++] = (uint32_t)MIN(rte_rdtsc() - cycles, UINT32_MAX);
}

static void die_of_drops(const struct plane_rig *r)
{
	for (unsigned w = 0; w < r->config.n_lanes; w++) {
		struct worker_counters c;

		worker_counters(r->workers[w], &c);
		for (int i = 0; i < _COUNTER_MAX; i++)
			if (c.value[i])
				(void)fprintf(stderr, "worker %u: %s %llu\n", w,
					      counter_to_string((enum counter)i),
					      (unsigned long long)c.value[i]);
	}
	plane_rig_die("frames did not come out", EIO);
}

static void put(struct rte_ring *ring, struct rte_mbuf **mbufs, unsigned n)
{
	if (rte_ring_enqueue_bulk(ring, (void **)mbufs, n, NULL) != n)
		plane_rig_die("the port in memory is full", ENOBUFS);
}

static void take(const struct plane_rig *r, struct rte_ring *ring, struct rte_mbuf **mbufs,
		 unsigned n)
{
	if (rte_ring_dequeue_bulk(ring, (void **)mbufs, n, NULL) != n)
		die_of_drops(r);
}

/* All n frames through; they lie in l->mbufs again afterwards, in the order in which they came out. */
static void pass(struct plane_rig *r, unsigned lane, enum plane_rig_work work, unsigned n,
		 struct plane_rig_time *t)
{
	struct plane_rig_lane *l = &r->lanes[lane];
	struct start start;

	put(l->rx, l->mbufs, n);
	rte_rcu_qsbr_thread_online(r->shared.qsbr, lane);
	start = start_now();
	while (rte_ring_count(l->rx) > 0)
		if (work != PLANE_RIG_DIRECTOR)
			simple_turn(r, lane, work);
		else if (t->turns)
			recorded_turn(r, lane, t);
		else
			(void)turn(r, lane);
	add_since(&start, t, n);
	rte_rcu_qsbr_thread_offline(r->shared.qsbr, lane);
	take(r, l->tx, l->mbufs, n);
}

/* One packet of each of the lane's flows [first, first + n), n <= PLANE_RIG_FRAMES. */
static void send_all(struct plane_rig *r, unsigned lane, size_t first, unsigned n, bool answer,
		     uint8_t flags, struct plane_rig_time *t)
{
	const struct plane_rig_lane *l = &r->lanes[lane];

	if (answer && !has_answers(r))
		return;
	for (unsigned i = 0; i < n; i++)
		stamp(r, l->mbufs[i], l->flows[first + i], answer, flags);
	pass(r, lane, PLANE_RIG_DIRECTOR, n, t);
}

static void handshake(struct plane_rig *r, unsigned lane, size_t first, unsigned n,
		      struct plane_rig_time *t)
{
	const struct plane_rig_lane *l = &r->lanes[lane];

	send_all(r, lane, first, n, false, TH_SYN, t);
	for (unsigned i = 0; i < n; i++)
		learn(r, l->mbufs[i], l->flows[first + i]);
	if (r->config.udp)
		return;
	send_all(r, lane, first, n, true, TH_SYN | TH_ACK, t);
	send_all(r, lane, first, n, false, TH_ACK, t);
}

/* Every flow to the lane of its owner. */
static void distribute(struct plane_rig *r, size_t first, size_t n)
{
	const struct snapshot *s = tables_snapshot(r->tables);
	struct rte_mbuf *m = r->lanes[0].mbufs[0];
	struct packet packet;

	for (size_t i = first; i < first + n; i++) {
		struct plane_rig_lane *l;

		stamp(r, m, i, false, TH_SYN);
		packet_parse(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, m->pkt_len, true,
			     &packet);
		l = &r->lanes[snapshot_owner(s, &packet.key)];
		l->flows[l->n_flows++] = (uint32_t)i;
	}
}

void plane_rig_open(struct plane_rig *r, size_t n)
{
	struct plane_rig_time ignored = { 0 };

	distribute(r, 0, n);
	for (unsigned lane = 0; lane < r->config.n_lanes; lane++) {
		const size_t n_flows = r->lanes[lane].n_flows;

		for (size_t at = 0; at < n_flows; at += PLANE_RIG_FRAMES)
			handshake(r, lane, at,
				  (unsigned)MIN(n_flows - at, (size_t)PLANE_RIG_FRAMES), &ignored);
	}
}

void plane_rig_lives(struct plane_rig *r, size_t first, size_t n, struct plane_rig_time *t)
{
	distribute(r, first, n);
	for (size_t at = first; at < first + n; at += PLANE_RIG_FRAMES) {
		unsigned k = (unsigned)MIN(first + n - at, (size_t)PLANE_RIG_FRAMES);

		handshake(r, 0, at, k, t);
		send_all(r, 0, at, k, false, TH_FIN | TH_ACK, t);
		send_all(r, 0, at, k, true, TH_FIN | TH_ACK, t);
		send_all(r, 0, at, k, false, TH_ACK, t);
	}
	t->frames = n;
}

/* A packet of one of the flows of `of`, drawn by `by`. */
static void stamp_random(const struct plane_rig *r, struct plane_rig_lane *by,
			 const struct plane_rig_lane *of, struct rte_mbuf *m)
{
	const uint64_t x = next_random(by);

	stamp(r, m, of->flows[(x >> 2) % of->n_flows], has_answers(r) && (x & 1), TH_ACK);
}

void plane_rig_set_frames(struct plane_rig *r, unsigned n)
{
	if (n < 1 || n > PLANE_RIG_FRAMES)
		plane_rig_die("frames in flight", EINVAL);
	r->n_frames = n;
}

void plane_rig_steady(struct plane_rig *r, unsigned lane, enum plane_rig_work work, unsigned passes,
		      struct plane_rig_time *t)
{
	struct plane_rig_lane *l = &r->lanes[lane];

	for (unsigned n = 0; n < passes * PLANE_RIG_FRAMES; n += r->n_frames) {
		for (unsigned i = 0; i < r->n_frames; i++)
			stamp_random(r, l, l, l->mbufs[i]);
		pass(r, lane, work, r->n_frames, t);
	}
}

/* All of lane 1's transmit queue. A turn that finds nothing means that frames were lost. */
static void forward_portion(struct plane_rig *r, struct rte_mbuf **mbufs, struct plane_rig_time *t)
{
	struct plane_rig_lane *l = &r->lanes[1];
	const struct start start = start_now();

	while (rte_ring_count(l->tx) < PORTION)
		if (worker_turn(l->worker) == 0)
			die_of_drops(r);
	add_since(&start, t, PORTION);
	take(r, l->tx, mbufs, PORTION);
}

static void give_portion(struct plane_rig *r, unsigned at, struct plane_rig_gift *t)
{
	struct plane_rig_lane *from = &r->lanes[0], *to = &r->lanes[1];
	struct start start;

	for (unsigned i = 0; i < PORTION; i++)
		stamp_random(r, to, to, from->mbufs[at + i]);
	put(from->rx, from->mbufs + at, PORTION);
	start = start_now();
	while (rte_ring_count(from->rx) > 0)
		(void)worker_turn(from->worker);
	add_since(&start, &t->giver, PORTION);
	if (rte_ring_count(from->tx) > 0)
		plane_rig_die("a stranger's frame was kept", EINVAL);
	forward_portion(r, from->mbufs + at, &t->owner);

	for (unsigned i = 0; i < PORTION; i++)
		stamp_random(r, to, to, to->mbufs[at + i]);
	put(to->rx, to->mbufs + at, PORTION);
	forward_portion(r, to->mbufs + at, &t->home);
}

void plane_rig_give(struct plane_rig *r, unsigned passes, struct plane_rig_gift *t)
{
	for (unsigned p = 0; p < passes; p++)
		for (unsigned at = 0; at < PLANE_RIG_FRAMES; at += PORTION)
			give_portion(r, at, t);
}

static unsigned n_out(const struct plane_rig *r)
{
	return rte_ring_count(r->lanes[0].tx) + rte_ring_count(r->lanes[1].tx);
}

/* Frames came out of either lane, as their owners are: each gets as many back as it had. */
static void share_out(struct plane_rig *r, unsigned at)
{
	struct rte_mbuf *mbufs[2 * PORTION];
	const unsigned n = rte_ring_count(r->lanes[0].tx);

	take(r, r->lanes[0].tx, mbufs, n);
	take(r, r->lanes[1].tx, mbufs + n, 2 * PORTION - n);
	memcpy(r->lanes[0].mbufs + at, mbufs, PORTION * sizeof(*mbufs));
	memcpy(r->lanes[1].mbufs + at, mbufs + PORTION, PORTION * sizeof(*mbufs));
}

/* Until all is out. Returns the CPU time of turns that found nothing, for the other lane may be kept from running. */
static double turn_until_out(const struct plane_rig *r, unsigned lane)
{
	double waited_nsec = 0, since = 0;
	unsigned n_empty = 0;

	while (n_out(r) < 2 * PORTION) {
		const unsigned n = turn(r, lane);

		if (n > 0 && since > 0) {
			waited_nsec += cpu_nsec() - since;
			since = 0;
		} else if (n == 0 && since <= 0) {
			since = cpu_nsec();
		}
		if (n == 0 && n_empty++ > 1U << 28)
			die_of_drops(r);
	}
	return since > 0 ? waited_nsec + cpu_nsec() - since : waited_nsec;
}

static void mixed_portion(struct plane_rig *r, unsigned lane, unsigned at, struct plane_rig_time *t)
{
	struct plane_rig_lane *l = &r->lanes[lane];
	struct start start;

	for (unsigned i = 0; i < PORTION; i++)
		stamp_random(r, l, &r->lanes[next_random(l) >> 63], l->mbufs[at + i]);
	put(l->rx, l->mbufs + at, PORTION);
	rte_rcu_qsbr_thread_online(r->shared.qsbr, lane);
	(void)pthread_barrier_wait(&r->barrier);
	start = start_now();
	t->nsec -= turn_until_out(r, lane);
	add_since(&start, t, PORTION);
	rte_rcu_qsbr_thread_offline(r->shared.qsbr, lane);
	(void)pthread_barrier_wait(&r->barrier);
	if (lane == 0)
		share_out(r, at);
	(void)pthread_barrier_wait(&r->barrier);
}

void plane_rig_mixed(struct plane_rig *r, unsigned lane, unsigned passes, struct plane_rig_time *t)
{
	for (unsigned p = 0; p < passes; p++)
		for (unsigned at = 0; at < PLANE_RIG_FRAMES; at += PORTION)
			mixed_portion(r, lane, at, t);
}

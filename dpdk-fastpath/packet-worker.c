/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/packet-worker.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <rte_cycles.h>
#include <rte_ethdev.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>
#include <rte_prefetch.h>
#include <rte_rcu_qsbr.h>
#include <rte_ring.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/exception.h"
#include "dpdk-fastpath/flow-memory.h"
#include "dpdk-fastpath/idle.h"
#include "dpdk-fastpath/ipv4-fragment.h"
#include "dpdk-fastpath/ipv6-fragment.h"
#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/tables.h"

enum {
	BURST = PORT_BURST,
	PREFETCH_AHEAD = 4,
	HANDOVER_RING_SIZE = 4096,
	INJECT_RING_SIZE = 1024,
	FRAGMENTS_MAX = 24, /* of one packet: 9,216 bytes to 576 */
};

_Static_assert(RTE_MAX_ETHPORTS <= WORKER_PORT_IDS, "every id has its place");
_Static_assert((int)BURST <= (int)DIRECTOR_BURST_MAX, "the director takes a burst");

/* mbufs that leave together. */
struct batch {
	struct rte_mbuf *mbufs[BURST];
	unsigned n;
};

struct call {
	worker_function fn;
	void *arg;
	_Atomic bool done;
};

struct worker {
	const struct worker_shared *shared; /* borrowed */
	unsigned index, lcore;
	bool running;
	struct director *director; /* owned */
	struct rte_ring *handover; /* owned; frames that this worker owns, from the others */
	struct rte_ring *inject;   /* owned; frames of the kernel */
	struct rte_mbuf *spare;	   /* owned; for what the director emits */
	struct batch transmit[OPTIONS_PORTS_MAX];
	struct batch exceptions;
	struct batch strangers[OPTIONS_WORKERS_MAX]; /* by their owner */
	struct idle idle;
	uint64_t tick_cycles, next_tick_cycles; /* of the TSC */
	uint32_t tick;
	uint32_t fragment_id; /* of the next IPv6 packet; workers have ranges of their own */
	struct director_frame frames[BURST];

	/* Written by the worker, read by all. */
	struct counters counters __rte_cache_aligned;
	_Atomic uint64_t turn_cycles; /* when it last began a turn */
	/* Written by the control thread. */
	_Atomic(struct call *) call __rte_cache_aligned;
	_Atomic bool stop;
};

static void count(struct worker *w, enum counter c, unsigned n)
{
	COUNTER_ADD(w->counters.value[c], n);
}

static void drop(struct worker *w, enum counter c, struct rte_mbuf **mbufs, unsigned n)
{
	if (n == 0)
		return;
	rte_pktmbuf_free_bulk(mbufs, n);
	count(w, c, n);
}

static struct rte_mempool *pool_of(const struct worker *w)
{
	return atomic_load_explicit(&w->shared->pool, memory_order_acquire);
}

static void flush_transmit(struct worker *w, unsigned port)
{
	struct batch *b = &w->transmit[port];
	const struct port *p = &w->shared->ports[port];
	unsigned sent = 0;

	if (atomic_load_explicit(&p->enabled, memory_order_acquire))
		sent = rte_eth_tx_burst(p->id, (uint16_t)w->index, b->mbufs, (uint16_t)b->n);
	drop(w, COUNTER_DROP_TX, b->mbufs + sent, b->n - sent);
	b->n = 0;
}

static void flush_exceptions(struct worker *w)
{
	struct batch *b = &w->exceptions;
	unsigned taken = exception_put(w->shared->exception, b->mbufs, b->n);

	drop(w, COUNTER_DROP_EXCEPTION, b->mbufs + taken, b->n - taken);
	b->n = 0;
}

static void flush_strangers(struct worker *w, unsigned owner)
{
	struct batch *b = &w->strangers[owner];
	unsigned taken = rte_ring_mp_enqueue_burst(w->shared->workers[owner]->handover,
						   (void **)b->mbufs, b->n, NULL);

	drop(w, COUNTER_DROP_HANDOVER, b->mbufs + taken, b->n - taken);
	b->n = 0;
}

static void transmit(struct worker *w, unsigned port, struct rte_mbuf *m)
{
	struct batch *b = &w->transmit[port];

	b->mbufs[b->n++] = m;
	if (b->n == BURST)
		flush_transmit(w, port);
}

static void give_to_kernel(struct worker *w, struct rte_mbuf *m)
{
	w->exceptions.mbufs[w->exceptions.n++] = m;
	if (w->exceptions.n == BURST)
		flush_exceptions(w);
}

static void hand_over(struct worker *w, unsigned owner, struct rte_mbuf *m)
{
	struct batch *b = &w->strangers[owner];

	b->mbufs[b->n++] = m;
	if (b->n == BURST)
		flush_strangers(w, owner);
}

static void flush_all(struct worker *w)
{
	for (unsigned p = 0; p < w->shared->n_ports; p++)
		if (w->transmit[p].n > 0)
			flush_transmit(w, p);
	if (w->exceptions.n > 0)
		flush_exceptions(w);
	for (unsigned i = 0; i < w->shared->n_workers; i++)
		if (w->strangers[i].n > 0)
			flush_strangers(w, i);
}

/* The frame as it came, in the director's terms. */
static void describe(struct worker *w, struct rte_mbuf *m, struct director_frame *f)
{
	const bool verified = (m->ol_flags & RTE_MBUF_F_RX_IP_CKSUM_MASK) ==
			      RTE_MBUF_F_RX_IP_CKSUM_GOOD;

	packet_parse(rte_pktmbuf_mtod(m, uint8_t *), m->data_len, m->pkt_len, verified, &f->packet);
	f->packet.headroom_bytes = rte_pktmbuf_headroom(m);
	f->packet.tailroom_bytes = rte_pktmbuf_tailroom(m);
	f->port = w->shared->port_index[m->port];
	f->handle = m;
}

/* The mbuf takes the place and length that the director left. */
static struct rte_mbuf *rewritten(const struct director_frame *f)
{
	struct rte_mbuf *m = f->handle;

	m->data_off = (uint16_t)(f->packet.data - (uint8_t *)m->buf_addr);
	m->data_len = (uint16_t)f->packet.len_bytes;
	m->pkt_len = f->packet.len_bytes;
	/* What was received says nothing of what is sent; how the buffer is attached still holds. */
	m->ol_flags &= RTE_MBUF_F_EXTERNAL | RTE_MBUF_F_INDIRECT;
	return m;
}

/* Rare: its arrays are not to burden the others' way. */
static __attribute__((noinline)) void send_fragments(struct worker *w,
						     const struct director_frame *f)
{
	struct rte_mbuf *m = rewritten(f), *fragments[FRAGMENTS_MAX];
	const uint16_t at = f->packet.l3_off, mtu = f->action.mtu;
	const bool is_ipv6 = *rte_pktmbuf_mtod_offset(m, uint8_t *, at) >> 4 == 6;
	int n = is_ipv6 ? ipv6_fragment(m, at, mtu, w->fragment_id++, pool_of(w), fragments,
					FRAGMENTS_MAX)
			: ipv4_fragment(m, at, mtu, pool_of(w), fragments, FRAGMENTS_MAX);

	for (int i = 0; i < n; i++)
		transmit(w, f->action.port, fragments[i]);
	if (n < 0)
		drop(w, COUNTER_DROP_ROOM, &m, 1);
	else
		rte_pktmbuf_free(m);
}

static void carry_out(struct worker *w, const struct director_frame *f)
{
	struct rte_mbuf *m = f->handle;

	switch ((enum director_verdict)f->action.verdict) {
	case DIRECTOR_SEND:
		transmit(w, f->action.port, rewritten(f));
		break;
	case DIRECTOR_FRAGMENT:
		send_fragments(w, f);
		break;
	case DIRECTOR_EXCEPTION:
		give_to_kernel(w, m);
		break;
	case DIRECTOR_HANDOVER:
		hand_over(w, f->action.worker, m);
		break;
	case DIRECTOR_HOLD:
		break;
	case DIRECTOR_DROP: /* counted by the director */
		rte_pktmbuf_free(m);
		break;
	}
}

/* Makes it one piece: the director changes what is contiguous. */
static bool make_linear(struct worker *w, struct rte_mbuf *m)
{
	if (likely(m->nb_segs == 1) || rte_pktmbuf_linearize(m) == 0)
		return true;
	drop(w, COUNTER_DROP_ROOM, &m, 1);
	return false;
}

static void process(struct worker *w, const struct snapshot *s, bool owned, struct rte_mbuf **mbufs,
		    unsigned n)
{
	unsigned n_frames = 0;

	/* Where the driver, or another worker, has not just written them, mbufs are as cold as frames. */
	for (unsigned i = 0; i < n; i++)
		rte_prefetch0(mbufs[i]);
	for (unsigned i = 0; i < MIN(n, (unsigned)PREFETCH_AHEAD); i++)
		rte_prefetch0(rte_pktmbuf_mtod(mbufs[i], void *));
	for (unsigned i = 0; i < n; i++) {
		if (i + PREFETCH_AHEAD < n)
			rte_prefetch0(rte_pktmbuf_mtod(mbufs[i + PREFETCH_AHEAD], void *));
		if (make_linear(w, mbufs[i]))
			describe(w, mbufs[i], &w->frames[n_frames++]);
	}
	director_run(w->director, s, w->tick, owned, w->frames, n_frames);
	for (unsigned i = 0; i < n_frames; i++)
		if (likely(w->frames[i].action.verdict == DIRECTOR_SEND))
			transmit(w, w->frames[i].action.port, rewritten(&w->frames[i]));
		else
			carry_out(w, &w->frames[i]);
}

static unsigned receive(struct worker *w, const struct snapshot *s)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned total = 0, n;

	for (unsigned p = 0; p < w->shared->n_ports; p++) {
		const struct port *port = &w->shared->ports[p];

		if (!atomic_load_explicit(&port->enabled, memory_order_acquire))
			continue;
		n = rte_eth_rx_burst(port->id, (uint16_t)w->index, mbufs, BURST);
		if (n > 0)
			process(w, s, false, mbufs, n);
		total += n;
	}
	if (w->shared->n_workers > 1) {
		n = rte_ring_sc_dequeue_burst(w->handover, (void **)mbufs, BURST, NULL);
		if (n > 0)
			process(w, s, true, mbufs, n);
		total += n;
	}
	return total;
}

/* What the kernel sends goes out as it is. */
static unsigned send_injected(struct worker *w)
{
	struct rte_mbuf *mbufs[BURST];
	unsigned n = rte_ring_sc_dequeue_burst(w->inject, (void **)mbufs, BURST, NULL);

	for (unsigned i = 0; i < n; i++)
		transmit(w, w->shared->port_index[mbufs[i]->port], mbufs[i]);
	return n;
}

static unsigned send_released(struct worker *w, const struct snapshot *s)
{
	unsigned n = director_released(w->director, s, w->tick, w->frames, BURST);

	for (unsigned i = 0; i < n; i++)
		carry_out(w, &w->frames[i]);
	return n;
}

static void send_emitted(struct worker *w, const struct snapshot *s)
{
	for (unsigned i = 0; i < BURST && pool_of(w); i++) {
		uint16_t port;
		unsigned len_bytes;

		if (!w->spare)
			w->spare = rte_pktmbuf_alloc(pool_of(w));
		if (!w->spare)
			return;
		len_bytes =
			director_emit(w->director, s, rte_pktmbuf_mtod(w->spare, uint8_t *), &port);
		if (len_bytes == 0)
			return;
		w->spare->data_len = (uint16_t)len_bytes;
		w->spare->pkt_len = len_bytes;
		transmit(w, port, take_ptr(w->spare));
	}
}

/* Returns how many: a caller who asks often finds the worker awake. */
static unsigned answer_call(struct worker *w, const struct snapshot *s)
{
	struct call *call = atomic_load_explicit(&w->call, memory_order_acquire);

	if (likely(!call))
		return 0;
	atomic_store_explicit(&w->call, NULL, memory_order_relaxed);
	call->fn(call->arg, w->director, s, w->tick);
	atomic_store_explicit(&call->done, true, memory_order_release);
	return 1;
}

/* Ticks that have passed; more than one only after the thread was kept from running. */
static void advance_tick(struct worker *w)
{
	const uint64_t now = rte_rdtsc();

	atomic_store_explicit(&w->turn_cycles, now, memory_order_relaxed);
	while (unlikely((int64_t)(now - w->next_tick_cycles) >= 0)) {
		w->tick++;
		w->next_tick_cycles += w->tick_cycles;
	}
}

unsigned worker_turn(struct worker *w)
{
	const struct snapshot *s = tables_snapshot(w->shared->tables);
	unsigned n;

	advance_tick(w);
	n = receive(w, s);
	n += send_injected(w);
	n += send_released(w, s);
	director_tick(w->director, s, w->tick);
	send_emitted(w, s);
	n += answer_call(w, s);
	flush_all(w);
	if (n > 0)
		COUNTER_ADD(w->counters.bursts, 1);
	return n;
}

static void rest(struct worker *w)
{
	struct rte_rcu_qsbr *qsbr = w->shared->qsbr;

	idle_arm(&w->idle);
	if (!w->idle.armed || worker_turn(w) == 0) {
		/* Asleep, it reads nothing: who waits for quiescent states need not wait for it. */
		rte_rcu_qsbr_thread_offline(qsbr, w->index);
		idle_wait(&w->idle);
		rte_rcu_qsbr_thread_online(qsbr, w->index);
		COUNTER_ADD(w->counters.idle_sleeps, 1);
	}
	idle_disarm(&w->idle);
}

static int run(void *arg)
{
	struct worker *w = arg;
	struct rte_rcu_qsbr *qsbr = w->shared->qsbr;

	idle_init(&w->idle, w->shared->ports, w->shared->n_ports, w->index);
	(void)rte_rcu_qsbr_thread_register(qsbr, w->index);
	rte_rcu_qsbr_thread_online(qsbr, w->index);
	while (!atomic_load_explicit(&w->stop, memory_order_acquire)) {
		unsigned n = worker_turn(w);

		rte_rcu_qsbr_quiescent(qsbr, w->index);
		if (w->shared->idle_sleep && idle_wanted(&w->idle, n))
			rest(w);
	}
	rte_rcu_qsbr_thread_offline(qsbr, w->index);
	(void)rte_rcu_qsbr_thread_unregister(qsbr, w->index);
	return 0;
}

static struct rte_ring *make_ring(const char *name, unsigned index, unsigned size, unsigned flags)
{
	char full[RTE_RING_NAMESIZE];

	(void)snprintf(full, sizeof(full), "%s-%u", name, index);
	return rte_ring_create(full, size, (int)rte_socket_id(), flags);
}

static void free_ring(struct rte_ring *ring)
{
	void *m;

	while (ring && rte_ring_dequeue(ring, &m) == 0)
		rte_pktmbuf_free(m);
	rte_ring_free(ring);
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	director_free(w->director);
	free_ring(w->handover);
	free_ring(w->inject);
	rte_pktmbuf_free(w->spare);
	free(w);
}

DEFINE_CLEANUP(struct worker *, worker_free)

int worker_new(const struct worker_shared *shared, unsigned index,
	       const struct director_config *director, struct worker **ret)
{
	_cleanup_(worker_free_p) struct worker *w = NULL;
	struct director_config config = *director;
	int r;

	if (posix_memalign((void **)&w, RTE_CACHE_LINE_SIZE, sizeof(*w)) != 0)
		return -ENOMEM;
	memset(w, 0, sizeof(*w));
	w->shared = shared;
	w->index = index;
	w->fragment_id = index << 26 | (uint32_t)(rte_get_tsc_cycles() & 0x3ffffff);
	w->tick_cycles = rte_get_tsc_hz() * WORKER_TICK_MSEC / 1000;
	w->next_tick_cycles = rte_rdtsc() + w->tick_cycles;
	w->turn_cycles = rte_rdtsc();
	w->handover = make_ring("handover", index, HANDOVER_RING_SIZE, RING_F_SC_DEQ);
	w->inject = make_ring("inject", index, INJECT_RING_SIZE, RING_F_SP_ENQ | RING_F_SC_DEQ);
	if (!w->handover || !w->inject)
		return -ENOMEM;
	config.worker = index;
	config.flows.allocate = flow_memory_allocate;
	config.flows.release = flow_memory_release;
	r = director_new(&config, &w->director);
	if (r < 0)
		return r;
	*ret = take_ptr(w);
	return 0;
}

int worker_start(struct worker *w, unsigned lcore)
{
	int r = rte_eal_remote_launch(run, w, lcore);

	if (r < 0)
		return r;
	w->lcore = lcore;
	w->running = true;
	return 0;
}

void worker_stop(struct worker *w)
{
	if (!w || !w->running)
		return;
	atomic_store_explicit(&w->stop, true, memory_order_release);
	(void)rte_eal_wait_lcore(w->lcore);
	w->running = false;
}

int worker_call(struct worker *w, worker_function fn, void *arg)
{
	const struct timespec pause = { .tv_nsec = 20000 };
	struct call call = { .fn = fn, .arg = arg };

	if (!w->running)
		return -ESRCH;
	atomic_store_explicit(&w->call, &call, memory_order_release);
	/* It answers for certain: it has no way to leave its loop but worker_stop(), which this thread calls. */
	while (!atomic_load_explicit(&call.done, memory_order_acquire))
		(void)nanosleep(&pause, NULL);
	return 0;
}

struct rte_ring *worker_inject_ring(struct worker *w)
{
	return w->inject;
}

struct director *worker_director(struct worker *w)
{
	return w->director;
}

static void add(struct worker_counters *sum, const struct counters *c)
{
	for (unsigned i = 0; i < _COUNTER_MAX; i++)
		sum->value[i] += atomic_load_explicit(&c->value[i], memory_order_relaxed);
	sum->connections_made += atomic_load_explicit(&c->connections_made, memory_order_relaxed);
	sum->connections_expired +=
		atomic_load_explicit(&c->connections_expired, memory_order_relaxed);
	sum->connections_evicted +=
		atomic_load_explicit(&c->connections_evicted, memory_order_relaxed);
	sum->bursts += atomic_load_explicit(&c->bursts, memory_order_relaxed);
	sum->idle_sleeps += atomic_load_explicit(&c->idle_sleeps, memory_order_relaxed);
}

void worker_counters(const struct worker *w, struct worker_counters *ret)
{
	*ret = (struct worker_counters){ 0 };
	add(ret, director_counters(w->director));
	add(ret, &w->counters);
}

uint64_t worker_late_usec(const struct worker *w)
{
	const uint64_t last = atomic_load_explicit(&w->turn_cycles, memory_order_relaxed);
	const uint64_t now = rte_rdtsc();

	return now > last ? (now - last) * UINT64_C(1000000) / rte_get_tsc_hz() : 0;
}

unsigned worker_lcore(const struct worker *w)
{
	return w->lcore;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/plane-rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_ring.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/tables.h"
#include "dpdk-fastpath/packet-worker.h"

enum {
	ETHER = 14,
	FRAME = 60,
	BURST = PORT_BURST,
	RING_SIZE = 2 * PLANE_RIG_FRAMES,
	MBUFS = RING_SIZE - 1,
	CLIENT_BITS = 22, /* addresses; further flows take further ports */
	LOCALS = 16,
	BUFFERS_MIB = 256,
	VIRTUAL_PORT = 80,
	DEST_PORT = 8080,
};

static const uint8_t our_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };
static const uint8_t client_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 2 };
static const uint8_t dest_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 3 };

/* What the answer to a flow looks like. */
struct answer {
	uint32_t src_be, dst_be;
	uint16_t sport_be, dport_be;
};

struct plane_rig {
	struct plane_rig_config config;
	struct rte_ring *rx, *tx;
	struct rte_mempool *pool;
	struct rte_mbuf *mbufs[PLANE_RIG_FRAMES];
	struct port port;
	struct worker_shared shared;
	struct worker *worker;
	struct worker *workers[1];
	struct tables *tables;
	struct dest_counters *dest_counters;
	_Atomic uint8_t *overloaded;
	struct nexthop *nexthops;
	struct answer *answers;
	struct ipvs_service service;
	uint64_t random;
	uint16_t mtu;
};

static void die(const char *what, int error)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(error));
	exit(1);
}

static void *zero_memory(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		die("memory", errno);
	return m;
}

static bool has_hugepages(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	unsigned long n = 0;

	while (f && fgets(line, sizeof(line), f))
		if (sscanf(line, "HugePages_Free: %lu", &n) == 1)
			break;
	return n * 2 >= BUFFERS_MIB;
}

void plane_rig_environment(const char *program)
{
	static const char *const arguments[] = { "-l",		 "0",	     "-m",
						 "256",		 "--no-pci", "--no-telemetry",
						 "--log-level=3" };
	char *argv[ARRAY_SIZE(arguments) + 3] = { strdup(program) };
	int n = 1;

	_Static_assert(BUFFERS_MIB == 256, "the argument of -m");
	for (size_t i = 0; i < ARRAY_SIZE(arguments); i++)
		argv[n++] = strdup(arguments[i]);
	argv[n++] = strdup(has_hugepages() ? "--in-memory" : "--no-huge");
	/* DPDK keeps what it is given. */
	if (rte_eal_init(n, argv) < 0)
		die("DPDK's environment", EIO);
}

static uint64_t next_random(struct plane_rig *r)
{
	r->random ^= r->random << 13;
	r->random ^= r->random >> 7;
	r->random ^= r->random << 17;
	return r->random;
}

static void retire_now(void *context, void (*free_fn)(void *), void *object)
{
	(void)context;
	free_fn(object);
}

static uint16_t on_address(void *context, const struct addr *a)
{
	(void)context;
	(void)a;
	return 1;
}

static void on_address_gone(void *context, const struct addr *a)
{
	(void)context;
	(void)a;
}

static void make_nexthop(struct plane_rig *r)
{
	uint64_t mac = 0;

	memcpy(&mac, dest_mac, PACKET_MAC_LEN);
	((uint8_t *)&mac)[6] = 1; /* resolved */
	atomic_store(&r->nexthops[1].mac, mac);
	r->nexthops[1].mtu = 1500;
}

static void make_service(struct plane_rig *r)
{
	struct addr locals[LOCALS];
	struct ipvs_dest d = { .port = DEST_PORT,
			       .forward = r->config.forward,
			       .weight = 1,
			       .addr = { .family = AF_INET } };
	int k;

	if (d.forward == IPVS_FORWARD_ROUTE)
		d.port = VIRTUAL_PORT;
	r->service = (struct ipvs_service){
		.key = { .family = AF_INET, .protocol = IPPROTO_TCP, .port = VIRTUAL_PORT },
		.flags = IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2,
		.netmask = UINT32_MAX,
	};
	r->service.key.addr = (struct addr){ .family = AF_INET };
	r->service.key.addr.in.s_addr = htonl(0xcb007101);
	(void)snprintf(r->service.scheduler, sizeof(r->service.scheduler), "%s",
		       r->config.scheduler);
	for (unsigned i = 0; i < LOCALS; i++) {
		locals[i] = (struct addr){ .family = AF_INET };
		locals[i].in.s_addr = htonl(0xac100001 + i);
	}
	k = tables_set_locals(r->tables, locals, LOCALS);
	if (k == 0)
		k = tables_service_new(r->tables, &r->service);
	for (unsigned i = 0; k == 0 && i < r->config.n_dests; i++) {
		d.addr.in.s_addr = htonl(0xc6120100 + i);
		k = tables_dest_new(r->tables, &r->service.key, &d);
	}
	if (k == 0)
		k = tables_publish(r->tables);
	if (k < 0)
		die("tables", -k);
}

static void make_tables(struct plane_rig *r)
{
	struct tables_config config = {
		.n_workers = 1,
		.tick_msec = WORKER_TICK_MSEC,
		.dest_counters = &r->dest_counters,
		.retire = retire_now,
		.on_address = on_address,
		.on_address_gone = on_address_gone,
	};
	int k;

	r->dest_counters = zero_memory(sizeof(*r->dest_counters) * SNAPSHOT_DESTS_MAX);
	r->overloaded = zero_memory(SNAPSHOT_DESTS_MAX);
	r->nexthops = zero_memory(sizeof(*r->nexthops) * SNAPSHOT_NEXTHOPS_MAX);
	make_nexthop(r);
	config.overloaded = r->overloaded;
	config.nexthops = r->nexthops;
	k = tables_new(&config, &r->tables);
	if (k < 0)
		die("tables", -k);
	make_service(r);
}

static void make_port(struct plane_rig *r)
{
	static unsigned number; /* DPDK's names are for good */
	struct rte_eth_conf conf = { 0 };
	char name[16];
	int id;

	(void)snprintf(name, sizeof(name), "bench%u", number++);
	r->rx = rte_ring_create("bench-rx", RING_SIZE, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	r->tx = rte_ring_create("bench-tx", RING_SIZE, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
	r->pool = rte_pktmbuf_pool_create("bench", MBUFS, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (!r->rx || !r->tx || !r->pool ||
	    rte_pktmbuf_alloc_bulk(r->pool, r->mbufs, PLANE_RIG_FRAMES) != 0)
		die("rings and buffers", ENOMEM);
	id = rte_eth_from_rings(name, &r->rx, 1, &r->tx, 1, 0);
	if (id < 0 || rte_eth_dev_configure((uint16_t)id, 1, 1, &conf) < 0 ||
	    rte_eth_rx_queue_setup((uint16_t)id, 0, 1024, 0, NULL, r->pool) < 0 ||
	    rte_eth_tx_queue_setup((uint16_t)id, 0, 1024, 0, NULL) < 0 ||
	    rte_eth_dev_start((uint16_t)id) < 0)
		die("the port in memory", EIO);
	r->port.id = (uint16_t)id;
	r->port.opened = true;
	r->port.mtu = r->mtu = 1500;
	memcpy(r->port.mac, our_mac, PACKET_MAC_LEN);
	atomic_store(&r->port.enabled, true);
}

static void make_worker(struct plane_rig *r)
{
	const struct snapshot *s = tables_snapshot(r->tables);
	struct director_config config = {
		.n_workers = 1,
		.flows = { .max_flows = r->config.max_flows,
			   .embryonic_max = r->config.max_flows,
			   .seed = 0x1234567,
			   .tick_msec = WORKER_TICK_MSEC,
			   .endpoints = s->endpoints,
			   .locals = s->locals },
		.max_fragments = 64,
		.seed = 42,
		.dest_counters = r->dest_counters,
		.all_counters = &r->dest_counters,
		.overloaded = r->overloaded,
		.port_macs = (const uint8_t(*)[PACKET_MAC_LEN])r->port.mac,
		.port_mtus = &r->mtu,
		.n_ports = 1,
	};
	int k;

	r->shared.tables = r->tables;
	r->shared.workers = r->workers;
	r->shared.n_workers = 1;
	r->shared.ports = &r->port;
	r->shared.n_ports = 1;
	r->shared.port_index[r->port.id] = 0;
	atomic_store(&r->shared.pool, r->pool);
	k = worker_new(&r->shared, 0, &config, &r->worker);
	if (k < 0)
		die("worker", -k);
	r->workers[0] = r->worker;
}

struct plane_rig *plane_rig_new(const struct plane_rig_config *c)
{
	struct plane_rig *r = calloc(1, sizeof(*r));

	if (!r)
		die("memory", ENOMEM);
	r->config = *c;
	r->random = 88172645463325252ULL;
	r->answers = zero_memory(c->max_flows * sizeof(*r->answers));
	make_tables(r);
	make_port(r);
	make_worker(r);
	return r;
}

void plane_rig_free(struct plane_rig *r)
{
	(void)rte_eth_dev_stop(r->port.id);
	(void)rte_eth_dev_close(r->port.id);
	worker_free(r->worker);
	tables_free(r->tables);
	rte_ring_free(r->rx);
	rte_ring_free(r->tx);
	rte_mempool_free(r->pool);
	(void)munmap(r->answers, r->config.max_flows * sizeof(*r->answers));
	(void)munmap(r->dest_counters, sizeof(*r->dest_counters) * SNAPSHOT_DESTS_MAX);
	(void)munmap((void *)r->overloaded, SNAPSHOT_DESTS_MAX);
	(void)munmap(r->nexthops, sizeof(*r->nexthops) * SNAPSHOT_NEXTHOPS_MAX);
	free(r);
}

size_t plane_rig_flow_bytes(const struct plane_rig *r)
{
	return flow_table_bytes(director_flows(worker_director(r->worker)));
}

void plane_rig_change(struct plane_rig *r, unsigned number)
{
	struct ipvs_dest d = { .port = r->config.forward == IPVS_FORWARD_ROUTE ? VIRTUAL_PORT
									       : DEST_PORT,
			       .forward = r->config.forward,
			       .weight = 1 + number / r->config.n_dests % 2,
			       .addr = { .family = AF_INET } };
	int k;

	d.addr.in.s_addr = htonl(0xc6120100 + number % r->config.n_dests);
	k = tables_dest_set(r->tables, &r->service.key, &d);
	if (k == 0)
		k = tables_publish(r->tables);
	if (k < 0)
		die("change a weight", -k);
}

static bool has_answers(const struct plane_rig *r)
{
	return r->config.forward == IPVS_FORWARD_MASQ || r->config.forward == IPVS_FORWARD_FULL_NAT;
}

/* Writes the frame of a flow into the buffer: from the client, or the answer. */
static void stamp(struct plane_rig *r, struct rte_mbuf *m, size_t flow, bool answer, uint8_t flags)
{
	const struct answer *a = &r->answers[flow];
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP };
	struct tcphdr tcp = { .doff = 5 };
	uint8_t *p;

	rte_pktmbuf_reset_headroom(m);
	m->data_len = m->pkt_len = FRAME;
	m->ol_flags = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
	m->port = r->port.id;
	p = rte_pktmbuf_mtod(m, uint8_t *);
	memcpy(p, our_mac, PACKET_MAC_LEN);
	memcpy(p + 6, answer ? dest_mac : client_mac, PACKET_MAC_LEN);
	p[12] = 8;
	p[13] = 0;
	ip.tot_len = htons(40);
	if (answer) {
		ip.saddr = a->src_be;
		ip.daddr = a->dst_be;
		tcp.source = a->sport_be;
		tcp.dest = a->dport_be;
	} else {
		ip.saddr = htonl(0x0a000000 + (uint32_t)(flow & ((1 << CLIENT_BITS) - 1)));
		ip.daddr = r->service.key.addr.in.s_addr;
		tcp.source = htons((uint16_t)(1024 + (flow >> CLIENT_BITS)));
		tcp.dest = htons(VIRTUAL_PORT);
	}
	ip.check = htons(rewrite_checksum_fold(rewrite_checksum_add(0, &ip, sizeof(ip))));
	memcpy(p + ETHER, &ip, sizeof(ip));
	((uint8_t *)&tcp)[13] = flags;
	memcpy(p + ETHER + sizeof(ip), &tcp, sizeof(tcp));
}

/* What came out of the flow's SYN says how it will be answered. */
static void learn(struct plane_rig *r, const struct rte_mbuf *m, size_t flow)
{
	const uint8_t *p = rte_pktmbuf_mtod(m, const uint8_t *) + ETHER;
	struct answer *a = &r->answers[flow];

	memcpy(&a->dst_be, p + 12, 4);
	memcpy(&a->src_be, p + 16, 4);
	memcpy(&a->dport_be, p + 20, 2);
	memcpy(&a->sport_be, p + 22, 2);
}

static double cpu_nsec(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void swap_macs(struct rte_mbuf *m)
{
	uint8_t *p = rte_pktmbuf_mtod(m, uint8_t *), mac[PACKET_MAC_LEN];

	memcpy(mac, p, PACKET_MAC_LEN);
	memcpy(p, p + PACKET_MAC_LEN, PACKET_MAC_LEN);
	memcpy(p + PACKET_MAC_LEN, mac, PACKET_MAC_LEN);
}

/* Parse, look up, count at the record, change every field of the headers: what no balancer can do without. */
static void limit(struct plane_rig *r, struct rte_mbuf **mbufs, unsigned n)
{
	struct flow_table *t = director_flows(worker_director(r->worker));
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
		struct flow_key to;

		flow_at(t, FLOW_REF_INDEX(refs[i]))->in_packets++;
		flow_key_reverse(&packets[i].key, &to);
		(void)rewrite_flow(&packets[i], &to);
		rewrite_ttl(&packets[i]);
		swap_macs(mbufs[i]);
	}
}

static void simple_turn(struct plane_rig *r, enum plane_rig_work work)
{
	struct rte_mbuf *mbufs[BURST];
	uint16_t n = rte_eth_rx_burst(r->port.id, 0, mbufs, BURST);

	if (work == PLANE_RIG_LIMIT)
		limit(r, mbufs, n);
	for (uint16_t i = 0; work == PLANE_RIG_MACSWAP && i < n; i++)
		swap_macs(mbufs[i]);
	if (rte_eth_tx_burst(r->port.id, 0, mbufs, n) != n)
		die("the port in memory is full", ENOBUFS);
}

static void die_of_drops(const struct plane_rig *r)
{
	struct worker_counters c;

	worker_counters(r->worker, &c);
	for (int i = 0; i < _COUNTER_MAX; i++)
		if (c.value[i])
			(void)fprintf(stderr, "%s %llu\n", counter_to_string((enum counter)i),
				      (unsigned long long)c.value[i]);
	die("frames did not come out", EIO);
}

/* All n frames through; they lie in r->mbufs again afterwards, in the order in which they came out. */
static void pass(struct plane_rig *r, enum plane_rig_work work, unsigned n,
		 struct plane_rig_time *t)
{
	double cpu;
	uint64_t cycles;

	if (rte_ring_enqueue_bulk(r->rx, (void **)r->mbufs, n, NULL) != n)
		die("the port in memory is full", ENOBUFS);
	cpu = cpu_nsec();
	cycles = rte_rdtsc();
	while (rte_ring_count(r->rx) > 0)
		if (work == PLANE_RIG_DIRECTOR)
			(void)worker_turn(r->worker);
		else
			simple_turn(r, work);
	t->cycles += (double)(rte_rdtsc() - cycles);
	t->nsec += cpu_nsec() - cpu;
	t->frames += n;
	if (rte_ring_dequeue_bulk(r->tx, (void **)r->mbufs, n, NULL) != n)
		die_of_drops(r);
}

/* One packet of each flow [first, first + n), n <= PLANE_RIG_FRAMES. */
static void send_all(struct plane_rig *r, size_t first, unsigned n, bool answer, uint8_t flags,
		     struct plane_rig_time *t)
{
	if (answer && !has_answers(r))
		return;
	for (unsigned i = 0; i < n; i++)
		stamp(r, r->mbufs[i], first + i, answer, flags);
	pass(r, PLANE_RIG_DIRECTOR, n, t);
}

static void handshake(struct plane_rig *r, size_t first, unsigned n, struct plane_rig_time *t)
{
	send_all(r, first, n, false, TH_SYN, t);
	for (unsigned i = 0; i < n; i++)
		learn(r, r->mbufs[i], first + i);
	send_all(r, first, n, true, TH_SYN | TH_ACK, t);
	send_all(r, first, n, false, TH_ACK, t);
}

void plane_rig_open(struct plane_rig *r, size_t n)
{
	struct plane_rig_time ignored = { 0 };

	for (size_t at = 0; at < n; at += PLANE_RIG_FRAMES)
		handshake(r, at, (unsigned)MIN(n - at, (size_t)PLANE_RIG_FRAMES), &ignored);
}

void plane_rig_lives(struct plane_rig *r, size_t first, size_t n, struct plane_rig_time *t)
{
	for (size_t at = first; at < first + n; at += PLANE_RIG_FRAMES) {
		unsigned k = (unsigned)MIN(first + n - at, (size_t)PLANE_RIG_FRAMES);

		handshake(r, at, k, t);
		send_all(r, at, k, false, TH_FIN | TH_ACK, t);
		send_all(r, at, k, true, TH_FIN | TH_ACK, t);
		send_all(r, at, k, false, TH_ACK, t);
	}
	t->frames = n;
}

void plane_rig_steady(struct plane_rig *r, enum plane_rig_work work, size_t n, unsigned passes,
		      struct plane_rig_time *t)
{
	for (unsigned p = 0; p < passes; p++) {
		for (unsigned i = 0; i < PLANE_RIG_FRAMES; i++) {
			uint64_t x = next_random(r);

			stamp(r, r->mbufs[i], (size_t)((x >> 1) % n), has_answers(r) && (x & 1),
			      TH_ACK);
		}
		pass(r, work, PLANE_RIG_FRAMES, t);
	}
}

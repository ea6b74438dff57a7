/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/plane-rig-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <rte_eal.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_rcu_qsbr.h>

#include "base/cleanup.h"

enum {
	RING_SIZE = 4 * PLANE_RIG_FRAMES, /* either lane's may hold the frames of both */
	LOCALS = 16,
	BUFFERS_MIB = 256,
	DEST_PORT = 8080,
};

const uint8_t plane_rig_our_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 1 };
const uint8_t plane_rig_client_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 2 };
const uint8_t plane_rig_dest_mac[PACKET_MAC_LEN] = { 2, 0, 0, 0, 0, 3 };

void plane_rig_die(const char *what, int error)
{
	(void)fprintf(stderr, "bench: %s: %s\n", what, strerror(error));
	exit(1);
}

static void *zero_memory(size_t bytes)
{
	void *m = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (m == MAP_FAILED)
		plane_rig_die("memory", errno);
	return m;
}

bool plane_rig_hugepages(void)
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
	argv[n++] = strdup(plane_rig_hugepages() ? "--in-memory" : "--no-huge");
	/* DPDK keeps what it is given. */
	if (rte_eal_init(n, argv) < 0)
		plane_rig_die("DPDK's environment", EIO);
}

static void retire(void *context, void (*free_fn)(void *), void *object)
{
	const struct plane_rig *r = context;

	reclaim_retire(r->reclaim, free_fn, object);
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

	memcpy(&mac, plane_rig_dest_mac, PACKET_MAC_LEN);
	((uint8_t *)&mac)[6] = 1; /* resolved */
	atomic_store(&r->nexthops[1].mac, mac);
	r->nexthops[1].mtu = 1500;
}

static struct ipvs_dest dest_of(const struct plane_rig *r, unsigned i, int32_t weight)
{
	struct ipvs_dest d = { .port = DEST_PORT,
			       .forward = r->config.forward,
			       .weight = (uint32_t)weight,
			       .addr = { .family = AF_INET } };

	if (d.forward == IPVS_FORWARD_ROUTE)
		d.port = PLANE_RIG_VIRTUAL_PORT;
	d.addr.in.s_addr = htonl(0xc6120100 + i);
	return d;
}

static void make_service(struct plane_rig *r)
{
	struct addr locals[LOCALS];
	int k;

	r->service = (struct ipvs_service){
		.key = { .family = AF_INET,
			 .protocol = r->config.udp ? IPPROTO_UDP : IPPROTO_TCP,
			 .port = PLANE_RIG_VIRTUAL_PORT },
		.flags = IPVS_SVC_SCHED1 | IPVS_SVC_SCHED2,
		.netmask = UINT32_MAX,
	};
	r->service.key.addr = (struct addr){ .family = AF_INET };
	r->service.key.addr.in.s_addr = htonl(PLANE_RIG_VIRTUAL_ADDRESS);
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
		const struct ipvs_dest d = dest_of(r, i, 1);

		k = tables_dest_new(r->tables, &r->service.key, &d);
	}
	if (k == 0)
		k = tables_publish(r->tables);
	if (k < 0)
		plane_rig_die("tables", -k);
}

static void make_tables(struct plane_rig *r)
{
	struct tables_config config = {
		.n_workers = r->config.n_lanes,
		.tick_msec = WORKER_TICK_MSEC,
		.dest_counters = r->dest_counters,
		.retire = retire,
		.on_address = on_address,
		.on_address_gone = on_address_gone,
		.context = r,
	};
	int k = sd_event_new(&r->event);

	if (k >= 0)
		k = reclaim_new(r->event, r->config.n_lanes, &r->reclaim);
	if (k < 0)
		plane_rig_die("reclaim", -k);
	for (unsigned i = 0; i < r->config.n_lanes; i++)
		r->dest_counters[i] =
			zero_memory(sizeof(struct dest_counters) * SNAPSHOT_DESTS_MAX);
	r->overloaded = zero_memory(SNAPSHOT_DESTS_MAX);
	r->nexthops = zero_memory(sizeof(*r->nexthops) * SNAPSHOT_NEXTHOPS_MAX);
	make_nexthop(r);
	config.overloaded = r->overloaded;
	config.nexthops = r->nexthops;
	k = tables_new(&config, &r->tables);
	if (k < 0)
		plane_rig_die("tables", -k);
	make_service(r);
}

static void make_buffers(struct plane_rig *r)
{
	const unsigned n = r->config.n_lanes;
	char name[RTE_RING_NAMESIZE];

	r->pool = rte_pktmbuf_pool_create("bench", n * (PLANE_RIG_FRAMES + 64), 0, 0,
					  RTE_MBUF_DEFAULT_BUF_SIZE, 0);
	if (!r->pool)
		plane_rig_die("buffers", ENOMEM);
	for (unsigned i = 0; i < n; i++) {
		struct plane_rig_lane *l = &r->lanes[i];

		(void)snprintf(name, sizeof(name), "bench-rx-%u", i);
		l->rx = rte_ring_create(name, RING_SIZE, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		(void)snprintf(name, sizeof(name), "bench-tx-%u", i);
		l->tx = rte_ring_create(name, RING_SIZE, 0, RING_F_SP_ENQ | RING_F_SC_DEQ);
		if (!l->rx || !l->tx ||
		    rte_pktmbuf_alloc_bulk(r->pool, l->mbufs, PLANE_RIG_FRAMES) != 0)
			plane_rig_die("rings and buffers", ENOMEM);
	}
}

static void make_port(struct plane_rig *r)
{
	static unsigned number; /* DPDK's names are for good */
	struct rte_ring *rx[PLANE_RIG_LANES], *tx[PLANE_RIG_LANES];
	const uint16_t n = (uint16_t)r->config.n_lanes;
	struct rte_eth_conf conf = { 0 };
	char name[16];
	int id;

	for (unsigned i = 0; i < n; i++) {
		rx[i] = r->lanes[i].rx;
		tx[i] = r->lanes[i].tx;
	}
	(void)snprintf(name, sizeof(name), "bench%u", number++);
	id = rte_eth_from_rings(name, rx, n, tx, n, 0);
	if (id < 0 || rte_eth_dev_configure((uint16_t)id, n, n, &conf) < 0)
		plane_rig_die("the port in memory", EIO);
	for (uint16_t i = 0; i < n; i++)
		if (rte_eth_rx_queue_setup((uint16_t)id, i, 1024, 0, NULL, r->pool) < 0 ||
		    rte_eth_tx_queue_setup((uint16_t)id, i, 1024, 0, NULL) < 0)
			plane_rig_die("a queue in memory", EIO);
	if (rte_eth_dev_start((uint16_t)id) < 0)
		plane_rig_die("the port in memory", EIO);
	r->port.id = (uint16_t)id;
	r->port.opened = true;
	r->port.mtu = r->mtu = 1500;
	memcpy(r->port.mac, plane_rig_our_mac, PACKET_MAC_LEN);
	atomic_store(&r->port.enabled, true);
}

static void make_workers(struct plane_rig *r)
{
	const struct snapshot *s = tables_snapshot(r->tables);
	const unsigned n = r->config.n_lanes;
	/* Owners are chosen by a hash: not every lane has the same share. */
	const size_t max_flows = n == 1 ? r->config.max_flows : r->config.max_flows / n * 9 / 8;
	struct director_config config = {
		.n_workers = n,
		.flows = { .max_flows = max_flows,
			   .embryonic_max = max_flows,
			   .seed = 0x1234567,
			   .tick_msec = WORKER_TICK_MSEC,
			   .endpoints = s->endpoints,
			   .locals = s->locals },
		.max_fragments = 64,
		.seed = 42,
		.all_counters = r->dest_counters,
		.overloaded = r->overloaded,
		.port_macs = (const uint8_t(*)[PACKET_MAC_LEN])r->port.mac,
		.port_mtus = &r->mtu,
		.n_ports = 1,
	};

	r->shared.tables = r->tables;
	r->shared.workers = r->workers;
	r->shared.n_workers = n;
	r->shared.qsbr = reclaim_qsbr(r->reclaim);
	r->shared.ports = &r->port;
	r->shared.n_ports = 1;
	r->shared.port_index[r->port.id] = 0;
	atomic_store(&r->shared.pool, r->pool);
	for (unsigned i = 0; i < n; i++) {
		int k;

		config.dest_counters = r->dest_counters[i];
		k = worker_new(&r->shared, i, &config, &r->lanes[i].worker);
		if (k < 0)
			plane_rig_die("worker", -k);
		r->workers[i] = r->lanes[i].worker;
		(void)rte_rcu_qsbr_thread_register(r->shared.qsbr, i);
	}
}

struct plane_rig *plane_rig_new(const struct plane_rig_config *c)
{
	struct plane_rig *r = calloc(1, sizeof(*r));

	if (!r || c->n_lanes < 1 || c->n_lanes > PLANE_RIG_LANES)
		plane_rig_die("rig", r ? EINVAL : ENOMEM);
	r->config = *c;
	r->n_frames = PLANE_RIG_FRAMES;
	r->answers = zero_memory(c->max_flows * sizeof(*r->answers));
	for (unsigned i = 0; i < c->n_lanes; i++) {
		r->lanes[i].random = 88172645463325252ULL + i;
		r->lanes[i].flows = zero_memory(c->max_flows * sizeof(*r->lanes[i].flows));
	}
	if (pthread_barrier_init(&r->barrier, NULL, PLANE_RIG_LANES) != 0)
		plane_rig_die("barrier", ENOMEM);
	make_tables(r);
	make_buffers(r);
	make_port(r);
	make_workers(r);
	return r;
}

void plane_rig_free(struct plane_rig *r)
{
	(void)rte_eth_dev_stop(r->port.id);
	(void)rte_eth_dev_close(r->port.id);
	for (unsigned i = 0; i < r->config.n_lanes; i++) {
		struct plane_rig_lane *l = &r->lanes[i];

		worker_free(l->worker);
		rte_ring_free(l->rx);
		rte_ring_free(l->tx);
		(void)munmap(l->flows, r->config.max_flows * sizeof(*l->flows));
	}
	rte_mempool_free(r->pool);
	reclaim_free(r->reclaim);
	tables_free(r->tables);
	sd_event_unref(r->event);
	for (unsigned i = 0; i < r->config.n_lanes; i++)
		(void)munmap(r->dest_counters[i],
			     sizeof(struct dest_counters) * SNAPSHOT_DESTS_MAX);
	(void)munmap(r->answers, r->config.max_flows * sizeof(*r->answers));
	(void)munmap((void *)r->overloaded, SNAPSHOT_DESTS_MAX);
	(void)munmap(r->nexthops, sizeof(*r->nexthops) * SNAPSHOT_NEXTHOPS_MAX);
	(void)pthread_barrier_destroy(&r->barrier);
	free(r);
}

size_t plane_rig_flow_bytes(const struct plane_rig *r)
{
	return flow_table_bytes(director_flows(worker_director(r->workers[0])));
}

void plane_rig_change(struct plane_rig *r, unsigned number)
{
	const unsigned i = number % r->config.n_dests;
	const struct ipvs_dest d = dest_of(r, i, 1 + (int)(number / r->config.n_dests % 2 == 0));
	int k = tables_dest_set(r->tables, &r->service.key, &d);

	if (k == 0)
		k = tables_publish(r->tables);
	if (k == 0)
		k = sd_event_run(r->event, 0); /* the timer of what waits to be freed */
	if (k < 0)
		plane_rig_die("change a weight", -k);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/plane.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "dpdk-fastpath/exception.h"
#include "dpdk-fastpath/neighbour.h"
#include "dpdk-fastpath/port-watch.h"
#include "dpdk-fastpath/reclaim.h"
#include "dpdk-fastpath/tables.h"

enum {
	MBUF_CACHE = 256,
	/* What may be out of a port's hands at a time: rings between threads, fragments that wait. */
	MBUFS_PER_WORKER = 6144,
	FRAGMENTS_PER_WORKER = 512,
};

#define TICK_USEC USEC_PER_SEC

/* Zero, and of no weight until it is used. */
static void *reserve(size_t bytes)
{
	void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return memory == MAP_FAILED ? NULL : memory;
}

static void unreserve(void *memory, size_t bytes)
{
	if (memory)
		(void)munmap(memory, bytes);
}

static const size_t counters_bytes = sizeof(struct dest_counters) * SNAPSHOT_DESTS_MAX;
static const size_t nexthops_bytes = sizeof(struct nexthop) * SNAPSHOT_NEXTHOPS_MAX;

static int reserve_arrays(struct plane *p)
{
	for (size_t i = 0; i < p->options->n_workers; i++) {
		p->dest_counters[i] = reserve(counters_bytes);
		if (!p->dest_counters[i])
			return -ENOMEM;
	}
	p->overloaded = reserve(SNAPSHOT_DESTS_MAX);
	p->nexthops = reserve(nexthops_bytes);
	return p->overloaded && p->nexthops ? 0 : -ENOMEM;
}

static uint16_t on_address(void *context, const struct addr *a)
{
	struct plane *p = context;

	return neighbours_add(p->neighbours, a);
}

static void on_address_gone(void *context, const struct addr *a)
{
	struct plane *p = context;

	neighbours_remove(p->neighbours, a);
}

static void on_retired(void *context, void (*free_fn)(void *), void *object)
{
	struct plane *p = context;

	reclaim_retire(p->reclaim, free_fn, object);
}

static void on_next_hop(void *context, const struct addr *a, uint16_t index)
{
	struct plane *p = context;

	if (tables_set_nexthop(p->tables, a, index) < 0 || index != 0)
		return;
	if (p->n_lost++ == 0)
		p->lost = *a;
}

static void publish(struct plane *p)
{
	if (tables_publish(p->tables) < 0)
		log_err("no memory for the new tables: tried again in a second");
}

static void on_next_hops(void *context)
{
	struct plane *p = context;
	char text[ADDR_STR_MAX];

	publish(p);
	if (p->n_lost > 0)
		log_warning(
			"%zu destinations have no way by a port any more, %s among them: what is "
			"sent to them is dropped (see: ip route get)",
			p->n_lost, addr_format(&p->lost, text));
	p->n_lost = 0;
}

static int on_tick(sd_event_source *source, uint64_t usec, void *userdata)
{
	struct plane *p = userdata;

	if (tables_tick(p->tables, usec))
		publish(p);
	if (sd_event_source_set_time(source, usec + TICK_USEC) < 0)
		log_err("cannot set the timer of the tables");
	return 0;
}

static int make_tables(struct plane *p)
{
	const struct neighbours_config neighbours = {
		.event = p->event,
		.nexthops = p->nexthops,
		.reclaim = p->reclaim,
		.on_change = on_next_hop,
		.on_changed = on_next_hops,
		.context = p,
	};
	const struct tables_config tables = {
		.n_workers = (unsigned)p->options->n_workers,
		.tick_msec = WORKER_TICK_MSEC,
		.dest_counters = p->dest_counters,
		.overloaded = p->overloaded,
		.nexthops = p->nexthops,
		.retire = on_retired,
		.on_address = on_address,
		.on_address_gone = on_address_gone,
		.context = p,
	};
	int r = neighbours_new(&neighbours, &p->neighbours);

	if (r == 0)
		r = tables_new(&tables, &p->tables);
	if (r == 0)
		r = sd_event_add_time_relative(p->event, &p->tick, CLOCK_MONOTONIC, TICK_USEC, 0,
					       on_tick, p);
	return r < 0 ? r : sd_event_source_set_enabled(p->tick, SD_EVENT_ON);
}

static int make_workers(struct plane *p)
{
	const unsigned n = (unsigned)p->options->n_workers;
	struct director_config config = {
		.n_workers = n,
		.flows = { .max_flows = (p->options->max_connections + n - 1) / n,
			   .tick_msec = WORKER_TICK_MSEC,
			   .endpoints = tables_snapshot(p->tables)->endpoints,
			   .locals = tables_snapshot(p->tables)->locals },
		.max_fragments = FRAGMENTS_PER_WORKER,
		.all_counters = p->dest_counters,
		.overloaded = p->overloaded,
		.port_macs = (const uint8_t(*)[PACKET_MAC_LEN])p->macs,
		.port_mtus = p->mtus,
		.port_rss = p->rss,
		.n_ports = p->options->n_ports,
	};

	p->shared.tables = p->tables;
	p->shared.workers = p->workers;
	p->shared.n_workers = n;
	p->shared.qsbr = reclaim_qsbr(p->reclaim);
	p->shared.idle_sleep = p->options->idle_sleep;
	p->shared.ports = p->ports;
	p->shared.n_ports = (unsigned)p->options->n_ports;
	for (unsigned i = 0; i < n; i++) {
		int r;

		if (getrandom(&config.seed, sizeof(config.seed), 0) != sizeof(config.seed) ||
		    getrandom(&config.flows.seed, sizeof(config.flows.seed), 0) !=
			    sizeof(config.flows.seed))
			return -EIO;
		config.dest_counters = p->dest_counters[i];
		r = worker_new(&p->shared, i, &config, &p->workers[i]);
		if (r == -ENOMEM)
			log_err("no memory for %u connections: give a smaller --max-connections",
				p->options->max_connections);
		if (r < 0)
			return r;
	}
	return 0;
}

static int start_workers(struct plane *p)
{
	int r = 0;

	for (unsigned i = 0; r == 0 && i < p->shared.n_workers; i++)
		r = worker_start(p->workers[i], i + 1);
	return r;
}

static void detach(struct plane *p)
{
	port_watch_free(take_ptr(p->watch));
	for (size_t i = 0; i < p->options->n_ports; i++)
		port_disable(&p->ports[i]);
	p->shared.exception = NULL;
	reclaim_synchronize(p->reclaim);
	exception_free(take_ptr(p->exception));
	for (size_t i = 0; i < p->options->n_ports; i++)
		port_close(&p->ports[i]);
	p->attached = false;
}

void plane_free(struct plane *p)
{
	if (!p)
		return;
	sd_event_source_disable_unref(p->tick);
	if (p->reclaim)
		detach(p);
	for (size_t i = 0; i < ARRAY_SIZE(p->workers); i++)
		worker_stop(p->workers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(p->workers); i++)
		worker_free(p->workers[i]);
	rte_mempool_free(p->pool);
	/* What was retired may name next hops and tables: it goes first. */
	reclaim_free(p->reclaim);
	tables_free(p->tables);
	neighbours_free(p->neighbours);
	for (size_t i = 0; i < ARRAY_SIZE(p->dest_counters); i++)
		unreserve(p->dest_counters[i], counters_bytes);
	unreserve(p->overloaded, SNAPSHOT_DESTS_MAX);
	unreserve(p->nexthops, nexthops_bytes);
	free(p);
}

DEFINE_CLEANUP(struct plane *, plane_free)

int plane_new(const struct options *o, sd_event *event, struct plane **ret)
{
	_cleanup_(plane_free_p) struct plane *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->options = o;
	p->event = event;
	p->start_usec = clock_monotonic_usec();
	r = reclaim_new(event, (unsigned)o->n_workers, &p->reclaim);
	if (r == 0)
		r = reserve_arrays(p);
	if (r == 0)
		r = make_tables(p);
	if (r >= 0)
		r = make_workers(p);
	if (r == 0)
		r = start_workers(p);
	if (r < 0) {
		log_err("cannot set up the data plane: %s", strerror(-r));
		return r;
	}
	*ret = take_ptr(p);
	return 0;
}

/* One pool for all: each frame may end at any port, worker or the kernel. */
static int make_pool(struct plane *p)
{
	const unsigned n_workers = p->shared.n_workers;
	unsigned n = n_workers * (MBUFS_PER_WORKER + 2 * MBUF_CACHE);
	uint16_t bytes = 0;

	for (size_t i = 0; i < p->options->n_ports; i++) {
		n += n_workers * port_queue_buffers(&p->ports[i]);
		bytes = MAX(bytes, port_buffer_bytes(&p->ports[i]));
	}
	if (p->pool)
		return 0; /* of an attempt that failed later */
	p->pool = rte_pktmbuf_pool_create("packets", n, MBUF_CACHE, 0,
					  (uint16_t)(bytes + RTE_PKTMBUF_HEADROOM),
					  (int)rte_socket_id());
	if (p->pool)
		return 0;
	log_err("no memory for %u packets of %u bytes (%u MiB): %s; give more --memory, more "
		"hugepages, or a smaller --queue-size",
		n, bytes, (unsigned)((uint64_t)n * (bytes + 256U) >> 20), rte_strerror(rte_errno));
	return -ENOMEM;
}

static int attach_ports(struct plane *p)
{
	const struct options *o = p->options;
	int r = 0;

	for (unsigned i = 0; r == 0 && i < o->n_ports; i++) {
		const struct port_config config = {
			.spec = o->ports[i].spec,
			.is_pci = o->ports[i].is_pci,
			.n_queues = (unsigned)o->n_workers,
			.queue_size = (uint16_t)o->queue_size,
			.mtu = o->mtu,
			.interrupts = o->idle_sleep,
			.rss_slot = &p->rss[i],
		};

		r = port_attach(&p->ports[i], i, &config);
		if (r < 0)
			return r;
		memcpy(p->macs[i], p->ports[i].mac, PACKET_MAC_LEN);
		p->mtus[i] = p->ports[i].mtu;
		p->shared.port_index[p->ports[i].id] = (uint8_t)i;
	}
	r = make_pool(p);
	for (size_t i = 0; r == 0 && i < o->n_ports; i++)
		r = port_start(&p->ports[i], p->pool);
	return r;
}

static int make_exceptions(struct plane *p)
{
	const struct exception_config config = {
		.name = p->options->exception_interface,
		.ports = p->ports,
		.n_ports = p->options->n_ports,
		.pool = p->pool,
		.inject = worker_inject_ring(p->workers[0]),
	};
	int r;

	if (config.name[0] == '\0')
		return 0;
	r = exception_new(&config, &p->exception);
	if (r < 0)
		return r;
	p->shared.exception = p->exception;
	for (uint16_t i = 0; r == 0 && i < p->options->n_ports; i++)
		r = neighbours_set_port(p->neighbours, i, exception_interface(p->exception, i),
					port_kernel_interface(&p->ports[i]));
	return r;
}

int plane_attach(struct plane *p)
{
	int r;

	if (p->attached)
		return 0;
	r = attach_ports(p);
	if (r == 0)
		r = make_exceptions(p);
	if (r == 0)
		r = port_watch_new(p->event, p->reclaim, p->ports, p->options->n_ports, &p->watch);
	if (r < 0) {
		detach(p);
		return r;
	}
	atomic_store_explicit(&p->shared.pool, p->pool, memory_order_release);
	for (size_t i = 0; i < p->options->n_ports; i++)
		atomic_store_explicit(&p->ports[i].enabled, true, memory_order_release);
	p->attached = true;
	return 0;
}

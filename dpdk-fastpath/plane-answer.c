/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the control socket asks of workers and ports. */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <rte_ethdev.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "dpdk-fastpath/exception.h"
#include "dpdk-fastpath/neighbour.h"
#include "dpdk-fastpath/plane.h"
#include "dpdk-fastpath/tables.h"

struct import {
	const struct director_conn *conns;
	int *rets;
	unsigned worker, n;
};

static void import_on_worker(void *arg, struct director *d, const struct snapshot *s,
			     uint32_t now_tick)
{
	const struct import *i = arg;

	for (unsigned c = 0; c < i->n; c++)
		if (snapshot_owner(s, &i->conns[c].key) == i->worker)
			i->rets[c] = director_import(d, s, now_tick, &i->conns[c]);
}

static void import_conns(void *context, const struct director_conn *conns, unsigned n, int *rets)
{
	struct plane *p = context;

	for (unsigned c = 0; c < n; c++)
		rets[c] = -ENOENT;
	for (unsigned w = 0; w < p->shared.n_workers; w++) {
		struct import i = { .conns = conns, .rets = rets, .worker = w, .n = n };

		(void)worker_call(p->workers[w], import_on_worker,
				  &i); /* it runs as long as we do */
	}
}

struct export
{
	uint32_t *cursor;
	struct director_conn *conns;
	unsigned n, found;
};

static void export_on_worker(void *arg, struct director *d, const struct snapshot *s,
			     uint32_t now_tick)
{
	struct export *e = arg;

	e->found = director_export(d, s, now_tick, e->cursor, e->conns, e->n);
}

static int export_conns(void *context, struct answer_cursor *cursor, struct director_conn *ret,
			unsigned n)
{
	struct plane *p = context;

	for (; cursor->worker < p->shared.n_workers; cursor->worker++, cursor->index = 0) {
		struct export e = { .cursor = &cursor->index, .conns = ret, .n = n };
		int r = worker_call(p->workers[cursor->worker], export_on_worker, &e);

		if (r < 0)
			return r;
		if (e.found > 0)
			return (int)e.found;
	}
	return 0;
}

static void add_counter(struct private_counters *c, const char *name, uint64_t value)
{
	if (c->n == PRIVATE_COUNTERS_MAX)
		return;
	(void)snprintf(c->at[c->n].name, sizeof(c->at[c->n].name), "%s", name);
	c->at[c->n++].value = value;
}

static void fill_worker(struct plane *p, unsigned index, struct private_worker *ret)
{
	const struct worker *w = p->workers[index];

	*ret = (struct private_worker){ .index = index,
					.lcore = worker_lcore(w),
					.late_usec = worker_late_usec(w) };
}

static int worker(void *context, unsigned index, struct private_worker *ret,
		  struct private_counters *ret_counters)
{
	struct plane *p = context;
	struct worker_counters c;
	struct flow_usage usage;

	if (index >= p->shared.n_workers)
		return -ENOENT;
	fill_worker(p, index, ret);
	if (!ret_counters)
		return 0;
	worker_counters(p->workers[index], &c);
	flow_table_usage(director_flows(worker_director(p->workers[index])), &usage);
	ret_counters->n = 0;
	for (enum counter i = 0; i < _COUNTER_MAX; i++)
		add_counter(ret_counters, counter_to_string(i), c.value[i]);
	add_counter(ret_counters, "connections", usage.flows);
	add_counter(ret_counters, "connections-embryonic", usage.embryonic);
	add_counter(ret_counters, "connections-templates", usage.templates);
	add_counter(ret_counters, "connections-max", usage.max_flows);
	add_counter(ret_counters, "connections-refused", usage.full);
	add_counter(ret_counters, "connections-made", c.connections_made);
	add_counter(ret_counters, "connections-expired", c.connections_expired);
	add_counter(ret_counters, "connections-evicted", c.connections_evicted);
	add_counter(ret_counters, "bursts", c.bursts);
	add_counter(ret_counters, "idle-sleeps", c.idle_sleeps);
	return 0;
}

static void fill_port(struct plane *p, unsigned index, struct private_port *ret)
{
	const struct port *port = &p->ports[index];
	struct rte_eth_dev_info info;
	struct rte_eth_link link = { 0 };

	*ret = (struct private_port){ .index = index, .mtu = port->mtu };
	(void)snprintf(ret->name, sizeof(ret->name), "%.*s", (int)strcspn(port->config.spec, ","),
		       port->config.spec);
	memcpy(ret->mac, port->mac, sizeof(ret->mac));
	if (rte_eth_dev_info_get(port->id, &info) == 0)
		(void)snprintf(ret->driver, sizeof(ret->driver), "%s", info.driver_name);
	if (rte_eth_link_get_nowait(port->id, &link) < 0)
		return;
	ret->link_up = link.link_status == RTE_ETH_LINK_UP;
	/* ENA does not say: none, or unknown. */
	if (link.link_speed != RTE_ETH_SPEED_NUM_UNKNOWN)
		ret->speed_mbps = link.link_speed;
}

static void count_port(struct plane *p, unsigned index, struct private_counters *c)
{
	_cleanup_free_ struct port_counter *counters = NULL;
	struct exception_counters e;
	size_t n = 0;

	c->n = 0;
	if (index == 0 && p->exception) {
		exception_counters(p->exception, &e);
		add_counter(c, "exception-to-kernel", e.to_kernel);
		add_counter(c, "exception-from-kernel", e.from_kernel);
		add_counter(c, "exception-refused-by-kernel", e.refused_by_kernel);
		add_counter(c, "exception-refused-by-worker", e.refused_by_worker);
	}
	if (port_counters(&p->ports[index], &counters, &n) < 0)
		return;
	for (size_t i = 0; i < n; i++)
		add_counter(c, counters[i].name, counters[i].value);
}

static int port(void *context, unsigned index, struct private_port *ret,
		struct private_counters *ret_counters)
{
	struct plane *p = context;

	if (!p->attached || index >= p->options->n_ports)
		return -ENOENT;
	fill_port(p, index, ret);
	if (ret_counters)
		count_port(p, index, ret_counters);
	return 0;
}

static int status(void *context, struct private_status *ret)
{
	const struct plane *p = context;

	ret->pid = (uint32_t)getpid();
	ret->uptime_usec = clock_monotonic_usec() - p->start_usec;
	return 0;
}

static int attach_ports(void *context)
{
	return plane_attach(context);
}

static void hold_routes(void *context, bool hold)
{
	const struct plane *p = context;

	neighbours_hold(p->neighbours, hold);
}

const struct answer_ops plane_answer_ops = {
	.import_conns = import_conns,
	.export_conns = export_conns,
	.worker = worker,
	.port = port,
	.status = status,
	.attach_ports = attach_ports,
	.hold_routes = hold_routes,
};

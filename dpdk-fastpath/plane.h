/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The data plane as a whole: tables, workers, and the ports with what belongs to them. Workers run from the beginning;
 * ports are attached then or later, so that connections may be put in place before the first packet comes.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/addr.h"
#include "dpdk-fastpath/answer.h"
#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/packet-worker.h"

struct neighbours;
struct port_watch;
struct reclaim;
struct tables;

struct plane {
	const struct options *options; /* borrowed */
	sd_event *event;	       /* borrowed */
	uint64_t start_usec;
	struct reclaim *reclaim; /* owned, as all that follows */
	struct dest_counters *dest_counters[OPTIONS_WORKERS_MAX];
	_Atomic uint8_t *overloaded;
	struct nexthop *nexthops;
	struct tables *tables;
	struct neighbours *neighbours;
	size_t n_lost; /* destinations that a change of routes left without a next hop, for the log */
	struct addr lost;
	struct worker *workers[OPTIONS_WORKERS_MAX];
	struct worker_shared shared;
	sd_event_source *tick;
	/* From plane_attach() on. */
	bool attached;
	struct port ports[OPTIONS_PORTS_MAX];
	uint8_t macs[OPTIONS_PORTS_MAX][PACKET_MAC_LEN];
	uint16_t mtus[OPTIONS_PORTS_MAX];
	struct rss_slot rss[OPTIONS_PORTS_MAX];
	struct rte_mempool *pool;
	struct exception *exception;
	struct port_watch *watch;
};

/* DPDK's environment is up. What fails is logged. */
int plane_new(const struct options *o, sd_event *event, struct plane **ret);
void plane_free(struct plane *p);

/* Takes the ports of the options; all or none. 0 also when it has them. What fails is logged with its remedy. */
int plane_attach(struct plane *p);

/* For the control socket; the context is the plane. */
extern const struct answer_ops plane_answer_ops;

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Directors over tables, without ports: one for each worker, all on the test's thread. Every destination has a next hop
 * of its own, resolved, on port 0: MAC 02:00:00:00:d0:N of nexthop N, N counting from 1.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/director.h"
#include "dpdk-fastpath/tables.h"
#include "frame-maker.h"

enum {
	RIG_WORKERS_MAX = 64,
	RIG_TICK_MSEC = 100,
	RIG_SEC = 1000 / RIG_TICK_MSEC, /* ticks */
	RIG_PORTS = 2,
	RIG_RETIRED_MAX = 4096,
	RIG_MTU = 1500,
};

struct rig {
	unsigned n_workers;
	uint32_t now; /* ticks */
	struct tables *tables;
	struct director *directors[RIG_WORKERS_MAX];
	struct dest_counters *counters[RIG_WORKERS_MAX];
	_Atomic uint8_t *overloaded;
	struct nexthop *nexthops;
	uint16_t n_nexthops;
	uint16_t mtus[RIG_PORTS];
	struct {
		void (*free_fn)(void *);
		void *object;
	} retired[RIG_RETIRED_MAX];
	unsigned n_retired;
};

struct rig_config {
	unsigned n_workers;   /* 0: 1 */
	size_t max_flows;     /* 0: 4096 */
	size_t embryonic_max; /* 0: the default */
	size_t max_fragments; /* 0: 64 */
	unsigned
		only_worker; /* of many: make but this one, when n_workers > 1 and only_worker > 0 */
	const struct rss_slot *port_rss; /* RIG_PORTS of them; NULL: not known */
};

void rig_init(struct rig *r, const struct rig_config *c);
void rig_deinit(struct rig *r);

/* protocol: IPPROTO_*; "203.0.113.10:80", "[2001:db8::10]:80"; a scheduler's name. */
struct ipvs_service_key rig_key(uint8_t protocol, const char *virtual);
void rig_service(struct rig *r, const struct ipvs_service_key *k, const char *scheduler,
		 uint32_t flags, uint32_t timeout_sec);
void rig_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest,
	      enum ipvs_forward forward, uint32_t weight);
void rig_dest_conf(struct rig *r, const struct ipvs_service_key *k, const char *dest,
		   const struct ipvs_dest *conf);
/* New or changed; addr and port of *conf are filled in from `dest`. */
void rig_set_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest,
		  const struct ipvs_dest *conf);
void rig_del_dest(struct rig *r, const struct ipvs_service_key *k, const char *dest);
void rig_options(struct rig *r, const struct snapshot_options *o);
void rig_locals(struct rig *r, const char *const *addrs, size_t n);
void rig_publish(struct rig *r);
const struct snapshot *rig_snapshot(const struct rig *r);
/* The id of the destination, 0 when it is in no snapshot. */
uint32_t rig_dest_id(const struct rig *r, const struct ipvs_service_key *k, const char *dest);

/* A frame in a buffer of its own. */
struct rig_frame {
	uint8_t buffer[FRAME_HEADROOM + FRAME_MAX];
	struct director_frame f;
	struct frame_view out; /* of what leaves; only after SEND and FRAGMENT */
};

/* Makes and parses it. */
void rig_make(struct rig_frame *f, const struct frame_spec *s);
void rig_parse(struct rig_frame *f, uint32_t len_bytes);
/* Runs one frame on a worker; reads what leaves, and counts that exactly one counter grew. */
void rig_run_frame(struct rig *r, unsigned worker, bool owned, struct rig_frame *f);
/* The two together, on worker 0; returns the verdict. */
enum director_verdict rig_send(struct rig *r, struct rig_frame *f, const struct frame_spec *s);
/* Follows handovers, at most three times; *ret_worker: where it ended. */
enum director_verdict rig_send_to(struct rig *r, unsigned worker, struct rig_frame *f,
				  const struct frame_spec *s, unsigned *ret_worker);
/* Reads what leaves. */
void rig_read(struct rig_frame *f);

/* Turns the clock, with the director's work of each tick. */
void rig_sleep(struct rig *r, uint32_t sec);
uint64_t rig_counter(const struct rig *r, unsigned worker, enum counter c);
uint64_t rig_counters(const struct rig *r, unsigned worker);
struct flow_usage rig_usage(const struct rig *r); /* worker 0 */

/* Sends one packet, of TCP a SYN, to worker 0; true when it left for `dest`. */
bool rig_goes_to(struct rig *r, uint8_t protocol, const char *src, const char *dst,
		 const char *dest);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The weight of every target of a group, as a product of factors that `status` and `explain` can show:
 *
 *   weight = configured x scale x override x health x zone x slow start x anomaly x advice
 *
 * rounded, at least 1 where no factor is 0, at most WEIGHT_MAX. (The group's share of a listener is a factor of the
 * services: ipvs/desired.h.)
 *
 * Eligible is a target that may take new connections when it is well: registered (not draining, not unused), not
 * taken out by the operator or by its agent, configured weight above 0, in a zone that this gateway serves. Fail open
 * (elbv2.md §1.4): when fewer than the minimum of the eligible targets are healthy, every eligible target gets
 * traffic as if it were healthy, and neither slow start nor anomaly mitigation holds anything back. All others have
 * weight 0 always: what the operator took out stays out, and does not count as healthy either (a group of one drained
 * and one unhealthy target fails open to the latter).
 *
 * Zones: without cross-zone load balancing only targets of the gateway's own zone are eligible, so that minimum and
 * fail-open are those of the zone. With it, client-routing-policy prefers the own zone: affinity_percent of the
 * traffic stays there, the rest goes to all zones by weight, as with AWS's DNS answers: own share =
 * p + (1 - p) x own weight / all weight. A zone with fewer healthy targets than zone_minimum (dns_failover) is not
 * preferred. A target without zone, or with zone `all`, is of every zone.
 *
 * Cold start: a start without history neither refuses traffic nor heaps it on the target that answers first. The
 * targets of a group that was new as a whole (`cold`) get their weight until their own first result. It is told apart
 * so that it is not logged as a failure.
 *
 * Scale: where a factor may be a fraction, all weights of the group are multiplied by the same number, so that the
 * smallest configured one has `resolution` steps. It depends on configured weights alone: a ramp changes the weight of
 * the target that ramps and of no other.
 * Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "health/target.h"

enum {
	WEIGHT_ONE = 65536, /* the factor 1 */
	WEIGHT_MAX = 65535, /* ipvsadm restores no greater one */
};

struct weight_minimum {
	unsigned count;	  /* at least 1 in effect */
	unsigned percent; /* of the eligible targets; 0 = off */
};

struct weight_settings {
	struct weight_minimum minimum;	    /* unhealthy_state_routing */
	struct weight_minimum zone_minimum; /* dns_failover */
	bool own_zone_only;		    /* cross-zone load balancing is off */
	unsigned affinity_percent;	    /* 0, 85 or 100 */
	usec_t slow_start_usec;		    /* 0 = off */
	unsigned resolution; /* least weight of a target with all factors 1; 0 = as configured */
	bool terminates; /* an unhealthy target loses its connections, unless the group fails open */
};

enum weight_zone {
	WEIGHT_ZONE_OWN, /* or of every zone, or zones play no part */
	WEIGHT_ZONE_OTHER,
};

struct weight_input {
	uint32_t configured;
	enum target_state state;
	bool awaiting_first_result; /* initial, no probe answered yet */
	bool drained_by_operator;   /* `ipvsd drain` */
	bool cold; /* awaiting its first result in a group that was new as a whole */
	enum weight_zone zone;
	enum target_state verdict; /* as state, or while draining what the checks say */
	bool in_slow_start;
	usec_t slow_start_elapsed_usec;
	uint8_t anomaly_steps;	 /* health/anomaly.h */
	bool drained_by_agent;	 /* it asked for drain or maint */
	bool has_advice;	 /* its agent or exec check gave a weight: */
	uint32_t advice_percent; /* of the configured one */
};

struct weight_output {
	uint32_t weight;
	bool by_fail_open; /* gets traffic only because the group fails open or starts cold */
	/* Its connections are to end: unhealthy, and the group terminates and does not fail open. */
	bool ends;
	/* The factors: plain numbers, */
	uint32_t configured, scale;
	/* and in 1/65536. 0 in the first two: not eligible, not healthy. */
	uint32_t override_, health, zone, slow_start, anomaly, advice;
};

struct weight_summary {
	unsigned registered; /* not draining, not unused */
	unsigned eligible;
	unsigned healthy;		    /* of the eligible */
	unsigned own_eligible, own_healthy; /* those of the own zone */
	bool fail_open;			    /* an unhealthy target gets traffic */
	bool cold_start;		    /* a target without a result gets traffic */
	bool dns_healthy;		    /* at least the minimum of dns_failover is healthy */
	bool own_preferred;
	uint32_t other_zones; /* their factor */
	uint32_t scale;
};

void weight_summarize(const struct weight_input *in, size_t n, const struct weight_settings *s,
		      struct weight_summary *ret);

/* One target of the group of which `sum` tells. */
void weight_one(const struct weight_input *in, const struct weight_settings *s,
		const struct weight_summary *sum, struct weight_output *ret);

/* Both; out has room for n. */
void weight_compute(const struct weight_input *in, size_t n, const struct weight_settings *s,
		    struct weight_output *out, struct weight_summary *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Every target that is registered now, by group: from the configuration, from `ipvsd register`, and those that left
 * and still drain. A value: a reload builds a new registry beside the old one and either takes its place or is
 * thrown away, so a failed reload has nothing to undo. Pure: times are arguments.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"
#include "health/protocol.h"
#include "health/target.h"
#include "health/weight.h"
#include "ipvs/desired.h"

enum target_origin {
	TARGET_FROM_CONFIG,
	TARGET_FROM_REGISTER, /* `ipvsd register` */
};

struct target {
	struct addr addr;
	uint16_t port; /* as registered; 0 = the listener's */
	uint64_t id;   /* of group name, address and port: the probe's id; stable over restarts */
	uint32_t configured_weight;
	char zone[CONF_ZONE_MAX];
	enum target_origin origin;
	bool deregistered; /* a target of the configuration that `ipvsd deregister` took out */
	bool drained;	   /* by `ipvsd drain` */
	struct target_health health;
	bool awaiting_first_result;
	struct weight_output weight; /* as last computed */
};

struct target_group {
	const struct conf_group *conf; /* borrowed from the configuration that the registry was built for */
	struct target *targets;	       /* owned; in order of registration */
	size_t n;
	struct weight_summary summary;
};

struct registry {
	struct target_group *groups; /* owned; same indices as conf->groups */
	size_t n;
};

#define REGISTRY_INIT ((struct registry){ 0 })

void registry_deinit(struct registry *r);

/*
 * The registry for `conf`, with what is known of each target in `old` (same group name, address and port): verdicts,
 * drains, runtime registrations. Targets of `old` that `conf` lacks drain, if their group is still there. Overrides
 * that the configuration contradicts are dropped: a change of the configuration wins.
 */
int registry_build(const struct conf *conf, const struct registry *old, usec_t now_wall_usec,
		   struct registry *ret);

struct target_group *registry_find_group(const struct registry *r, const char *name);
struct target *registry_find_target(const struct target_group *g, const struct addr *addr,
				    uint16_t port);
/* By probe id; NULL when unknown. */
struct target *registry_find_id(const struct registry *r, uint64_t id,
				struct target_group **ret_group);

/* Appends; the group must not have it yet. Returns a borrowed pointer, NULL on lack of memory. */
struct target *target_group_append(struct target_group *g, const struct target *t);
void target_group_remove(struct target_group *g, struct target *t);

/* Probe specification of a target, or false when it is not to be probed now. */
bool registry_probe(const struct target_group *g, const struct target *t,
		    struct protocol_probe *ret);

/* Recomputes every target's weight and every group's summary. */
int registry_compute_weights(struct registry *r);

/* The weights as desired_compute() wants them; *ret_groups is one block, owned by the caller. */
int registry_to_desired(const struct registry *r, struct desired_group **ret_groups);

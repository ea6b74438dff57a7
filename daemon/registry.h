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
	uint32_t configured_weight; /* as registered last, by the file or by `ipvsd register` */
	uint32_t file_weight;	    /* as the file gave it last; a change of the file wins */
	char zone[CONF_ZONE_MAX];
	enum target_origin origin;
	bool deregistered; /* of the configuration, but `ipvsd deregister` took it out */
	bool drained;	   /* by `ipvsd drain` */
	bool awaiting_first_result;
	struct target_health health;
	struct weight_output weight; /* as last computed */
	/* What the last log line said, so that a transition is logged once. */
	bool announced; /* in one line with others, when it came */
	enum target_state logged_state;
	uint32_t logged_weight;
};

struct target_group {
	char name[CONF_NAME_MAX + 1];
	const struct conf_group
		*conf; /* borrowed from the configuration that the registry was built for */
	uint16_t
		listener_port; /* of the first listener that forwards here; 0 = none or every port */
	struct target *targets; /* owned; in order of registration */
	size_t n;
	struct weight_summary summary;
	bool cold; /* new as a whole, and not every target has had its first result (health/weight.h) */
	bool logged_fail_open;
};

/* 1 + the indices of a group and of a target in it; 0, 0 = an empty slot. */
struct registry_slot {
	uint32_t group, target;
};

struct registry {
	struct target_group *groups; /* owned; same indices as conf->groups */
	size_t n;
	size_t n_targets; /* of all groups */
	/* By probe id: open addressing from the id's low bits, at least half of the slots empty. */
	struct registry_slot *slots; /* owned */
	size_t n_slots;		     /* a power of two */
};

#define REGISTRY_INIT ((struct registry){ 0 })

void registry_deinit(struct registry *r);

/*
 * The registry for `conf`, with what is known of each target in `old` (same group name, address and port): verdicts,
 * drains, runtime registrations. `old` may come from the state file and then has no conf pointers. Targets of the
 * old configuration that `conf` lacks drain, if their group is still there and they were in use. Overrides that the
 * configuration contradicts are dropped: a change of the configuration wins. -ENOMEM only.
 */
int registry_build(const struct conf *conf, const struct registry *old, usec_t now_wall_usec,
		   struct registry *ret);

struct target_group *registry_find_group(const struct registry *r, const char *name);
struct target *registry_find_target(const struct target_group *g, const struct addr *addr,
				    uint16_t port);

/* By probe id; NULL when unknown. Borrowed, like the group. */
struct target *registry_find_id(const struct registry *r, uint64_t id,
				struct target_group **ret_group);

/* A target in its first state. */
void target_init(struct target *t, const struct target_group *g, const struct addr *addr,
		 uint16_t port, usec_t now_wall_usec);

/* Is it neither out of the group for good nor on its way out? */
bool target_is_registered(const struct target *t);

/* Appends; the group must not have it yet. -ENOMEM. Invalidates pointers to targets. */
int registry_append(struct registry *r, struct target_group *g, const struct target *t);

/*
 * Ends the drains that are over. connections(): live connections of a target. Targets that only `ipvsd register` or
 * an older configuration knew disappear; deregistered ones of the configuration become unused. Returns how many
 * ended, or -ENOMEM.
 */
typedef uint64_t (*registry_connections_fn)(const struct target_group *g, const struct target *t,
					    void *userdata);
int registry_finish_drains(struct registry *r, registry_connections_fn connections, void *userdata,
			   usec_t now_wall_usec);

/* The wall clock was set: drains end when they would have ended. */
void registry_shift_drains(struct registry *r, int64_t by_usec);

/* Probe specification of a target, texts included; false when it is not to be probed now. */
bool registry_probe(const struct target_group *g, const struct target *t,
		    struct protocol_probe_record *ret);

/* Recomputes every target's weight and every group's summary. -ENOMEM. */
int registry_compute_weights(struct registry *r);

/* The weights as desired_compute() wants them, in one block owned by the caller. -ENOMEM. */
int registry_to_desired(const struct registry *r, struct desired_group **ret_groups);

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
#include "health/anomaly.h"
#include "health/protocol.h"
#include "health/target.h"
#include "health/weight.h"
#include "ipvs/desired.h"

struct roster;

enum target_origin {
	TARGET_FROM_CONFIG,
	TARGET_FROM_REGISTER, /* `ipvsd register` */
};

/* What an agent or exec check said of its target beside its health; it holds until it says otherwise. */
struct target_advice {
	bool out; /* drain or maint, until ready */
	bool has_percent;
	uint32_t percent; /* of the configured weight */
};

struct target {
	struct addr addr;
	uint16_t port; /* as registered; 0 = the listener's */
	/* Of the service that leads its probe through it (health-check-via-vip); 0 = probed at its own address. */
	uint32_t probe_mark;
	uint64_t id; /* of group name, address and port: the probe's id; stable over restarts */
	uint32_t configured_weight; /* as registered last, by the file or by `ipvsd register` */
	uint32_t file_weight;	    /* as the file gave it last; a change of the file wins */
	char zone[CONF_ZONE_MAX];
	enum target_origin origin;
	bool deregistered; /* of the configuration, but `ipvsd deregister` took it out */
	bool drained;	   /* by `ipvsd drain` */
	bool awaiting_first_result;
	bool founder; /* registered into a group without targets, and not yet healthy: no slow start */
	bool up;      /* healthy and let in, when the weights were computed last */
	usec_t slow_start_usec; /* wall clock of its begin; 0 = not in slow start */
	struct anomaly anomaly;
	struct target_advice advice;
	struct target_health health;
	struct weight_output weight; /* as last computed */
	/* What the last log line said, so that a transition is logged once. */
	bool announced; /* in one line with others, when it came */
	enum target_state logged_state;
	uint32_t logged_weight;
	bool logged_slow_start;
	bool logged_ends;
};

struct target_group {
	char name[CONF_NAME_MAX + 1];
	uint64_t name_hash; /* what the ids of its targets are made from */
	const struct conf_group
		*conf; /* borrowed from the configuration that the registry was built for */
	uint16_t
		listener_port; /* of the first listener that forwards here; 0 = none or every port */
	const struct conf_listener *via[2]; /* daemon/registry-via.h; borrowed likewise */
	struct target *targets;		    /* owned; in order of registration */
	size_t n;
	struct weight_settings settings;
	const char *own_zone; /* the gateway's; borrowed likewise */
	/*
	 * The authorities of its health-check-ca-file, which are the configuration's until the file changes; a reference.
	 * NULL: it names none, or there was no good one yet.
	 */
	struct authorities *trusted;
	/*
	 * The number by which workers know them; 0 = it has none of its own. The same certificates keep their number from
	 * one registry to the next, and no others have it ever after.
	 */
	uint64_t authorities;
	/* IPv4, IPv6: a listener has the targets of its family alone. With tunnels all are in the first. */
	struct weight_summary by_family[2];
	struct weight_summary summary; /* of all, to be shown */
	bool dirty; /* a target or what it is judged by has changed since the weights were computed */
	uint32_t *
		timed; /* owned; positions of the targets that time changes: slow start, unhealthy.draining */
	size_t n_timed;
	usec_t next_usec;	 /* wall clock: when time changes something next; USEC_NEVER */
	usec_t anomaly_due_usec; /* wall clock */
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
	uint64_t last_authorities;   /* the highest number so far */
};

#define REGISTRY_INIT ((struct registry){ 0 })

void registry_deinit(struct registry *r);

/*
 * The registry for `conf`, with what is known of each target in `old` (same group name, address and port): verdicts,
 * drains, slow starts, runtime registrations. `old` may come from the state file and then has no conf pointers. Targets of the
 * old configuration that `conf` lacks drain, if their group is still there and they were in use. Overrides that the
 * configuration contradicts are dropped: a change of the configuration wins. -ENOMEM only.
 */
int registry_build(const struct conf *conf, const struct registry *old, usec_t now_wall_usec,
		   struct registry *ret);

/* With the roster's targets in the place of the configuration's: daemon/roster.h. */
int registry_build_from(const struct conf *conf, const struct roster *roster,
			const struct registry *old, usec_t now_wall_usec, struct registry *ret);

/* Part of the build: gives each group's authorities their number; old: what the numbers were. */
void registry_number_authorities(struct registry *r, const struct registry *old);

struct target_group *registry_find_group(const struct registry *r, const char *name);
/* Mostly they stand where they stood. */
const struct target_group *registry_find_group_near(const struct registry *r, const char *name,
						    size_t position);
struct target *registry_find_target(const struct target_group *g, const struct addr *addr,
				    uint16_t port);

/* By probe id; NULL when unknown. Borrowed, like the group. */
struct target *registry_find_id(const struct registry *r, uint64_t id,
				struct target_group **ret_group);

/* A target in its first state. */
void target_init(struct target *t, const struct target_group *g, const struct addr *addr,
		 uint16_t port, usec_t now_wall_usec);

/* Is it neither out of the group for good nor on its way out? */
static inline bool target_is_registered(const struct target *t)
{
	return !t->deregistered && t->health.state != TARGET_DRAINING;
}
/* Out of the group for good, but the configuration still names it. */
static inline bool target_is_out(const struct target *t)
{
	return t->deregistered && t->health.state != TARGET_DRAINING;
}

/*
 * `ipvsd register` and `ipvsd deregister` for a target that the group has. One that drains is taken back as it is; one that
 * was out is as new, but for what the operator said of it. False: nothing to do.
 */
bool registry_readmit(struct target_group *g, struct target *t, usec_t now_wall_usec);
bool registry_dismiss(struct target_group *g, struct target *t, usec_t now_wall_usec);

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

/* The wall clock was set: drains and slow starts end when they would have ended. */
void registry_shift_times(struct registry *r, int64_t by_usec);

/* Probe specification of a target, texts included; false when it is not to be probed now. */
bool registry_probe(const struct target_group *g, const struct target *t,
		    struct protocol_probe_record *ret);

/*
 * Has its health-check-ca-file never been good? Then nobody may verify its targets: they are not probed, and keep their
 * states.
 */
bool registry_lacks_authorities(const struct target_group *g);

/* 0 = it has none of its own, and the listener's is not one port. */
uint16_t registry_probe_port(const struct target_group *g, const struct target *t);

/* How this group's weights are computed. */
struct weight_settings registry_settings(const struct conf *conf, const struct conf_group *g);

/* Do its checks advise on weights? */
bool registry_takes_advice(const struct target_group *g);

/* Whoever changes a target by hand says so, else its weight stays what it was. */
void registry_touch(struct target_group *g);

/*
 * A probe's result: verdict, advice and anomaly window. Says whether weights have to be computed, and how soon: what
 * takes traffic away is urgent, what gives it may wait for others; a result that changes nothing costs nothing.
 */
enum registry_effect {
	REGISTRY_NO_EFFECT,
	REGISTRY_EFFECT_SOON,
	REGISTRY_EFFECT_NOW,
};

/* What came with the result: advice and percent as in struct protocol_result. */
struct registry_result {
	struct probe_report report;
	enum probe_advice advice;
	int32_t weight_percent; /* -1 = none */
	bool hold;		/* it must not take the target from healthy to unhealthy yet */
	bool at_once;		/* a failure needs no others beside it */
	bool again;		/* it was reported before, and held */
};

/* What decides about a target of this group. */
struct target_thresholds registry_thresholds(const struct target_group *g);

enum registry_effect registry_report(struct target_group *g, struct target *t,
				     const struct registry_result *result, usec_t now_wall_usec);

/*
 * Brings the weights up to date: of groups that were touched, and of targets that time changes (slow start,
 * unhealthy.draining, anomaly evaluation) when it is due. -ENOMEM.
 */
enum registry_change {
	REGISTRY_UNCHANGED,
	REGISTRY_RAMPED,  /* only weights, as time goes: a restart would come to the same */
	REGISTRY_CHANGED, /* states or registrations, too */
};
int registry_compute_weights(struct registry *r, usec_t now_wall_usec);

/* Wall clock: when registry_compute_weights() has something to do next, if nothing is touched; USEC_NEVER. */
usec_t registry_next_change(const struct registry *r);

/* The weights as desired_compute() wants them, in one block owned by the caller. -ENOMEM. */
int registry_to_desired(const struct registry *r, struct desired_group **ret_groups);

/* The same as if nobody's connections were to end: who is registered, or drains. */
int registry_to_members(const struct registry *r, struct desired_group **ret_groups);

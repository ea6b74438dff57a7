/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * From listeners and weighted targets to the services and destinations that a plane must have. Pure.
 *
 * List order: a group's targets stand in the kernel's list in reverse order of registration, as if ipvsadm had added
 * them one by one; so a target appended to the configuration is one NEW_DEST, and two gateways with equal
 * configuration have equal mh and sh tables. mh and sh services always carry the fallback flag: without it a weight
 * of 0 refuses that share of new clients (kubernetes#139497).
 *
 * Weights: with one forwarded group a destination has its target's weight as given. With several it has
 *	total × (group's weight / sum of the groups' weights) × (target's weight / sum of its group's weights),
 * rounded, at least 1 where both weights are above 0; a group of weight 0 gives 0. So the groups' shares hold however
 * many targets each has. total is 10000, doubled until a group's targets have 100 on the average, as long as none
 * passes 65535. sh: where the sum would exceed the kernel's 256 buckets, it is reduced to fit them.
 *
 * Ending connections: a destination that is not there has none, since the planes let go of its connections
 * (expire_nodest_conn). So a target whose connections are to end is left out, but not from services with an ordered
 * scheduler (mh, sh, dh): to put it back in its place, all that stand before it would have to be taken out for a
 * moment, with their connections. There it has weight 0.
 *
 * A service has one scheduler and one persistence: those of the first forwarded group with a weight above 0. Port 0
 * services are persistent (360 s without stickiness), since the kernel schedules no others.
 */

#include <stdbool.h>
#include <stddef.h>

#include "ipvs/ruleset.h"

struct conf;
struct conf_listener;

/* One target of one group with its present weight within the group, as health/weight.c computed it. */
struct desired_target {
	struct addr addr;
	uint16_t port;	 /* 0 = the listener's port */
	uint32_t weight; /* 0 = no new connections */
	bool ends;	 /* its connections are to end */
	/*
	 * Not 0: the kernel also has a service of this mark (IPVS_PROBE_MARK …) and family with this one destination, so
	 * that a probe to the listener's address is forwarded to this target as the traffic is.
	 */
	uint32_t probe_mark;
	uint16_t probe_family;
	uint16_t probe_port; /* where port is 0 */
};

struct desired_group {
	const struct desired_target *targets; /* borrowed; in order of registration */
	size_t n;
};

/*
 * The planes differ in two things. Full NAT is plain nat in the kernel, which has no more. The fast path has no
 * services by firewall mark: their packets pass it to the kernel, which knows them.
 */
enum desired_plane {
	DESIRED_KERNEL,
	DESIRED_FASTPATH,
};

/*
 * groups: as many as conf->n_groups, same indices. The result is sorted, and has the hook keeper of each address
 * family that a listener uses. A target whose address family differs from the listener's is left out for nat and
 * direct (validation has warned). Targets that two forwarded groups share get the sum of their weights.
 * -ENOMEM only.
 */
int desired_compute(const struct conf *conf, const struct desired_group *groups,
		    enum desired_plane plane, struct ipvs_ruleset *ret);

/* Is this one of the listener's services? */
bool desired_service_is_of(const struct conf_listener *l, const struct ipvs_service_key *k);

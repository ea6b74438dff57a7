/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One service and its destinations, to be changed at will and scheduled from. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/sched.h"
#include "dpdk-fastpath/snapshot.h"
#include "random-ruleset.h"

enum {
	SCHED_RIG_DESTS_MAX = 5000,
};

struct sched_rig {
	struct service_view *service;
	struct dest_view dests[SCHED_RIG_DESTS_MAX];
	struct sched_load loads[SCHED_RIG_DESTS_MAX + 1]; /* by id */
	bool overloaded[SCHED_RIG_DESTS_MAX + 1];
	struct sched_cursor cursor;
	struct sched_changes changes; /* of the list, to be seen with the next sched_rig_use() */
	enum sched_kind kind;
};

/* cmocka fixtures: *state is the rig. */
int sched_rig_set_up(void **state);
int sched_rig_tear_down(void **state);

/* What a change of the list or the scheduler does. */
void sched_rig_use(struct sched_rig *g, enum sched_kind kind);
void sched_rig_add(struct sched_rig *g, uint32_t weight, uint32_t last_weight);
/* Others instead: some without weight, some overloaded. */
void sched_rig_random_dests(struct sched_rig *g, struct random *r);

struct flow_key sched_rig_client(struct random *r, uint8_t family);
int sched_rig_choose_key(struct sched_rig *g, const struct flow_key *k, bool inverse,
			 uint64_t random);
/* Of a client that does not matter. */
int sched_rig_choose(struct sched_rig *g);
bool sched_rig_available(const struct sched_rig *g, size_t i);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The checks of a manager with two groups of targets, "a" and "b", and a simulated clock. Functions fail the running cmocka
 * test themselves.
 */

#include "daemon/checks.h"
#include "daemon/manager.h"

enum {
	CHECKS_RIG_TARGETS = 20, /* of each group: 10.0.0.1 … and 10.0.1.1 …, port 80 */
	CHECKS_RIG_HISTORY = 5,
};

#define CHECKS_RIG_START_USEC (1000 * USEC_PER_SEC)
#define CHECKS_RIG_INTERVAL_USEC (5 * USEC_PER_SEC)

struct checks_rig {
	struct conf conf;
	struct conf_group groups[2];
	struct conf_target targets[2][CHECKS_RIG_TARGETS];
	struct manager manager;
	struct checks *checks; /* owned */
	usec_t now;
	unsigned worker; /* that results are of */
};

/* Of cmocka; *state is the rig. */
int checks_rig_set_up(void **state);
int checks_rig_tear_down(void **state);

struct target *checks_rig_target(struct checks_rig *rig, unsigned group, unsigned i);
unsigned checks_rig_count(struct checks_rig *rig, unsigned group, enum target_state state);

/* A probe that ends now; the same for each of the targets [from, to). */
void checks_rig_result(struct checks_rig *rig, unsigned group, unsigned i,
		       enum probe_outcome outcome, usec_t late_usec);
void checks_rig_results(struct checks_rig *rig, unsigned group, unsigned from, unsigned to,
			enum probe_outcome outcome);
void checks_rig_all_healthy(struct checks_rig *rig);

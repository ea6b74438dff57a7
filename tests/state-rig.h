/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A state directory of a test's own, open, and one group of healthy targets to save there. Failures are cmocka's. */

#include "daemon/registry.h"
#include "daemon/state-store.h"
#include "tests/temporary.h"

#define STATE_RIG_NOW (1795345971839060ULL)

enum {
	STATE_RIG_TARGETS = 200,
};

struct state_rig {
	char directory[TEMPORARY_MAX];
	struct state_store store;
	struct registry registry;
	struct target_group group;
	struct target targets[STATE_RIG_TARGETS]; /* of which the group has the first */
};

/* n: targets of the group. As cmocka sets up and tears down. */
int state_rig_new(size_t n, void **state);
int state_rig_free(void **state);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A state directory of a test's own, open, groups of healthy targets to save there, and the daemon that finds them again.
 * Failures are cmocka's.
 */

#include <stdbool.h>

#include "daemon/registry.h"
#include "daemon/state.h"
#include "daemon/state-store.h"
#include "tests/temporary.h"

#define STATE_RIG_NOW (1795345971839060ULL)

enum {
	STATE_RIG_GROUPS = 40,	 /* more than are written at a time */
	STATE_RIG_TARGETS = 200, /* that each may be given */
};

struct state_rig {
	char directory[TEMPORARY_MAX];
	struct state_store store;
	struct registry registry;
	struct target_group groups[STATE_RIG_GROUPS]; /* "blue", "green", "group-2" … */
	struct target *targets;			      /* owned; those of blue are the first */
};

/* The first groups are the registry's, and the first targets of each are its own. As cmocka sets up and tears down. */
int state_rig_new(size_t n_groups, size_t n_targets, void **state);
int state_rig_free(void **state);

/* Of a file in the directory; in a static buffer. */
const char *state_rig_path(const struct state_rig *f, const char *name);
bool state_rig_exists(const struct state_rig *f, const char *name);

/* What a load found to be wrong: how often, and the last of it. */
struct state_rig_troubles {
	size_t n, n_skipped;
	int error;
	char name[64];
};

/* A second daemon: opens the directory anew. */
void state_rig_load(struct state_rig *f, usec_t now_usec, struct state_rig_troubles *ret_troubles,
		    struct state *ret);

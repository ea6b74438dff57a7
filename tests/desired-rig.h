/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A configuration, the targets' weights, and what the planes should have of them. Functions fail the running cmocka test. */

#include "conf/conf.h"
#include "ipvs/desired.h"

enum {
	DESIRED_RIG_GROUPS = 3,
	DESIRED_RIG_TARGETS = 400,
	DESIRED_RIG_FORWARDS = 3,
};

/* One listener over up to three groups, by default tcp 203.0.113.10:80 with nat and wlc. */
struct desired_rig {
	struct conf conf;
	struct conf_listener listeners[2];
	struct conf_forward forwards[DESIRED_RIG_FORWARDS];
	struct conf_group groups[DESIRED_RIG_GROUPS];
	struct desired_target targets[DESIRED_RIG_GROUPS][DESIRED_RIG_TARGETS];
	struct desired_group desired[DESIRED_RIG_GROUPS];
	struct ipvs_ruleset result;
};

struct addr desired_rig_address(const char *text);

void desired_rig_init(struct desired_rig *f);
void desired_rig_deinit(struct desired_rig *f);

void desired_rig_add(struct desired_rig *f, size_t group, const char *text, uint16_t port,
		     uint32_t weight);

/* To f->result. */
void desired_rig_compute(struct desired_rig *f); /* of the kernel's plane */
void desired_rig_compute_for(struct desired_rig *f, enum desired_plane plane);

/* "tcp 203.0.113.10:80 wlc 10.0.0.2:8080=5 10.0.0.1:80=1 | …", services in their sorted order. */
void desired_rig_assert(const struct desired_rig *f, const char *expected);

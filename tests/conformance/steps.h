/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One step of a scenario: what is sent or changed, and what the test learns from the oracle's output. */

#include "ipvs/plan.h"
#include "tests/conformance/scenario.h"

enum step_kind {
	STEP_NONE, /* not possible now */
	STEP_CLIENT,
	STEP_ANSWER,
	STEP_ERROR_FROM_TARGET,
	STEP_ERROR_FROM_CLIENT,
	STEP_CLIENT_FRAGMENTS,
	STEP_CLIENT_LAST_HOP, /* TTL 1 */
	STEP_CLIENT_BIG,
	STEP_NO_SERVICE,
	STEP_ECHO,
	STEP_WEIGHT,
	STEP_DEST_DEL,
	STEP_DEST_NEW,
	_STEP_KIND_MAX,
};

struct step {
	enum step_kind kind;
	unsigned flow;
	struct frame frames[4];
	size_t n_frames;
	bool is_change;
	struct plan_op op; /* borrows the scenario's service and `dest`, `old_dest` */
	struct ipvs_dest dest, old_dest;
};

const char *step_kind_to_string(enum step_kind k);

/* Packets to the service. */
bool step_is_of_client(enum step_kind k);

void step_make(struct scenario *s, struct step *ret);

/* The operation was accepted. */
void step_changed(struct scenario *s, const struct step *step);

/* The oracle's answer to the frames. */
void step_learn(struct scenario *s, const struct step *step, const struct rig_output *oracle);

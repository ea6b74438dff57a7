/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Single attempts of any check in this process, one after the other. Failures are cmocka's.
 */

#include "health/attempt.h"

struct probe_rig {
	struct attempt_engines engines; /* .event is owned */
	struct protocol_probe_record record;
	/* of the last attempt */
	enum probe_outcome outcome;
	int32_t detail, weight_percent; /* -1 = nothing was said of it */
	enum probe_advice advice;
	usec_t duration_usec;
	bool done;
};

void probe_rig_init(struct probe_rig *rig);
void probe_rig_deinit(struct probe_rig *rig);

/* A new specification without texts; they follow, in the order of enum protocol_text. */
void probe_rig_spec(struct probe_rig *rig, enum protocol_check check, const char *address,
		    uint16_t port);
void probe_rig_text(struct probe_rig *rig, enum protocol_text which, const char *text, size_t size);

/* One attempt, cancelled at its deadline. serve is called again and again meanwhile; may be NULL. */
void probe_rig_run(struct probe_rig *rig, usec_t timeout_usec, void (*serve)(void *userdata),
		   void *userdata);

/* A bound socket on loopback; its port. */
int probe_rig_bind(int family, int type, uint16_t *ret_port);

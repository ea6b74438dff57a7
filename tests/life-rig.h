/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One target group, its registry and a clock: what the daemon does to targets, without the daemon. */

#include "conf/conf.h"
#include "daemon/registry.h"

#define SEC USEC_PER_SEC
#define LIFE_START (1000000 * SEC)

enum {
	LIFE_N = 8, /* targets 10.0.0.1:80 and so on */
};

struct life {
	struct conf conf;
	struct conf_group group;
	struct conf_listener listener;
	struct conf_forward forward;
	struct conf_target targets[LIFE_N];
	struct registry registry;
	usec_t now;
	uint64_t connections; /* of every target that drains */
};

/* Thresholds 3 up and 2 down; the first `n` targets are in the file. */
void life_init(struct life *l, size_t n);
void life_begin(struct life *l);
void life_deinit(struct life *l);

void life_reload(struct life *l);
/* Through the text that would be in the state directory. */
void life_restart(struct life *l);

/* NULL when it is not there. */
struct target *life_find(const struct life *l, size_t i);

enum registry_effect life_result(struct life *l, size_t i, enum probe_outcome outcome);
void life_deregister(struct life *l, size_t i);
void life_register(struct life *l, size_t i);
void life_set_drained(struct life *l, size_t i, bool drained);
/* Ends the drains that are over, when every target has this many connections. */
void life_finish_drains(struct life *l, uint64_t connections);
void life_compute(struct life *l);
/* Time passes as the manager lets it: it wakes when the registry says so. */
void life_pass(struct life *l, usec_t by);

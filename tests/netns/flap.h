/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Many targets that flap, behind ipvsd on a real kernel. They are addresses of 10.9.0.0/16 on host a1, all served by
 * one thread of this process, which answers health checks with 200 or 500 as a bitmap says; the bitmap is what the
 * kernel's table must look like as soon as nothing flaps for a while.
 *
 * Functions fail the running cmocka test themselves.
 */

#include <stdbool.h>
#include <stdint.h>

#include "tests/lab/fixture.h"

enum {
	FLAP_TARGETS_MAX = 60000,
};

struct flap;

/* The lab of f has a host a1 and no daemon yet, which is started. interval: of the checks. */
struct flap *flap_new(struct fixture *f, unsigned n_targets, usec_t interval_usec);
void flap_free(struct flap *x);

/* Other checks from now on: a reload. */
void flap_set_interval(struct flap *x, usec_t interval_usec);

/* Targets change at random for so long, each about every ten intervals. */
void flap_run(struct flap *x, usec_t usec);

/*
 * Waits until the table that `ipvsadm -Sn` prints is what the bitmap asks for: the well ones with their weight, the
 * others not at all. Returns how long it took, USEC_NEVER when it did not come to that.
 */
usec_t flap_settle(struct flap *x, usec_t timeout_usec);

/* Whether checks were made, in time, and counted: why the table is not yet what it should be. */
void flap_print_health(const struct flap *x);

unsigned flap_changes(const struct flap *x); /* of targets, until now */
uint64_t flap_probes(const struct flap *x);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The fast path as its user sees it: orders and answers of the daemon of a fixture. Functions fail the running cmocka
 * test themselves.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/clock.h"

struct fixture;
struct lab_load;

/* `ipvsd fastpath WHAT`, which must end with this status. */
void plane_order(struct fixture *f, const char *what, int status);

/* Stops the process's worker alone. Returns a child of ours, which exits with status 0 when the worker has been killed. */
pid_t plane_hold_worker(struct fixture *f);

bool plane_has_state(struct fixture *f, const char *state);
void plane_wait_state(struct fixture *f, const char *state);
bool plane_reason_has(struct fixture *f, const char *text);
pid_t plane_process(struct fixture *f);

/* A counter of the first worker. */
int64_t plane_counter(struct fixture *f, const char *name);

/* Requests pass, by the plane that is meant. */
void plane_assert_traffic(struct fixture *f, bool fastpath);
/* Until this target alone has them. */
void plane_wait_served_by(struct fixture *f, const char *target);

/*
 * After the fault nothing fails but what began within the second; stalls of the machine do not count. Ends the load, which
 * makes that many requests a second.
 */
void plane_assert_back(struct fixture *f, struct lab_load *load, usec_t fault_usec, unsigned rate);

void plane_print_events(struct fixture *f);

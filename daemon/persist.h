/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * When the state file is written: at once where an answer or an operation depends on it, else soon, so that a burst
 * of transitions is one write. Failures are logged, once per kind, and retried with the next change.
 */

struct manager;
struct state;

int persist_now(struct manager *m);
void persist_soon(struct manager *m);

/*
 * Verdicts have changed and the weights will: what the plane gets must be what a restart would restore, else a crash
 * in between makes the restart change a weight. Without waiting for the disk, since a machine that loses power loses
 * the plane as well; the durable write follows soon.
 */
void persist_before_apply(struct manager *m);

/*
 * What the last daemon left; a damaged or missing file gives the empty state and a log line. Takes over owned
 * services and addresses into the manager; verdicts that are too old are forgotten.
 */
int persist_restore(struct manager *m, struct state *ret);

/* The directory in use: borrowed. */
const char *persist_directory(const struct manager *m);

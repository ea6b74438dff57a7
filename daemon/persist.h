/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * When the state is written: at once where an answer or an operation depends on it, else soon, so that a burst of
 * transitions is one write; and from time to time, so that a restart knows how old the verdicts are. What a save writes
 * is in proportion to the targets that changed (daemon/state-store.h), whatever the size of their groups. Failures are logged, once per kind, and retried with the
 * next change, and after a minute.
 */

#include <stddef.h>

struct manager;
struct persist;
struct state;

int persist_now(struct manager *m);
void persist_soon(struct manager *m);

/* Owned services and addresses and what lingers, durably, and nothing of the groups: before the plane is changed. */
int persist_global_now(struct manager *m);

/* All, with the counters of the last probes: the loop is over, and what the files say stays exact. */
int persist_at_stop(struct manager *m);

/*
 * Verdicts have changed and the weights will: what the plane gets must be what a restart would restore, else a crash
 * in between makes the restart change a weight. Without waiting for the disk, since a machine that loses power loses
 * the plane as well; the durable write follows soon, and until then the documents before are kept beside the new ones.
 */
void persist_before_apply(struct manager *m);

/*
 * What the last daemon left; a damaged or missing file gives the empty state and a log line. Takes over owned
 * services and addresses into the manager; verdicts that are too old are forgotten.
 */
int persist_restore(struct manager *m, struct state *ret);

/* A file of its own beside them. Text owned by the caller; errno as of daemon/state-file.h. */
int persist_read_file(const struct manager *m, const char *name, char **ret_text, size_t *ret_len);
int persist_open_directory(const struct manager *m); /* a descriptor, the caller's */
int persist_write_file(const struct manager *m, const char *name, const char *text, size_t len);

void persist_free(struct persist *p);

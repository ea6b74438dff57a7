/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One log line and one event per transition of a target or a group: what it was, what it is, why, and the weights.
 * Compares with what was said last, so a burst of results between two calls is one line.
 */

struct manager;
struct registry;

void transitions_log(struct manager *m);

/* Groups that have other authorities in the registry that is about to take m->registry's place. */
void transitions_tell_authorities(struct manager *m, const struct registry *fresh);

/* "2 listeners, 3 groups, 40 targets: 39 healthy" to the service manager. */
void transitions_notify_status(const struct manager *m);

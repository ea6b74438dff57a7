/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * health-check-via-vip: which probes go to a listener's address through their target, and by which mark. Marks follow
 * from the targets' ids, so that a restart finds its services again. Pure.
 */

#include "daemon/registry.h"

/* The group is forwarded to by this listener; the first of each family counts. */
void registry_note_via(struct target_group *g, const struct conf_listener *l);

/* Gives each target that is probed so its mark, each a different one. -ENOMEM. */
int registry_mark_probes(struct registry *r);

/* The listener whose address is probed through t; NULL = t is probed at its own. Borrowed from the configuration. */
const struct conf_listener *registry_via(const struct target_group *g, const struct target *t);

/* AF_UNSPEC where it is NULL. */
uint16_t registry_probe_family(const struct target_group *g, const struct target *t);

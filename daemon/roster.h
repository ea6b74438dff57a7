/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Which targets each group has by its configuration, its targets-file and the names in both: addresses only, none
 * twice, in an order that is the same on gateways that know the same. What the registry is built from. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/conf.h"

struct authorities;
struct discovery;

/* The targets of a group's file, where they are others than the configuration's last ones. */
struct roster_file {
	const struct conf_target *targets; /* borrowed; NULL = the configuration's */
	size_t n;
};

/* Where a target of the roster comes from. */
struct roster_source {
	const struct discovery *name; /* borrowed; NULL = its address is written down … */
	bool in_file;		      /* … or its name is: in the targets-file */
};

struct roster_group {
	const struct conf_target *targets; /* host is NULL, addr is set; origin is borrowed */
	size_t n;
	/* What a group has that is not just its configuration's targets; else those are borrowed, and these are NULL. */
	struct conf_target *own;       /* owned; what targets points to */
	struct roster_source *sources; /* owned; of each */
	size_t n_written; /* the others of the configuration's targets are its file's */
	struct authorities *authorities; /* borrowed: its own ones; NULL = none */
};

struct roster {
	struct roster_group *groups; /* owned; same indices as conf->groups */
	size_t n;
};

#define ROSTER_INIT ((struct roster){ 0 })

void roster_deinit(struct roster *r);

/* The address families that names are looked up in for a group: those of its listeners. */
struct roster_families {
	bool ipv4, ipv6;
};
struct roster_families roster_families(const struct conf *c, size_t group);

/*
 * files: one for each group. names: sorted by discovery_cmp(); those that are not there, or have no addresses, give no
 * targets. An address that comes twice is the first's: of the section, the file, the discovery, in this order. The roster
 * borrows from all of them. Authorities are the configuration's. -ENOMEM.
 */
int roster_build(const struct conf *c, const struct roster_file *files,
		 const struct discovery *const *names, size_t n_names, struct roster *ret);

/* NULL: the group does not have it. By address and port with the group's default. hint: where it probably stands. */
const struct roster_source *roster_find(const struct roster *r, const struct conf *c, size_t group,
					const struct addr *addr, uint16_t port, size_t hint);

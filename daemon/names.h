/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What comes from elsewhere than the configuration's text: targets by host names, discovery and targets-files, and
 * authorities. Owns what is known of each, the link to the resolver process, and the watches; changes the registry when one of them does,
 * without a reload. Logs its own errors. The decisions are made in daemon/discovery.h and daemon/roster.h.
 */

#include <jansson.h>
#include <stdbool.h>

#include "conf/conf.h"
#include "daemon/roster.h"

struct manager;
struct names;

/* With what an earlier daemon knew, so that a start without a name server has targets. */
int names_new(struct manager *m, struct names **ret);
void names_free(struct names *n);

/* The roster of a configuration that is not in effect yet; names that are new in it give nothing. -ENOMEM. */
int names_roster(const struct names *n, const struct conf *c, struct roster *ret);

/* m->conf is another one: looks up and watches what it asks for. -ENOMEM: only the names and files of before. */
int names_follow(struct names *n);

/* Does the configuration, a targets-file or a name give this target? g: index into the configuration's groups. */
bool names_has(const struct names *n, size_t g, const struct addr *addr, uint16_t port);

/* What is known of the names, to the state directory. */
void names_save(struct names *n);

/* "config", "targets-file" or "dns:NAME"; NULL: none of them gives it now. hint: as roster_find(). */
json_t *names_target_source(const struct names *n, size_t g, const struct addr *addr, uint16_t port,
			    size_t hint);

/* Adds a text for each file that is not in effect. */
void names_add_alarms(const struct names *n, json_t *list);

/* Of a group: an array, an object for each name and file; documented in ipvsd(8). */
json_t *names_group_sources(const struct names *n, size_t g);

/* Of its health-check-ca-file: an object, or null; documented there, too. */
json_t *names_group_authorities(const struct names *n, size_t g);

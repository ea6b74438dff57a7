/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Looks at the kernel's IPVS table from beside the programs that are measured, as cheaply as the kernel allows: one
 * service at a time, counted and not stored. The same for every program, so that none pays more for being watched.
 */

#include <stdint.h>

#include "base/clock.h"
#include "ipvs/ruleset.h"

struct lab_host;
struct table;

/* On the host's network namespace. */
int table_open(const struct lab_host *host, struct table **ret);
void table_free(struct table *t);

/* Destinations of the service; 0 when it does not exist. Negative errno. */
int table_count(struct table *t, const struct ipvs_service_key *key);

/* Weight of the destination with this address; -ENOENT. */
int64_t table_weight(struct table *t, const struct ipvs_service_key *key, const struct addr *dest);

/* Removes every service. */
int table_flush(struct table *t);

/* Writes one destination, as an operator would behind the daemon's back. */
int table_set_dest(struct table *t, const struct ipvs_service_key *key, const struct ipvs_dest *d);
int table_delete_service(struct table *t, const struct ipvs_service_key *key);

/* The number that the kernel gave to the family. */
uint16_t table_family(const struct table *t);

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
struct kernel_table;

/* On the host's network namespace. */
int kernel_table_open(const struct lab_host *host, struct kernel_table **ret);
void kernel_table_free(struct kernel_table *t);

/* Destinations of the service; 0 when it does not exist. Negative errno. */
int kernel_table_count(struct kernel_table *t, const struct ipvs_service_key *key);

/* Weight of the destination with this address; -ENOENT. */
int64_t kernel_table_weight(struct kernel_table *t, const struct ipvs_service_key *key,
			    const struct addr *dest);

/* Removes every service. */
int kernel_table_flush(struct kernel_table *t);

/* Writes one destination, as an operator would behind the daemon's back. */
int kernel_table_set_dest(struct kernel_table *t, const struct ipvs_service_key *key,
			  const struct ipvs_dest *d);
int kernel_table_delete_service(struct kernel_table *t, const struct ipvs_service_key *key);

/* The number that the kernel gave to the family. */
uint16_t kernel_table_family(const struct kernel_table *t);

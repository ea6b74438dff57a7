/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Counters of the plane by listener and by target, summed over the services of a listener (ports of a range, both
 * protocols of tcp-udp).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipvs/ruleset.h"

struct conf;
struct manager;

struct connection_counts {
	struct addr addr;
	uint16_t port;
	uint64_t active, inactive;
	struct ipvs_stats stats;
};

/* Sums of counters and rates. */
void connection_stats_add(struct ipvs_stats *to, const struct ipvs_stats *s);

/* Sorted by address and port. A destination on its service's port is also there under port 0 ("the listener's"). */
struct connection_table {
	struct connection_counts *items; /* owned */
	size_t n;
};

void connection_table_deinit(struct connection_table *t);

/* Of the services of all listeners that forward to this group, or those of one IPPROTO_*; 0 = all. -ENOMEM. */
int connection_table_of_group(const struct conf *conf, const struct ipvs_ruleset *actual,
			      size_t group, uint8_t protocol, struct connection_table *ret);

/* Are there so few that the kernel's list of them can be read in the loop? */
bool connections_are_few(const struct ipvs_ruleset *actual);

/* NULL when the target has no destination. Borrowed. */
const struct connection_counts *connection_table_find(const struct connection_table *t,
						      const struct addr *addr, uint16_t port);

/* Ends the drains that are over by the last dump. Returns how many, or -ENOMEM. */
int connections_finish_drains(struct manager *m);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Finds the destinations of one list in another one, each mostly behind the one that was asked for last: neither a
 * target that leaves a large service nor one that comes back may cost the square of its size. Pure.
 */

#include <stddef.h>

struct ipvs_dest;
struct ipvs_service;

struct dest_finder {
	const struct ipvs_service *service; /* borrowed */
	const struct ipvs_dest **sorted;    /* owned; by key; NULL until it is needed */
	size_t next;
};

void dest_finder_deinit(struct dest_finder *f);

/* 0 and NULL when it is not there; borrowed. -ENOMEM. */
int dest_finder_find(struct dest_finder *f, const struct ipvs_dest *like,
		     const struct ipvs_dest **ret);

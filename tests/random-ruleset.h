/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Seeded random rulesets that a kernel accepts, small enough that two of them share services and destinations, and
 * the comparison that their tests need. Used against the model (test-plan.c) and the kernel (netns-channel.c).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipvs/plan.h"
#include "ipvs/ruleset.h"

struct random {
	uint64_t state;		       /* the seed, not 0 */
	const char *const *schedulers; /* borrowed; NULL-terminated */
	bool fastpath; /* what the fast path accepts: full NAT too, but no mark but the keeper's */
};

/* 0..n-1; n > 0. */
uint32_t random_below(struct random *r, uint32_t n);

/* Both abort on lack of memory; sorted. */
void random_ruleset(struct random *r, struct ipvs_ruleset *ret);
/* `from` with services and destinations added, changed, removed and moved. */
void random_mutation(struct random *r, const struct ipvs_ruleset *from, struct ipvs_ruleset *ret);

/* A random part of the keys of r, sorted, for struct plan_ownership; owned by the caller. */
struct ipvs_service_key *random_keys(struct random *r, const struct ipvs_ruleset *from,
				     size_t *ret_n);

/*
 * What must be there after the plan, by definition: all that is desired, and what of `actual` is neither desired nor
 * owned. Quadratic on purpose.
 */
void expected_ruleset(const struct ipvs_ruleset *actual, const struct ipvs_ruleset *desired,
		      const struct plan_ownership *owned, struct ipvs_ruleset *ret);

/* Same services, configurations and destinations; the order of these only where the scheduler is ordered. */
bool same_service(const struct ipvs_service *a, const struct ipvs_service *b);
bool same_ruleset(const struct ipvs_ruleset *a, const struct ipvs_ruleset *b);

/* To standard error, as comments of TAP. */
void print_ruleset(const char *title, const struct ipvs_ruleset *r);

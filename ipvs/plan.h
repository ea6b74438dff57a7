/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * plan = desired − actual: the requests that turn one ruleset into the other, in an order such that no step leaves
 * a service without destinations that it had before and will have after. Pure; a plan borrows what it names.
 *
 * Order within a service: service created or changed; new destinations; raised weights; lowered weights; removed
 * destinations. A new service with an ordered scheduler (mh, sh, dh) and more than one destination is created under
 * "none", filled, and switched once: each change of a live mh table rebuilds it. For the same reason a service that
 * changes to an ordered scheduler is changed after its destinations. Services are removed last, and the hook keepers
 * after all others.
 *
 * Ordered list: the kernel inserts at the head only. What cannot stay is taken out and inserted anew at once (op
 * `reorder`), never from an otherwise empty service; the kernel gives such a destination its connections back.
 */

#include <stdbool.h>
#include <stddef.h>

#include "ipvs/ruleset.h"

enum plan_op_kind {
	PLAN_SERVICE_NEW,
	PLAN_SERVICE_SET,
	PLAN_SERVICE_DEL,
	PLAN_DEST_NEW,
	PLAN_DEST_SET,
	PLAN_DEST_DEL,
	_PLAN_OP_MAX,
};

/*
 * What an op names is borrowed from the two rulesets that the plan was computed from: they must outlive the plan and
 * stay as they are. (Copies would cost more than sending the requests.)
 */
struct plan_op {
	enum plan_op_kind kind;
	bool reorder; /* DEST_DEL/DEST_NEW pair that moves a destination in an ordered list */
	bool bare; /* SERVICE_NEW: under scheduler "none" until a SERVICE_SET; SERVICE_SET: it was */
	const struct ipvs_service *service;	/* as it will be; SERVICE_DEL: as it is */
	const struct ipvs_service *old_service; /* SERVICE_SET: as it is */
	const struct ipvs_dest
		*dest; /* DEST_*: as it will be (NEW, SET) or as it is (DEL); else NULL */
	const struct ipvs_dest *old_dest; /* DEST_SET: as it is */
};

/* What a bare service is created under: it refuses new connections until it has a scheduler. */
#define PLAN_BARE_SCHEDULER "none"

struct plan {
	struct plan_op *ops; /* owned */
	size_t n;
};

#define PLAN_INIT ((struct plan){ 0 })

void plan_deinit(struct plan *p);

/* Which services of `actual` may be changed or removed although `desired` lacks them. */
struct plan_ownership {
	const struct ipvs_service_key *keys; /* borrowed, sorted by ipvs_service_key_cmp() */
	size_t n;
	bool exclusive; /* all of them */
};

/* Both rulesets sorted; borrowed by the plan. -ENOMEM only. */
int plan_compute(const struct ipvs_ruleset *actual, const struct ipvs_ruleset *desired,
		 const struct plan_ownership *owned, struct plan *ret);

/*
 * What the kernel would have after the op: the slow model that tests and `ipvsd plan` use. -ESRCH, -ENOENT, -EEXIST
 * as the kernel would answer; -ENOMEM.
 */
int plan_op_apply(const struct plan_op *op, struct ipvs_ruleset *r);

/*
 * What the kernel has after all ops of the plan: `actual`, with the desired services in place of theirs, live values
 * kept. The same as plan_op_apply() for each op, but for the order of lists in which order means nothing. -ENOMEM.
 */
int plan_result(const struct plan *p, const struct ipvs_ruleset *actual,
		const struct ipvs_ruleset *desired, struct ipvs_ruleset *ret);

const char *plan_op_kind_to_string(enum plan_op_kind k);

/* One line for people, e.g. "set destination 10.0.1.10:8080 of tcp 203.0.113.10:80: weight 100 -> 0". Owned by caller. */
char *plan_op_describe(const struct plan_op *op);

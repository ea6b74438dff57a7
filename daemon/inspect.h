/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is known of single targets: as AWS describes their health, why they have their weight, and their probe results.
 * Reports and results as in daemon/manager.h. A target is named by ADDRESS or ADDRESS:PORT (without a port: all of
 * that address), optionally GROUP/ before it.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/addr.h"

struct manager;
struct target;
struct target_group;

/* Which targets are meant. Borrowed strings. */
struct inspect_selector {
	char group[64]; /* "" = any */
	bool any_target;
	struct addr addr;
	uint16_t port; /* 0 = any */
};

/* Either may be NULL, not both: -EINVAL; so is a target that is none. */
int inspect_select(const char *group, const char *target, struct inspect_selector *ret);
bool inspect_selects(const struct inspect_selector *s, const struct target_group *g,
		     const struct target *t);

/*
 * {"TargetHealthDescriptions": [...]}: those in `targets` ("Id=ADDRESS,Port=N …"), or all when it is NULL. The text is
 * the caller's, also with -ENOENT and -EINVAL; then it says why. -ENOMEM: none.
 */
int inspect_describe(struct manager *m, const char *group, const char *targets, char **ret_text,
		     size_t *ret_len_bytes);

/* {"targets": [...]}: see ipvsd(8). */
int inspect_explain(struct manager *m, const char *group, const char *target, json_t **ret_report);
int inspect_history(struct manager *m, const char *group, const char *target, json_t **ret_report);

/* One target's part of these. NULL = no memory. */
json_t *inspect_results_to_json(const struct manager *m, const struct target *t, unsigned last);
json_t *inspect_factors_to_json(const struct manager *m, const struct target_group *g,
				const struct target *t);
json_t *inspect_next_to_json(const struct manager *m, const struct target_group *g,
			     const struct target *t);

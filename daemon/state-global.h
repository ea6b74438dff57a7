/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The document of what belongs to no target group: services and addresses that are ours, destinations that linger. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "daemon/linger.h"
#include "ipvs/ruleset.h"

struct state_global {
	struct ipvs_service_key *owned_services; /* owned; sorted */
	size_t n_owned_services;
	struct linger_set linger;
	json_t *vips;	   /* owned; as vip_set_to_json() made it */
	bool stopped;	   /* the daemon ended by itself after this: what it saved is exact */
	usec_t saved_usec; /* wall clock; the daemon lived then, and every group's document was right */
	size_t n_skipped; /* entries that made no sense and were left out */
};

#define STATE_GLOBAL_INIT ((struct state_global){ 0 })

void state_global_deinit(struct state_global *s);

/* What is to be written: all borrowed. */
struct state_global_view {
	const struct ipvs_service_key *owned_services;
	size_t n_owned_services;
	const struct linger_set *linger;
	const json_t *vips;
	bool stopped;
};

/* Of everything but the time; never 0. -ENOMEM. */
int state_global_hash(const struct state_global_view *v, uint64_t *ret);

/* -ENOMEM. */
int state_global_format(const struct state_global_view *v, usec_t now_wall_usec, char **ret_text,
			size_t *ret_len_bytes);

/* As state_group_add(). */
int state_global_parse(const char *text, size_t len_bytes, struct state_global *ret);

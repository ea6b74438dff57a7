/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What must outlive the daemon: verdicts, drains and runtime registrations of targets, the services and addresses
 * that are ours. A JSON document with a version; written as a whole, read with distrust. Pure but for memory;
 * daemon/state-file.c does the I/O.
 */

#include <jansson.h>
#include <stddef.h>

#include "base/clock.h"
#include "daemon/linger.h"
#include "daemon/registry.h"
#include "ipvs/ruleset.h"

enum {
	STATE_VERSION = 1,
};

struct state {
	struct registry registry;		 /* groups by name; no conf pointers */
	struct ipvs_service_key *owned_services; /* owned; sorted */
	size_t n_owned_services;
	struct linger_set linger;
	json_t *vips;	   /* owned; as vip_set_to_json() made it */
	usec_t saved_usec; /* wall clock */
	size_t n_skipped;  /* entries that made no sense and were left out */
};

#define STATE_INIT ((struct state){ 0 })

void state_deinit(struct state *s);

/* The document. NULL on lack of memory. */
json_t *state_format(const struct registry *r, const struct ipvs_service_key *owned, size_t n_owned,
		     const struct linger_set *linger, const json_t *vips, usec_t now_wall_usec);

/*
 * Entries that make no sense are skipped and counted. -EBADMSG: not our document; -EPROTONOSUPPORT: another
 * version; -ENOMEM.
 */
int state_parse(const char *text, size_t len_bytes, struct state *ret);

/* Verdicts older than this are not believed: the targets start as initial. Drains and registrations stay. */
void state_forget_verdicts(struct state *s, usec_t now_wall_usec);

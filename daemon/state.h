/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What must outlive the daemon: verdicts, drains and runtime registrations of targets (daemon/state-group.h, one
 * document a target group), the services and addresses that are ours (daemon/state-global.h). JSON documents with a
 * version, read with distrust. Pure but for memory; daemon/state-store.c knows which files hold them.
 */

#include <jansson.h>
#include <stddef.h>

#include "base/clock.h"
#include "daemon/registry.h"
#include "daemon/state-global.h"

enum {
	STATE_VERSION = 1,
};

struct json_text;

struct state {
	struct registry registry; /* groups by name; no conf pointers */
	struct state_global global;
};

#define STATE_INIT ((struct state){ 0 })

void state_deinit(struct state *s);

/* Begins a document of our version: an object that is open after its first two members. -ENOMEM. */
int state_begin_document(struct json_text *j, usec_t now_wall_usec);

/*
 * The document and the time of its saving, when it is an object of our version. -EBADMSG: not our document;
 * -EPROTONOSUPPORT: another version.
 */
int state_parse_document(const char *text, size_t len_bytes, json_t **ret, usec_t *ret_saved_usec);

/* A hash that tells contents apart: no two sequences of values that differ in one value have the same. */
static inline uint64_t state_hash_add(uint64_t h, uint64_t value)
{
	h = (h ^ value) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 29;
}

uint64_t state_hash_bytes(uint64_t h, const void *bytes, size_t len_bytes);

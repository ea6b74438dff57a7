/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * From an HTTP request on the control socket to what the manager is asked for. Strict: an unknown path, query
 * parameter or JSON member, a wrong type or a value out of range is an error with a text that names it. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum {
	CONTROL_BODY_MAX = 64 * 1024,
	CONTROL_WAIT_MAX_SECONDS = 60,
	CONTROL_QUERY_MAX = 6,
	CONTROL_TARGETS_MAX = 8 * 1024,
	CONTROL_ERROR_MAX = 200,
};

enum control_verb {
	CONTROL_VERSION,
	CONTROL_STATUS,
	CONTROL_EVENTS,
	CONTROL_DESCRIBE,
	CONTROL_EXPLAIN,
	CONTROL_HISTORY,
	CONTROL_RELOAD,
	CONTROL_PLAN,
	CONTROL_REGISTER,
	CONTROL_DEREGISTER,
	CONTROL_DRAIN,
	CONTROL_UNDRAIN,
	CONTROL_FASTPATH,
	CONTROL_FASTPATH_ON,
	CONTROL_FASTPATH_OFF,
	_CONTROL_VERB_MAX,
};

struct control_request {
	enum control_verb verb;
	uint64_t after;	       /* events */
	unsigned wait_seconds; /* events */
	char *config;	       /* owned; plan; NULL = the running configuration's file */
	char *group, *target; /* owned; the target verbs; NULL = any, of events, explain, history */
	char *targets;	      /* owned; describe; NULL = all */
	usec_t since_usec;    /* events; wall clock */
	char *zone;	      /* owned; register; NULL = none */
	int64_t weight;	      /* register; -1 = the default */
	bool force;	      /* fast path on */
};

#define CONTROL_REQUEST_INIT ((struct control_request){ .weight = -1 })

void control_request_deinit(struct control_request *r);

/* A decoded parameter of the query string; value NULL when there was no '='. Borrowed. */
struct control_parameter {
	const char *name, *value;
};

struct control_error {
	unsigned status; /* HTTP */
	char text[CONTROL_ERROR_MAX];
};

/* Is there such a path, for this method? 0, or -EINVAL and *ret_error (404, 405). To be asked before the body is read. */
int control_request_route(const char *method, const char *path, enum control_verb *ret,
			  struct control_error *ret_error);

/* 0; -EINVAL and *ret_error (400, 404, 405, 413, or 500 on lack of memory). */
int control_request_parse(const char *method, const char *path,
			  const struct control_parameter *query, size_t n_query, const char *body,
			  size_t body_len, struct control_request *ret,
			  struct control_error *ret_error);

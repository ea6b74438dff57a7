/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One request to the running daemon over its control socket. Blocks, at most timeout_seconds. Errors come as texts
 * for the operator, which name the remedy.
 */

#include <jansson.h>

struct client_reply {
	long status;  /* HTTP */
	json_t *body; /* owned; always an object */
};

void client_reply_deinit(struct client_reply *r);

struct client_request {
	const char *method;
	const char *path;   /* with the query string, encoded */
	const json_t *body; /* borrowed; NULL = none */
	long timeout_seconds;
};

/* 0 whenever the daemon answered, whatever the status; negative errno and *ret_error (owned by the caller) otherwise. */
int client_call(const char *socket, const struct client_request *request, struct client_reply *ret,
		char **ret_error);

/* For a query string. NULL = no memory. Owned by the caller. */
char *client_escape(const char *text);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * HTTP/1.1 checks in the clear: a GET on a connection of its own that says "Connection: close". The status decides as
 * soon as the header is complete; where a body is expected, the whole body up to HTTP_ANSWER_BODY_MAX is read first.
 * Redirects are not followed.
 */

#include "health/connector.h"
#include "health/http-answer.h"

/* What is sent: made for the first attempt, kept for those that follow. Embedded by its owner; zero-initialised. */
struct probe_http_request {
	char *bytes; /* owned */
	size_t size;
};

void probe_http_request_deinit(struct probe_http_request *r);

/* Embedded by its owner; zero-initialised = not running. */
struct probe_http {
	struct connection connection;
	const struct probe_spec *spec; /* borrowed */
	probe_done_t done;
	void *userdata; /* borrowed */
	struct http_answer answer;
};

/* request: of this specification's attempts. */
void probe_http_start(struct probe_http *p, struct connector *connector,
		      const struct probe_spec *spec, struct probe_http_request *request,
		      probe_done_t done, void *userdata);

/* Ends a running attempt without a call of done. Returns what a deadline means now. */
enum probe_outcome probe_http_cancel(struct probe_http *p);

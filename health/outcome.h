/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What one probe found. Values are part of the worker protocol and of the persisted state: append only.
 */

#include <stdint.h>

enum probe_outcome {
	PROBE_OK,	       /* detail = status code of an HTTP check */
	PROBE_REFUSED,	       /* RST, or ICMP port unreachable */
	PROBE_UNREACHABLE,     /* no route, ICMP host or net unreachable */
	PROBE_CONNECT_TIMEOUT, /* no connection within the timeout */
	PROBE_TIMEOUT,	       /* connected, but no complete answer within the timeout */
	PROBE_RESET,	       /* closed or reset before the answer was complete */
	PROBE_BAD_RESPONSE,    /* not HTTP, or over the limits */
	PROBE_WRONG_STATUS,    /* the status did not match; detail = status code */
	PROBE_WRONG_BODY,
	PROBE_INTERNAL_ERROR, /* ours: no socket, no memory; never counts; detail = errno */
	_PROBE_OUTCOME_MAX,
};

/*
 * What a failed connect() says. Errors that tell about this host rather than about the target (no port left, no
 * memory, no permission) are PROBE_INTERNAL_ERROR.
 */
enum probe_outcome probe_outcome_from_errno(int error);

enum {
	PROBE_OUTCOME_TEXT_MAX = 64,
};

/*
 * With what the detail adds: "ok (200)", "wrong status 503", "internal error: Operation not permitted"; an errno that
 * only says "refused" again is left out. Returns buf.
 */
const char *probe_outcome_describe(enum probe_outcome o, int32_t detail,
				   char buf[static PROBE_OUTCOME_TEXT_MAX]);

/* "ok", "refused", "connect timed out", … for logs and status. */
const char *probe_outcome_to_string(enum probe_outcome o);

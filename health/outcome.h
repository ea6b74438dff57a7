/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What one probe found. Values are part of the worker protocol and of the persisted state: append only.
 */

#include <stdbool.h>
#include <stdint.h>

enum probe_outcome {
	PROBE_OK,	       /* detail = status code of an HTTP check */
	PROBE_REFUSED,	       /* RST, or ICMP port unreachable */
	PROBE_UNREACHABLE,     /* no route, ICMP host or net unreachable */
	PROBE_CONNECT_TIMEOUT, /* no connection within the timeout */
	PROBE_TIMEOUT,	       /* no complete answer within the timeout, of checks without stages */
	PROBE_RESET,	       /* closed or reset before the answer was complete */
	PROBE_BAD_RESPONSE,    /* not what the protocol demands */
	PROBE_WRONG_STATUS,    /* the status did not match; detail = status code */
	PROBE_WRONG_BODY,
	PROBE_INTERNAL_ERROR, /* ours: no socket, no memory; never counts; detail = errno */
	PROBE_TLS_TIMEOUT,    /* connected, but no end of the TLS handshake within the timeout */
	PROBE_HEADER_TIMEOUT, /* no complete header, where there is one */
	PROBE_BODY_TIMEOUT,   /* a header, but no complete body */
	PROBE_TLS_ERROR,      /* the handshake failed */
	PROBE_CERTIFICATE,    /* it is to be verified, and is not valid; detail = X509_V_ERR_* */
	PROBE_RESOLVER,	      /* the target's name has no address */
	PROBE_WRONG_ANSWER,   /* not what was expected; detail = the code in a DNS answer */
	PROBE_NOT_SERVING,    /* grpc; detail = grpc.health.v1's status */
	PROBE_AGENT_DOWN,     /* the agent says that the target is down */
	PROBE_EXIT_STATUS,    /* detail = the program's exit status */
	PROBE_KILLED,	      /* detail = the signal that ended the program */
	PROBE_TOO_LARGE,      /* the answer is over our limits */
	PROBE_PASSIVE,	      /* the data plane's connections get no answer; said by the daemon */
	_PROBE_OUTCOME_MAX,
};

/* What an agent or a program says about its target beside well or not well. Part of the protocol: append only. */
enum probe_advice {
	PROBE_ADVICE_NONE,
	PROBE_ADVICE_UP,
	PROBE_ADVICE_DOWN,
	PROBE_ADVICE_DRAIN,
	PROBE_ADVICE_MAINT,
	PROBE_ADVICE_READY,
	_PROBE_ADVICE_MAX,
};

enum {
	PROBE_WEIGHT_PERCENT_MAX =
		256 * 100, /* HAProxy's largest weight in per cent of the smallest */
};

/*
 * What a failed connect() says. Errors that tell about this host rather than about the target (no port left, no
 * memory, no permission) are PROBE_INTERNAL_ERROR.
 */
enum probe_outcome probe_outcome_from_errno(int error);

/* The same of a socket that is not even connecting: nothing but the lack of a way says something about the target. */
enum probe_outcome probe_outcome_from_setup(int error);

/* No answer, or not all of it, in time. */
bool probe_outcome_is_timeout(enum probe_outcome o);

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

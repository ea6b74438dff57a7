/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The parts of the libcurl engine: probe-curl.c runs it, -request.c makes requests, -judge.c reads what came back. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "base/libcurl.h"
#include "health/probe-curl.h"
#include "health/probe.h"

/* Why our callbacks took no more of an answer. */
enum probe_curl_refusal {
	PROBE_CURL_NOT_REFUSED,
	PROBE_CURL_ENOUGH, /* all is known */
	PROBE_CURL_HEADER_TOO_LARGE,
	PROBE_CURL_BODY_TOO_LARGE,
	PROBE_CURL_NO_MEMORY,
	PROBE_CURL_NO_AUTHORITIES,
	PROBE_CURL_BAD_AUTHORITIES,
};

struct probe_curl {
	struct probe_curl_engine *engine; /* borrowed */
	struct probe_curl *next_idle;
	CURL *easy;			      /* owned */
	CURLSH *no_sessions;		      /* the engine's; borrowed */
	struct curl_slist *headers, *connect; /* owned */
	const struct probe_spec *spec;	      /* borrowed */
	struct probe_curl_memory *memory;     /* borrowed */
	probe_done_t done;
	void *userdata;		    /* borrowed */
	int fd;			    /* owned until libcurl takes it over; then -1 */
	int socket;		    /* libcurl's; borrowed */
	sd_event_source *connected; /* owned; while the connection is being made */
	bool in_multi;		    /* libcurl has it */
	bool peer_closed;	    /* when libcurl closed it, or reset */
	bool has_header;	    /* the final answer's is complete */
	size_t header_bytes, body_bytes;
	char *body; /* owned; NULL where nothing is to be looked for in it */
	size_t body_capacity;
	int32_t grpc_status; /* -1 = none came */
	enum probe_curl_refusal refusal;
	char error[CURL_ERROR_SIZE];
};

/* https, tls, or grpc over TLS? */
bool probe_curl_has_tls(const struct probe_spec *spec);

/* Is it grpc.health.v1.Health/Check, whose answer says more than a status? */
bool probe_curl_is_health_check(const struct probe_spec *spec);

/* For sessions of TLS; NULL: no memory. */
CURLSH *probe_curl_share_new(void);

/* The options that no specification changes, and then those of p->spec. */
CURLcode probe_curl_set_constants(struct probe_curl *p);
CURLcode probe_curl_set_request(struct probe_curl *p);

/* Does the matcher accept this status, of HTTP or of gRPC? */
bool probe_curl_has_matched(const struct probe_spec *spec, long status);

/* What a finished transfer means. */
enum probe_outcome probe_curl_judge(struct probe_curl *p, CURLcode code, int32_t *ret_detail);

/* What a deadline means now. */
enum probe_outcome probe_curl_judge_deadline(struct probe_curl *p);

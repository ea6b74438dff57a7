/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * HTTP/1.1 checks by libcurl: a GET on a fresh connection, no proxy, no redirect, no other protocol, no name
 * resolution. The target is well when the whole answer (of its body: up to PROBE_CURL_BODY_MAX) arrives with a
 * status that the matcher accepts. The request says "Connection: close", so that a server does not wait for more.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

enum {
	PROBE_CURL_HEADER_MAX = 32 * 1024,
	PROBE_CURL_BODY_MAX = 64 * 1024,
};

struct probe_curl; /* one attempt, from the engine's pool */
struct probe_curl_engine;

int probe_curl_engine_new(sd_event *event, struct probe_curl_engine **ret);

/* No attempt may be running. NULL is fine. */
void probe_curl_engine_free(struct probe_curl_engine *e);

/* spec must live as long as the attempt. 0 or -ENOMEM; done is called later, never from within. */
int probe_curl_start(struct probe_curl_engine *e, const struct probe_spec *spec, probe_done_t done,
		     void *userdata, struct probe_curl **ret);

/* Ends a running attempt without a call of done. Returns what a deadline means now. */
enum probe_outcome probe_curl_cancel(struct probe_curl *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Checks by libcurl: https, http over HTTP/2, grpc, and the bare TLS handshake. One request on a fresh connection, no
 * proxy, no redirect, no other protocol, no name resolution.
 *
 *   http(s)  GET. The target is well when the whole answer arrives (of its body: up to PROBE_CURL_BODY_MAX) with a
 *            status that the matcher accepts, and the body has what is expected; a wrong status is not waited with. HTTP/2, where it is asked for, is
 *            used at once: in the clear without an upgrade, over TLS by ALPN, and an answer in HTTP/1.1 is a failure.
 *   grpc     POST of an empty message, or for grpc.health.v1.Health/Check of its request for the service in the text
 *            SEND. The matcher is for grpc-status; that service must also say that it is serving.
 *   tls      well when the handshake is complete.
 *
 * A TLS session is resumed by the next probe of the same target, but not where the certificate is to be verified: a
 * resumed session shows none. Headers are bounded as well, and never kept.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

enum {
	PROBE_CURL_HEADER_MAX = 32 * 1024,
	PROBE_CURL_BODY_MAX = 64 * 1024,
};

struct probe_curl; /* one attempt, from the engine's pool */
struct probe_curl_engine;

/* What is kept from one probe of a target to the next; zero-initialised. */
struct probe_curl_memory {
	void *sessions; /* owned */
};

int probe_curl_engine_new(sd_event *event, struct probe_curl_engine **ret);

/* No attempt may be running. NULL is fine. */
void probe_curl_engine_free(struct probe_curl_engine *e);

/* No attempt with it may be running. */
void probe_curl_memory_deinit(struct probe_curl_memory *memory);

/*
 * spec and memory must live as long as the attempt. 0 or a negative errno, then without a call of done. *ret is
 * written before done can be called.
 */
int probe_curl_start(struct probe_curl_engine *e, const struct probe_spec *spec,
		     struct probe_curl_memory *memory, probe_done_t done, void *userdata,
		     struct probe_curl **ret);

/* Ends a running attempt without a call of done. Returns what a deadline means now. */
enum probe_outcome probe_curl_cancel(struct probe_curl *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One attempt of any kind of check: which module runs it.
 */

#include <systemd/sd-event.h>

#include "health/probe-agent.h"
#include "health/probe-curl.h"
#include "health/probe-http.h"
#include "health/probe-icmp.h"
#include "health/probe-tcp.h"
#include "health/probe.h"

struct attempt_engines {
	sd_event *event; /* borrowed, like the others */
	struct connector *connector;
	struct connector *handshakes; /* by epoll: those that want no answer (health/connector.h) */
	struct probe_curl_engine *curl;
	struct probe_exec_engine *exec; /* NULL: this process runs no programs */
};

/* Embedded by its owner; zero-initialised. */
struct attempt {
	struct probe_curl_memory curl_memory; /* of the attempts before */
	struct probe_http_request http_request;
	/* Means nothing while no attempt runs. */
	union {
		struct probe_tcp tcp;
		struct probe_http http;
		struct exchange udp;
		struct probe_icmp icmp;
		struct probe_agent agent;
		struct probe_curl *curl; /* these are their modules' while they run */
		struct probe_dns *dns;
		struct probe_exec *exec;
	};
};

/* False: as many of its kind run as may at once, and a start would fail. */
bool attempt_has_place(const struct attempt_engines *engines, const struct probe_spec *spec);

/* Negative errno without a call of done: our own fault, not the target's. */
int attempt_start(struct attempt *a, const struct attempt_engines *engines,
		  const struct probe_spec *spec, probe_advise_t advise, probe_done_t done,
		  void *userdata);

/* spec is the one it was started with. */
enum probe_outcome attempt_cancel(struct attempt *a, const struct probe_spec *spec);

/* No attempt may be running. */
void attempt_deinit(struct attempt *a);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One HAProxy agent check: connects, sends PROTOCOL_TEXT_SEND, reads one line (health/agent-line.h), which ends at
 * the first CR or LF or with the connection. PROBE_AGENT_DOWN where it says so, PROBE_BAD_RESPONSE where it says
 * nothing that is known. An agent that cannot be reached is a failure: it is this target's only check.
 */

#include "health/exchange.h"

/* Embedded by its owner. */
struct probe_agent {
	struct exchange exchange;
	probe_advise_t advise;
};

/* advise: before done, and only after a line that was understood. */
void probe_agent_start(struct probe_agent *p, sd_event *event, const struct probe_spec *spec,
		       probe_advise_t advise, probe_done_t done, void *userdata);
enum probe_outcome probe_agent_cancel(struct probe_agent *p);

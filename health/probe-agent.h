/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One HAProxy agent check: connects, sends PROTOCOL_TEXT_SEND, reads one line (health/agent-line.h), which ends at
 * the first CR or LF or with the connection. PROBE_AGENT_DOWN where it says so, PROBE_BAD_RESPONSE where it says
 * nothing that is known. An agent that cannot be reached is a failure: it is this target's only check.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

struct probe_agent;

/* advise: before done, and only after a line that was understood. -ENOMEM without a call of either. */
int probe_agent_start(sd_event *event, const struct probe_spec *spec, probe_advise_t advise,
		      probe_done_t done, void *userdata, struct probe_agent **ret);
enum probe_outcome probe_agent_cancel(struct probe_agent *p);

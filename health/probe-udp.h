/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One UDP check: sends PROTOCOL_TEXT_SEND as one datagram, even when it is empty. With PROTOCOL_TEXT_EXPECT the
 * first datagram that comes back must contain it (base/pattern.h; PROBE_WRONG_ANSWER); without, any answer is good, and so is silence
 * until the deadline: UDP servers need not answer. ICMP "port unreachable" is PROBE_REFUSED.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

struct probe_udp;

/* -ENOMEM without a call of done. */
int probe_udp_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		    void *userdata, struct probe_udp **ret);
enum probe_outcome probe_udp_cancel(struct probe_udp *p);

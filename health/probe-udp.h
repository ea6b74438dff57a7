/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One UDP check: sends PROTOCOL_TEXT_SEND as one datagram, even when it is empty. With PROTOCOL_TEXT_EXPECT the
 * first datagram that comes back must contain it (base/pattern.h; PROBE_WRONG_ANSWER); without, any answer is good, and so is silence
 * until the deadline: UDP servers need not answer. ICMP "port unreachable" is PROBE_REFUSED.
 */

#include "health/exchange.h"

/* Ended before its time by exchange_cancel(). */
void probe_udp_start(struct exchange *x, sd_event *event, const struct probe_spec *spec,
		     probe_done_t done, void *userdata);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One DNS check: PROTOCOL_TEXT_SEND and _EXPECT are conf/dns-check.h's. By UDP, and anew by TCP where the answer was
 * truncated. PROBE_WRONG_ANSWER has the answer's code as its detail, or 0 where the address was not in it.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

struct probe_dns;

/* -ENOMEM, or -EINVAL for texts that are none, without a call of done. */
int probe_dns_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		    void *userdata, struct probe_dns **ret);
enum probe_outcome probe_dns_cancel(struct probe_dns *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One echo request, ICMP or ICMPv6, and its reply, by an unprivileged ping socket (icmp(7)): the worker's group must
 * be within net.ipv4.ping_group_range, which counts for both families. Else the attempt is PROBE_INTERNAL_ERROR with
 * EACCES and says nothing about the target.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

struct probe_icmp;

/* -ENOMEM without a call of done. */
int probe_icmp_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		     void *userdata, struct probe_icmp **ret);
enum probe_outcome probe_icmp_cancel(struct probe_icmp *p);

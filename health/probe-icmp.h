/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One echo request, ICMP or ICMPv6, and its reply, by an unprivileged ping socket (icmp(7)): the worker's group must
 * be within net.ipv4.ping_group_range, which counts for both families. Else the attempt is PROBE_INTERNAL_ERROR with
 * EACCES and says nothing about the target.
 */

#include "health/exchange.h"

/* Both families' echo messages: RFC 792, RFC 4443 §4. The kernel fills in checksum and identifier. */
struct icmp_echo {
	uint8_t type, code;
	uint16_t checksum, identifier, sequence;
	uint64_t nonce; /* tells our answer from a stranger's */
};

/* Embedded by its owner. */
struct probe_icmp {
	struct exchange exchange;
	struct icmp_echo request;
};

void probe_icmp_start(struct probe_icmp *p, sd_event *event, const struct probe_spec *spec,
		      probe_done_t done, void *userdata);
enum probe_outcome probe_icmp_cancel(struct probe_icmp *p);

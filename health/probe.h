/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is to be probed, and how one attempt reports. An attempt has no clock: the prober ends it at the deadline by
 * cancelling it, and the cancel function tells which kind of timeout that was.
 */

#include "base/addr.h"
#include "base/clock.h"
#include "health/outcome.h"
#include "health/protocol.h"

struct probe_spec {
	uint64_t id;
	uint32_t generation;
	enum protocol_check check;
	struct addr addr;
	struct addr source; /* AF_UNSPEC = the kernel's choice */
	uint16_t port;
	uint32_t firewall_mark; /* 0 = none */
	usec_t interval_usec, timeout_usec;
	char interface[PROTOCOL_IFNAME_MAX]; /* "" = by route */
	uint8_t n_matcher;
	struct protocol_range matcher[PROTOCOL_MATCHER_RANGES];
	char *path;	   /* owned */
	char *host_header; /* owned; "" = address:port */
};

/* May be called before the start function returns. The attempt is over then and its memory is its owner's again. */
typedef void (*probe_done_t)(void *userdata, enum probe_outcome outcome, int32_t detail);

/*
 * A non-blocking TCP socket with the specification's source address, interface and mark; negative errno. Without
 * capabilities SO_MARK is refused with EPERM, and SO_BINDTODEVICE where the kernel is older than 5.7.
 *
 * It is closed by a reset (SO_LINGER 0): a regular close would leave a TIME_WAIT behind for every probe, here or
 * on the target.
 */
int probe_socket_open(const struct probe_spec *spec);

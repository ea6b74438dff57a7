/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What is to be probed, and how one attempt reports. An attempt has no clock: the prober ends it at the deadline by
 * cancelling it, and the cancel function tells which kind of timeout that was. Each kind of check has
 *
 *   probe_X_start(event or engine, spec, done, userdata, …)   spec outlives the attempt
 *   enum probe_outcome probe_X_cancel(attempt)                no call of done; what a deadline means now
 *
 * and calls done once, unless it is cancelled.
 */

#include "base/addr.h"
#include "base/clock.h"
#include "health/outcome.h"
#include "health/protocol.h"

struct tls_store;

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
	uint32_t flags;			/* PROTOCOL_PROBE_* */
	struct tls_store *authorities;	/* a reference; NULL = the system's */
	char *texts;			/* owned: what the next point into */
	char *text[_PROTOCOL_TEXT_MAX]; /* borrowed; each terminated, "" when absent */
	size_t text_size[_PROTOCOL_TEXT_MAX];
};

/*
 * From a record that passed protocol_check() and is whole in memory, texts included. authorities: those that it names,
 * borrowed; NULL = the system's. -ENOMEM.
 */
int probe_spec_init(struct probe_spec *spec, const struct protocol_probe *from,
		    struct tls_store *authorities);
void probe_spec_deinit(struct probe_spec *spec);

/* May be called before the start function returns. The attempt is over then and its memory is its owner's again. */
typedef void (*probe_done_t)(void *userdata, enum probe_outcome outcome, int32_t detail);

/* What agents and programs say beside it. weight_percent: -1 = nothing. */
typedef void (*probe_advise_t)(void *userdata, int32_t weight_percent, enum probe_advice advice);

/*
 * A non-blocking TCP socket with the specification's source address, interface and mark; negative errno. Without
 * capabilities SO_MARK is refused with EPERM, and SO_BINDTODEVICE where the kernel is older than 5.7.
 *
 * It is closed by a reset (SO_LINGER 0): a regular close would leave a TIME_WAIT behind for every probe, here or
 * on the target.
 */
int probe_socket_open(const struct probe_spec *spec);

/* The same of any type and protocol. */
int probe_socket_open_as(const struct probe_spec *spec, int type, int protocol);

enum {
	PROBE_PROXY_HEADER_LEN = 16,
};

/*
 * What a probe with PROTOCOL_PROBE_PROXY_V2 begins with, right after the connection is made and before a handshake
 * of TLS: a PROXY protocol version 2 header with the command LOCAL, as the protocol's text asks of health checks; it
 * names no client.
 */
extern const char probe_proxy_header[PROBE_PROXY_HEADER_LEN];

/* Sends it; the buffer of a fresh connection has room for all of it. Negative errno. */
int probe_socket_send_proxy_header(int fd);

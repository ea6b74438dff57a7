/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon and a health worker say to each other: one fixed-width record per datagram of an AF_UNIX
 * SOCK_SEQPACKET pair, same machine and same binary, versioned because an upgraded daemon may find an old worker.
 * Pure. The daemon does not trust the worker: every record is validated by protocol_check_*().
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

enum {
	PROTOCOL_VERSION = 1,
	PROTOCOL_PATH_MAX = 1024,
	PROTOCOL_HOST_MAX = 256,
	PROTOCOL_IFNAME_MAX = 16,
	PROTOCOL_MATCHER_RANGES = 16,
};

enum protocol_kind {
	PROTOCOL_HELLO = 1, /* both ways, first; carries the version */
	PROTOCOL_PROBE_SET, /* daemon -> worker: add, or replace if the id is known */
	PROTOCOL_PROBE_DEL, /* daemon -> worker */
	PROTOCOL_RESULT,    /* worker -> daemon */
	PROTOCOL_HEARTBEAT, /* worker -> daemon, every PROTOCOL_HEARTBEAT_USEC */
	_PROTOCOL_KIND_MAX,
};

#define PROTOCOL_HEARTBEAT_USEC (500 * USEC_PER_MSEC)

enum protocol_check {
	PROTOCOL_CHECK_TCP,
	PROTOCOL_CHECK_HTTP,
	_PROTOCOL_CHECK_MAX,
};

struct protocol_header {
	uint16_t version;
	uint16_t kind;
	uint32_t size; /* of the whole record */
};

struct protocol_hello {
	struct protocol_header header;
	uint32_t pid;
	uint32_t reserved;
};

struct protocol_range {
	uint16_t low, high;
};

struct protocol_probe {
	struct protocol_header header;
	uint64_t id;	     /* the daemon's; stable over restarts, decides the phase */
	uint32_t generation; /* echoed in results: results of an older specification are dropped */
	uint8_t check;	     /* enum protocol_check */
	uint8_t n_matcher;
	uint16_t port;
	struct addr addr;
	struct addr source; /* AF_UNSPEC = the kernel's choice */
	uint32_t firewall_mark;
	uint32_t zero; /* no padding anywhere: records are compared and hashed as bytes */
	uint64_t interval_usec;
	uint64_t timeout_usec;
	struct protocol_range matcher[PROTOCOL_MATCHER_RANGES];
	char interface[PROTOCOL_IFNAME_MAX];
	char host_header[PROTOCOL_HOST_MAX]; /* "" = address:port */
	char path[PROTOCOL_PATH_MAX + 1];
	uint8_t has_history; /* probed before: no early first probe */
	uint8_t reserved[6];
};

struct protocol_probe_del {
	struct protocol_header header;
	uint64_t id;
};

struct protocol_result {
	struct protocol_header header;
	uint64_t id;
	uint32_t generation;
	uint32_t outcome; /* enum probe_outcome */
	int32_t detail;
	uint32_t duration_usec;
	uint64_t due_usec;   /* monotonic: when the schedule wanted it */
	uint64_t start_usec; /* monotonic: when it began; start - due = lateness */
};

struct protocol_heartbeat {
	struct protocol_header header;
	uint64_t now_usec; /* monotonic */
	uint64_t probes_started;
	uint64_t max_lateness_usec; /* since the last heartbeat */
	uint32_t probes;	    /* specifications held */
	uint32_t in_flight;
	uint64_t probes_skipped;  /* due, but the loop came too late or the one before still ran */
	uint64_t results_dropped; /* oldest first, because the daemon did not read */
};

/* Fills the header. */
void protocol_init(struct protocol_header *h, enum protocol_kind kind, size_t size);

#define PROTOCOL_INTERVAL_MIN_USEC (10 * USEC_PER_MSEC)
#define PROTOCOL_INTERVAL_MAX_USEC (86400 * USEC_PER_SEC)

/*
 * Is this datagram a whole, sane record? Checks version, size, kind, enum ranges, string termination, address
 * family, interval and timeout (timeout <= interval), and that no byte of path and host_header can leave its place
 * in an HTTP request. 0 and *ret_kind, -EPROTONOSUPPORT on another version, -EBADMSG otherwise.
 */
int protocol_check(const void *record, size_t size, enum protocol_kind *ret_kind);

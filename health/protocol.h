/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the daemon and a health worker say to each other: records in datagrams of an AF_UNIX SOCK_SEQPACKET pair, same
 * machine and same binary, versioned because an upgraded daemon may find an old worker. The daemon sends one record in
 * a datagram, a worker one or more. Records have a fixed size, but for a specification, which is followed by its texts,
 * and an authority, which is followed by its certificate. Pure. Neither side trusts the other: every record is validated
 * by protocol_check().
 *
 * The authorities of a target group reach a worker once, however many targets name them: as a set with a number, by one
 * record for each certificate, ahead of the first specification with that number. A set never changes: other
 * certificates have another number, which makes other specifications, so that no probe is judged by a part of a set, and
 * no result of one set counts for another. The daemon takes a set back when no specification of this worker has its
 * number any more. (A descriptor of a file in memory would be one record a set, but one that can not be checked as bytes,
 * and the worker would have to take descriptors.)
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

enum {
	PROTOCOL_VERSION = 4,
	PROTOCOL_PATH_MAX = 1024,
	PROTOCOL_HOST_MAX = 253 + 6, /* a DNS name, a colon and a port */
	PROTOCOL_PAYLOAD_MAX = 1024,
	PROTOCOL_COMMAND_MAX = 4096,
	PROTOCOL_IFNAME_MAX = 16,
	PROTOCOL_CERTIFICATE_MAX = 16384,
	PROTOCOL_RESULTS_MAX = 128, /* in one datagram */
	PROTOCOL_MATCHER_RANGES = 16,
	PROTOCOL_TEXTS_MAX = PROTOCOL_PATH_MAX + 2 * PROTOCOL_HOST_MAX + 2 * PROTOCOL_PAYLOAD_MAX +
			     PROTOCOL_COMMAND_MAX + ADDR_STR_MAX - 1,
};

enum protocol_kind {
	PROTOCOL_HELLO = 1, /* both ways, first; carries the version */
	PROTOCOL_PROBE_SET, /* daemon -> worker: add, or replace if the id is known */
	PROTOCOL_PROBE_DEL, /* daemon -> worker */
	PROTOCOL_RESULT,    /* worker -> daemon */
	PROTOCOL_HEARTBEAT, /* worker -> daemon, every PROTOCOL_HEARTBEAT_USEC */
	PROTOCOL_PROBE_NOW, /* daemon -> worker: do not wait for the schedule, once */
	PROTOCOL_AUTHORITY, /* daemon -> worker: one more certificate of a set, which the first one makes */
	PROTOCOL_AUTHORITIES_DEL, /* daemon -> worker: no specification names this set from now on */
	_PROTOCOL_KIND_MAX,
};

#define PROTOCOL_HEARTBEAT_USEC (500 * USEC_PER_MSEC)

enum protocol_check {
	PROTOCOL_CHECK_TCP,
	PROTOCOL_CHECK_HTTP,
	PROTOCOL_CHECK_HTTPS,
	PROTOCOL_CHECK_TLS,
	PROTOCOL_CHECK_GRPC,
	PROTOCOL_CHECK_UDP,
	PROTOCOL_CHECK_DNS,
	PROTOCOL_CHECK_ICMP,
	PROTOCOL_CHECK_EXEC,
	PROTOCOL_CHECK_AGENT,
	_PROTOCOL_CHECK_MAX,
};

/* The texts of a specification, in the order in which they follow it. SEND and EXPECT may hold any byte. */
enum protocol_text {
	PROTOCOL_TEXT_PATH, /* request target, "/…" */
	PROTOCOL_TEXT_HOST, /* Host header; absent = address:port */
	PROTOCOL_TEXT_SERVER_NAME,
	PROTOCOL_TEXT_SEND,
	PROTOCOL_TEXT_EXPECT,
	PROTOCOL_TEXT_COMMAND,
	PROTOCOL_TEXT_THROUGH, /* numeric address of the target that forwards to `addr`; absent = addr is the target's */
	_PROTOCOL_TEXT_MAX,
};

enum {
	PROTOCOL_PROBE_HISTORY = 1 << 0, /* probed before: no early first probe */
	PROTOCOL_PROBE_VERIFY_CERTIFICATE = 1 << 1,
	PROTOCOL_PROBE_HTTP2 = 1 << 2,
	PROTOCOL_PROBE_TLS = 1 << 3,	  /* grpc: not in the clear */
	PROTOCOL_PROBE_PROXY_V2 = 1 << 4, /* begins with a PROXY protocol header */
	PROTOCOL_PROBE_FLAGS = (1 << 5) - 1,
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
	struct protocol_header header; /* .size includes the texts */
	uint64_t id;		       /* the daemon's; stable over restarts, decides the phase */
	uint32_t generation; /* echoed in results: results of an older specification are dropped */
	uint8_t check;	     /* enum protocol_check */
	uint8_t n_matcher;
	uint16_t port; /* 0 where the check has none */
	struct addr addr;
	struct addr source; /* AF_UNSPEC = the kernel's choice */
	uint32_t firewall_mark;
	uint32_t flags; /* PROTOCOL_PROBE_* */
	uint64_t interval_usec;
	uint64_t timeout_usec;
	uint64_t
		authorities; /* number of the set that verifies the certificate; 0 = the system's */
	struct protocol_range matcher[PROTOCOL_MATCHER_RANGES];
	char interface[PROTOCOL_IFNAME_MAX];
	uint16_t text_size[_PROTOCOL_TEXT_MAX]; /* bytes; 0 = absent */
	uint16_t zero[1]; /* no padding anywhere: records are compared and hashed as bytes */
};

/* A specification with room for its texts, which have no terminators and no padding between them. */
struct protocol_probe_record {
	struct protocol_probe probe;
	char texts[PROTOCOL_TEXTS_MAX];
};

struct protocol_probe_del {
	struct protocol_header header;
	uint64_t id;
};

struct protocol_probe_now {
	struct protocol_header header;
	uint64_t id; /* one that is not known is fine */
};

/* The certificate follows, in DER, up to the end of the record. */
struct protocol_authority {
	struct protocol_header header; /* .size includes it */
	uint64_t authorities;	       /* number of the set, not 0 */
};

struct protocol_authority_record {
	struct protocol_authority authority;
	unsigned char certificate[PROTOCOL_CERTIFICATE_MAX];
};

struct protocol_authorities_del {
	struct protocol_header header;
	uint64_t authorities; /* one that is not known is fine */
};

struct protocol_result {
	struct protocol_header header;
	uint64_t id;
	uint32_t generation;
	uint32_t outcome; /* enum probe_outcome */
	int32_t detail;
	uint32_t duration_usec;
	int32_t weight_percent; /* what an agent or a program said of the target's weight; -1 = nothing */
	uint32_t agent_state; /* enum probe_advice */
	uint64_t due_usec;   /* monotonic: when the schedule wanted it, or it got a place at last */
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
	uint64_t probes_waiting;  /* for a place: programs of exec checks have so many */
	uint64_t probes_left_out; /* due, but the one before waited, or ran late for that */
};

/* Fills the header. */
void protocol_init(struct protocol_header *h, enum protocol_kind kind, size_t size);

/* Appends a text to a record whose header protocol_init() has filled: each once, in their order. -E2BIG: too long. */
int protocol_probe_append(struct protocol_probe_record *r, enum protocol_text which,
			  const char *text, size_t size);

/* A whole record; size is 1 to PROTOCOL_CERTIFICATE_MAX. */
void protocol_authority_init(struct protocol_authority_record *r, uint64_t authorities,
			     const void *certificate, size_t size);

/* Where the text begins in a checked record that is whole in memory; its length is p->text_size[which]. */
const char *protocol_probe_text(const struct protocol_probe *p, enum protocol_text which);

/* The largest datagram of a worker. */
#define PROTOCOL_DATAGRAM_MAX (PROTOCOL_RESULTS_MAX * sizeof(struct protocol_result))

/*
 * How long the first record of a datagram says that it is, for protocol_check(); `size` where that cannot be, which
 * then fails.
 */
size_t protocol_first_size(const void *datagram, size_t size);

#define PROTOCOL_INTERVAL_MIN_USEC (10 * USEC_PER_MSEC)
#define PROTOCOL_INTERVAL_MAX_USEC (86400 * USEC_PER_SEC)

/*
 * Is this datagram a whole, sane record? Checks version, size, kind, enum ranges, address family, interval and timeout
 * (timeout <= interval), that the texts fill the record exactly, that no byte of path, host and server name can
 * leave its place in a request, and that authorities are named only where a certificate is verified; but not what is in
 * a certificate. 0 and *ret_kind, -EPROTONOSUPPORT on another version, -EBADMSG otherwise.
 */
int protocol_check(const void *record, size_t size, enum protocol_kind *ret_kind);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The health worker process: reads specifications from `fd`, probes, writes results. Runs as an unprivileged user
 * without capabilities under a seccomp filter, which it puts on itself before it reads the first byte (but see
 * enum worker_kind). Ends when the
 * daemon closes its end. Never returns to the daemon's code: the daemon starts it with fork and exec of its own
 * binary, `ipvsd health-worker USER KIND`, with the socket as descriptor 3.
 */

#include <sys/types.h>

#include "health/protocol.h"

/* What the process may do, and so which specifications it takes: those of another kind end it. */
enum worker_kind {
	WORKER_NETWORK, /* all checks but exec, without a firewall mark */
	WORKER_MARK,	/* the same with a mark, for which it keeps CAP_NET_RAW */
	WORKER_EXEC,	/* exec alone; no seccomp filter, which its programs would inherit */
	_WORKER_KIND_MAX,
};

/* The kind that has this specification. */
enum worker_kind worker_kind_of(const struct protocol_probe *p);

const char *worker_kind_to_string(enum worker_kind k);		   /* "network", "mark", "exec" */
int worker_kind_from_string(const char *s, enum worker_kind *ret); /* -EINVAL */

/* fd: seqpacket socket, owned. user: name to become when started as root. Returns an exit status. */
int worker_main(int fd, const char *user, enum worker_kind kind);

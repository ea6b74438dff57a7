/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The health worker process: reads specifications from `fd`, probes, writes results. Runs as an unprivileged user
 * without capabilities under a seccomp filter, which it puts on itself before it reads the first byte. Ends when the
 * daemon closes its end. Never returns to the daemon's code: the daemon starts it with fork and exec of its own
 * binary, `ipvsd health-worker`, with the socket as descriptor 3.
 */

#include <sys/types.h>

/* fd: seqpacket socket, owned. user: name to become when started as root. Returns an exit status. */
int worker_main(int fd, const char *user);

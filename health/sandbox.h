/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Gives up, for this process and for good, what a health worker does not need. Two steps, because what the event
 * loop and libcurl set up once is not in the filter. Both return 0 or negative errno and name the step in *ret_step.
 */

enum sandbox_capabilities {
	SANDBOX_NO_CAPABILITY,
	SANDBOX_KEEP_NET_RAW, /* for SO_MARK, since Linux 5.17; where this process has it at all */
};

/*
 * Closes all descriptors but 0, 1, 2 and keep_fd; raises the descriptor limit; as root becomes `user` with its one
 * primary group; drops all other capabilities for ever (bounding and ambient sets too); no new privileges, no core, no
 * ptrace; dies with its parent.
 */
int sandbox_drop(const char *user, int keep_fd, enum sandbox_capabilities keep,
		 const char **ret_step);

/*
 * The seccomp filter: an allow-list, with sockets of streams and datagrams of IPv4 and IPv6 alone. What would start a program, open a file, trace or change identity kills the
 * process; any other call fails with ENOSYS, which lets a newer C library fall back to an older call instead of
 * ending the health checks of the whole host.
 */
int sandbox_filter(const char **ret_step);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Gives up, for this process and for good, what a health worker does not need. Two steps, because what the event
 * loop and libcurl set up once is not in the filter. Both return 0 or negative errno and name the step in *ret_step.
 */

/*
 * Closes all descriptors but 0, 1, 2 and keep_fd; raises the descriptor limit; as root becomes `user` with its one
 * primary group; drops all capabilities for ever (bounding and ambient sets too); no new privileges, no core, no
 * ptrace; dies with its parent.
 */
int sandbox_drop(const char *user, int keep_fd, const char **ret_step);

/*
 * The seccomp filter: an allow-list. What would start a program, open a file, trace or change identity kills the
 * process; any other call fails with ENOSYS, which lets a newer C library fall back to an older call instead of
 * ending the health checks of the whole host.
 */
int sandbox_filter(const char **ret_step);

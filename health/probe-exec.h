/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One exec check: runs PROTOCOL_TEXT_COMMAND (words as conf/command.h splits them; no shell, nothing is expanded) in a
 * session of its own. Exit status 0 is well; else PROBE_EXIT_STATUS, or PROBE_KILLED by a signal. A program that
 * cannot be started is our configuration's fault, and so PROBE_INTERNAL_ERROR. At the end of the program, and at the
 * deadline, all that it has started is killed.
 *
 * Environment: PATH, IPVSD_TARGET_ADDRESS, IPVSD_TARGET_PORT, and the terminated strings of PROTOCOL_TEXT_SEND.
 * Standard input is empty. The first EXEC_OUTPUT_MAX bytes of what it says are kept (health/exec-output.h), the rest
 * is read and dropped.
 *
 * For a process that does nothing else: the engine takes over SIGCHLD and adopts orphans (PR_SET_CHILD_SUBREAPER).
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

enum {
	EXEC_OUTPUT_MAX = 4096,
	EXEC_IN_FLIGHT_MAX = 64,
	EXEC_PROCESSES_MAX = 512, /* of all checks together, as RLIMIT_NPROC of their user */
};

struct probe_exec_engine;
struct probe_exec;

int probe_exec_engine_new(sd_event *event, struct probe_exec_engine **ret);

/* False while EXEC_IN_FLIGHT_MAX checks run; one that ends has left its place when done is called. */
bool probe_exec_has_place(const struct probe_exec_engine *e);

/* No check may be running. */
void probe_exec_engine_free(struct probe_exec_engine *e);

/* advise: before done. Without a call of either: -EAGAIN (too many run), -EINVAL (no command), or what fork() says. */
int probe_exec_start(struct probe_exec_engine *e, const struct probe_spec *spec,
		     probe_advise_t advise, probe_done_t done, void *userdata,
		     struct probe_exec **ret);
enum probe_outcome probe_exec_cancel(struct probe_exec *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The fast path's process: started in a session of its own, so that it lives on when this one ends; or found running,
 * left by a daemon before us. Its output goes to a memory file, for a pipe would break with the daemon; what is new in
 * it is passed on to our log.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

enum {
	FASTPATH_PROCESS_REASON_MAX = 200,
};

/* Called once, with why ("exited with status 1: no free huge pages"). */
typedef void (*fastpath_process_exit_fn)(const char *reason, void *userdata);

struct fastpath_process {
	pid_t pid;	      /* 0 = none */
	uint64_t start_ticks; /* with the pid the process's identity (field 22 of /proc/PID/stat) */
	int pidfd, output_fd; /* owned; -1 = none */
	off_t passed_on;      /* of the output */
	sd_event_source *exit; /* owned */
	fastpath_process_exit_fn on_exit;
	void *userdata;
};

#define FASTPATH_PROCESS_INIT ((struct fastpath_process){ .pidfd = -1, .output_fd = -1 })

/* argv[0] is the program's path. Negative errno. */
int fastpath_process_start(struct fastpath_process *p, sd_event *event, char *const *argv,
			   fastpath_process_exit_fn on_exit, void *userdata);

/* -ESRCH: it does not run any more. */
int fastpath_process_adopt(struct fastpath_process *p, sd_event *event, pid_t pid,
			   uint64_t start_ticks, fastpath_process_exit_fn on_exit, void *userdata);

/* Kills it and waits, without the loop, for at most timeout. 0, -ESRCH (it was gone), -ETIMEDOUT. */
int fastpath_process_end(pid_t pid, uint64_t start_ticks, unsigned timeout_msec);

/*
 * Has it begun to end? Its memory goes first, which may take longer than its traffic can wait, and its descriptors tell
 * only later.
 */
bool fastpath_process_is_ending(const struct fastpath_process *p);

void fastpath_process_signal(const struct fastpath_process *p, int signal);

/* Of its output: usually why it failed. "" when there is none. */
void fastpath_process_last_line(const struct fastpath_process *p,
				char buf[static FASTPATH_PROCESS_REASON_MAX]);

/* Logs the new lines of its output. */
void fastpath_process_pass_on(struct fastpath_process *p);

/* Lets go of it; it runs on if it runs. */
void fastpath_process_deinit(struct fastpath_process *p);

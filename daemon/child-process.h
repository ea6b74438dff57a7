/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How the daemon starts processes: no signal blocked or ignored, no descriptor but those that are given. And this
 * program itself as another process, which talks over a seqpacket socket: health workers, the resolver.
 */

#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <systemd/sd-event.h>

enum {
	CHILD_PROCESS_FD = 3, /* where the process finds its socket */
	CHILD_PROCESS_END_MAX = 64,
};

/* flags: POSIX_SPAWN_* beside those for the signals. Negative errno. */
int child_process_spawn(const char *path, const posix_spawn_file_actions_t *actions, short flags,
			char *const *argv, char *const *env, pid_t *ret);

struct child_process_plan {
	char *const *argv;		 /* "ipvsd", the verb and what it takes; borrowed */
	int our_bytes, its_bytes;	 /* send buffers; 0 = the kernel's size */
	sd_event_io_handler_t on_io;	 /* EPOLLIN */
	sd_event_child_handler_t on_end; /* calls child_process_note_end() */
	void *userdata;
};

struct child_process {
	int fd;	   /* owned; ours, non-blocking; -1 = there is none that we talk to */
	pid_t pid; /* 0 = it has ended, or there is none */
	sd_event_source *io, *end; /* owned */
};

#define CHILD_PROCESS_INIT ((struct child_process){ .fd = -1 })

/* Negative errno: nothing runs. */
int child_process_start(sd_event *event, const struct child_process_plan *plan,
			struct child_process *ret);

/* Kills it, and hears no more of it but its end. */
void child_process_drop(struct child_process *p);
void child_process_note_end(struct child_process *p);

/* Kills it, and waits for its end: bounded. */
void child_process_deinit(struct child_process *p);

/* "exited with status 1", "was killed by signal 9". Returns buf. */
const char *child_process_describe_end(const siginfo_t *si, char buf[static CHILD_PROCESS_END_MAX]);

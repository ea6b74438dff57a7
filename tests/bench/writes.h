/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Counts what a process asks of a generic-netlink family, by looking at its system calls (ptrace): a count that does
 * not trust the process's own. The process must send with send(), sendto() or sendmsg() with one buffer.
 */

#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

struct writes {
	pid_t pid;
	uint16_t family;
	pthread_t thread;
	int ready_fd, stop_fd; /* owned */
	/* Valid after writes_stop(). */
	uint64_t requests; /* that change something: no dumps, no queries */
	uint64_t queries;
	int error;
};

/* Returns when every system call from now on is seen. */
int writes_start(struct writes *w, pid_t pid, uint16_t family);
int writes_stop(struct writes *w);

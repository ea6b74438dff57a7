/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Programs on the lab's hosts. Their output goes to memory files, so that nobody has to read while they run. They are
 * killed when the thread that spawned them ends: spawn from the main thread.
 */

#include <stdbool.h>
#include <sys/types.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct lab_host;

struct lab_process {
	pid_t pid;
	int pidfd;    /* owned; -1 = not running, or waited for */
	int out, err; /* owned; memory files */
	int status;   /* exit status, or 128 + signal, once waited for; -1 before */
};

#define LAB_PROCESS_INIT ((struct lab_process){ .pidfd = -1, .out = -1, .err = -1, .status = -1 })

/* Further descriptors that the child gets, as 3, 4 … */
struct lab_spawn_options {
	const char *const
		*environment; /* "NAME=VALUE", NULL-terminated, added to ours; may be NULL */
	const int *fds;
	size_t n_fds;
};

/* host NULL: where we are. argv[0] is looked up in PATH. options may be NULL. */
int lab_spawn(const struct lab_host *host, const char *const *argv,
	      const struct lab_spawn_options *options, struct lab_process *ret);

bool lab_process_running(struct lab_process *p);

/* 0 and p->status, or -ETIMEDOUT. */
int lab_process_wait(struct lab_process *p, usec_t timeout_usec);

/* Sends the signal; 0 also when the process has ended. */
int lab_process_signal(struct lab_process *p, int signal);

/* Kills what still runs, closes everything. */
void lab_process_deinit(struct lab_process *p);

/* All that was written to fd (p->out, p->err) until now; owned by the caller, "" when nothing. NULL = no memory. */
char *lab_output_read(int fd);

/* The path of another program of the build, relative to the directory of the running one. Returns buf. */
enum {
	LAB_PATH_MAX = 1024,
};
const char *lab_program(const char *relative, char buf[static LAB_PATH_MAX]);

struct lab_result {
	int status;	 /* as lab_process.status */
	char *out, *err; /* owned, never NULL */
	usec_t duration_usec;
};

#define LAB_RESULT_INIT ((struct lab_result){ .status = -1 })

void lab_result_deinit(struct lab_result *r);

/* Runs to the end; -ETIMEDOUT after 30 s. */
int lab_run(const struct lab_host *host, const char *const *argv, struct lab_result *ret);

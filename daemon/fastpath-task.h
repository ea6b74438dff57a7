/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What may take the kernel seconds, such as binding a PCI device to another driver, in a child of this process: health
 * checks and the control interface go on meanwhile. One at a time. A child that hangs in the kernel cannot be ended;
 * it is waited for no longer than its deadline, and there is no other task until it is gone.
 */

#include <stdbool.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/clock.h"

enum {
	FASTPATH_TASK_REASON_MAX = 256,
};

/* Runs in the child, on a copy of everything; ends up as error and reason of on_end. */
typedef int (*fastpath_task_fn)(const void *arg, char ret_reason[static FASTPATH_TASK_REASON_MAX]);
/* Once, from the loop. -ETIMEDOUT, -ECHILD: it did not come to its end. */
typedef void (*fastpath_task_end_fn)(int error, const char *reason, void *userdata);

struct fastpath_task {
	pid_t pid;			       /* 0 = none */
	int pidfd;			       /* owned; -1 = none */
	struct fastpath_task_outcome *outcome; /* owned; shared with the child */
	sd_event_source *exit, *deadline;      /* owned */
	fastpath_task_end_fn on_end;	       /* NULL: it was told */
	void *userdata;
};

#define FASTPATH_TASK_INIT ((struct fastpath_task){ .pidfd = -1 })

/* Negative errno: nothing runs. */
int fastpath_task_start(struct fastpath_task *t, sd_event *event, fastpath_task_fn fn,
			const void *arg, usec_t timeout_usec, fastpath_task_end_fn on_end,
			void *userdata);
bool fastpath_task_is_running(const struct fastpath_task *t);

/* Waits for its end without the loop, at most so long; then it is killed. on_end is not called. */
void fastpath_task_deinit(struct fastpath_task *t, usec_t patience_usec);

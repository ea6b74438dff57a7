/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-task.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"

struct fastpath_task_outcome {
	bool is_complete;
	int error;
	char reason[FASTPATH_TASK_REASON_MAX];
};

bool fastpath_task_is_running(const struct fastpath_task *t)
{
	return t->pid != 0;
}

static void forget(struct fastpath_task *t)
{
	t->exit = sd_event_source_disable_unref(t->exit);
	t->deadline = sd_event_source_disable_unref(t->deadline);
	cleanup_close(&t->pidfd);
	if (t->outcome)
		(void)munmap(t->outcome, sizeof(*t->outcome));
	*t = FASTPATH_TASK_INIT;
}

static void kill_child(const struct fastpath_task *t)
{
	(void)syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
}

static int on_exit_of_child(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct fastpath_task_outcome outcome = { .error = -ECHILD };
	struct fastpath_task *t = userdata;
	fastpath_task_end_fn on_end = t->on_end;
	void *context = t->userdata;
	siginfo_t si = { 0 };

	(void)s;
	(void)fd;
	(void)revents;
	(void)waitid(P_PIDFD, (id_t)t->pidfd, &si, WEXITED | WNOHANG);
	if (t->outcome->is_complete)
		outcome = *t->outcome;
	else
		strcpy(outcome.reason, "the child that was to do it has ended");
	forget(t);
	if (on_end)
		on_end(outcome.error, outcome.reason, context);
	return 0;
}

static int on_deadline(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct fastpath_task *t = userdata;
	fastpath_task_end_fn on_end = t->on_end;

	(void)s;
	(void)usec;
	kill_child(t);
	t->on_end = NULL;
	if (on_end)
		on_end(-ETIMEDOUT, "the kernel does not come to an end with it", t->userdata);
	return 0;
}

__attribute__((noreturn)) static void run(fastpath_task_fn fn, const void *arg, pid_t parent,
					  struct fastpath_task_outcome *o)
{
	/* The next daemon puts back what it finds: nobody may go on meanwhile. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	o->error = fn(arg, o->reason);
	o->is_complete = true;
	_exit(0);
}

static int watch(struct fastpath_task *t, sd_event *event, usec_t timeout_usec)
{
	int r;

	t->pidfd = (int)syscall(SYS_pidfd_open, t->pid, 0);
	if (t->pidfd < 0)
		return -errno;
	r = sd_event_add_io(event, &t->exit, t->pidfd, EPOLLIN, on_exit_of_child, t);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &t->deadline, CLOCK_MONOTONIC, timeout_usec,
					       0, on_deadline, t);
	return r < 0 ? r : 0;
}

int fastpath_task_start(struct fastpath_task *t, sd_event *event, fastpath_task_fn fn,
			const void *arg, usec_t timeout_usec, fastpath_task_end_fn on_end,
			void *userdata)
{
	pid_t parent = getpid();
	int r;

	if (t->pid)
		return -EBUSY;
	*t = (struct fastpath_task){ .pidfd = -1, .on_end = on_end, .userdata = userdata };
	t->outcome = mmap(NULL, sizeof(*t->outcome), PROT_READ | PROT_WRITE,
			  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (t->outcome == MAP_FAILED) {
		*t = FASTPATH_TASK_INIT;
		return -ENOMEM;
	}
	t->pid = fork();
	if (t->pid == 0)
		run(fn, arg, parent, t->outcome);
	r = t->pid < 0 ? -errno : watch(t, event, timeout_usec);
	if (r < 0) {
		if (t->pid > 0) {
			(void)kill(t->pid, SIGKILL);
			(void)waitpid(t->pid, NULL, 0);
		}
		forget(t);
	}
	return r;
}

void fastpath_task_deinit(struct fastpath_task *t, usec_t patience_usec)
{
	struct pollfd pollfd = { .fd = t->pidfd, .events = POLLIN };
	siginfo_t si;

	if (!t->pid)
		return;
	if (poll(&pollfd, 1, (int)(patience_usec / USEC_PER_MSEC)) == 0) {
		kill_child(t);
		(void)poll(&pollfd, 1, 100);
	}
	(void)waitid(P_PIDFD, (id_t)t->pidfd, &si, WEXITED | WNOHANG);
	forget(t);
}

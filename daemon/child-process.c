/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/child-process.h"

#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "base/cleanup.h"

int child_process_spawn(const char *path, const posix_spawn_file_actions_t *actions, short flags,
			char *const *argv, char *const *env, pid_t *ret)
{
	posix_spawnattr_t attr;
	sigset_t none, all;
	int r;

	if (posix_spawnattr_init(&attr) != 0)
		return -ENOMEM;
	(void)sigemptyset(&none);
	(void)sigfillset(&all);
	(void)posix_spawnattr_setflags(&attr, (short)(POSIX_SPAWN_SETSIGMASK |
						      POSIX_SPAWN_SETSIGDEF | flags));
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	r = posix_spawn(ret, path, actions, &attr, argv, env);
	(void)posix_spawnattr_destroy(&attr);
	return -r;
}

static int spawn_self(int its_fd, char *const *argv, pid_t *ret)
{
	posix_spawn_file_actions_t actions;
	int r;

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	r = -posix_spawn_file_actions_adddup2(&actions, its_fd, CHILD_PROCESS_FD);
	if (r == 0)
		r = -posix_spawn_file_actions_addclosefrom_np(&actions, CHILD_PROCESS_FD + 1);
	if (r == 0)
		r = child_process_spawn("/proc/self/exe", &actions, 0, argv, environ, ret);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

/* Ignoring a failure: a smaller buffer does, more slowly. */
static void set_send_buffer(int fd, int bytes)
{
	if (bytes > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
}

static int watch(sd_event *event, const struct child_process_plan *plan, struct child_process *p)
{
	int r = sd_event_add_child(event, &p->end, p->pid, WEXITED, plan->on_end, plan->userdata);

	if (r >= 0)
		r = sd_event_add_io(event, &p->io, p->fd, EPOLLIN, plan->on_io, plan->userdata);
	return r;
}

int child_process_start(sd_event *event, const struct child_process_plan *plan,
			struct child_process *ret)
{
	_cleanup_(child_process_deinit) struct child_process p = CHILD_PROCESS_INIT;
	_cleanup_close_ int its = -1;
	int pair[2], r;
	pid_t pid = 0;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, pair) < 0)
		return -errno;
	p.fd = pair[0];
	its = pair[1];
	set_send_buffer(p.fd, plan->our_bytes);
	set_send_buffer(its, plan->its_bytes);
	r = spawn_self(its, plan->argv, &pid);
	if (r < 0)
		return r;
	p.pid = pid;
	/* When that fails nobody would hear of its end: no file descriptor is left, perhaps. */
	r = watch(event, plan, &p);
	if (r < 0)
		return r;
	*ret = p;
	p = CHILD_PROCESS_INIT;
	return 0;
}

void child_process_drop(struct child_process *p)
{
	p->io = sd_event_source_disable_unref(p->io);
	cleanup_close(&p->fd);
	p->fd = -1;
	if (p->pid > 0)
		(void)kill(p->pid, SIGKILL);
}

void child_process_note_end(struct child_process *p)
{
	p->end = sd_event_source_disable_unref(p->end);
	p->pid = 0;
}

void child_process_deinit(struct child_process *p)
{
	p->end = sd_event_source_disable_unref(p->end);
	child_process_drop(p);
	if (p->pid > 0)
		(void)waitpid(p->pid, NULL, 0);
	*p = CHILD_PROCESS_INIT;
}

const char *child_process_describe_end(const siginfo_t *si, char buf[static CHILD_PROCESS_END_MAX])
{
	(void)snprintf(buf, CHILD_PROCESS_END_MAX, "%s %d",
		       si->si_code == CLD_EXITED ? "exited with status" : "was killed by signal",
		       si->si_status);
	return buf;
}

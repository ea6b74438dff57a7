/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/writes.h"

#include <errno.h>
#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tests/lab/lab.h"

enum {
	SENT_MAX_BYTES = 1024 * 1024,
	PAUSE_USEC = 100,
};

static bool is_query(uint8_t cmd)
{
	return cmd == IPVS_CMD_GET_SERVICE || cmd == IPVS_CMD_GET_DEST ||
	       cmd == IPVS_CMD_GET_DAEMON || cmd == IPVS_CMD_GET_CONFIG || cmd == IPVS_CMD_GET_INFO;
}

/* What is not a netlink message of the family (the control socket's answers) does not count. */
static void count_messages(struct writes *w, const uint8_t *buf, size_t len)
{
	while (len >= NLMSG_HDRLEN + GENL_HDRLEN) {
		struct nlmsghdr nlh;
		struct genlmsghdr genl;

		memcpy(&nlh, buf, sizeof(nlh));
		memcpy(&genl, buf + NLMSG_HDRLEN, sizeof(genl));
		if (nlh.nlmsg_type != w->family || nlh.nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN ||
		    nlh.nlmsg_len > len)
			return;
		if (is_query(genl.cmd))
			w->queries++;
		else
			w->requests++;
		len -= MIN(len, NLMSG_ALIGN(nlh.nlmsg_len));
		buf += NLMSG_ALIGN(nlh.nlmsg_len);
	}
}

static int read_memory(const struct writes *w, uint64_t address, void *buf, size_t len)
{
	struct iovec local = { .iov_base = buf, .iov_len = len };
	struct iovec remote = { .iov_base = (void *)(uintptr_t)address, .iov_len = len };

	return process_vm_readv(w->pid, &local, 1, &remote, 1, 0) == (ssize_t)len ? 0 : -errno;
}

static int look_at_call(struct writes *w)
{
	struct __ptrace_syscall_info info;
	_cleanup_free_ uint8_t *buf = NULL;
	struct iovec sent;
	struct msghdr msg;
	int r = 0;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, w->pid, sizeof(info), &info) < 0)
		return -errno;
	if (info.op != PTRACE_SYSCALL_INFO_ENTRY)
		return 0;
	if (info.entry.nr == SYS_sendto) {
		sent.iov_base = (void *)(uintptr_t)info.entry.args[1];
		sent.iov_len = info.entry.args[2];
	} else if (info.entry.nr == SYS_sendmsg) {
		r = read_memory(w, info.entry.args[1], &msg, sizeof(msg));
		if (r == 0 && msg.msg_iovlen > 0)
			r = read_memory(w, (uintptr_t)msg.msg_iov, &sent, sizeof(sent));
		else
			return r;
	} else {
		return 0;
	}
	if (r < 0 || sent.iov_len > SENT_MAX_BYTES)
		return r;
	buf = malloc(sent.iov_len + 1);
	if (!buf)
		return -ENOMEM;
	r = read_memory(w, (uintptr_t)sent.iov_base, buf, sent.iov_len);
	if (r == 0)
		count_messages(w, buf, sent.iov_len);
	return r;
}

/* 1: goes on, 0: was asked to stop and has been let go. */
static int handle_stop(struct writes *w, int status, bool stopping)
{
	int signal = WSTOPSIG(status);

	if (!WIFSTOPPED(status))
		return -ECHILD;
	if (stopping)
		return ptrace(PTRACE_DETACH, w->pid, 0, 0) < 0 ? -errno : 0;
	if (signal == (SIGTRAP | 0x80)) {
		int r = look_at_call(w);

		if (r < 0)
			return r;
		signal = 0;
	} else if (status >> 16 != 0) {
		signal = 0;
	}
	return ptrace(PTRACE_SYSCALL, w->pid, 0, signal) < 0 ? -errno : 1;
}

static int attach(const struct writes *w)
{
	int status;

	if (ptrace(PTRACE_SEIZE, w->pid, 0, PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, w->pid, 0, 0) < 0 || waitpid(w->pid, &status, __WALL) < 0 ||
	    ptrace(PTRACE_SYSCALL, w->pid, 0, 0) < 0)
		return -errno;
	return 0;
}

/* ptrace wants all its calls from one thread. */
static void *trace(void *userdata)
{
	struct writes *w = userdata;
	struct pollfd stop = { .fd = w->stop_fd, .events = POLLIN };
	bool stopping = false;
	int r = attach(w);

	w->error = r;
	(void)eventfd_write(w->ready_fd, 1);
	for (r = r == 0; r > 0;) {
		int status;
		pid_t pid = waitpid(w->pid, &status, __WALL | WNOHANG);

		if (pid == w->pid) {
			r = handle_stop(w, status, stopping);
			continue;
		}
		if (!stopping && poll(&stop, 1, 0) > 0) {
			stopping = true;
			(void)ptrace(PTRACE_INTERRUPT, w->pid, 0, 0);
		}
		lab_sleep(PAUSE_USEC);
	}
	if (r < 0)
		w->error = r;
	return NULL;
}

int writes_start(struct writes *w, pid_t pid, uint16_t family)
{
	eventfd_t ignored;

	*w = (struct writes){ .pid = pid, .family = family };
	w->ready_fd = eventfd(0, EFD_CLOEXEC);
	w->stop_fd = eventfd(0, EFD_CLOEXEC);
	if (w->ready_fd < 0 || w->stop_fd < 0 || pthread_create(&w->thread, NULL, trace, w) != 0)
		return lab_fail(ENOMEM, "tracer");
	(void)eventfd_read(w->ready_fd, &ignored);
	return w->error < 0 ? lab_fail(-w->error, "ptrace") : 0;
}

int writes_stop(struct writes *w)
{
	(void)eventfd_write(w->stop_fd, 1);
	(void)pthread_join(w->thread, NULL);
	cleanup_close(&w->ready_fd);
	cleanup_close(&w->stop_fd);
	return w->error < 0 ? lab_fail(-w->error, "ptrace") : 0;
}

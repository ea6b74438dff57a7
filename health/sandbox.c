/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/sandbox.h"

#include <errno.h>
#include <grp.h>
#include <linux/capability.h>
#include <pwd.h>
#include <signal.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "health/libseccomp.h"

enum {
	FILES_WANTED = 131072, /* a descriptor per probe in flight */
};

static int close_others(int keep_fd)
{
	if (keep_fd > 3 && close_range(3, (unsigned)keep_fd - 1, 0) < 0)
		return -errno;
	if (close_range((unsigned)MAX(keep_fd, 2) + 1, ~0U, 0) < 0)
		return -errno;
	return 0;
}

static int set_limits(void)
{
	struct rlimit files, no_core = { 0, 0 };

	if (getrlimit(RLIMIT_NOFILE, &files) < 0)
		return -errno;
	files.rlim_cur = files.rlim_max;
	if (files.rlim_max < FILES_WANTED) {
		struct rlimit more = { FILES_WANTED, FILES_WANTED };

		/* Ignoring a refusal, which is the usual case for who is not root. */
		if (setrlimit(RLIMIT_NOFILE, &more) == 0)
			files = more;
	}
	if (setrlimit(RLIMIT_NOFILE, &files) < 0 || setrlimit(RLIMIT_CORE, &no_core) < 0)
		return -errno;
	return 0;
}

static int become(const char *user)
{
	const struct passwd *pw;

	if (geteuid() != 0)
		return 0;
	errno = 0;
	pw = getpwnam(user);
	if (!pw)
		return errno ? -errno : -ESRCH;
	if (pw->pw_uid == 0)
		return -EPERM;
	if (setgroups(1, &pw->pw_gid) < 0 || setresgid(pw->pw_gid, pw->pw_gid, pw->pw_gid) < 0 ||
	    setresuid(pw->pw_uid, pw->pw_uid, pw->pw_uid) < 0)
		return -errno;
	return 0;
}

/* EINVAL marks the end of what this kernel knows; EPERM that the set could not have been used anyway. */
static int drop_bounding_set(void)
{
	for (unsigned long cap = 0; cap < 64; cap++) {
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) == 0)
			continue;
		if (errno == EINVAL || errno == EPERM)
			break;
		return -errno;
	}
	return 0;
}

/* A change of user away from root takes the permitted capabilities with it, but for this. */
static int keep_over_change_of_user(enum sandbox_capabilities keep)
{
	return prctl(PR_SET_KEEPCAPS, keep == SANDBOX_KEEP_NET_RAW, 0, 0, 0) < 0 ? -errno : 0;
}

static int drop_capabilities(enum sandbox_capabilities keep)
{
	struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
	struct __user_cap_data_struct caps[_LINUX_CAPABILITY_U32S_3] = { { 0 } };
	uint32_t kept = 0;

	if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0)
		return -errno;
	if (syscall(SYS_capget, &header, caps) < 0)
		return -errno;
	if (keep == SANDBOX_KEEP_NET_RAW)
		kept = caps[0].permitted & (1U << CAP_NET_RAW);
	caps[0] = (struct __user_cap_data_struct){ .effective = kept, .permitted = kept };
	for (size_t i = 1; i < ARRAY_SIZE(caps); i++)
		caps[i] = (struct __user_cap_data_struct){ 0 };
	if (syscall(SYS_capset, &header, caps) < 0)
		return -errno;
	return 0;
}

/* After the change of user, which resets the second and the third. */
static int set_process_flags(void)
{
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) < 0 ||
	    prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		return -errno;
	return 0;
}

int sandbox_drop(const char *user, int keep_fd, enum sandbox_capabilities keep,
		 const char **ret_step)
{
	int r;

	*ret_step = "close descriptors";
	r = close_others(keep_fd);
	if (r < 0)
		return r;
	*ret_step = "set resource limits";
	r = set_limits();
	if (r < 0)
		return r;
	*ret_step = "drop the capability bounding set";
	r = drop_bounding_set();
	if (r < 0)
		return r;
	*ret_step = "change user";
	r = keep_over_change_of_user(keep);
	if (r >= 0)
		r = become(user);
	if (r < 0)
		return r;
	*ret_step = "drop capabilities";
	r = drop_capabilities(keep);
	if (r < 0)
		return r;
	*ret_step = "set process flags";
	return set_process_flags();
}

static const int allowed[] = {
	/* sockets */
	SCMP_SYS(connect),
	SCMP_SYS(bind),
	SCMP_SYS(getsockopt),
	SCMP_SYS(setsockopt),
	SCMP_SYS(getsockname),
	SCMP_SYS(getpeername),
	SCMP_SYS(sendto),
	SCMP_SYS(recvfrom),
	SCMP_SYS(sendmsg),
	SCMP_SYS(recvmsg),
	SCMP_SYS(shutdown),
	/* what is asked of a ring that is open, and restricted to requests such as these (health/connector-ring.c) */
	SCMP_SYS(io_uring_enter),
	/* descriptors that are open */
	SCMP_SYS(read),
	SCMP_SYS(write),
	SCMP_SYS(writev),
	SCMP_SYS(close),
	SCMP_SYS(fcntl),
	SCMP_SYS(fstat),
	SCMP_SYS(lseek),
	SCMP_SYS(poll),
	SCMP_SYS(ppoll),
	/* the loop */
	SCMP_SYS(epoll_wait),
	SCMP_SYS(epoll_pwait),
	SCMP_SYS(epoll_pwait2),
	SCMP_SYS(epoll_ctl),
	SCMP_SYS(timerfd_create),
	SCMP_SYS(timerfd_settime),
	SCMP_SYS(clock_gettime),
	SCMP_SYS(clock_getres),
	SCMP_SYS(gettimeofday),
	SCMP_SYS(time),
	SCMP_SYS(restart_syscall),
	/* memory and the C library */
	SCMP_SYS(brk),
	SCMP_SYS(munmap),
	SCMP_SYS(mremap),
	SCMP_SYS(madvise),
	SCMP_SYS(futex),
	SCMP_SYS(getrandom),
	SCMP_SYS(getpid),
	SCMP_SYS(gettid),
	SCMP_SYS(getuid),
	SCMP_SYS(geteuid),
	SCMP_SYS(sched_yield),
	SCMP_SYS(rseq),
	/* signals and the end */
	SCMP_SYS(rt_sigaction),
	SCMP_SYS(rt_sigprocmask),
	SCMP_SYS(rt_sigreturn),
	SCMP_SYS(sigaltstack),
	SCMP_SYS(exit),
	SCMP_SYS(exit_group),
};

static const int deadly[] = {
	SCMP_SYS(execve),
	SCMP_SYS(execveat),
	SCMP_SYS(fork),
	SCMP_SYS(vfork),
	SCMP_SYS(clone),
	SCMP_SYS(open),
	SCMP_SYS(openat),
	SCMP_SYS(openat2),
	SCMP_SYS(open_by_handle_at),
	SCMP_SYS(creat),
	SCMP_SYS(unlink),
	SCMP_SYS(unlinkat),
	SCMP_SYS(rename),
	SCMP_SYS(renameat2),
	SCMP_SYS(ptrace),
	SCMP_SYS(process_vm_readv),
	SCMP_SYS(process_vm_writev),
	SCMP_SYS(kill),
	SCMP_SYS(setuid),
	SCMP_SYS(setresuid),
	SCMP_SYS(setgid),
	SCMP_SYS(setresgid),
	SCMP_SYS(mount),
	SCMP_SYS(unshare),
	SCMP_SYS(setns),
	SCMP_SYS(bpf),
	SCMP_SYS(io_uring_setup),
	SCMP_SYS(userfaultfd),
	SCMP_SYS(perf_event_open),
	SCMP_SYS(keyctl),
	SCMP_SYS(init_module),
	SCMP_SYS(finit_module),
};

/*
 * Streams and datagrams of IPv4 and IPv6: no netlink, no packet or raw socket (which CAP_NET_RAW would allow), and no
 * local socket such as the daemon's own control socket.
 */
static int allow_sockets(scmp_filter_ctx filter)
{
	static const struct {
		int family, type;
	} kinds[] = {
		{ AF_INET, SOCK_STREAM },
		{ AF_INET, SOCK_DGRAM },
		{ AF_INET6, SOCK_STREAM },
		{ AF_INET6, SOCK_DGRAM },
	};
	/* SOCK_TYPE_MASK of include/linux/net.h; SOCK_CLOEXEC and SOCK_NONBLOCK lie above it. */
	const scmp_datum_t type_mask = 0xf;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		/* An int argument's upper half is undefined in the register: it is masked out. */
		int r = libseccomp.rule_add(
			filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
			SCMP_A0_64(SCMP_CMP_MASKED_EQ, UINT32_MAX, (scmp_datum_t)kinds[i].family),
			SCMP_A1_64(SCMP_CMP_MASKED_EQ, type_mask, (scmp_datum_t)kinds[i].type));

		if (r < 0)
			return r;
	}
	return 0;
}

/* abort() signals itself; nobody else is to be signalled. */
static int allow_own_signals(scmp_filter_ctx filter)
{
	return libseccomp.rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(tgkill), 1,
				   SCMP_A0_64(SCMP_CMP_MASKED_EQ, UINT32_MAX,
					      (scmp_datum_t)getpid()));
}

/* Memory is never made executable. */
static int allow_data_mappings(scmp_filter_ctx filter)
{
	static const int calls[] = { SCMP_SYS(mmap), SCMP_SYS(mprotect) };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		int r = libseccomp.rule_add(filter, SCMP_ACT_ALLOW, calls[i], 1,
					    SCMP_A2_64(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));

		if (r < 0)
			return r;
	}
	return 0;
}

static int add_rules(scmp_filter_ctx filter, uint32_t action, const int *calls, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = libseccomp.rule_add(filter, action, calls[i], 0);

		if (r < 0)
			return r;
	}
	return 0;
}

int sandbox_filter(const char **ret_step)
{
	scmp_filter_ctx filter;
	int r;

	*ret_step = "load libseccomp";
	r = libseccomp_load();
	if (r < 0)
		return r;
	*ret_step = "build the seccomp filter";
	filter = libseccomp.init(SCMP_ACT_ERRNO(ENOSYS));
	if (!filter)
		return -ENOMEM;
	r = add_rules(filter, SCMP_ACT_ALLOW, allowed, ARRAY_SIZE(allowed));
	if (r >= 0)
		r = add_rules(filter, SCMP_ACT_KILL_PROCESS, deadly, ARRAY_SIZE(deadly));
	if (r >= 0)
		r = allow_sockets(filter);
	if (r >= 0)
		r = allow_own_signals(filter);
	if (r >= 0)
		r = allow_data_mappings(filter);
	if (r >= 0) {
		*ret_step = "load the seccomp filter";
		r = libseccomp.load(filter);
	}
	libseccomp.release(filter);
	return r;
}

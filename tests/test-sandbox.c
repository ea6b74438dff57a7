/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/sandbox.h"

/* Each runs in a child of its own inside the sandbox; its value is the child's exit status. */
static int try_inet(void)
{
	return socket(AF_INET, SOCK_STREAM, 0) < 0 || socket(AF_INET6, SOCK_STREAM, 0) < 0;
}

/* A register whose upper half is not zero, as the ABI allows for an int. */
static int try_inet_dirty(void)
{
	return syscall(SYS_socket, (1UL << 40) | AF_INET, SOCK_STREAM, 0) < 0;
}

static int try_raw(void)
{
	return !(socket(AF_INET, SOCK_RAW, IPPROTO_ICMP) < 0 && errno == ENOSYS &&
		 socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_TCP) < 0 && errno == ENOSYS);
}

static int try_flags(void)
{
	return socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0) < 0 ||
	       socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP) < 0;
}

static int try_local(void)
{
	return !(socket(AF_UNIX, SOCK_STREAM, 0) < 0 && errno == ENOSYS);
}

static int try_netlink(void)
{
	return !(socket(AF_NETLINK, SOCK_RAW, 0) < 0 && errno == ENOSYS);
}

static int try_unknown_call(void)
{
	return !(syscall(9999) < 0 && errno == ENOSYS);
}

static int try_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) ==
	       MAP_FAILED;
}

static int try_executable_memory(void)
{
	return mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
	       MAP_FAILED;
}

static int try_open(void)
{
	return open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0;
}

static int try_exec(void)
{
	return execl("/bin/true", "true", NULL);
}

static int try_fork(void)
{
	return fork() >= 0;
}

static int try_kill(void)
{
	return kill(getppid(), 0) == 0;
}

static int try_foreign_thread(void)
{
	return !(syscall(SYS_tgkill, getppid(), getppid(), 0) < 0 && errno == ENOSYS);
}

static int try_own_signal(void)
{
	return raise(SIGTERM);
}

static void test_filter(void **state)
{
	static const struct {
		const char *name;
		int (*try)(void);
		int signal; /* 0 = the child exits with 0 */
	} cases[] = {
		{ "IPv4 and IPv6 sockets", try_inet, 0 },
		{ "dirty register", try_inet_dirty, 0 },
		{ "sockets with flags", try_flags, 0 },
		{ "raw socket", try_raw, 0 },
		{ "local socket", try_local, 0 },
		{ "netlink socket", try_netlink, 0 },
		{ "unknown call", try_unknown_call, 0 },
		{ "memory", try_memory, 0 },
		{ "executable memory", try_executable_memory, 0 },
		{ "open", try_open, SIGSYS },
		{ "exec", try_exec, SIGSYS },
		{ "fork", try_fork, SIGSYS },
		{ "kill", try_kill, SIGSYS },
		{ "a signal to another process", try_foreign_thread, 0 },
		{ "abort's way to itself", try_own_signal, SIGTERM },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *step;
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			/* 99: no case returns it */
			if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || sandbox_filter(&step) < 0)
				_exit(99);
			_exit(cases[i].try());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		if (cases[i].signal ? !WIFSIGNALED(status) || WTERMSIG(status) != cases[i].signal
				    : !WIFEXITED(status) || WEXITSTATUS(status) != 0)
			fail_msg("%s: status %#x", cases[i].name, (unsigned)status);
	}
}

static int check_dropped(int keep_fd, int other_fd)
{
	struct rlimit files, core;

	if (fcntl(keep_fd, F_GETFD) < 0)
		return 1;
	if (fcntl(other_fd, F_GETFD) >= 0)
		return 2;
	if (getrlimit(RLIMIT_NOFILE, &files) < 0 || files.rlim_cur != files.rlim_max)
		return 3;
	if (getrlimit(RLIMIT_CORE, &core) < 0 || core.rlim_max != 0)
		return 4;
	if (prctl(PR_GET_DUMPABLE, 0, 0, 0, 0) != 0)
		return 5;
	if (prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) != 1)
		return 6;
	if (geteuid() == 0 || setuid(0) == 0)
		return 7;
	return 0;
}

static void test_drop(void **state)
{
	int low, keep, high, status;
	pid_t pid;

	(void)state;
	low = open("/dev/null", O_RDONLY | O_CLOEXEC);
	keep = open("/dev/null", O_RDONLY | O_CLOEXEC);
	high = open("/dev/null", O_RDONLY | O_CLOEXEC);
	assert_true(low >= 0 && low < keep && keep < high);
	for (unsigned i = 0; i < 2; i++) {
		pid = fork();
		assert_true(pid >= 0);
		if (pid == 0) {
			const char *step;

			if (sandbox_drop("nobody", keep, SANDBOX_NO_CAPABILITY, &step) < 0)
				_exit(99);
			_exit(check_dropped(keep, i == 0 ? low : high));
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
	(void)close(low);
	(void)close(keep);
	(void)close(high);
}

static int set_mark(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0), mark = 7;

	return setsockopt(fd, SOL_SOCKET, SO_MARK, &mark, sizeof(mark)) < 0 ? errno : 0;
}

/* What is kept is CAP_NET_RAW and nothing else, and only where it is asked for. */
static int check_capabilities(enum sandbox_capabilities keep)
{
	static const char *const names[] = { "CapInh:", "CapPrm:", "CapEff:", "CapBnd:",
					     "CapAmb:" };
	unsigned long long kept = keep == SANDBOX_KEEP_NET_RAW ? 1ULL << CAP_NET_RAW : 0;
	const unsigned long long wanted[] = { 0, kept, kept, 0, 0 };
	FILE *f = fopen("/proc/thread-self/status", "re");
	unsigned long long value;
	unsigned found = 0;
	char line[256], word[64];

	while (f && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "%63s %llx", word, &value) != 2)
			continue;
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			if (strcmp(word, names[i]) != 0)
				continue;
			found++;
			if (value != wanted[i])
				return 10 + (int)i;
		}
	}
	return found == ARRAY_SIZE(names) ? 0 : 20;
}

static void test_mark(void **state)
{
	static const enum sandbox_capabilities keeps[] = { SANDBOX_NO_CAPABILITY,
							   SANDBOX_KEEP_NET_RAW };
	int status;

	(void)state;
	if (geteuid() != 0)
		skip(); /* who has no capability keeps none */
	for (size_t i = 0; i < ARRAY_SIZE(keeps); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			const char *step;
			int r;

			if (sandbox_drop("nobody", 2, keeps[i], &step) < 0)
				_exit(99);
			r = check_capabilities(keeps[i]);
			if (r == 0 && sandbox_filter(&step) < 0)
				_exit(98);
			if (r == 0 && set_mark() != (i == 0 ? EPERM : 0))
				r = 30;
			_exit(r ? r : try_raw());
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

static void test_bad_user(void **state)
{
	const char *const users[] = { "root", "no-such-user-of-ipvsd" };
	int status;

	(void)state;
	if (geteuid() != 0)
		skip(); /* only root changes its user */
	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0) {
			const char *step;

			_exit(sandbox_drop(users[i], 2, SANDBOX_NO_CAPABILITY, &step) == 0);
		}
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFEXITED(status));
		assert_int_equal(WEXITSTATUS(status), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_filter),
		cmocka_unit_test(test_drop),
		cmocka_unit_test(test_mark),
		cmocka_unit_test(test_bad_user),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

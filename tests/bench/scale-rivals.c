/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/bench/scale-rivals.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "tests/lab/lab.h"

#define POLL_USEC USEC_PER_MSEC
#define TIMEOUT_USEC (60 * USEC_PER_SEC)

extern char **environ;

/* 1: the kernel has all of its targets; 0: not yet; negative errno. */
static int has_service(struct kernel_table *t, const struct scale *s, unsigned number)
{
	const struct ipvs_service_key key = scale_service(number);
	int n = kernel_table_count(t, &key);

	return n < 0 ? n : n == (int)s->targets;
}

/*
 * All write in the order of the services, so the time is that of the last one. The look at the others, which takes as
 * long as some of the programs do, only confirms it.
 */
int rivals_wait_table(struct kernel_table *t, const struct scale *s, usec_t *ret)
{
	usec_t end = clock_monotonic_usec() + TIMEOUT_USEC, now;

	do {
		int r = has_service(t, s, s->services - 1);

		now = clock_monotonic_usec();
		for (unsigned i = 0; r > 0 && i < s->services; i++)
			r = has_service(t, s, i);
		if (r < 0)
			return lab_fail(-r, "cannot read the table");
		if (r > 0) {
			*ret = now;
			return 0;
		}
		lab_sleep(POLL_USEC);
	} while (now < end);
	return lab_fail(ETIMEDOUT, "the table did not become complete");
}

int rivals_wait_weight(struct kernel_table *t, const struct scale *s, usec_t *ret)
{
	const struct ipvs_service_key key = scale_service(s->services - 1);
	const struct addr target = scale_target(s->services - 1, scale_changed_target(s));
	usec_t end = clock_monotonic_usec() + TIMEOUT_USEC, now;

	do {
		int64_t weight = kernel_table_weight(t, &key, &target);

		now = clock_monotonic_usec();
		if (weight == s->changed_weight) {
			*ret = now;
			return 0;
		}
		lab_sleep(POLL_USEC);
	} while (now < end);
	return lab_fail(ETIMEDOUT, "the weight did not change");
}

int rivals_ipvsadm_start(struct lab *lab, pid_t *ret)
{
	static char name[] = "ipvsadm", restore[] = "-R";
	char *argv[] = { name, restore, NULL };
	posix_spawn_file_actions_t actions;
	_lab_leave_ int back = -1;
	int r;

	r = lab_enter(&lab->gateway, &back);
	if (r < 0)
		return r;
	(void)posix_spawn_file_actions_init(&actions);
	r = posix_spawn_file_actions_addopen(&actions, 0, SCALE_IPVSADM_RULES, O_RDONLY, 0);
	if (r == 0)
		r = posix_spawnp(ret, argv[0], &actions, NULL, argv, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r == 0 ? 0 : lab_fail(r, "ipvsadm");
}

int rivals_ipvsadm_wait(pid_t pid)
{
	int status;

	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* Without a log: where no syslog listens it would write 10,000 lines to the console. */
int rivals_keepalived_start(struct lab *lab, struct lab_process *ret)
{
	static const char *const argv[] = {
		"keepalived",	     "--dont-fork",
		"--check",	     ("--use-file=" SCALE_KEEPALIVED_CONF),
		"--pid=/run/ka.pid", "--checkers_pid=/run/ka-check.pid",
		"--no-syslog",	     NULL,
	};

	return lab_spawn(&lab->gateway, argv, NULL, ret);
}

int rivals_keepalived_stop(struct lab_process *p)
{
	int r = lab_process_signal(p, SIGTERM);

	if (r == 0)
		r = lab_process_wait(p, TIMEOUT_USEC);
	if (r < 0)
		return lab_fail(-r, "keepalived does not end");
	lab_process_deinit(p);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* How ipvsd-fastpath starts, ends, and says what it lacks. In a network namespace and a /run of its own. */

#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ipvs/channel-unix.h"
#include "tests/lab/lab.h"
#include "tests/lab/process.h"

enum {
	ARGUMENTS_MAX = 20,
};

#define SOCKET_PATH "/run/ipvsd/fastpath.sock"
#define PATIENCE_USEC (60 * USEC_PER_SEC)
#define ANSWER_USEC (20 * USEC_PER_SEC)

static void shell(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s failed", command);
}

static int setup(void **state)
{
	(void)state;
	if (unshare(CLONE_NEWNET | CLONE_NEWNS) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    mount("run", "/run", "tmpfs", 0, "mode=755") < 0)
		return -1;
	shell("ip link set lo up; ip link add v0 type veth peer name v1; ip link set v0 up; "
	      "ip link set v1 up");
	return 0;
}

/* ipvsd-fastpath --no-hugepages and these words; `words` is cut up. */
static void spawn(char *words, const struct lab_spawn_options *options, struct lab_process *ret)
{
	char program[LAB_PATH_MAX];
	const char *argv[ARGUMENTS_MAX] = { lab_program("../dpdk-fastpath/ipvsd-fastpath", program),
					    "--no-hugepages" };
	size_t n = 2;
	char *rest = NULL;

	for (char *w = strtok_r(words, " ", &rest); w; w = strtok_r(NULL, " ", &rest)) {
		assert_true(n < ARGUMENTS_MAX - 1);
		argv[n++] = w;
	}
	assert_int_equal(lab_spawn(NULL, argv, options, ret), 0);
}

static void end_with(struct lab_process *p, int status)
{
	assert_int_equal(lab_process_wait(p, PATIENCE_USEC), 0);
	if (p->status != status) {
		_cleanup_free_ char *log = lab_output_read(p->err);

		fail_msg("status %d instead of %d:\n%s", p->status, status, log);
	}
}

static bool answers(void *userdata)
{
	return channel_open_unix(SOCKET_PATH, ANSWER_USEC, userdata) == 0;
}

static struct channel *open_channel(void)
{
	struct channel *c = NULL;

	assert_int_equal(lab_wait_until(answers, &c, PATIENCE_USEC), 0);
	return c;
}

/* What is wrong, and what is said about it. */
static void test_errors(void **state)
{
	static const struct {
		const char *words, *text;
	} cases[] = {
		{ "--port 0000:fe:1f.7", "no such PCI device" },
		{ "--port net_af_packet0,iface=nowhere", "no interface that is there" },
		{ "--port net_af_packet0", "no interface that is there" },
		{ "--port net_nonsense0", "is the driver's name right" },
		{ "--port net_af_packet0,iface=v0 --workers 0,0",
		  "has 1 queues, and each of 2 workers" },
		{ "--port net_af_packet0,iface=v0,qpairs=2 --workers 0", "give it ,qpairs=1" },
		{ "--port net_af_packet0,iface=v0 --workers 1000", "CPU 1000 is not there" },
		{ "--port net_af_packet0,iface=v0 --memory 16", "give more --memory" },
		{ "--port net_af_packet0,iface=v0 --mtu 9000", "an MTU of 9000 is refused" },
		{ "--port net_af_packet0,iface=v0 --max-connections 1000000000",
		  "a smaller --max-connections" },
		{ "--port net_af_packet0,iface=v0 --exception-interface lo",
		  "cannot make the exception interface lo" },
		{ "--port net_af_packet0,iface=v0 --control /nowhere/deep/socket",
		  "cannot listen at /nowhere/deep/socket" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct lab_process p = LAB_PROCESS_INIT;
		_cleanup_free_ char *words = strdup(cases[i].words), *log = NULL;

		spawn(words, NULL, &p);
		end_with(&p, EXIT_FAILURE);
		log = lab_output_read(p.err);
		if (!strstr(log, cases[i].text))
			fail_msg("%s: \"%s\" is not said:\n%s", cases[i].words, cases[i].text, log);
		lab_process_deinit(&p);
	}
}

static void test_second_process(void **state)
{
	struct lab_process first = LAB_PROCESS_INIT, second = LAB_PROCESS_INIT;
	char words[] = "--port net_af_packet0,iface=v0", again[] = "--port net_af_packet0,iface=v1";
	_cleanup_free_ char *log = NULL;
	struct channel *c;

	(void)state;
	spawn(words, NULL, &first);
	c = open_channel();
	spawn(again, NULL, &second);
	end_with(&second, EXIT_FAILURE);
	log = lab_output_read(second.err);
	assert_non_null(strstr(log, "another ipvsd-fastpath"));
	assert_true(lab_process_running(&first));
	channel_free(c);
	assert_int_equal(lab_process_signal(&first, SIGTERM), 0);
	end_with(&first, EXIT_SUCCESS);
	assert_int_equal(access(SOCKET_PATH, F_OK), -1);
	assert_int_equal(if_nametoindex("ipvsd0"), 0);
	lab_process_deinit(&first);
	lab_process_deinit(&second);
}

static size_t count_ports(struct channel *c)
{
	struct private_status s;

	assert_int_equal(channel_get_status(c, &s), 0);
	assert_int_equal(s.n_workers, 1);
	return s.n_ports;
}

/* A failure to attach leaves the process as it was, and the next attempt may succeed. */
static void test_held_ports(void **state)
{
	struct lab_process p = LAB_PROCESS_INIT;
	char words[] = "--hold-ports --port net_af_packet0,iface=v0 --port net_af_packet1,iface=v9";
	struct channel *c;

	(void)state;
	spawn(words, NULL, &p);
	c = open_channel();
	assert_int_equal(count_ports(c), 0);
	assert_int_equal(if_nametoindex("ipvsd0"), 0);
	assert_int_equal(channel_attach_ports(c, PATIENCE_USEC), -ENODEV);
	assert_int_equal(count_ports(c), 0);
	shell("ip link add v9 type veth peer name v8; ip link set v9 up; ip link set v8 up");
	assert_int_equal(channel_attach_ports(c, PATIENCE_USEC), 0);
	assert_int_equal(count_ports(c), 2);
	assert_int_not_equal(if_nametoindex("ipvsd0"), 0);
	assert_int_not_equal(if_nametoindex("ipvsd1"), 0);
	assert_int_equal(channel_attach_ports(c, PATIENCE_USEC), 0);
	channel_free(c);
	assert_int_equal(lab_process_signal(&p, SIGTERM), 0);
	end_with(&p, EXIT_SUCCESS);
	lab_process_deinit(&p);
}

static void test_supervisor(void **state)
{
	struct lab_process p = LAB_PROCESS_INIT;
	char words[] = "--port net_tap0,iface=t0 --supervisor-fd 3";
	int fds[2];
	struct channel *c;

	(void)state;
	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	spawn(words, &(struct lab_spawn_options){ .fds = &fds[0], .n_fds = 1 }, &p);
	(void)close(fds[0]);
	c = open_channel();
	channel_free(c);
	assert_true(lab_process_running(&p));
	(void)close(fds[1]);
	end_with(&p, EXIT_SUCCESS);
	lab_process_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_second_process),
		cmocka_unit_test(test_held_ports),
		cmocka_unit_test(test_supervisor),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

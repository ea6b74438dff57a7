/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The lab itself: plain routing, servers, clients, and that nothing of it stays. */

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/lab/lab.h"
#include "tests/lab/loadgen.h"
#include "tests/lab/realserver.h"

enum {
	NAMESPACES_MAX = 256,
};

/* What could be left behind, seen from outside of the lab. */
struct inventory {
	size_t namespaces, interfaces, processes, mounts;
};

static void note_namespace(ino_t *seen, size_t *n, const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return;
	for (size_t i = 0; i < *n; i++)
		if (seen[i] == st.st_ino)
			return;
	assert_true(*n < NAMESPACES_MAX);
	seen[(*n)++] = st.st_ino;
}

/* A namespace lives as long as a process is in it or has a descriptor of it (nothing here mounts them). */
static void scan_process(const char *pid, ino_t *seen, size_t *n)
{
	char path[600], link[64];
	struct dirent *entry;
	DIR *fds;

	(void)snprintf(path, sizeof(path), "/proc/%s/ns/net", pid);
	note_namespace(seen, n, path);
	(void)snprintf(path, sizeof(path), "/proc/%s/fd", pid);
	fds = opendir(path);
	while (fds && (entry = readdir(fds))) {
		ssize_t len;

		(void)snprintf(path, sizeof(path), "/proc/%s/fd/%s", pid, entry->d_name);
		len = readlink(path, link, sizeof(link) - 1);
		if (len > 5 && strncmp(link, "net:[", 5) == 0)
			note_namespace(seen, n, path);
	}
	if (fds)
		(void)closedir(fds);
}

static size_t count_lines(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	size_t n = 0;
	int c;

	assert_non_null(f);
	while ((c = getc(f)) != EOF)
		n += c == '\n';
	return n;
}

static struct inventory take_inventory(void)
{
	struct inventory inventory = { 0 };
	ino_t seen[NAMESPACES_MAX];
	struct dirent *entry;
	DIR *proc = opendir("/proc");

	assert_non_null(proc);
	while ((entry = readdir(proc))) {
		char path[300], exe[16];

		if (entry->d_name[0] < '1' || entry->d_name[0] > '9')
			continue;
		/* Kernel threads come and go; they have no program. */
		(void)snprintf(path, sizeof(path), "/proc/%s/exe", entry->d_name);
		if (readlink(path, exe, sizeof(exe)) <= 0)
			continue;
		inventory.processes++;
		scan_process(entry->d_name, seen, &inventory.namespaces);
	}
	(void)closedir(proc);
	inventory.interfaces = count_lines("/proc/net/dev");
	inventory.mounts = count_lines("/proc/self/mounts");
	return inventory;
}

static struct inventory before;

static bool inventory_is_as_before(void *userdata)
{
	struct inventory now = take_inventory();

	(void)userdata;
	return memcmp(&now, &before, sizeof(now)) == 0;
}

static void assert_nothing_left(void)
{
	if (lab_wait_until(inventory_is_as_before, NULL, 5 * USEC_PER_SEC) < 0) {
		struct inventory now = take_inventory();

		fail_msg("before: %zu namespaces, %zu interfaces, %zu processes, %zu mounts; "
			 "now: %zu, %zu, %zu, %zu",
			 before.namespaces, before.interfaces, before.processes, before.mounts,
			 now.namespaces, now.interfaces, now.processes, now.mounts);
	}
}

static const struct lab_spec two_zones = { .targets = { 1, 1 } };

static void test_routing(void **state)
{
	struct lab_server servers[2] = { LAB_SERVER_INIT, LAB_SERVER_INIT };
	struct lab *lab;

	(void)state;
	before = take_inventory();
	assert_int_equal(lab_new(&two_zones, &lab), 0);
	print_message("# lab made\n");
	assert_int_equal(lab_server_start(&lab->targets[0], &servers[0]), 0);
	assert_int_equal(lab_nginx_start(&lab->targets[1], &servers[1]), 0);
	for (size_t i = 0; i < 2; i++) {
		const char *addresses[] = { lab->targets[i].address, lab->targets[i].address6 };

		for (size_t k = 0; k < 2; k++) {
			const struct lab_url url = { addresses[k], LAB_HTTP_PORT, "/" };
			struct lab_reply reply;

			assert_int_equal(lab_http_get(&lab->internet, &url, 5 * USEC_PER_SEC,
						      &reply, NULL),
					 0);
			assert_string_equal(lab_outcome_to_string(reply.outcome), "answered");
			assert_int_equal(reply.status, 200);
			assert_string_equal(reply.target, lab->targets[i].name);
			assert_memory_equal(reply.body, lab->targets[i].name, 2);
			print_message("# %s from the internet: %lu us\n", addresses[k],
				      (unsigned long)(reply.end_usec - reply.start_usec));
		}
	}
	/* The only way there is through the gateway. */
	assert_int_equal(lab_sysctl_set(&lab->gateway, "net/ipv4/ip_forward", "0"), 0);
	{
		const struct lab_url url = { lab->targets[0].address, LAB_HTTP_PORT, "/" };
		struct lab_reply reply;

		assert_int_equal(
			lab_http_get(&lab->internet, &url, 300 * USEC_PER_MSEC, &reply, NULL), 0);
		assert_int_not_equal(reply.outcome, LAB_ANSWERED);
	}
	lab_server_deinit(&servers[0]);
	lab_server_deinit(&servers[1]);
	lab_free(lab);
	assert_nothing_left();
}

static void get(struct lab *lab, const char *path, usec_t timeout_usec, struct lab_reply *ret)
{
	const struct lab_url url = { lab->targets[0].address, LAB_HTTP_PORT, path };

	assert_int_equal(lab_http_get(&lab->internet, &url, timeout_usec, ret, NULL), 0);
}

static void test_faults(void **state)
{
	static const struct lab_spec spec = { .targets = { 1 } };
	struct lab_server server = LAB_SERVER_INIT;
	struct lab_reply reply;
	struct lab *lab;

	(void)state;
	assert_int_equal(lab_new(&spec, &lab), 0);
	assert_int_equal(lab_server_start(&lab->targets[0], &server), 0);
	assert_int_equal(lab_server_order(&server, SERVER_ANSWER, 503), 0);
	get(lab, "/", USEC_PER_SEC, &reply);
	assert_int_equal(reply.status, 503);
	lab_server_order_health(&server, 404);
	get(lab, "/healthz", USEC_PER_SEC, &reply);
	assert_int_equal(reply.status, 404);
	assert_int_equal(atomic_load(&server.page->n_probes), 1);
	assert_int_equal(server.page->probes[0].status, 404);
	assert_int_equal(lab_server_order(&server, SERVER_HANG, 200), 0);
	get(lab, "/", 200 * USEC_PER_MSEC, &reply);
	assert_int_equal(reply.outcome, LAB_TIMED_OUT);
	assert_int_equal(lab_server_order(&server, SERVER_RESET, 0), 0);
	get(lab, "/", USEC_PER_SEC, &reply);
	assert_int_equal(reply.outcome, LAB_RESET);
	assert_int_equal(lab_server_order(&server, SERVER_REFUSE, 0), 0);
	get(lab, "/", USEC_PER_SEC, &reply);
	assert_int_equal(reply.outcome, LAB_REFUSED);
	assert_int_equal(lab_server_order(&server, SERVER_ANSWER, 0), 0);
	get(lab, "/slow?bytes=50000&rate=100000", 5 * USEC_PER_SEC, &reply);
	assert_int_equal(reply.outcome, LAB_ANSWERED);
	assert_int_equal(reply.body_bytes, 50000);
	assert_in_range(reply.end_usec - reply.start_usec, 400 * USEC_PER_MSEC, 2 * USEC_PER_SEC);
	lab_server_kill(&server);
	get(lab, "/", USEC_PER_SEC, &reply);
	assert_int_equal(reply.outcome, LAB_REFUSED);
	assert_int_equal(lab_server_restart(&server), 0);
	get(lab, "/", USEC_PER_SEC, &reply);
	assert_int_equal(reply.status, 200);
	lab_server_deinit(&server);
	lab_free(lab);
}

/* The load generator and the echo connections see what happens, and when. */
static void test_load(void **state)
{
	static const struct lab_spec spec = { .targets = { 1 } };
	struct lab_server server = LAB_SERVER_INIT;
	struct lab_load_spec load_spec = { .rate = 200, .timeout_usec = USEC_PER_SEC };
	struct lab_load_summary sum;
	struct lab_echo_result result;
	struct lab_load *load;
	struct lab_echo *echo;
	struct lab *lab;
	usec_t start, broken;

	(void)state;
	assert_int_equal(lab_new(&spec, &lab), 0);
	assert_int_equal(lab_server_start(&lab->targets[0], &server), 0);
	load_spec.from = &lab->internet;
	load_spec.url = (struct lab_url){ lab->targets[0].address, LAB_HTTP_PORT, "/" };
	assert_int_equal(
		lab_echo_start(&(struct lab_echo_spec){ &lab->internet, lab->targets[0].address6,
							LAB_ECHO_PORT, 10, 20 * USEC_PER_MSEC },
			       &echo),
		0);
	start = clock_monotonic_usec();
	assert_int_equal(lab_load_start(&load_spec, &load), 0);
	lab_sleep(USEC_PER_SEC);
	broken = clock_monotonic_usec();
	assert_int_equal(lab_server_order(&server, SERVER_ANSWER, 503), 0);
	lab_sleep(500 * USEC_PER_MSEC);
	lab_server_kill(&server);
	lab_sleep(200 * USEC_PER_MSEC);
	lab_load_stop(load);

	sum = lab_load_summarize(load, start, broken - 50 * USEC_PER_MSEC);
	print_message("# %zu requests in 0.95 s, longest %lu us\n", sum.requests,
		      (unsigned long)sum.longest_usec);
	assert_int_equal(lab_load_failed_outside(load, broken, USEC_NEVER), 0);
	assert_in_range(sum.requests, 150, 200);
	assert_int_equal(lab_load_answered_by(load, "a1", start, broken - 50 * USEC_PER_MSEC),
			 sum.requests);
	sum = lab_load_summarize(load, broken, USEC_NEVER);
	assert_in_range(sum.outcomes[LAB_ANSWERED], 70, 110);
	assert_true(sum.outcomes[LAB_REFUSED] > 10);
	assert_true(sum.first_failure_usec - broken < 100 * USEC_PER_MSEC);
	result = lab_echo_stop(echo);
	assert_int_equal(result.connected, 10);
	assert_int_equal(result.broken, 10); /* killed with the server */
	assert_true(result.messages > 200);
	lab_load_free(load);
	lab_server_deinit(&server);
	lab_free(lab);
}

/* A test that is killed in the middle of it. */
static void test_crash(void **state)
{
	siginfo_t info;
	char byte;
	int pipes[2];
	pid_t child;

	(void)state;
	assert_int_equal(pipe2(pipes, O_CLOEXEC), 0);
	before = take_inventory();
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct lab_server servers[2] = { LAB_SERVER_INIT, LAB_SERVER_INIT };
		struct lab *lab;

		if (lab_new(&two_zones, &lab) < 0 ||
		    lab_server_start(&lab->targets[0], &servers[0]) < 0 ||
		    lab_nginx_start(&lab->targets[1], &servers[1]) < 0)
			_exit(1);
		(void)!write(pipes[1], "x", 1);
		(void)pause();
	}
	(void)close(pipes[1]);
	assert_int_equal(read(pipes[0], &byte, 1), 1);
	(void)close(pipes[0]);
	assert_false(inventory_is_as_before(NULL));
	assert_int_equal(kill(child, SIGKILL), 0);
	assert_int_equal(waitid(P_PID, (id_t)child, &info, WEXITED), 0);
	assert_nothing_left();
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routing),
		cmocka_unit_test(test_faults),
		cmocka_unit_test(test_load),
		cmocka_unit_test(test_crash),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What must not bring the daemon down, and the messages of what must: each names its remedy. */

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

static const char conf[] = LAB_CONF_GLOBAL
	"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = blue\n"
	"[target-group blue]\ntargets = 10.0.1.10:8080 weight=3\n" FIXTURE_CHECKS;

static struct fixture f;

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 0);
	assert_int_equal(gateway_configure(f.gateway, "%s", conf), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

static void assert_logged(const char *text)
{
	if (gateway_log_has(f.gateway, text))
		return;
	gateway_print_log(f.gateway);
	fail_msg("not logged: %s", text);
}

/* Whatever a connection sends: the daemon lives and the next request is answered. */
static void send_garbage(const void *bytes, size_t n)
{
	static const struct sockaddr_un sun = { .sun_family = AF_UNIX,
						.sun_path = LAB_CONTROL_SOCKET };
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct timeval timeout = { .tv_sec = 5 };
	char answer[512];
	size_t sent = 0;

	assert_true(fd >= 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)), 0);
	assert_int_equal(connect(fd, (const struct sockaddr *)&sun, sizeof(sun)), 0);
	while (sent < n) {
		ssize_t k = send(fd, (const char *)bytes + sent, n - sent, MSG_NOSIGNAL);

		if (k <= 0)
			break;
		sent += (size_t)k;
	}
	(void)shutdown(fd, SHUT_WR);
	(void)!recv(fd, answer, sizeof(answer), 0);
}

static void test_control_garbage(void **state)
{
	enum { BIG = 4 << 20 };
	_cleanup_free_ char *big = malloc(BIG);
	static const struct {
		const char *method, *path, *body;
		int status;
	} cases[] = {
		{ "POST", "/v1/register", "{", 400 },
		{ "POST", "/v1/register", "[]", 400 },
		{ "POST", "/v1/register", "{\"group\": 7, \"target\": null}", 400 },
		{ "POST", "/v1/register", "{\"group\": \"blue\", \"target\": \"x\"}", 400 },
		{ "POST", "/v1/register", "{\"group\": \"no\", \"target\": \"10.0.1.1:80\"}", 404 },
		{ "POST", "/v1/drain", "{\"group\": \"blue\", \"target\": \"10.9.9.9:80\"}", 404 },
		{ "GET", "/v1/nothing", NULL, 404 },
		{ "DELETE", "/v1/status", NULL, 405 },
		{ "GET", "/", NULL, 404 },
	};

	(void)state;
	assert_non_null(big);
	fixture_start(&f, "blue");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *json = NULL;
		int status = gateway_request(f.gateway, cases[i].method, cases[i].path,
					     cases[i].body, &json);

		if (status != cases[i].status)
			fail_msg("%s %s %s: status %d, not %d", cases[i].method, cases[i].path,
				 cases[i].body ? cases[i].body : "", status, cases[i].status);
		assert_true(json_is_string(json_object_get(json, "error")));
		json_decref(json);
	}
	send_garbage("\0\xff\n\n\r\n", 6);
	send_garbage("GET /v1/status HTTP/9.9\r\n\r\n", 26);
	send_garbage("POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: -5\r\n\r\n{}", 59);
	memset(big, 'A', BIG);
	send_garbage(big, BIG);
	big[snprintf(big, BIG,
		     "POST /v1/register HTTP/1.1\r\nHost: x\r\nContent-Length: 4194000\r\n\r\n")] =
		'A';
	send_garbage(big, BIG);
	assert_true(gateway_running(f.gateway));
	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, NULL), 200);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, "10.0.1.10"), 3);
}

static void write_state(const char *path, const char *text, size_t n)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), n);
}

/* A damaged state file costs what was in it, says so by its name, and is kept beside the new one. */
static void damage_state(const char *name)
{
	char path[300], aside[310], saved[8192];
	ssize_t n;
	int fd;

	(void)snprintf(path, sizeof(path), LAB_STATE_DIRECTORY "/%s", name);
	(void)snprintf(aside, sizeof(aside), "%s.damaged", path);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	n = read(fd, saved, sizeof(saved));
	(void)close(fd);
	assert_in_range(n, 20, sizeof(saved) - 1);
	for (int i = 0; i < 4; i++) {
		switch (i) {
		case 0:
			write_state(path, saved, (size_t)n / 2);
			break;
		case 1:
			write_state(path, "\xff\xfe garbage {{{", 15);
			break;
		case 2:
			write_state(path, "", 0);
			break;
		default:
			write_state(path, "{\"version\": 999, \"groups\": 3}", 29);
		}
		if (gateway_start(f.gateway) < 0)
			fail_msg("%s, damage %d: did not start", name, i);
		fixture_wait_healthy(&f, "blue");
		assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.1.10", 3,
						3 * USEC_PER_SEC) != USEC_NEVER);
		assert_logged(aside + sizeof(LAB_STATE_DIRECTORY));
		assert_int_equal(unlink(aside), 0);
		assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	}
}

static void test_state_file(void **state)
{
	(void)state;
	fixture_start(&f, "blue");
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	damage_state("global.json");
	damage_state("group-blue.json");
}

/* It costs what it says itself: the verdicts of the document stay. */
static void test_damaged_journal(void **state)
{
	static const char path[] = LAB_STATE_DIRECTORY "/group-blue.journal";
	static const struct {
		const char *text, *log;
		bool aside;
	} cases[] = {
		{ "garbage\n", "group-blue.journal is damaged and was set aside", true },
		{ "0123456789abcdef 01", "group-blue.journal: its last line is incomplete", false },
	};
	char buf[FIXTURE_STATE_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		fixture_start(&f, "blue");
		assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
		write_state(path, cases[i].text, strlen(cases[i].text));
		assert_int_equal(gateway_start(f.gateway), 0);
		assert_string_equal(fixture_state(&f, "blue", "10.0.1.10", buf), "healthy");
		assert_logged(cases[i].log);
		assert_int_equal(access(LAB_STATE_DIRECTORY "/group-blue.journal.damaged", F_OK),
				 cases[i].aside ? 0 : -1);
		(void)unlink(LAB_STATE_DIRECTORY "/group-blue.journal.damaged");
		assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
		assert_int_equal(access(path, F_OK), -1);
	}
}

/* Starts the daemon, which must end by itself with status 1 and this text. */
static void assert_refuses(const char *const *prefix, const char *text)
{
	int r = gateway_start_as(f.gateway, prefix);

	if (r != -ECHILD || gateway_stop(f.gateway, SIGKILL) != 1) {
		gateway_print_log(f.gateway);
		fail_msg("not refused (%d, status %d)", r, gateway_stop(f.gateway, SIGKILL));
	}
	assert_logged(text);
}

static void test_no_capability(void **state)
{
	static const char *const prefix[] = { "setpriv", "--bounding-set=-net_admin",
					      "--inh-caps=-net_admin", NULL };

	(void)state;
	assert_refuses(prefix, "CAP_NET_ADMIN");
}

static void test_wrong_file(void **state)
{
	(void)state;
	assert_int_equal(gateway_configure(f.gateway, "%sbogus\n", conf), 0);
	assert_refuses(NULL, LAB_CONF_PATH ":");
}

/* No interface has the listener's address and nobody adds it: a warning, since it may come later. */
static void test_no_address(void **state)
{
	(void)state;
	assert_int_equal(gateway_configure(f.gateway,
					   "[ipvsd]\ncontrol-socket = " LAB_CONTROL_SOCKET
					   "\nstate-directory = " LAB_STATE_DIRECTORY
					   "\nhealth-user = nobody\n"
					   "[listener web]\naddress = 203.0.113.77\nport = 80\n"
					   "forward = blue\n[target-group blue]\n"
					   "targets = 10.0.1.10:8080\n" FIXTURE_CHECKS),
			 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_logged("203.0.113.77");
	assert_logged("vip-interface");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_control_garbage, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_state_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_journal, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_capability, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_wrong_file, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_address, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

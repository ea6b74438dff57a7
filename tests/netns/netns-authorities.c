/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Authorities of target groups by the daemon and its worker: two of them, made by openssl, and real servers, nginx and
 * openssl, with a certificate by the first. Who is well under which; a reload with another file under the same name; one
 * with a broken file; and a worker that is killed.
 */

#include <jansson.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

#define A1 "10.0.1.10"
#define B1 "10.0.2.10"
#define GROUP(name, targets, keys)                                                                 \
	"[target-group " name "]\ntargets = " targets "\n"                                         \
	"health-check-protocol = https\nhealth-check-path = /\nmatcher = 200\n"                    \
	"health-check-verify-certificate = yes\n"                                                  \
	"health-check-interval = 500ms\nhealth-check-timeout = 500ms\nhealthy-threshold = 1\n"     \
	"unhealthy-threshold = 2\n" keys
#define LISTENER(name, port, group)                                                                \
	"[listener " name "]\naddress = " LAB_VIP "\nport = " port "\nforward = " group "\n"
#define N_CURRENT 3 /* where the group stands */
#define UNKNOWN "certificate issuer unknown"

static struct fixture f;
static struct lab_process nginx = LAB_PROCESS_INIT, s_server = LAB_PROCESS_INIT;

/* Two authorities; a certificate by the first one for both hosts and a name. */
static const char make_all[] =
	"set -e\ncd /run\n"
	"ec='-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes'\n"
	"for i in one two; do\n"
	"openssl req -x509 $ec -keyout $i.key -out $i.pem -subj \"/CN=Authority $i\" -days 2\n"
	"done\n"
	"openssl req $ec -keyout server.key -out server.csr -subj /CN=server \\\n"
	"-addext 'subjectAltName=IP:" A1 ",IP:" B1 ",DNS:orders.internal'\n"
	"openssl x509 -req -in server.csr -CA one.pem -CAkey one.key -CAcreateserial \\\n"
	"-copy_extensions copy -days 2 -out server.pem\n"
	"cp one.pem current.pem\n";

static const char nginx_conf[] =
	"daemon off;\nmaster_process off;\npid /run/nginx.pid;\nerror_log /run/nginx.log;\n"
	"events { worker_connections 64; }\nhttp {\naccess_log off;\n"
	"client_body_temp_path /run/body;\nproxy_temp_path /run/proxy;\n"
	"fastcgi_temp_path /run/fastcgi;\nuwsgi_temp_path /run/uwsgi;\nscgi_temp_path /run/scgi;\n"
	"server { listen " A1 ":8443 ssl http2; ssl_certificate /run/server.pem;\n"
	"ssl_certificate_key /run/server.key; location / { return 200 ok; } }\n}\n";

static const char conf[] = LAB_CONF_GLOBAL "health-history = 10000\n" LISTENER(
	"l1", "8001", "right") LISTENER("l2", "8002", "wrong") LISTENER("l3", "8003", "system")
	LISTENER("l4", "8004", "current") GROUP(
		"right", A1 ":8443\n " B1 ":8443",
		"health-check-ca-file = one.pem\nhealth-check-server-name = orders.internal\n")
		GROUP("wrong", A1 ":8443", "health-check-ca-file = /run/two.pem\n")
			GROUP("system", B1 ":8443", "") GROUP("current", A1 ":8443",
							      "health-check-ca-file = current.pem\n"
							      "health-check-http-version = 2\n");

static void run_script(const char *script)
{
	const char *argv[] = { "sh", "-c", script, NULL };
	struct lab_result r = LAB_RESULT_INIT;

	assert_int_equal(lab_run(NULL, argv, &r), 0);
	if (r.status != 0)
		fail_msg("%s: %s", script, r.err);
	lab_result_deinit(&r);
}

static void write_file(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *file = fopen(path, "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
}

static void start_servers(void)
{
	static const char *const with_nginx[] = { "nginx", "-e", "/run/nginx.log",  "-p",
						  "/run",  "-c", "/run/nginx.conf", NULL };
	static const char *const with_openssl[] = {
		"openssl", "s_server",	      "-accept", "10.0.2.10:8443",
		"-cert",   "/run/server.pem", "-key",	 "/run/server.key",
		"-www",	   "-quiet",	      NULL
	};

	write_file("/run/nginx.conf", nginx_conf);
	assert_int_equal(lab_spawn(lab_host(f.lab, "a1"), with_nginx, NULL, &nginx), 0);
	assert_int_equal(lab_spawn(lab_host(f.lab, "b1"), with_openssl, NULL, &s_server), 0);
}

static int set_up(void **state)
{
	const struct lab_spec spec = { .targets = { 1, 1 } };

	(void)state;
	f = (struct fixture){ 0 };
	for (size_t i = 0; i < ARRAY_SIZE(f.servers); i++)
		f.servers[i] = LAB_SERVER_INIT;
	assert_int_equal(lab_new(&spec, &f.lab), 0);
	run_script(make_all);
	start_servers();
	assert_int_equal(gateway_new(f.lab, &f.gateway), 0);
	assert_int_equal(gateway_configure(f.gateway, "%s", conf), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	lab_process_deinit(&nginx);
	lab_process_deinit(&s_server);
	fixture_deinit(&f);
	return 0;
}

/* A guest that stalls may bring a probe to its timeout, so the last result is waited for. */
static void expect_unknown(const char *group, const char *target)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	char detail[FIXTURE_TEXT_MAX];

	fixture_wait_state(&f, group, target, "unhealthy");
	while (strcmp(fixture_text(&f, group, target, "detail", detail), UNKNOWN) != 0) {
		if (clock_monotonic_usec() > end)
			fail_msg("%s of %s: %s", target, group, detail);
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

/* The results that the daemon has of a1 in the group right; none of them is of another group's authority. */
static size_t count_results(void)
{
	json_t *report = NULL;
	const json_t *results, *result;
	size_t i, n;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/history?group=right&target=" A1,
					 NULL, &report),
			 200);
	results = json_object_get(json_array_get(json_object_get(report, "targets"), 0), "results");
	n = json_array_size(results);
	json_array_foreach (results, i, result)
		assert_null(strstr(json_string_value(json_object_get(result, "outcome")),
				   "certificate"));
	json_decref(report);
	return n;
}

static void wait_results(size_t n)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	size_t before = count_results();

	while (count_results() < before + n) {
		assert_true(clock_monotonic_usec() < end);
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

static json_int_t worker_number(const char *member)
{
	json_t *status = NULL;
	json_int_t value;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	value = json_integer_value(json_object_get(json_object_get(status, "health"), member));
	json_decref(status);
	return value;
}

static void reload(int status, const char *says)
{
	struct lab_result r = LAB_RESULT_INIT;

	fixture_reload(&f, status, &r);
	if (says && !strstr(r.err, says) && !strstr(r.out, says))
		fail_msg("%s%s", r.out, r.err);
	lab_result_deinit(&r);
}

static void test_who_is_well(void **state)
{
	(void)state;
	fixture_wait_state(&f, "right", A1, "healthy");
	fixture_wait_state(&f, "right", B1, "healthy");
	fixture_wait_state(&f, "current", A1, "healthy");
	expect_unknown("wrong", A1);
	expect_unknown("system", B1);
}

/* What a file under the same name has from now on, for its group alone and in the same worker. */
static void swap_and_back(void)
{
	json_int_t pid = worker_number("worker_pid");
	size_t before = count_results();

	run_script("cp /run/two.pem /run/next.pem && mv /run/next.pem /run/current.pem");
	reload(0, NULL);
	assert_true(gateway_log_has(f.gateway, "current: verified by other authorities from now "
					       "on: /run/current.pem, certificates: 1"));
	expect_unknown("current", A1);
	run_script("cat /run/two.pem /run/one.pem > /run/current.pem");
	reload(0, NULL);
	fixture_wait_state(&f, "current", A1, "healthy");
	assert_true(count_results() > before);
	if (!gateway_log_has(f.gateway, "is late by more than")) /* in a guest that stalls */
		assert_int_equal(worker_number("worker_pid"), pid);
}

static void test_reload(void **state)
{
	(void)state;
	swap_and_back();
}

static void test_broken_files(void **state)
{
	static const struct {
		const char *script, *says;
	} cases[] = {
		{ "echo nonsense > /run/current.pem",
		  "health-check-ca-file: /run/current.pem: no certificate in it" },
		{ "head -n 5 /run/one.pem > /run/current.pem",
		  "health-check-ca-file: /run/current.pem:1: the certificate that begins here has "
		  "no "
		  "end" },
		{ "rm /run/current.pem", "health-check-ca-file: cannot read /run/current.pem" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		run_script(cases[i].script);
		reload(1, cases[i].says);
	}
	wait_results(2);
	fixture_wait_state(&f, "current", A1, "healthy");
	fixture_wait_state(&f, "right", A1, "healthy");
	run_script("cp /run/one.pem /run/current.pem");
	reload(0, NULL);
	fixture_wait_state(&f, "current", A1, "healthy");
}

#define ALARM "group current: the health-check-ca-file is bad, and "

static void wait_log(const char *text)
{
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;

	while (!gateway_log_has(f.gateway, text)) {
		if (clock_monotonic_usec() > end) {
			gateway_print_log(f.gateway);
			fail_msg("nothing in the log of: %s", text);
		}
		lab_sleep(50 * USEC_PER_MSEC);
	}
}

static bool is_being_written(void)
{
	json_t *status = NULL, *group;
	const char *text;
	bool r;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	group = json_array_get(json_object_get(status, "groups"), N_CURRENT);
	text = json_string_value(json_object_get(json_object_get(group, "authorities"), "status"));
	assert_non_null(text);
	r = strcmp(text, "being-written") == 0;
	json_decref(status);
	return r;
}

/* Whole certificates, but the writer has not closed the file: it may be half of what is to come. */
static void write_half(void)
{
	_cleanup_fclose_ FILE *from = fopen("/run/two.pem", "re");
	FILE *half = fopen("/run/current.pem", "we");
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;
	int c;

	assert_non_null(from);
	assert_non_null(half);
	while ((c = fgetc(from)) != EOF)
		assert_true(fputc(c, half) != EOF);
	assert_int_equal(fflush(half), 0);
	while (!is_being_written()) {
		assert_true(clock_monotonic_usec() < end);
		lab_sleep(50 * USEC_PER_MSEC);
	}
	wait_results(4);
	fixture_wait_state(&f, "current", A1, "healthy");
	assert_int_equal(fclose(half), 0);
}

/* As it is rotated, without a reload: by rename, in place, half of it, and gone; for its own group alone. */
static void test_rotation(void **state)
{
	(void)state;
	run_script("cp /run/two.pem /run/next.pem && mv /run/next.pem /run/current.pem");
	expect_unknown("current", A1);
	run_script("cat /run/two.pem /run/one.pem > /run/current.pem");
	fixture_wait_state(&f, "current", A1, "healthy");
	wait_log("current: verified by other authorities from now on: /run/current.pem, "
		 "certificates: 2");

	write_half();
	expect_unknown("current", A1);
	run_script("head -n 5 /run/one.pem > /run/current.pem");
	fixture_wait_alarm(
		&f, ALARM "its last good authorities stay in effect: /run/current.pem:1:", true);
	expect_unknown("current", A1);
	run_script("rm /run/current.pem");
	fixture_wait_alarm(
		&f, ALARM "its last good authorities stay in effect: /run/current.pem:0:", true);
	run_script("cp /run/one.pem /run/current.pem");
	fixture_wait_state(&f, "current", A1, "healthy");
	fixture_wait_alarm(&f, ALARM, false);
	fixture_wait_state(&f, "right", A1, "healthy");
	assert_false(gateway_log_has(f.gateway, "right: verified by other authorities"));
}

static void restart(const char *script)
{
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	run_script(script);
	assert_int_equal(gateway_start(f.gateway), 0);
}

/* A gateway that boots beside a bad file serves all groups; that one as it was, since nobody may verify its targets. */
static void test_bad_file_at_start(void **state)
{
	char checked[FIXTURE_TEXT_MAX];

	(void)state;
	fixture_wait_state(&f, "current", A1, "healthy");
	restart("echo nonsense > /run/current.pem");
	fixture_wait_alarm(
		&f, ALARM "targets are not probed: /run/current.pem:0: no certificate in it", true);
	fixture_wait_state(&f, "right", A1, "healthy");
	fixture_wait_state(&f, "right", B1, "healthy");
	fixture_wait_state(&f, "current", A1, "healthy");
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 8004, A1), 100);
	expect_unknown("wrong",
		       A1); /* results have come in, and by now the group's would have, too */
	fixture_wait_state(&f, "current", A1, "healthy");
	reload(1, "health-check-ca-file: /run/current.pem: no certificate in it");
	fixture_wait_state(&f, "current", A1, "healthy");
	/* It is probed from now on, by what the file says and by nothing else. */
	run_script("cp /run/two.pem /run/current.pem");
	expect_unknown("current", A1);
	fixture_wait_alarm(&f, ALARM, false);

	/* Nothing is known of it: initial, and traffic as at any cold start. */
	restart("rm -r " LAB_STATE_DIRECTORY " /run/current.pem");
	fixture_wait_alarm(&f, ALARM "targets are not probed: /run/current.pem:0: cannot read",
			   true);
	expect_unknown("wrong", A1);
	fixture_wait_state(&f, "current", A1, "initial");
	assert_string_equal(fixture_text(&f, "current", A1, "checked", checked), "");
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 8004, A1), 100);
	run_script("cp /run/one.pem /run/current.pem");
	fixture_wait_state(&f, "current", A1, "healthy");
	fixture_wait_alarm(&f, ALARM, false);
}

static void test_killed_worker(void **state)
{
	json_int_t pid = worker_number("worker_pid"), now = pid;
	usec_t end = clock_monotonic_usec() + FIXTURE_SOON_USEC;

	(void)state;
	assert_int_equal(kill((pid_t)pid, SIGKILL), 0);
	while (now == pid || now == 0) {
		now = worker_number("worker_pid");
		assert_true(clock_monotonic_usec() < end);
		lab_sleep(50 * USEC_PER_MSEC);
	}
	swap_and_back();
	expect_unknown("wrong", A1);
	fixture_wait_state(&f, "right", B1, "healthy");
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_who_is_well),	  cmocka_unit_test(test_reload),
		cmocka_unit_test(test_broken_files),	  cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_bad_file_at_start), cmocka_unit_test(test_killed_worker),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

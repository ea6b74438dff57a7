/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Targets by name and by file, with the real daemon: what changes there, the traffic follows, without a reload. */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

#define A1 "10.0.1.10"
#define B1 "10.0.2.10"
#define HOSTS "/run/hosts"
#define TARGETS "/run/targets"

DEFINE_CLEANUP(json_t *, json_decref)

static struct fixture f;
static struct lab_process dnsmasq = LAB_PROCESS_INIT;

static void write_file(const char *path, const char *text)
{
	FILE *file = fopen("/run/fresh", "we");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(rename("/run/fresh", path), 0);
}

static void configure(const char *keys)
{
	assert_int_equal(
		gateway_configure(
			f.gateway,
			LAB_CONF_GLOBAL
			"dns-server = 127.0.0.1:5300\ndns-timeout = 100ms\n"
			"dns-min-ttl = 100ms\ndns-absent-answers = 2\n"
			"reconcile-interval = 1h\n" /* or it would do what a change must do itself */
			"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = blue\n"
			"[target-group blue]\nderegistration-delay = 1s\n" FIXTURE_CHECKS "%s",
			keys),
		0);
}

static void start_dnsmasq(void)
{
	static const char additional_hosts[] = "--addn-hosts=" HOSTS;
	static const char *const argv[] = { "/usr/sbin/dnsmasq",
					    "--keep-in-foreground",
					    "--conf-file=/dev/null",
					    "--port=5300",
					    "--listen-address=127.0.0.1",
					    "--bind-interfaces",
					    "--no-resolv",
					    "--no-hosts",
					    "--user=root",
					    "--pid-file=",
					    "--local=/test/",
					    "--local-ttl=0",
					    additional_hosts,
					    "--srv-host=_http._tcp.test,web.test,8080",
					    NULL };

	assert_int_equal(lab_spawn(&f.lab->gateway, argv, NULL, &dnsmasq), 0);
}

static void stop_dnsmasq(void)
{
	lab_process_deinit(&dnsmasq);
	dnsmasq = LAB_PROCESS_INIT;
}

/* What `status` says of the first name or file of the group. */
static void read_source(const char *member, char buf[static 128])
{
	_cleanup_(json_decref_p) json_t *status = NULL;
	const char *text = NULL;
	json_t *source;

	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	source = json_array_get(
		json_object_get(json_array_get(json_object_get(status, "groups"), 0), "sources"),
		0);
	text = json_string_value(json_object_get(source, member));
	(void)snprintf(buf, 128, "%s", text ? text : "");
}

struct wanted {
	const char *member, *value;
};

static bool source_says(void *userdata)
{
	const struct wanted *w = userdata;
	char text[128];

	read_source(w->member, text);
	return strcmp(text, w->value) == 0;
}

static void assert_source_soon(const char *member, const char *value)
{
	struct wanted w = { member, value };
	char text[128];

	if (lab_wait_until(source_says, &w, FIXTURE_SOON_USEC) == 0)
		return;
	gateway_print_log(f.gateway);
	read_source(member, text);
	fail_msg("%s is \"%s\", not \"%s\"", member, text, value);
}

static void assert_serves(const char *name)
{
	char target[LAB_TARGET_MAX];

	assert_string_equal(fixture_get(&f, "/", target), name);
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	stop_dnsmasq();
	fixture_deinit(&f);
	return 0;
}

/* keys: how the group names its targets. What a target weighs follows from it. */
static void follow_a_name(const char *keys)
{
	char status[128];

	/* A name that nobody answers for is no reason not to start. */
	write_file(HOSTS, A1 " web.test\n");
	configure(keys);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_source_soon("status", "unreachable");
	start_dnsmasq();
	fixture_wait_weight(&f, A1, 100);
	assert_source_soon("status", "ok");
	assert_serves("a1");

	/* Another address: it joins, and the first leaves after its second absence. */
	write_file(HOSTS, B1 " web.test\n");
	assert_int_equal(lab_process_signal(&dnsmasq, SIGHUP), 0);
	fixture_wait_weight(&f, B1, 100);
	fixture_wait_weight(&f, A1, -ENOENT);
	assert_serves("b1");

	/* Without a name server the last answer holds, for a new daemon too. */
	stop_dnsmasq();
	assert_source_soon("status", "unreachable");
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 100);
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 100);
	fixture_wait_healthy(&f, "blue");
	assert_serves("b1");
	read_source("source", status);
	assert_true(strncmp(status, "dns:", 4) == 0);
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
}

static void test_host_name(void **state)
{
	(void)state;
	follow_a_name("targets = web.test:8080\n");
}

static void test_service(void **state)
{
	(void)state;
	follow_a_name("discovery = dns:_http._tcp.test\n");
}

static void test_targets_file(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	(void)state;
	write_file(TARGETS, A1 ":8080 weight=1\n");
	configure("targets-file = " TARGETS "\n");
	assert_int_equal(gateway_start(f.gateway), 0);
	fixture_wait_weight(&f, A1, 1);
	write_file(TARGETS, A1 ":8080 weight=2\n" B1 ":8080 weight=3\n");
	fixture_wait_weight(&f, B1, 3);
	fixture_wait_weight(&f, A1, 2);
	/* Nobody comes, so that no first result brings it into effect by the way. */
	write_file(TARGETS, A1 ":8080 weight=5\n" B1 ":8080 weight=3\n");
	fixture_wait_weight(&f, A1, 5);
	write_file(TARGETS, "# all are bad\n" A1 ":8080\nnonsense:port\n");
	assert_source_soon("status", "bad");
	assert_source_soon("description",
			   TARGETS ":3: targets: \"nonsense:port\" is not ADDRESS, ADDRESS:PORT, "
				   "NAME or NAME:PORT");
	assert_int_equal(unlink(TARGETS), 0);
	assert_source_soon("description",
			   TARGETS ":0: cannot read " TARGETS
				   ": No such file or directory; create it, or name another");
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 3);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 5);
	write_file(TARGETS, B1 ":8080 weight=4\n");
	fixture_wait_weight(&f, A1, -ENOENT);
	fixture_wait_weight(&f, B1, 4);
	assert_source_soon("status", "ok");
	assert_serves("b1");
	/* A reload finds nothing left to do. */
	fixture_reload(&f, 0, &result);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 4);
}

static void restart(void)
{
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
}

/* A gateway that boots beside half a file serves everything else, and that group as it was. */
static void test_bad_file_at_start(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	(void)state;
	/* Never a good one: the listener's other group is there all the same. */
	assert_true(unlink(TARGETS) == 0 || errno == ENOENT);
	configure("targets-file = " TARGETS "\n"
		  "[target-group green]\ntargets = " A1 ":8080\n" FIXTURE_CHECKS
		  "[listener other]\naddress = " LAB_VIP "\nport = 81\nforward = green\n");
	assert_int_equal(gateway_start(f.gateway), 0);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 81, A1), 100);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), -ENOENT);
	assert_source_soon("status", "bad");
	fixture_wait_alarm(&f,
			   "group blue: the targets-file is bad, and gives no targets: " TARGETS
			   ":0: cannot read " TARGETS
			   ": No such file or directory; create it, or name another",
			   true);
	/* A reload is refused, as somebody is there to see it, and takes nothing away. */
	fixture_reload(&f, 1, &result);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 81, A1), 100);
	write_file(TARGETS, B1 ":8080 weight=5\n");
	fixture_wait_weight(&f, B1, 5);
	fixture_wait_alarm(&f, "group blue: the targets-file", false);
	fixture_wait_healthy(&f, "blue");

	/* Half of it, and one that is gone: the last good list, at once, and with its verdicts. */
	write_file(TARGETS, B1 ":8080 weight=6\n" A1 ":8080\n");
	fixture_wait_weight(&f, B1, 6);
	fixture_wait_healthy(&f, "blue");
	write_file(TARGETS, B1 ":8080 weight=");
	restart();
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 6);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, A1), 100);
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 81, A1), 100);
	assert_source_soon("status", "bad");
	fixture_wait_alarm(&f,
			   "group blue: the targets-file is bad, and its last good list stays in "
			   "effect: " TARGETS ":1: targets: \"weight=\": a weight is 0 to 65535",
			   true);
	assert_int_equal(unlink(TARGETS), 0);
	restart();
	assert_int_equal(gateway_weight(f.gateway, LAB_VIP, 80, B1), 6);
	write_file(TARGETS, B1 ":8080 weight=7\n");
	fixture_wait_weight(&f, B1, 7);
	fixture_wait_weight(&f, A1, -ENOENT);
	assert_source_soon("status", "ok");
	fixture_wait_alarm(&f, "group blue: the targets-file", false);
}

#define on_a_gateway(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		on_a_gateway(test_host_name),
		on_a_gateway(test_service),
		on_a_gateway(test_targets_file),
		on_a_gateway(test_bad_file_at_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

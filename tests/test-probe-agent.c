/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/probe-rig.h"
#include "tests/scripted-server.h"

#define PATIENCE_USEC (10 * USEC_PER_SEC)
#define SHORT_USEC (100 * USEC_PER_MSEC)

static const struct {
	const char *name;
	enum server_script script;
	const char *answer, *filler;
	enum probe_outcome outcome;
	int32_t percent;
	enum probe_advice advice;
	usec_t timeout_usec;
} cases[] = {
	{ "up", SERVER_ANSWER, "up\n", NULL, PROBE_OK, -1, PROBE_ADVICE_UP, PATIENCE_USEC },
	{ "weight", SERVER_ANSWER, "up 30%\r\n", NULL, PROBE_OK, 30, PROBE_ADVICE_UP,
	  PATIENCE_USEC },
	{ "connection left open", SERVER_ANSWER_STAY, "drain\n", NULL, PROBE_OK, -1,
	  PROBE_ADVICE_DRAIN, PATIENCE_USEC },
	{ "a byte every 50 ms", SERVER_DRIP, "up\n", NULL, PROBE_OK, -1, PROBE_ADVICE_UP,
	  PATIENCE_USEC },
	{ "no line break", SERVER_ANSWER, "ready", NULL, PROBE_OK, -1, PROBE_ADVICE_READY,
	  PATIENCE_USEC },
	{ "the first line alone", SERVER_ANSWER, "up\ndown\n", NULL, PROBE_OK, -1, PROBE_ADVICE_UP,
	  PATIENCE_USEC },
	{ "down", SERVER_ANSWER, "down#maintenance 5%\n", NULL, PROBE_AGENT_DOWN, -1,
	  PROBE_ADVICE_DOWN, PATIENCE_USEC },
	{ "stopped, maint", SERVER_ANSWER, "stopped maint 0%\n", NULL, PROBE_AGENT_DOWN, 0,
	  PROBE_ADVICE_MAINT, PATIENCE_USEC },
	{ "another protocol", SERVER_ANSWER, "SSH-2.0-OpenSSH_9.2\r\n", NULL, PROBE_BAD_RESPONSE,
	  -1, PROBE_ADVICE_NONE, PATIENCE_USEC },
	{ "an empty line", SERVER_ANSWER, "\n", NULL, PROBE_BAD_RESPONSE, -1, PROBE_ADVICE_NONE,
	  PATIENCE_USEC },
	{ "nothing", SERVER_ANSWER, "", NULL, PROBE_RESET, -1, PROBE_ADVICE_NONE, PATIENCE_USEC },
	{ "an endless line", SERVER_ENDLESS, "up", " up up up up up up up up", PROBE_TOO_LARGE, -1,
	  PROBE_ADVICE_NONE, PATIENCE_USEC },
	{ "half a line", SERVER_ANSWER_STAY, "up", NULL, PROBE_TIMEOUT, -1, PROBE_ADVICE_NONE,
	  SHORT_USEC },
	{ "silence", SERVER_SILENT, NULL, NULL, PROBE_TIMEOUT, -1, PROBE_ADVICE_NONE, SHORT_USEC },
	{ "full backlog", SERVER_FULL_BACKLOG, NULL, NULL, PROBE_CONNECT_TIMEOUT, -1,
	  PROBE_ADVICE_NONE, SHORT_USEC },
};

static void serve(void *userdata)
{
	scripted_server_step(userdata, clock_monotonic_usec());
}

static void test_outcomes(void **state)
{
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scripted_server s;

		scripted_server_init(&s, AF_INET, cases[i].script, cases[i].answer);
		s.filler = cases[i].filler;
		probe_rig_spec(&rig, PROTOCOL_CHECK_AGENT, "127.0.0.1", s.port);
		probe_rig_text(&rig, PROTOCOL_TEXT_SEND, "?\r\n\r\n",
			       5); /* these servers wait for it */
		probe_rig_run(&rig, cases[i].timeout_usec, serve, &s);
		if (rig.outcome != cases[i].outcome || rig.weight_percent != cases[i].percent ||
		    rig.advice != cases[i].advice)
			fail_msg("%s: %s, %d %%, advice %d", cases[i].name,
				 probe_outcome_to_string(rig.outcome), rig.weight_percent,
				 (int)rig.advice);
		scripted_server_deinit(&s);
	}
	probe_rig_deinit(&rig);
}

/* What is to be sent arrives before the answer is waited for. */
static void test_send(void **state)
{
	struct scripted_server s;
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	scripted_server_init(&s, AF_INET6, SERVER_SILENT, NULL);
	probe_rig_spec(&rig, PROTOCOL_CHECK_AGENT, "::1", s.port);
	probe_rig_text(&rig, PROTOCOL_TEXT_SEND, "web-1\n", 6);
	probe_rig_run(&rig, SHORT_USEC, serve, &s);
	assert_int_equal(rig.outcome, PROBE_TIMEOUT);
	assert_string_equal(s.connections[0].request, "web-1\n");
	scripted_server_deinit(&s);
	probe_rig_deinit(&rig);
}

static void greet(void *userdata)
{
	int fd = accept4(*(int *)userdata, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return;
	assert_int_equal(write(fd, "drain\n", 6), 6);
	(void)close(fd);
}

/* Most agents speak first. */
static void test_nothing_to_send(void **state)
{
	struct probe_rig rig;
	uint16_t port;
	int fd;

	(void)state;
	probe_rig_init(&rig);
	fd = probe_rig_bind(AF_INET, SOCK_STREAM, &port);
	assert_return_code(listen(fd, 4), errno);
	probe_rig_spec(&rig, PROTOCOL_CHECK_AGENT, "127.0.0.1", port);
	probe_rig_run(&rig, PATIENCE_USEC, greet, &fd);
	assert_int_equal(rig.outcome, PROBE_OK);
	assert_int_equal(rig.advice, PROBE_ADVICE_DRAIN);
	(void)close(fd);
	probe_rig_deinit(&rig);
}

static void test_refused(void **state)
{
	struct scripted_server s;
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	scripted_server_init(&s, AF_INET, SERVER_SILENT, NULL);
	probe_rig_spec(&rig, PROTOCOL_CHECK_AGENT, "127.0.0.1", s.port);
	scripted_server_deinit(&s);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_REFUSED);
	probe_rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_send),
		cmocka_unit_test(test_nothing_to_send),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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

#define PATIENCE_USEC (10 * USEC_PER_SEC)
#define SHORT_USEC (100 * USEC_PER_MSEC)

/* Answers every datagram with `answer`, or with the datagram itself, or not at all. */
struct server {
	int fd;
	uint16_t port;
	const char *answer;
	size_t answer_size;
	bool echo, silent;
	unsigned n_received;
	char received[2048];
	ssize_t received_size;
};

static void serve(void *userdata)
{
	struct server *s = userdata;
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	ssize_t n = recvfrom(s->fd, s->received, sizeof(s->received), 0, (struct sockaddr *)&from,
			     &len);
	const char *answer = s->echo ? s->received : s->answer;
	size_t size = s->echo ? (size_t)MAX(n, 0) : s->answer_size;

	if (n < 0)
		return;
	s->n_received++;
	s->received_size = n;
	if (!s->silent)
		assert_int_equal(sendto(s->fd, answer, size, 0, (struct sockaddr *)&from, len),
				 size);
}

static const char *loopback(int family)
{
	return family == AF_INET6 ? "::1" : "127.0.0.1";
}

static void run(struct probe_rig *rig, struct server *s, int family, const char *send,
		size_t send_size, const char *expect, usec_t timeout_usec)
{
	s->fd = probe_rig_bind(family, SOCK_DGRAM, &s->port);
	probe_rig_spec(rig, PROTOCOL_CHECK_UDP, loopback(family), s->port);
	probe_rig_text(rig, PROTOCOL_TEXT_SEND, send, send_size);
	probe_rig_text(rig, PROTOCOL_TEXT_EXPECT, expect, strlen(expect));
	probe_rig_run(rig, timeout_usec, serve, s);
	(void)close(s->fd);
}

static void test_answers(void **state)
{
	static const char binary[] = "\0\xff\r\n";
	static const int families[] = { AF_INET, AF_INET6 };
	static const struct {
		const char *expect;
		enum probe_outcome outcome;
	} cases[] = {
		{ "", PROBE_OK },
		{ "PONG", PROBE_OK },
		{ "ON", PROBE_OK },
		{ "pong", PROBE_WRONG_ANSWER },
		{ "regex:^P.NG$", PROBE_OK },
		{ "regex:^NG", PROBE_WRONG_ANSWER },
	};
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
			struct server s = { .answer = "PONG", .answer_size = 4 };

			run(&rig, &s, families[f], binary, sizeof(binary), cases[i].expect,
			    PATIENCE_USEC);
			assert_int_equal(rig.outcome, cases[i].outcome);
			assert_int_equal(s.n_received, 1);
			assert_int_equal(s.received_size, sizeof(binary));
			assert_memory_equal(s.received, binary, sizeof(binary));
		}
	}
	probe_rig_deinit(&rig);
}

/* Nothing to send is an empty datagram, and an empty answer is one. */
static void test_empty(void **state)
{
	struct server echo = { .echo = true }, wrong = { .echo = true };
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	run(&rig, &echo, AF_INET, "", 0, "", PATIENCE_USEC);
	assert_int_equal(rig.outcome, PROBE_OK);
	assert_int_equal(echo.n_received, 1);
	assert_int_equal(echo.received_size, 0);
	run(&rig, &wrong, AF_INET, "", 0, "x", PATIENCE_USEC);
	assert_int_equal(rig.outcome, PROBE_WRONG_ANSWER);
	probe_rig_deinit(&rig);
}

/* Silence is good where nothing is expected, and a failure where something is; both at the deadline. */
static void test_silence(void **state)
{
	struct server silent = { .silent = true };
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	run(&rig, &silent, AF_INET, "ping", 4, "", SHORT_USEC);
	assert_int_equal(rig.outcome, PROBE_OK);
	assert_true(rig.duration_usec >= SHORT_USEC);
	run(&rig, &silent, AF_INET, "ping", 4, "pong", SHORT_USEC);
	assert_int_equal(rig.outcome, PROBE_TIMEOUT);
	assert_true(rig.duration_usec >= SHORT_USEC);
	probe_rig_deinit(&rig);
}

/* A port that nobody has: the kernel answers with ICMP port unreachable, long before the deadline. */
static void test_refused(void **state)
{
	static const int families[] = { AF_INET, AF_INET6 };
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	for (size_t f = 0; f < ARRAY_SIZE(families); f++) {
		uint16_t port;
		int fd = probe_rig_bind(families[f], SOCK_DGRAM, &port);

		(void)close(fd);
		probe_rig_spec(&rig, PROTOCOL_CHECK_UDP, loopback(families[f]), port);
		probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
		assert_int_equal(rig.outcome, PROBE_REFUSED);
		assert_int_equal(rig.detail, ECONNREFUSED);
	}
	probe_rig_deinit(&rig);
}

struct stranger {
	int fd, other_fd;
	struct sockaddr_in from;
	unsigned n_received;
};

static void serve_stranger(void *userdata)
{
	struct stranger *s = userdata;
	socklen_t len = sizeof(s->from);
	char byte;

	if (recvfrom(s->fd, &byte, 1, 0, (struct sockaddr *)&s->from, &len) < 0)
		return;
	s->n_received++;
	assert_int_equal(sendto(s->other_fd, "pong", 4, 0, (struct sockaddr *)&s->from, len), 4);
}

/* The probe comes from the address that it was given, and another socket's datagram is no answer to it. */
static void test_source_and_stranger(void **state)
{
	struct stranger s = { 0 };
	struct probe_rig rig;
	uint16_t port, other;

	(void)state;
	probe_rig_init(&rig);
	s.fd = probe_rig_bind(AF_INET, SOCK_DGRAM, &port);
	s.other_fd = probe_rig_bind(AF_INET, SOCK_DGRAM, &other);
	probe_rig_spec(&rig, PROTOCOL_CHECK_UDP, "127.0.0.1", port);
	assert_int_equal(addr_parse("127.0.0.2", &rig.record.probe.source), 0);
	probe_rig_text(&rig, PROTOCOL_TEXT_EXPECT, "pong", 4);
	probe_rig_run(&rig, SHORT_USEC, serve_stranger, &s);
	assert_int_equal(s.n_received, 1);
	assert_int_equal(ntohl(s.from.sin_addr.s_addr), INADDR_LOOPBACK + 1);
	assert_int_equal(rig.outcome, PROBE_TIMEOUT);
	(void)close(s.fd);
	(void)close(s.other_fd);
	probe_rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_silence),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_source_and_stranger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "health/outcome.h"
#include "tests/worker-rig.h"

/* How the worker behaves as a process: its schedule, its end of the protocol, its privileges. */

#define OK_HEAD "HTTP/1.1 200 OK\r\n"

/* A port of loopback on which nothing listens: it was the kernel's choice a moment ago. */
static uint16_t closed_port(void)
{
	struct scripted_server s;

	scripted_server_init(&s, AF_INET, SERVER_SILENT, NULL);
	scripted_server_deinit(&s);
	return s.port;
}

/*
 * The due times of one probe are phase + n x interval, whatever the answers take, and none starts early. Does it keep
 * step? A busy machine may cost some.
 */
static bool is_in_step(const struct rig *rig, uint64_t id, usec_t interval_usec)
{
	usec_t last = 0;
	size_t n = 0, n_in_step = 0;

	for (size_t i = 0; i < rig->n_results; i++) {
		const struct protocol_result *r = &rig->results[i];

		if (r->id != id)
			continue;
		assert_true(r->start_usec >= r->due_usec);
		if (n++ > 1)
			assert_int_equal((r->due_usec - last) % interval_usec, 0);
		assert_true(r->due_usec > last);
		n_in_step += r->due_usec - last == interval_usec;
		last = r->due_usec;
	}
	return n >= 5 && n_in_step * 3 >= n;
}

static void test_fixed_rate(void **state)
{
	static const usec_t interval_usec = 120 * USEC_PER_MSEC;
	static struct rig rig;
	struct scripted_server *quick, *silent;
	struct protocol_probe_record p;
	bool in_step = false;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	quick = rig_server(&rig, AF_INET, SERVER_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n");
	silent = rig_server(&rig, AF_INET, SERVER_SILENT, NULL);
	for (uint64_t id = 0; id < 3; id++) {
		p = probe_make(id, PROTOCOL_CHECK_HTTP, "127.0.0.1",
			       id == 0 ? quick->port : silent->port);
		probe_text(&p, PROTOCOL_TEXT_PATH, "/");
		p.probe.interval_usec = interval_usec;
		/* Nothing is skipped where the timeout is the whole interval. */
		p.probe.timeout_usec = id == 2 ? interval_usec : interval_usec / 2;
		rig_send_probe(&rig, &p);
	}
	/* Again where the machine stood still for a while, but not for ever. */
	for (unsigned i = 0; i < 10 && !in_step; i++) {
		rig.n_results = 0;
		rig_wait_results(&rig, 24);
		in_step = is_in_step(&rig, 0, interval_usec) &&
			  is_in_step(&rig, 1, interval_usec) && is_in_step(&rig, 2, interval_usec);
	}
	assert_true(in_step);
	rig_deinit(&rig);
}

static void test_del_and_replace(void **state)
{
	static struct rig rig;
	struct scripted_server *s;
	struct protocol_probe_record p;
	size_t n;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	s = rig_server(&rig, AF_INET, SERVER_ANSWER, "HTTP/1.1 418 Teapot\r\n\r\n");
	p = probe_make(7, PROTOCOL_CHECK_HTTP, "127.0.0.1", s->port);
	probe_text(&p, PROTOCOL_TEXT_PATH, "/");
	p.probe.interval_usec = p.probe.timeout_usec = 100 * USEC_PER_MSEC;
	rig_send_probe(&rig, &p);
	assert_int_equal(rig_wait_result(&rig, 7, 1)->outcome, PROBE_WRONG_STATUS);
	p.probe.generation = 2;
	p.probe.flags = PROTOCOL_PROBE_HISTORY;
	p.probe.matcher[0] = (struct protocol_range){ 418, 418 };
	rig_send_probe(&rig, &p);
	assert_int_equal(rig_wait_result(&rig, 7, 2)->outcome, PROBE_OK);
	/* What was under way when the first was replaced is not reported. */
	rig_wait_results(&rig, rig.n_results + 3);
	assert_int_equal(rig.results[rig.n_results - 1].generation, 2);
	rig_send_del(&rig, 7);
	rig_send_del(&rig, 8); /* never known */
	rig_wait_heartbeats(&rig, 1);
	n = rig.n_results;
	rig_wait_heartbeats(&rig, 1);
	assert_int_equal(rig.n_results, n);
	assert_int_equal(rig.heartbeat.probes, 0);
	assert_int_equal(rig.heartbeat.in_flight, 0);
	rig_deinit(&rig);
}

static void test_hello_and_heartbeat(void **state)
{
	static struct rig rig;
	usec_t first;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	rig_wait_heartbeats(&rig, 1);
	assert_int_equal(rig.n_hellos, 1);
	assert_int_equal(rig.hello_pid, rig.pid);
	first = rig.heartbeat.now_usec;
	rig_wait_heartbeats(&rig, 1);
	assert_true(rig.heartbeat.now_usec > first);
	assert_true(rig.heartbeat.now_usec <= clock_monotonic_usec());
	rig_deinit(&rig); /* closes the daemon's end; expects exit status 0 */
}

/* A daemon that does not read: the worker goes on probing, and what it found is there later, in order. */
static void test_slow_daemon(void **state)
{
	static struct rig rig;
	struct protocol_probe_record p;
	struct protocol_result last = { 0 }, r;
	struct pollfd nobody = { .fd = -1 };
	usec_t end;
	char buffer[PROTOCOL_DATAGRAM_MAX];
	size_t n = 0;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (uint64_t id = 0; id < 100; id++) {
		p = probe_make(id, PROTOCOL_CHECK_TCP, "127.0.0.1", closed_port());
		p.probe.interval_usec = p.probe.timeout_usec = 50 * USEC_PER_MSEC;
		rig_send_probe(&rig, &p);
	}
	end = clock_monotonic_usec() + 300 * USEC_PER_MSEC;
	while (clock_monotonic_usec() < end)
		(void)poll(&nobody, 1, 10);
	while (n < 1500) {
		enum protocol_kind kind;
		ssize_t size;

		/* First bit by bit: what is new must not pass by what waits. */
		if (n < 200)
			(void)poll(&nobody, 1, 1);
		size = recv(rig.fd, buffer, sizeof(buffer), 0);
		for (size_t at = 0, first; at < (size_t)size; at += first, n++) {
			first = protocol_first_size(buffer + at, (size_t)size - at);
			assert_int_equal(protocol_check(buffer + at, first, &kind), 0);
			if (kind != PROTOCOL_RESULT)
				continue;
			memcpy(&r, buffer + at, sizeof(r));
			assert_true(r.start_usec + r.duration_usec + USEC_PER_MSEC >=
				    last.start_usec + last.duration_usec);
			last = r;
		}
	}
	rig_deinit(&rig);
}

enum {
	STDERR_MAX = 4096,
};

static void expect_failure(struct rig *rig, const char *message)
{
	char text[STDERR_MAX] = { 0 };

	assert_int_equal(rig_wait_exit(rig), EXIT_FAILURE);
	assert_true(pread(rig->stderr_fd, text, sizeof(text) - 1, 0) > 0);
	if (!strstr(text, message))
		fail_msg("worker said: %s", text);
}

static void test_bad_records(void **state)
{
	enum { NO_HELLO, OLD_VERSION, BAD_KIND, WORKERS_KIND, SHORT, LONG, INSANE, N_CASES };
	static struct rig rig;

	(void)state;
	for (unsigned i = 0; i < N_CASES; i++) {
		struct protocol_probe_record p = probe_make(1, PROTOCOL_CHECK_TCP, "127.0.0.1", 1);
		struct protocol_heartbeat beat = { .now_usec = 1 };
		char large[PROTOCOL_TEXTS_MAX] = { 0 };

		rig_init(&rig);
		if (i != NO_HELLO)
			rig_send_hello(&rig);
		protocol_init(&beat.header, PROTOCOL_HEARTBEAT, sizeof(beat));
		if (i == OLD_VERSION)
			p.probe.header.version = 0;
		if (i == BAD_KIND)
			p.probe.header.kind = 99;
		if (i == INSANE)
			p.probe.interval_usec = 0;
		memcpy(large, &p, sizeof(p.probe));
		if (i == WORKERS_KIND)
			rig_send(&rig, &beat, sizeof(beat));
		else
			rig_send(&rig, large,
				 i == SHORT  ? sizeof(p.probe) - 1
				 : i == LONG ? sizeof(large)
					     : sizeof(p.probe));
		expect_failure(&rig, "health worker: bad record");
		rig_deinit(&rig);
	}
}

/* A probe that cannot be made at all is not silent. */
static void test_complaint(void **state)
{
	static struct rig rig;
	struct protocol_probe_record p = probe_make(1, PROTOCOL_CHECK_TCP, "127.0.0.1", 1);
	char text[STDERR_MAX] = { 0 };

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	p.probe.firewall_mark = 9;
	p.probe.interval_usec = p.probe.timeout_usec = 20 * USEC_PER_MSEC;
	rig_send_probe(&rig, &p);
	rig_wait_results(&rig, 3);
	assert_int_equal(rig.results[0].outcome, PROBE_INTERNAL_ERROR);
	assert_true(pread(rig.stderr_fd, text, sizeof(text) - 1, 0) > 0);
	assert_string_equal(text, "ipvsd: error: health worker: cannot probe 127.0.0.1:1: "
				  "Operation not permitted (a firewall mark needs CAP_NET_RAW: "
				  "under systemd, the drop-in probe-marks.conf)\n");
	rig_deinit(&rig);
}

static bool status_has(const char *text, const char *field, const char *value)
{
	const char *line = strstr(text, field);

	assert_non_null(line);
	line += strlen(field);
	line += strspn(line, " \t");
	return strncmp(line, value, strlen(value)) == 0;
}

static void test_privileges(void **state)
{
	static const struct {
		const char *field, *value;
		bool as_root_only;
	} cases[] = {
		{ "\nNoNewPrivs:", "1\n", false },
		{ "\nSeccomp:", "2\n", false },
		{ "\nCapInh:", "0000000000000000\n", false },
		{ "\nCapPrm:", "0000000000000000\n", false },
		{ "\nCapEff:", "0000000000000000\n", false },
		{ "\nCapAmb:", "0000000000000000\n", false },
		{ "\nCapBnd:", "0000000000000000\n", true },
		{ "\nUid:", "65534\t65534\t65534\t65534\n", true },
		{ "\nGid:", "65534\t65534\t65534\t65534\n", true },
		{ "\nGroups:", "65534 \n", true },
	};
	static struct rig rig;
	char path[64], text[4096] = { 0 };
	_cleanup_fclose_ FILE *f = NULL;

	(void)state;
	rig_init(&rig);
	while (rig.n_hellos == 0) /* says it when its privileges are gone */
		rig_pump(&rig);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", rig.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (!cases[i].as_root_only || geteuid() == 0)
			if (!status_has(text, cases[i].field, cases[i].value))
				fail_msg("%s is not %s in %s", cases[i].field, cases[i].value,
					 text);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fixed_rate),	    cmocka_unit_test(test_del_and_replace),
		cmocka_unit_test(test_hello_and_heartbeat), cmocka_unit_test(test_slow_daemon),
		cmocka_unit_test(test_bad_records),	    cmocka_unit_test(test_complaint),
		cmocka_unit_test(test_privileges),
	};

	log_init(LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

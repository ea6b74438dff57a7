/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <malloc.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/prober.h"
#include "health/schedule.h"
#include "tests/scripted-server.h"

/*
 * The prober in this process, where the sanitizers of a sanitizer build see its memory; what it finds out about
 * servers is tested in test-worker.c. Every wait has a deadline.
 */

enum {
	N_IDS = 8,
	PATIENCE_SEC = 10,
	TURNS = 50,
	LEFT_BYTES_MAX = 400, /* by each, of what the allocator and libraries keep */
};

struct rig {
	sd_event *event;
	struct prober *prober;
	struct scripted_server silent, good;
	unsigned results[N_IDS]; /* by id */
	uint32_t generation[N_IDS];
	uint32_t outcome[N_IDS];
	usec_t due_usec[N_IDS], duration_usec[N_IDS];
	unsigned n_again[N_IDS];
	bool again[N_IDS];
};

static void on_result(void *userdata, const struct probe_spec *spec,
		      const struct protocol_result *result, bool again)
{
	struct rig *rig = userdata;
	enum protocol_kind kind;

	assert_int_equal(protocol_check(result, sizeof(*result), &kind), 0);
	assert_int_equal(kind, PROTOCOL_RESULT);
	assert_int_equal(spec->id, result->id);
	assert_true(result->id < N_IDS);
	rig->results[result->id]++;
	rig->generation[result->id] = result->generation;
	rig->outcome[result->id] = result->outcome;
	rig->due_usec[result->id] = result->due_usec;
	rig->duration_usec[result->id] = result->duration_usec;
	rig->again[result->id] = again;
	rig->n_again[result->id] += again;
}

static void rig_init(struct rig *rig)
{
	memset(rig, 0, sizeof(*rig));
	assert_true(sd_event_new(&rig->event) >= 0);
	assert_int_equal(prober_new(rig->event, on_result, rig, &rig->prober), 0);
	scripted_server_init(&rig->silent, AF_INET, SERVER_SILENT, NULL);
	scripted_server_init(&rig->good, AF_INET, SERVER_ANSWER,
			     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
}

static void rig_deinit(struct rig *rig)
{
	prober_free(rig->prober);
	sd_event_unref(rig->event);
	scripted_server_deinit(&rig->silent);
	scripted_server_deinit(&rig->good);
}

static void step(struct rig *rig)
{
	assert_true(sd_event_run(rig->event, USEC_PER_MSEC) >= 0);
	scripted_server_step(&rig->silent, 0);
	scripted_server_step(&rig->good, 0);
}

static void wait_for(struct rig *rig, const unsigned *value, unsigned at_least)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;

	while (*value < at_least) {
		step(rig);
		assert_true(clock_monotonic_usec() < end);
	}
}

static void set_probe(struct rig *rig, uint64_t id, uint32_t generation, enum protocol_check check,
		      uint16_t port, usec_t timeout_usec)
{
	struct protocol_probe_record r = {
		.probe = {
			.id = id,
			.generation = generation,
			.check = (uint8_t)check,
			.port = port,
			.interval_usec = MAX(timeout_usec, 20 * USEC_PER_MSEC),
			.timeout_usec = timeout_usec,
			.n_matcher = 1,
			.matcher = { { 200, 200 } },
		},
	};

	assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
	protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
	assert_int_equal(protocol_probe_append(&r, PROTOCOL_TEXT_PATH, "/", 1), 0);
	assert_int_equal(protocol_probe_append(&r, PROTOCOL_TEXT_HOST, "a.example", 9), 0);
	assert_int_equal(prober_set(rig->prober, &r.probe), 0);
}

static struct prober_stats stats(const struct rig *rig)
{
	struct prober_stats s;

	prober_read_stats(rig->prober, &s);
	return s;
}

/* Probes in flight of both kinds are deleted, replaced, timed out, and left for prober_free(). */
static void test_ends_of_an_attempt(void **state)
{
	static struct rig rig;
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;

	(void)state;
	rig_init(&rig);
	for (uint64_t id = 0; id < 4; id++)
		set_probe(&rig, id, 1, id % 2 ? PROTOCOL_CHECK_TCP : PROTOCOL_CHECK_HTTP,
			  rig.good.port, 20 * USEC_PER_MSEC);
	set_probe(&rig, 4, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, 500 * USEC_PER_MSEC);
	set_probe(&rig, 5, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, 500 * USEC_PER_MSEC);
	set_probe(&rig, 6, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, 20 * USEC_PER_MSEC);
	set_probe(&rig, 7, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, 400 * USEC_PER_MSEC);
	assert_int_equal(stats(&rig).probes, N_IDS);
	while (rig.silent.accepted < 4) {
		step(&rig);
		assert_true(clock_monotonic_usec() < end);
	}
	prober_del(rig.prober, 4);
	prober_del(rig.prober, 4);
	rig.results[5] = 0;
	set_probe(&rig, 5, 2, PROTOCOL_CHECK_TCP, rig.good.port, 20 * USEC_PER_MSEC);
	wait_for(&rig, &rig.results[5], 3);
	assert_int_equal(rig.generation[5], 2);
	assert_int_equal(rig.outcome[5], PROBE_OK);
	wait_for(&rig, &rig.results[6], 3);
	assert_int_equal(rig.outcome[6], PROBE_HEADER_TIMEOUT);
	for (uint64_t id = 0; id < 4; id++) {
		wait_for(&rig, &rig.results[id], 3);
		assert_int_equal(rig.outcome[id], PROBE_OK);
	}
	assert_int_equal(rig.results[4], 0);
	assert_int_equal(stats(&rig).probes, N_IDS - 1);
	while (stats(&rig).in_flight == 0) {
		step(&rig);
		assert_true(clock_monotonic_usec() < end);
	}
	rig_deinit(&rig);
}

/* A loop that stood still: the missed dues are counted as skipped, not made up for, and the probe is late, once. */
static void test_late_loop(void **state)
{
	static const usec_t interval_usec = 20 * USEC_PER_MSEC;
	static struct rig rig;
	struct prober_stats before, after;
	usec_t end;

	(void)state;
	rig_init(&rig);
	set_probe(&rig, 0, 1, PROTOCOL_CHECK_TCP, rig.good.port, interval_usec);
	wait_for(&rig, &rig.results[0], 2);
	prober_reset_lateness(rig.prober);
	before = stats(&rig);
	end = clock_monotonic_usec() + 10 * interval_usec;
	while (clock_monotonic_usec() < end)
		;
	wait_for(&rig, &rig.results[0], rig.results[0] + 1);
	after = stats(&rig);
	assert_int_equal(after.started, before.started + 1);
	assert_true(after.skipped - before.skipped >= 8);
	assert_true(after.max_lateness_usec >= 8 * interval_usec);
	rig_deinit(&rig);
}

/*
 * With timeout = interval and a target that never answers, a start that is a little late must not cost the next
 * probe: the deadline would be as late, and every second probe skipped.
 */
static void test_timeout_meets_interval(void **state)
{
	static const usec_t interval_usec = 500 * USEC_PER_MSEC;
	static struct rig rig;
	usec_t distance = 0;

	(void)state;
	rig_init(&rig);
	set_probe(&rig, 0, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, interval_usec);
	wait_for(&rig, &rig.results[0], 1);
	/* A busy machine may stop this process for longer than is tolerated, but not four times on end. */
	for (unsigned i = 0; i < 4 && distance != interval_usec; i++) {
		unsigned n = rig.results[0];
		usec_t second;

		while (stats(&rig).started < n + 1) {
			/* Rounds of 5 ms, far less than the tenth of the timeout that is tolerated. */
			usec_t end = clock_monotonic_usec() + 5 * USEC_PER_MSEC;

			while (clock_monotonic_usec() < end)
				;
			step(&rig);
		}
		wait_for(&rig, &rig.results[0], n + 1);
		second = rig.due_usec[0];
		wait_for(&rig, &rig.results[0], n + 2);
		distance = rig.due_usec[0] - second;
	}
	assert_int_equal(distance, interval_usec);
	rig_deinit(&rig);
}

/* Answers that came in time, and a loop that stood still until after the deadline: nobody was too slow but we. */
static void test_answers_before_a_stop(void **state)
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	struct sockaddr_in from[N_IDS];
	socklen_t len = sizeof(sin);
	struct protocol_probe_record r;
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	static struct rig rig;
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;
	struct timespec pause = { .tv_sec = 1, .tv_nsec = 50 * 1000 * 1000 };

	(void)state;
	rig_init(&rig);
	assert_return_code(bind(fd, (struct sockaddr *)&sin, len), errno);
	assert_return_code(getsockname(fd, (struct sockaddr *)&sin, &len), errno);
	for (uint64_t id = 0; id < N_IDS; id++) {
		r = (struct protocol_probe_record){
			.probe = { .id = id,
				   .check = PROTOCOL_CHECK_UDP,
				   .port = ntohs(sin.sin_port),
				   .interval_usec = 60 * USEC_PER_SEC,
				   .timeout_usec = USEC_PER_SEC,
				   .flags = PROTOCOL_PROBE_HISTORY },
		};
		assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
		protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
		assert_int_equal(protocol_probe_append(&r, PROTOCOL_TEXT_EXPECT, "well", 4), 0);
		assert_int_equal(prober_set(rig.prober, &r.probe), 0);
		prober_now(rig.prober, id);
	}
	for (unsigned n = 0; n < N_IDS;) {
		char byte;

		len = sizeof(from[n]);
		n += recvfrom(fd, &byte, 1, 0, (struct sockaddr *)&from[n], &len) >= 0;
		step(&rig);
		assert_true(clock_monotonic_usec() < end);
	}
	for (unsigned n = 0; n < N_IDS; n++)
		assert_int_equal(sendto(fd, "well", 4, 0, (struct sockaddr *)&from[n], len), 4);
	assert_return_code(nanosleep(&pause, NULL), errno); /* what is tested */
	for (uint64_t id = 0; id < N_IDS; id++) {
		wait_for(&rig, &rig.results[id], 1);
		assert_int_equal(rig.outcome[id], PROBE_OK);
	}
	(void)close(fd);
	rig_deinit(&rig);
}

/* An interval of a minute, and known from before: the schedule alone would let it wait. */
static void test_probe_now(void **state)
{
	struct rig rig;
	struct protocol_probe_record r = {
		.probe = { .id = 1,
			   .check = PROTOCOL_CHECK_TCP,
			   .interval_usec = 60 * USEC_PER_SEC,
			   .timeout_usec = USEC_PER_SEC,
			   .flags = PROTOCOL_PROBE_HISTORY },
	};
	usec_t phase = schedule_phase(1, r.probe.interval_usec), start;

	(void)state;
	rig_init(&rig);
	r.probe.port = rig.good.port;
	assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
	protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
	assert_int_equal(prober_set(rig.prober, &r.probe), 0);
	for (unsigned i = 1; i <= 3; i++) {
		start = clock_monotonic_usec();
		prober_now(rig.prober, 1);
		prober_now(rig.prober, 1);
		prober_now(rig.prober, 77);
		wait_for(&rig, &rig.results[1], i);
		assert_int_equal(rig.outcome[1], PROBE_OK);
		assert_in_range(rig.due_usec[1], start, clock_monotonic_usec());
	}
	for (unsigned i = 0; i < 50; i++)
		step(&rig);
	/* No more than were asked for, unless the schedule's own came just now. */
	start = schedule_next(phase, r.probe.interval_usec, start);
	if (clock_monotonic_usec() < start)
		assert_int_equal(rig.results[1], 3);
	assert_int_equal(stats(&rig).skipped, 0);
	rig_deinit(&rig);
}

/* One that was asked for still runs when the schedule's own is due: that one is skipped, and the deadline holds. */
static void test_deadline_behind_a_start(void **state)
{
	static const usec_t interval_usec = 2 * USEC_PER_SEC;
	static struct rig rig;
	struct protocol_probe_record r = {
		.probe = { .check = PROTOCOL_CHECK_HTTP,
			   .interval_usec = interval_usec,
			   .timeout_usec = interval_usec / 10,
			   .flags = PROTOCOL_PROBE_HISTORY },
	};
	usec_t due;

	(void)state;
	rig_init(&rig);
	r.probe.port = rig.silent.port;
	assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
	protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
	assert_int_equal(protocol_probe_append(&r, PROTOCOL_TEXT_PATH, "/", 1), 0);
	due = schedule_next(schedule_phase(0, interval_usec), interval_usec,
			    clock_monotonic_usec() + interval_usec / 10);
	assert_int_equal(prober_set(rig.prober, &r.probe), 0);
	while (clock_monotonic_usec() < due - interval_usec / 40)
		step(&rig);
	prober_now(rig.prober, 0);
	wait_for(&rig, &rig.results[0], rig.results[0] + 1);
	assert_int_equal(rig.outcome[0], PROBE_HEADER_TIMEOUT);
	assert_true(rig.duration_usec[0] < interval_usec / 2);
	rig_deinit(&rig);
}

/* Handles of libcurl are used again by probes of any kind: nothing of one stays for good when the next is another. */
static void test_kinds_of_tls_in_turn(void **state)
{
	struct protocol_probe_record r;
	struct scripted_server closes;
	static struct rig rig;
	size_t before = 0;

	(void)state;
	rig_init(&rig);
	scripted_server_init(&closes, AF_INET, SERVER_CLOSE_EARLY, NULL);
	for (uint64_t id = 0; id < 2; id++) {
		r = (struct protocol_probe_record){
			.probe = { .id = id,
				   .check = PROTOCOL_CHECK_TLS,
				   .port = closes.port,
				   .interval_usec = 3600 * USEC_PER_SEC,
				   .timeout_usec = PATIENCE_SEC * USEC_PER_SEC,
				   .flags = PROTOCOL_PROBE_HISTORY |
					    (id ? PROTOCOL_PROBE_VERIFY_CERTIFICATE : 0U) },
		};
		assert_int_equal(addr_parse("127.0.0.1", &r.probe.addr), 0);
		protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
		assert_int_equal(prober_set(rig.prober, &r.probe), 0);
	}
	for (unsigned i = 0; i < 2 * TURNS; i++) {
		usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;

		if (i == TURNS)
			before = mallinfo2().uordblks;
		for (uint64_t id = 0; id < 2; id++) {
			prober_now(rig.prober, id);
			while (rig.results[id] <= i) {
				step(&rig);
				scripted_server_step(&closes, 0);
				assert_true(clock_monotonic_usec() < end);
			}
			assert_int_equal(rig.outcome[id], PROBE_RESET);
		}
	}
	/* A sanitizer has its own memory, and finds what is lost by itself. */
	assert_true(mallinfo2().uordblks < before + (size_t)TURNS * LEFT_BYTES_MAX);
	scripted_server_deinit(&closes);
	rig_deinit(&rig);
}

/* Good, and again; a failure is news each time, and so is the first good one after it. */
static void test_again(void **state)
{
	static struct rig rig;
	uint16_t port;

	(void)state;
	rig_init(&rig);
	port = rig.good.port;
	set_probe(&rig, 0, 1, PROTOCOL_CHECK_TCP, port, 20 * USEC_PER_MSEC);
	set_probe(&rig, 1, 1, PROTOCOL_CHECK_HTTP, rig.silent.port, 20 * USEC_PER_MSEC);
	wait_for(&rig, &rig.results[0], 1);
	assert_false(rig.again[0]);
	wait_for(&rig, &rig.results[0], 5);
	wait_for(&rig, &rig.results[1], 3);
	assert_int_equal(rig.n_again[0], rig.results[0] - 1);
	assert_int_equal(rig.n_again[1], 0);
	set_probe(&rig, 0, 2, PROTOCOL_CHECK_TCP, port, 20 * USEC_PER_MSEC);
	rig.results[0] = rig.n_again[0] = 0;
	wait_for(&rig, &rig.results[0], 3);
	assert_int_equal(rig.n_again[0], rig.results[0] - 1);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ends_of_an_attempt),
		cmocka_unit_test(test_late_loop),
		cmocka_unit_test(test_timeout_meets_interval),
		cmocka_unit_test(test_answers_before_a_stop),
		cmocka_unit_test(test_probe_now),
		cmocka_unit_test(test_deadline_behind_a_start),
		cmocka_unit_test(test_kinds_of_tls_in_turn),
		cmocka_unit_test(test_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/outcome.h"
#include "health/protocol.h"

union record {
	struct protocol_header header;
	struct protocol_hello hello;
	struct protocol_probe probe;
	struct protocol_probe_del del;
	struct protocol_result result;
	struct protocol_heartbeat heartbeat;
};

static size_t make(enum protocol_kind kind, union record *r)
{
	static const size_t sizes[] = {
		[PROTOCOL_HELLO] = sizeof(r->hello),
		[PROTOCOL_PROBE_SET] = sizeof(r->probe),
		[PROTOCOL_PROBE_DEL] = sizeof(r->del),
		[PROTOCOL_RESULT] = sizeof(r->result),
		[PROTOCOL_HEARTBEAT] = sizeof(r->heartbeat),
	};

	memset(r, 0, sizeof(*r));
	switch (kind) {
	case PROTOCOL_PROBE_SET:
		r->probe.check = PROTOCOL_CHECK_HTTP;
		r->probe.port = 80;
		assert_int_equal(addr_parse("10.0.0.1", &r->probe.addr), 0);
		r->probe.interval_usec = 5 * USEC_PER_SEC;
		r->probe.timeout_usec = 2 * USEC_PER_SEC;
		r->probe.n_matcher = 1;
		r->probe.matcher[0] = (struct protocol_range){ 200, 399 };
		strcpy(r->probe.path, "/");
		break;
	case PROTOCOL_RESULT:
		r->result.outcome = PROBE_WRONG_STATUS;
		r->result.detail = 404;
		r->result.due_usec = 1000;
		r->result.start_usec = 1001;
		break;
	case PROTOCOL_HEARTBEAT:
		r->heartbeat.now_usec = 1000;
		r->heartbeat.probes = 2;
		r->heartbeat.in_flight = 2;
		break;
	default:
		break;
	}
	protocol_init(&r->header, kind, sizes[kind]);
	return sizes[kind];
}

/* Every kind: whole it passes, cut or extended at every length it does not. From unaligned memory. */
static void test_sizes(void **state)
{
	char buffer[sizeof(union record) + 65];
	union record r;

	(void)state;
	for (int kind = PROTOCOL_HELLO; kind < _PROTOCOL_KIND_MAX; kind++) {
		size_t size = make((enum protocol_kind)kind, &r);
		enum protocol_kind found = 0;

		memset(buffer, 0, sizeof(buffer));
		memcpy(buffer + 1, &r, size);
		assert_int_equal(protocol_check(buffer + 1, size, &found), 0);
		assert_int_equal(found, kind);
		for (size_t n = 0; n < size + 64; n++) {
			found = _PROTOCOL_KIND_MAX;
			if (n == size)
				continue;
			assert_int_equal(protocol_check(buffer + 1, n, &found), -EBADMSG);
			assert_int_equal(found, _PROTOCOL_KIND_MAX);
		}
	}
}

static void test_header(void **state)
{
	enum protocol_kind kind;
	union record r;
	size_t size;

	(void)state;
	size = make(PROTOCOL_HELLO, &r);
	r.header.version = PROTOCOL_VERSION + 1;
	assert_int_equal(protocol_check(&r, size, &kind), -EPROTONOSUPPORT);
	size = make(PROTOCOL_HELLO, &r);
	r.header.kind = 0;
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
	r.header.kind = _PROTOCOL_KIND_MAX;
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
	size = make(PROTOCOL_HELLO, &r);
	r.header.size++;
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
}

#define PROBE(member, v)                                                                           \
	{                                                                                          \
		.kind = PROTOCOL_PROBE_SET, .offset = offsetof(struct protocol_probe, member),     \
		.size = sizeof(((struct protocol_probe *)0)->member), .value = (v),                \
	}
#define RESULT(member, v)                                                                          \
	{                                                                                          \
		.kind = PROTOCOL_RESULT, .offset = offsetof(struct protocol_result, member),       \
		.size = sizeof(((struct protocol_result *)0)->member), .value = (v),               \
	}

/* One member of a good record set to one bad value (little-endian, as all of our machines are). */
static void test_values(void **state)
{
	static const struct {
		enum protocol_kind kind;
		size_t offset, size;
		uint64_t value;
	} bad[] = {
		PROBE(check, _PROTOCOL_CHECK_MAX),
		PROBE(port, 0),
		PROBE(addr.family, AF_UNSPEC),
		PROBE(addr.family, AF_UNIX),
		PROBE(addr.in, 0),
		PROBE(addr.in, 0x010000e0), /* 224.0.0.1 */
		PROBE(source.family, AF_INET6),
		PROBE(source.family, AF_INET), /* 0.0.0.0 */
		PROBE(source.family, 77),
		PROBE(interval_usec, 0),
		PROBE(interval_usec, PROTOCOL_INTERVAL_MIN_USEC - 1),
		PROBE(interval_usec, PROTOCOL_INTERVAL_MAX_USEC + 1),
		PROBE(interval_usec, 2 * USEC_PER_SEC - 1), /* shorter than the timeout */
		PROBE(timeout_usec, 0),
		PROBE(timeout_usec, 5 * USEC_PER_SEC + 1),
		PROBE(n_matcher, 0),
		PROBE(n_matcher, PROTOCOL_MATCHER_RANGES + 1),
		PROBE(matcher[0].low, 400), /* above its high */
		PROBE(has_history, 2),
		PROBE(path[0], 0),
		PROBE(path[0], 'x'),
		PROBE(path[1], '\r'),
		PROBE(path[1], ' '),
		PROBE(path[1], 0x7f),
		PROBE(path[1], 0x80),
		PROBE(host_header[0], '\n'),
		PROBE(interface[0], ' '),
		RESULT(outcome, _PROBE_OUTCOME_MAX),
		RESULT(outcome, UINT32_MAX),
		RESULT(detail, UINT32_MAX), /* -1 */
		RESULT(start_usec, 999),
		RESULT(start_usec, UINT64_MAX),
	};
	enum protocol_kind kind;
	union record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		size_t size = make(bad[i].kind, &r);

		memcpy((char *)&r + bad[i].offset, &bad[i].value, bad[i].size);
		if (protocol_check(&r, size, &kind) != -EBADMSG)
			fail_msg("case %zu was taken", i);
	}
}

static void test_limits_that_pass(void **state)
{
	enum protocol_kind kind;
	union record r;
	size_t size = make(PROTOCOL_PROBE_SET, &r);

	(void)state;
	memset(r.probe.path, '/', PROTOCOL_PATH_MAX);
	memset(r.probe.host_header, 'h', PROTOCOL_HOST_MAX - 1);
	r.probe.n_matcher = PROTOCOL_MATCHER_RANGES;
	r.probe.timeout_usec = r.probe.interval_usec = PROTOCOL_INTERVAL_MAX_USEC;
	assert_int_equal(addr_parse("10.0.0.2", &r.probe.source), 0);
	assert_int_equal(protocol_check(&r, size, &kind), 0);
	r.probe.path[PROTOCOL_PATH_MAX] = '/'; /* no terminator is left */
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
	r.probe.path[PROTOCOL_PATH_MAX] = 0;
	r.probe.host_header[PROTOCOL_HOST_MAX - 1] = 'h';
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
	/* A TCP check needs neither path nor matcher. */
	size = make(PROTOCOL_PROBE_SET, &r);
	r.probe.check = PROTOCOL_CHECK_TCP;
	r.probe.path[0] = 0;
	r.probe.n_matcher = 0;
	assert_int_equal(protocol_check(&r, size, &kind), 0);
	size = make(PROTOCOL_HEARTBEAT, &r);
	r.heartbeat.in_flight = 3;
	assert_int_equal(protocol_check(&r, size, &kind), -EBADMSG);
}

static void test_outcomes(void **state)
{
	static const struct {
		int error;
		enum probe_outcome outcome;
	} cases[] = {
		{ 0, PROBE_OK },
		{ ECONNREFUSED, PROBE_REFUSED },
		{ ECONNRESET, PROBE_RESET },
		{ ETIMEDOUT, PROBE_CONNECT_TIMEOUT },
		{ EHOSTUNREACH, PROBE_UNREACHABLE },
		{ ENETUNREACH, PROBE_UNREACHABLE },
		{ EACCES, PROBE_UNREACHABLE },
		{ EMFILE, PROBE_INTERNAL_ERROR },
		{ EADDRNOTAVAIL, PROBE_INTERNAL_ERROR },
		{ EPERM, PROBE_INTERNAL_ERROR },
		{ 12345, PROBE_INTERNAL_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(probe_outcome_from_errno(cases[i].error), cases[i].outcome);
	for (int o = 0; o < _PROBE_OUTCOME_MAX; o++)
		assert_true(strlen(probe_outcome_to_string((enum probe_outcome)o)) > 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),	 cmocka_unit_test(test_header),
		cmocka_unit_test(test_values),	 cmocka_unit_test(test_limits_that_pass),
		cmocka_unit_test(test_outcomes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
	struct protocol_probe_record whole;
	struct protocol_probe_del del;
	struct protocol_result result;
	struct protocol_heartbeat heartbeat;
	struct protocol_authority_record authority;
	struct protocol_authorities_del authorities_del;
};

static void append(union record *r, enum protocol_text which, const char *text)
{
	assert_int_equal(protocol_probe_append(&r->whole, which, text, strlen(text)), 0);
}

static size_t make(enum protocol_kind kind, union record *r)
{
	static const size_t sizes[] = {
		[PROTOCOL_HELLO] = sizeof(r->hello),
		[PROTOCOL_PROBE_SET] = sizeof(r->probe),
		[PROTOCOL_PROBE_DEL] = sizeof(r->del),
		[PROTOCOL_RESULT] = sizeof(r->result),
		[PROTOCOL_HEARTBEAT] = sizeof(r->heartbeat),
		[PROTOCOL_PROBE_NOW] = sizeof(r->del),
		[PROTOCOL_AUTHORITIES_DEL] = sizeof(r->authorities_del),
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
	case PROTOCOL_AUTHORITY:
		protocol_authority_init(&r->authority, 1, "certificate", 11);
		return r->header.size;
	case PROTOCOL_AUTHORITIES_DEL:
		r->authorities_del.authorities = 1;
		break;
	default:
		break;
	}
	protocol_init(&r->header, kind, sizes[kind]);
	if (kind == PROTOCOL_PROBE_SET)
		append(r, PROTOCOL_TEXT_PATH, "/a");
	return r->header.size;
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
		PROBE(flags, PROTOCOL_PROBE_FLAGS + 1),
		PROBE(text_size[PROTOCOL_TEXT_PATH], 0),
		PROBE(text_size[PROTOCOL_TEXT_PATH], 1),
		PROBE(text_size[PROTOCOL_TEXT_PATH], 3),
		PROBE(text_size[PROTOCOL_TEXT_PATH], PROTOCOL_PATH_MAX + 1),
		PROBE(text_size[PROTOCOL_TEXT_COMMAND], 1),
		PROBE(text_size[PROTOCOL_TEXT_COMMAND], UINT16_MAX),
		PROBE(check, PROTOCOL_CHECK_EXEC), /* without a command */
		PROBE(interface[0], ' '),
		PROBE(authorities, 1), /* where nothing is verified */
		{ PROTOCOL_AUTHORITY, offsetof(struct protocol_authority, authorities), 8, 0 },
		{ PROTOCOL_AUTHORITIES_DEL, offsetof(struct protocol_authorities_del, authorities),
		  8, 0 },
		RESULT(outcome, _PROBE_OUTCOME_MAX),
		RESULT(outcome, UINT32_MAX),
		RESULT(detail, UINT32_MAX), /* -1 */
		RESULT(start_usec, 999),
		RESULT(start_usec, UINT64_MAX),
		RESULT(weight_percent, UINT32_MAX - 1), /* -2 */
		RESULT(weight_percent, PROBE_WEIGHT_PERCENT_MAX + 1),
		RESULT(agent_state, _PROBE_ADVICE_MAX),
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

/* What may stand in a text, by its kind: one byte put into an otherwise good one. */
static void test_texts(void **state)
{
	static const struct {
		enum protocol_text which;
		const char *text;
		size_t size;
		bool good;
	} cases[] = {
		{ PROTOCOL_TEXT_PATH, "/a", 2, true },
		{ PROTOCOL_TEXT_PATH, "a", 1, false },
		{ PROTOCOL_TEXT_PATH, "/\r", 2, false },
		{ PROTOCOL_TEXT_PATH, "/ ", 2, false },
		{ PROTOCOL_TEXT_PATH, "/\x7f", 2, false },
		{ PROTOCOL_TEXT_PATH, "/\x80", 2, false },
		{ PROTOCOL_TEXT_PATH, "/\0", 2, false },
		{ PROTOCOL_TEXT_HOST, "a.example:80", 12, true },
		{ PROTOCOL_TEXT_HOST, "a\n", 2, false },
		{ PROTOCOL_TEXT_SERVER_NAME, "a.example", 9, true },
		{ PROTOCOL_TEXT_SERVER_NAME, "a\0b", 3, false },
		{ PROTOCOL_TEXT_SEND, "\0\r\n\xff", 4, true },
		{ PROTOCOL_TEXT_EXPECT, "\0\r\n\xff", 4, true },
		{ PROTOCOL_TEXT_COMMAND, "/bin/true a\xff", 12, true },
		{ PROTOCOL_TEXT_COMMAND, "/bin/true\0", 10, false },
		{ PROTOCOL_TEXT_THROUGH, "10.0.0.1", 8, true },
		{ PROTOCOL_TEXT_THROUGH, "2001:db8::1", 11, true },
		{ PROTOCOL_TEXT_THROUGH, "10.0.0.1\0", 9, true }, /* as C takes it */
		{ PROTOCOL_TEXT_THROUGH, "10.0.0", 6, false },
		{ PROTOCOL_TEXT_THROUGH, "0.0.0.0", 7, false },
		{ PROTOCOL_TEXT_THROUGH, "a.example", 9, false },
	};
	enum protocol_kind kind;
	union record r;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		(void)make(PROTOCOL_PROBE_SET, &r);
		if (cases[i].which == PROTOCOL_TEXT_PATH) {
			r.probe.text_size[PROTOCOL_TEXT_PATH] = 0;
			r.header.size = sizeof(r.probe);
		}
		assert_int_equal(protocol_probe_append(&r.whole, cases[i].which, cases[i].text,
						       cases[i].size),
				 0);
		assert_memory_equal(protocol_probe_text(&r.probe, cases[i].which), cases[i].text,
				    cases[i].size);
		if (protocol_check(&r, r.header.size, &kind) != (cases[i].good ? 0 : -EBADMSG))
			fail_msg("case %zu", i);
	}
}

static void test_limits_that_pass(void **state)
{
	static const size_t limits[_PROTOCOL_TEXT_MAX] = {
		[PROTOCOL_TEXT_PATH] = 1024,	   [PROTOCOL_TEXT_HOST] = 259,
		[PROTOCOL_TEXT_SERVER_NAME] = 259, [PROTOCOL_TEXT_SEND] = 1024,
		[PROTOCOL_TEXT_EXPECT] = 1024,	   [PROTOCOL_TEXT_COMMAND] = 4096,
		[PROTOCOL_TEXT_THROUGH] = 45,
	};
	static const char longest_address[] = "2001:0db8:0000:0000:0000:ffff:192.168.100.200x";
	enum protocol_kind kind;
	char text[4097];
	union record r;

	(void)state;
	memset(text, '/', sizeof(text));
	(void)make(PROTOCOL_PROBE_SET, &r);
	r.probe.text_size[PROTOCOL_TEXT_PATH] = 0;
	r.header.size = sizeof(r.probe);
	r.probe.n_matcher = PROTOCOL_MATCHER_RANGES;
	r.probe.flags = PROTOCOL_PROBE_FLAGS;
	r.probe.timeout_usec = r.probe.interval_usec = PROTOCOL_INTERVAL_MAX_USEC;
	assert_int_equal(addr_parse("10.0.0.2", &r.probe.source), 0);
	for (int i = 0; i < _PROTOCOL_TEXT_MAX; i++) {
		const char *t = i == PROTOCOL_TEXT_THROUGH ? longest_address : text;

		assert_int_equal(protocol_probe_append(&r.whole, (enum protocol_text)i, t,
						       limits[i] + 1),
				 -E2BIG);
		assert_int_equal(
			protocol_probe_append(&r.whole, (enum protocol_text)i, t, limits[i]), 0);
	}
	assert_int_equal(r.header.size, sizeof(struct protocol_probe) + PROTOCOL_TEXTS_MAX);
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
	/* A check without a request needs neither path nor matcher; some need no port. */
	(void)make(PROTOCOL_PROBE_SET, &r);
	r.probe.text_size[PROTOCOL_TEXT_PATH] = 0;
	r.probe.n_matcher = 0;
	r.header.size = sizeof(r.probe);
	r.probe.check = PROTOCOL_CHECK_TCP;
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
	r.probe.port = 0;
	assert_int_equal(protocol_check(&r, r.header.size, &kind), -EBADMSG);
	r.probe.check = PROTOCOL_CHECK_ICMP;
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
	(void)make(PROTOCOL_HEARTBEAT, &r);
	r.heartbeat.in_flight = 3;
	assert_int_equal(protocol_check(&r, r.header.size, &kind), -EBADMSG);
}

static void test_authorities(void **state)
{
	char certificate[PROTOCOL_CERTIFICATE_MAX] = "";
	char longer[sizeof(struct protocol_authority_record) + 1] = "";
	union record r;
	enum protocol_kind kind;

	(void)state;
	protocol_authority_init(&r.authority, UINT64_MAX, certificate, PROTOCOL_CERTIFICATE_MAX);
	assert_int_equal(r.header.size, sizeof(struct protocol_authority) + 16384);
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
	r.header.size++;
	memcpy(longer, &r, sizeof(longer) - 1);
	assert_int_equal(protocol_check(longer, sizeof(longer), &kind), -EBADMSG);
	protocol_authority_init(&r.authority, 1, certificate, 1);
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
	protocol_init(&r.header, PROTOCOL_AUTHORITY, sizeof(struct protocol_authority));
	assert_int_equal(protocol_check(&r, r.header.size, &kind), -EBADMSG);
	/* Named where a certificate is verified. */
	(void)make(PROTOCOL_PROBE_SET, &r);
	r.probe.flags = PROTOCOL_PROBE_VERIFY_CERTIFICATE;
	r.probe.authorities = 7;
	assert_int_equal(protocol_check(&r, r.header.size, &kind), 0);
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
		cmocka_unit_test(test_sizes),	    cmocka_unit_test(test_header),
		cmocka_unit_test(test_values),	    cmocka_unit_test(test_limits_that_pass),
		cmocka_unit_test(test_outcomes),    cmocka_unit_test(test_texts),
		cmocka_unit_test(test_authorities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

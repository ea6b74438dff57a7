/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/outcome.h"
#include "tests/certificates.h"
#include "tests/worker-rig.h"

/* What the worker finds out about servers of TLS, bad ones above all, and what it keeps of their sessions. */

/* The second: where a handshake must have been done by then, on a busy machine too. */
#define SHORT_TIMEOUT_USEC (400 * USEC_PER_MSEC)
#define LONG_TIMEOUT_USEC (1500 * USEC_PER_MSEC)
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define OK_ANSWER OK_HEAD "Content-Length: 2\r\n\r\nok"
#define K(x) x x x x x x x x x x x x x x x x
#define FILLER K(K("0123456789abcdef"))

enum side {
	PLAIN, /* no TLS at this server */
	GOOD = CERTIFICATE_GOOD + 1,
	EXPIRED = CERTIFICATE_EXPIRED + 1,
	FUTURE = CERTIFICATE_FUTURE + 1,
	WRONG_NAME = CERTIFICATE_WRONG_NAME + 1,
	SELF_SIGNED = CERTIFICATE_SELF_SIGNED + 1,
};

enum {
	HTTPS = PROTOCOL_CHECK_HTTPS,
	TLS = PROTOCOL_CHECK_TLS,
	VERIFY = PROTOCOL_PROBE_VERIFY_CERTIFICATE,
	MEMORY_MAX_KIB =
		32 * 1024, /* with a sanitizer's shadow; two cases are offered a gigabyte */
};

/* A sanitizer keeps what is freed for a while: little of it, or that would be measured. */
const char *__asan_default_options(void); /* NOLINT(bugprone-reserved-identifier) */

const char *__asan_default_options(void) /* NOLINT(bugprone-reserved-identifier) */
{
	return "quarantine_size_mb=1";
}

/* Records of TLS, which hold NULs: the first bytes of a ServerHello; a fatal alert, handshake_failure. */
static const char half_handshake[] = "\x16\x03\x03\x00\x7a\x02\x00\x00\x76\x03\x03";
static const char alert[] = "\x15\x03\x03\x00\x02\x02\x28";

static const struct tls_case {
	const char *name;
	int check;
	enum side side;
	enum server_script script;
	const char *answer, *filler;
	uint32_t flags; /* of the probe */
	const char *server_name, *expect;
	enum probe_outcome outcome;
	int32_t detail;
	bool to_deadline;
} cases[] = {
	{ "https", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, 0, "", "", PROBE_OK, 200, false },
	{ "tls", TLS, GOOD, SERVER_SILENT, NULL, NULL, 0, "", "", PROBE_OK, 0, false },
	{ "https, wrong status", HTTPS, GOOD, SERVER_ANSWER,
	  "HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", NULL, 0, "", "", PROBE_WRONG_STATUS, 503,
	  false },
	{ "body", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, 0, "", "ok", PROBE_OK, 200, false },
	{ "wrong body", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, 0, "", "OK", PROBE_WRONG_BODY,
	  0, false },
	{ "body by expression", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, 0, "",
	  "regex:^(ok|up)$", PROBE_OK, 200, false },
	{ "wrong body by expression", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, 0, "",
	  "regex:^k", PROBE_WRONG_BODY, 0, false },
	{ "a gigabyte of body", HTTPS, GOOD, SERVER_ENDLESS,
	  OK_HEAD "Content-Length: 1073741824\r\n\r\n", FILLER, 0, "", "", PROBE_OK, 200, false },
	{ "a gigabyte without the word", HTTPS, GOOD, SERVER_ENDLESS,
	  OK_HEAD "Content-Length: 1073741824\r\n\r\n", FILLER, 0, "", "word", PROBE_TOO_LARGE, 0,
	  false },
	{ "a gigabyte with the word", HTTPS, GOOD, SERVER_ENDLESS,
	  OK_HEAD "Content-Length: 1073741824\r\n\r\n", FILLER, 0, "", "cdef0", PROBE_OK, 200,
	  false },
	{ "endless headers", HTTPS, GOOD, SERVER_ENDLESS, OK_HEAD, "X-More: yes\r\n", 0, "", "",
	  PROBE_TOO_LARGE, 0, false },
	{ "one endless header", HTTPS, GOOD, SERVER_ENDLESS, OK_HEAD "X-More: ", FILLER, 0, "", "",
	  PROBE_TOO_LARGE, 0, false },
	/* Verified. */
	{ "verified by address", HTTPS, GOOD, SERVER_ANSWER, OK_ANSWER, NULL, VERIFY, "", "",
	  PROBE_OK, 200, false },
	{ "verified by name", TLS, GOOD, SERVER_SILENT, NULL, NULL, VERIFY, "www.example.com", "",
	  PROBE_OK, 0, false },
	{ "expired, not verified", HTTPS, EXPIRED, SERVER_ANSWER, OK_ANSWER, NULL, 0, "", "",
	  PROBE_OK, 200, false },
	{ "expired", HTTPS, EXPIRED, SERVER_ANSWER, OK_ANSWER, NULL, VERIFY, "", "",
	  PROBE_CERTIFICATE, 10, false },
	{ "expired, tls", TLS, EXPIRED, SERVER_SILENT, NULL, NULL, VERIFY, "", "",
	  PROBE_CERTIFICATE, 10, false },
	{ "not valid yet", TLS, FUTURE, SERVER_SILENT, NULL, NULL, VERIFY, "", "",
	  PROBE_CERTIFICATE, 9, false },
	{ "another name", TLS, GOOD, SERVER_SILENT, NULL, NULL, VERIFY, "a.example.com", "",
	  PROBE_CERTIFICATE, 62, false },
	{ "another address", TLS, WRONG_NAME, SERVER_SILENT, NULL, NULL, VERIFY, "", "",
	  PROBE_CERTIFICATE, 62, false },
	{ "self-signed", TLS, SELF_SIGNED, SERVER_SILENT, NULL, NULL, VERIFY, "", "",
	  PROBE_CERTIFICATE, 18, false },
	/* No TLS. */
	{ "text on the TLS port", HTTPS, PLAIN, SERVER_ANSWER,
	  "HTTP/1.1 400 The plain HTTP request was sent to HTTPS port\r\n\r\n", NULL, 0, "", "",
	  PROBE_TLS_ERROR, 0, false },
	{ "text on the TLS port, tls", TLS, PLAIN, SERVER_ANSWER, "220 mail.example.com\r\n", NULL,
	  0, "", "", PROBE_TLS_ERROR, 0, false },
	{ "an alert", TLS, PLAIN, SERVER_ANSWER_HALF, alert, NULL, 0, "", "", PROBE_TLS_ERROR, 0,
	  false },
	/* It ends early. */
	{ "resets at once", HTTPS, PLAIN, SERVER_RESET_EARLY, NULL, NULL, 0, "", "", PROBE_RESET, 0,
	  false },
	{ "closes at once", HTTPS, PLAIN, SERVER_CLOSE_EARLY, NULL, NULL, 0, "", "", PROBE_RESET, 0,
	  false },
	{ "resets at the ClientHello", TLS, PLAIN, SERVER_RESET, NULL, NULL, 0, "", "", PROBE_RESET,
	  0, false },
	{ "resets in the handshake", TLS, PLAIN, SERVER_ANSWER_RESET, half_handshake, NULL, 0, "",
	  "", PROBE_RESET, 0, false },
	{ "half-closes in the handshake", TLS, PLAIN, SERVER_ANSWER_HALF, half_handshake, NULL, 0,
	  "", "", PROBE_RESET, 0, false },
	{ "resets at the request", HTTPS, GOOD, SERVER_RESET, NULL, NULL, 0, "", "", PROBE_RESET, 0,
	  false },
	{ "resets in the header", HTTPS, GOOD, SERVER_ANSWER_RESET, OK_HEAD, NULL, 0, "", "",
	  PROBE_RESET, 0, false },
	{ "resets in the body", HTTPS, GOOD, SERVER_ANSWER_RESET,
	  OK_HEAD "Content-Length: 99\r\n\r\nok", NULL, 0, "", "ok", PROBE_RESET, 0, false },
	{ "closes in the body", HTTPS, GOOD, SERVER_ANSWER, OK_HEAD "Content-Length: 99\r\n\r\nok",
	  NULL, 0, "", "ok", PROBE_RESET, 0, false },
	/* It is slow. */
	{ "accepts and says nothing", HTTPS, PLAIN, SERVER_SILENT, NULL, NULL, 0, "", "",
	  PROBE_TLS_TIMEOUT, 0, true },
	{ "stops in the handshake", TLS, PLAIN, SERVER_ANSWER_STAY, half_handshake, NULL, 0, "", "",
	  PROBE_TLS_TIMEOUT, 0, true },
	{ "slow handshake", TLS, PLAIN, SERVER_DRIP, half_handshake, NULL, 0, "", "",
	  PROBE_TLS_TIMEOUT, 0, true },
	{ "says nothing in TLS", HTTPS, GOOD, SERVER_SILENT, NULL, NULL, 0, "", "",
	  PROBE_HEADER_TIMEOUT, 0, true },
	{ "a byte now and then", HTTPS, GOOD, SERVER_DRIP, OK_ANSWER, NULL, 0, "", "",
	  PROBE_HEADER_TIMEOUT, 0, true },
	{ "stops in the body", HTTPS, GOOD, SERVER_ANSWER_STAY,
	  OK_HEAD "Content-Length: 99\r\n\r\nok", NULL, 0, "", "ok", PROBE_BODY_TIMEOUT, 0, true },
	{ "stops in a body that nobody waits for", HTTPS, GOOD, SERVER_ANSWER_STAY,
	  OK_HEAD "Content-Length: 99\r\n\r\nok", NULL, 0, "", "", PROBE_OK, 200, false },
	{ "wrong status, stops in the body", HTTPS, GOOD, SERVER_ANSWER_STAY,
	  "HTTP/1.1 503 No\r\nContent-Length: 99\r\n\r\nok", NULL, 0, "", "ok", PROBE_WRONG_STATUS,
	  503, false },
	{ "full backlog", HTTPS, PLAIN, SERVER_FULL_BACKLOG, NULL, NULL, 0, "", "",
	  PROBE_CONNECT_TIMEOUT, 0, true },
};

static usec_t timeout_of(const struct tls_case *c)
{
	return c->side == PLAIN ? SHORT_TIMEOUT_USEC : LONG_TIMEOUT_USEC;
}

static void add_case(struct rig *rig, uint64_t id, const struct tls_case *c)
{
	struct scripted_server *s = rig_server(rig, AF_INET, c->script, c->answer);
	struct protocol_probe_record p =
		probe_make(id, (enum protocol_check)c->check, "127.0.0.1", s->port);

	s->filler = c->filler;
	if (c->side == PLAIN)
		s->request_end_size = 0;
	else
		s->tls = certificate_server((enum certificate)(c->side - 1));
	if (c->answer == half_handshake)
		s->answer_size = sizeof(half_handshake) - 1;
	if (c->answer == alert)
		s->answer_size = sizeof(alert) - 1;
	p.probe.flags = c->flags;
	if (c->to_deadline)
		p.probe.timeout_usec = timeout_of(c);
	if (c->check == HTTPS)
		probe_text(&p, PROTOCOL_TEXT_PATH, "/healthz");
	probe_text(&p, PROTOCOL_TEXT_SERVER_NAME, c->server_name);
	probe_text(&p, PROTOCOL_TEXT_EXPECT, c->expect);
	rig_send_probe(rig, &p);
}

static void test_outcomes(void **state)
{
	static struct rig rig;
	usec_t overshoot_usec = USEC_NEVER;
	size_t before_kib;

	(void)state;
	_Static_assert(ARRAY_SIZE(cases) <= SERVERS_MAX, "each has a server");
	rig_init(&rig);
	rig_send_hello(&rig);
	rig_wait_heartbeats(&rig, 1);
	before_kib = rig_peak_kib(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		add_case(&rig, i, &cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct protocol_result *r = rig_wait_result(&rig, i, 1);

		/* A reset may overtake what ends the connection in another way: its detail is not certain. */
		if (r->outcome != cases[i].outcome ||
		    (r->detail != cases[i].detail && r->outcome != PROBE_RESET))
			fail_msg("%s: %s, detail %d", cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (!cases[i].to_deadline)
			continue;
		assert_true(r->duration_usec >= timeout_of(&cases[i]));
		overshoot_usec = MIN(overshoot_usec, r->duration_usec - timeout_of(&cases[i]));
	}
	assert_true(overshoot_usec < SHORT_TIMEOUT_USEC / 2);
	assert_true(rig_peak_kib(&rig) - before_kib < MEMORY_MAX_KIB);
	rig_deinit(&rig);
}

/* The second probe resumes the session of the first, but each of a verifying one is a handshake of its own. */
static void test_session(void **state)
{
	static struct rig rig;
	struct scripted_server *servers[2];

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (uint64_t id = 0; id < 2; id++) {
		struct scripted_server *s = rig_server(&rig, AF_INET, SERVER_ANSWER, OK_ANSWER);
		struct protocol_probe_record p =
			probe_make(id, PROTOCOL_CHECK_HTTPS, "127.0.0.1", s->port);

		s->tls = certificate_server(CERTIFICATE_GOOD);
		servers[id] = s;
		p.probe.interval_usec = p.probe.timeout_usec = 100 * USEC_PER_MSEC;
		p.probe.flags = id ? VERIFY : 0;
		probe_text(&p, PROTOCOL_TEXT_PATH, "/");
		rig_send_probe(&rig, &p);
	}
	while (servers[0]->accepted < 6 || servers[1]->accepted < 6)
		rig_wait_results(&rig, rig.n_results + 1);
	assert_true(servers[0]->resumed >= 4);
	assert_int_equal(servers[1]->resumed, 0);
	rig_deinit(&rig);
}

static void test_server_name(void **state)
{
	static const struct {
		const char *host, *server_name, *asked_for;
	} names[] = {
		{ "", "", "" },
		{ "a.example.com", "", "a.example.com" },
		{ "a.example.com:8443", "", "a.example.com" },
		{ "192.0.2.1", "", "" },
		{ "[2001:db8::1]:443", "", "" },
		{ "a.example.com", "b.example.com", "b.example.com" },
		{ "", "b.example.com", "b.example.com" },
	};
	static struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct scripted_server *s = rig_server(&rig, AF_INET6, SERVER_ANSWER, OK_ANSWER);
		struct protocol_probe_record p =
			probe_make(i, PROTOCOL_CHECK_HTTPS, "::1", s->port);

		s->tls = certificate_server(CERTIFICATE_GOOD);
		probe_text(&p, PROTOCOL_TEXT_PATH, "/");
		probe_text(&p, PROTOCOL_TEXT_HOST, names[i].host);
		probe_text(&p, PROTOCOL_TEXT_SERVER_NAME, names[i].server_name);
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		const struct scripted_server *s = &rig.servers[i];
		char expected[300];

		assert_int_equal(rig_wait_result(&rig, i, 1)->outcome, PROBE_OK);
		assert_string_equal(s->server_name, names[i].asked_for);
		/* The Host header does not follow the server name. */
		if (names[i].host[0])
			(void)snprintf(expected, sizeof(expected), "\r\nHost: %s\r\n",
				       names[i].host);
		else
			(void)snprintf(expected, sizeof(expected), "\r\nHost: [::1]:%u\r\n",
				       s->port);
		assert_non_null(strstr(s->last_request, expected));
	}
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_session),
		cmocka_unit_test(test_server_name),
	};
	const char *authority;
	int r;

	log_init(LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* of the servers */
	authority = certificate_trust(CERTIFICATE_AUTHORITY);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(authority);
	return r;
}

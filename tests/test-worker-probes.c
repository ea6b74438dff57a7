/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "health/outcome.h"
#include "tests/worker-rig.h"

/* What the worker finds out about servers that behave and that do not. */

#define SHORT_TIMEOUT_USEC (150 * USEC_PER_MSEC)
#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define K(x) x x x x x x x x x x x x x x x x
#define LINE_FILLER K(K("0123456789abcdef"))
#define FILLER K(K("0123456789abcde\n"))

static const struct {
	const char *name;
	enum server_script script;
	const char *answer, *filler;
	enum probe_outcome outcome;
	int32_t detail;
	bool to_deadline;
	const char *expect;
} http_cases[] = {
	{ "200", SERVER_ANSWER, OK_HEAD "Content-Length: 2\r\n\r\nok", NULL, PROBE_OK, 200, false },
	{ "200, connection left open", SERVER_ANSWER_STAY, OK_HEAD "Content-Length: 2\r\n\r\nok",
	  NULL, PROBE_OK, 200, false },
	{ "chunked", SERVER_ANSWER,
	  OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", NULL, PROBE_OK, 200,
	  false },
	{ "body until close", SERVER_ANSWER, OK_HEAD "\r\nok", NULL, PROBE_OK, 200, false },
	{ "204", SERVER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", NULL, PROBE_OK, 204, false },
	{ "HTTP/1.0", SERVER_ANSWER, "HTTP/1.0 200 OK\r\n\r\nok", NULL, PROBE_OK, 200, false },
	{ "100 first", SERVER_ANSWER,
	  "HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 0\r\n\r\n", NULL, PROBE_OK, 200,
	  false },
	{ "404", SERVER_ANSWER, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NULL,
	  PROBE_WRONG_STATUS, 404, false },
	{ "503 with body", SERVER_ANSWER, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", NULL,
	  PROBE_WRONG_STATUS, 503, false },
	{ "300 is above the range", SERVER_ANSWER, "HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n",
	  NULL, PROBE_WRONG_STATUS, 300, false },
	{ "redirects are not followed", SERVER_ANSWER,
	  "HTTP/1.1 301 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", NULL,
	  PROBE_WRONG_STATUS, 301, false },
	{ "closes without a word", SERVER_ANSWER, "", NULL, PROBE_RESET, 0, false },
	{ "resets", SERVER_RESET, NULL, NULL, PROBE_RESET, ECONNRESET, false },
	{ "closes half way in the body", SERVER_ANSWER, OK_HEAD "Content-Length: 99\r\n\r\nok",
	  NULL, PROBE_RESET, 0, false, "ok" },
	{ "the same, nobody asked for the body", SERVER_ANSWER,
	  OK_HEAD "Content-Length: 99\r\n\r\nok", NULL, PROBE_OK, 200, false, NULL },
	{ "closes in a chunk", SERVER_ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nff\r\nok",
	  NULL, PROBE_RESET, 0, false, "ok" },
	{ "bad chunk", SERVER_ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nok", NULL,
	  PROBE_BAD_RESPONSE, 0, false, "ok" },
	{ "expected body", SERVER_ANSWER, OK_HEAD "Content-Length: 8\r\n\r\nall good", NULL,
	  PROBE_OK, 200, false, "good" },
	{ "expected body in chunks", SERVER_ANSWER,
	  OK_HEAD "Transfer-Encoding: chunked\r\n\r\n6\r\nall go\r\n2\r\nod\r\n0\r\n\r\n", NULL,
	  PROBE_OK, 200, false, "regex:^all go+d$" },
	{ "expected body until close", SERVER_ANSWER, OK_HEAD "\r\nall good", NULL, PROBE_OK, 200,
	  false, "good" },
	{ "wrong body", SERVER_ANSWER, OK_HEAD "Content-Length: 8\r\n\r\nall good", NULL,
	  PROBE_WRONG_BODY, 0, false, "regex:^good" },
	{ "wrong status before the body", SERVER_ANSWER_STAY,
	  "HTTP/1.1 503 No\r\nContent-Length: 8\r\n\r\n", NULL, PROBE_WRONG_STATUS, 503, false,
	  "good" },
	{ "wrong status and a bad chunk", SERVER_ANSWER,
	  "HTTP/1.1 503 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok", NULL, PROBE_WRONG_STATUS,
	  503, false, "good" },
	{ "endless body with the text", SERVER_ENDLESS, OK_HEAD "\r\nall good", FILLER, PROBE_OK,
	  200, false, "good" },
	{ "endless body without the text", SERVER_ENDLESS, OK_HEAD "\r\n", FILLER, PROBE_TOO_LARGE,
	  0, false, "good" },
	{ "HTTP/0.9", SERVER_ANSWER, "<html>hello</html>", NULL, PROBE_BAD_RESPONSE, 0, false },
	{ "another protocol", SERVER_ANSWER, "SSH-2.0-OpenSSH_9.2\r\n", NULL, PROBE_BAD_RESPONSE, 0,
	  false },
	{ "bytes", SERVER_ANSWER, "\x16\x03\x01\xff\xfe\n", NULL, PROBE_BAD_RESPONSE, 0, false },
	{ "endless headers", SERVER_ENDLESS, OK_HEAD, "X-More: yes\r\n", PROBE_TOO_LARGE, 0,
	  false },
	{ "one endless header", SERVER_ENDLESS, OK_HEAD "X-More: ", LINE_FILLER, PROBE_TOO_LARGE, 0,
	  false },
	{ "endless body, good status", SERVER_ENDLESS, OK_HEAD "\r\n", FILLER, PROBE_OK, 200,
	  false },
	{ "endless body, bad status", SERVER_ENDLESS, "HTTP/1.1 500 No\r\n\r\n", FILLER,
	  PROBE_WRONG_STATUS, 500, false },
	{ "says nothing", SERVER_SILENT, NULL, NULL, PROBE_HEADER_TIMEOUT, 0, true },
	{ "stops in the headers", SERVER_ANSWER_STAY, OK_HEAD, NULL, PROBE_HEADER_TIMEOUT, 0,
	  true },
	{ "stops in the body", SERVER_ANSWER_STAY, OK_HEAD "Content-Length: 9\r\n\r\nok", NULL,
	  PROBE_BODY_TIMEOUT, 0, true, "ok" },
	{ "stops after 100", SERVER_ANSWER_STAY, "HTTP/1.1 100 Continue\r\n\r\n", NULL,
	  PROBE_HEADER_TIMEOUT, 0, true },
	{ "a byte every 50 ms", SERVER_DRIP, OK_HEAD "Content-Length: 99\r\n\r\n", NULL,
	  PROBE_HEADER_TIMEOUT, 0, true },
	{ "full backlog", SERVER_FULL_BACKLOG, NULL, NULL, PROBE_CONNECT_TIMEOUT, 0, true },
};

/* Not before the deadline; the best of many not long after it, where a single one may suffer from a busy machine. */
static void assert_at_deadline(const struct protocol_result *r, usec_t timeout_usec,
			       usec_t *best_overshoot_usec)
{
	assert_true(r->duration_usec >= timeout_usec);
	*best_overshoot_usec = MIN(*best_overshoot_usec, r->duration_usec - timeout_usec);
}

static void test_http_outcomes(void **state)
{
	static struct rig rig;
	usec_t overshoot_usec = USEC_NEVER;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(http_cases); i++) {
		struct scripted_server *s =
			rig_server(&rig, AF_INET, http_cases[i].script, http_cases[i].answer);
		struct protocol_probe_record p =
			probe_make(i, PROTOCOL_CHECK_HTTP, "127.0.0.1", s->port);

		probe_text(&p, PROTOCOL_TEXT_PATH, "/healthz?a=b");
		if (http_cases[i].expect)
			probe_text(&p, PROTOCOL_TEXT_EXPECT, http_cases[i].expect);
		s->filler = http_cases[i].filler;
		if (http_cases[i].to_deadline)
			p.probe.timeout_usec = SHORT_TIMEOUT_USEC;
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(http_cases); i++) {
		const struct protocol_result *r = rig_wait_result(&rig, i, 1);

		if (r->outcome != http_cases[i].outcome || r->detail != http_cases[i].detail)
			fail_msg("%s: %s, detail %d", http_cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (http_cases[i].to_deadline)
			assert_at_deadline(r, SHORT_TIMEOUT_USEC, &overshoot_usec);
	}
	assert_true(overshoot_usec < SHORT_TIMEOUT_USEC * 9 / 10);
	rig_deinit(&rig);
}

static void test_http_request(void **state)
{
	static const struct {
		int family;
		const char *address, *host_header;
		const char *host; /* NULL: the address and the port */
	} cases[] = {
		{ AF_INET, "127.0.0.1", "", NULL },
		{ AF_INET, "127.0.0.1", "www.example.com", "www.example.com" },
		{ AF_INET6, "::1", "", NULL },
	};
	static struct rig rig;

	(void)state;
	/* A proxy of the environment is not for probes. */
	assert_return_code(setenv("http_proxy", "http://127.0.0.1:1", 1), errno);
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scripted_server *s = rig_server(&rig, cases[i].family, SERVER_ANSWER,
						       OK_HEAD "Content-Length: 0\r\n\r\n");
		struct protocol_probe_record p =
			probe_make(i, PROTOCOL_CHECK_HTTP, cases[i].address, s->port);

		probe_text(&p, PROTOCOL_TEXT_PATH, "/a/../b//?x=%20");
		probe_text(&p, PROTOCOL_TEXT_HOST, cases[i].host_header);
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct scripted_server *s = &rig.servers[i];
		char expected[512], where[ADDR_PORT_STR_MAX];
		struct addr a;

		assert_int_equal(rig_wait_result(&rig, i, 1)->outcome, PROBE_OK);
		assert_int_equal(addr_parse(cases[i].address, &a), 0);
		(void)addr_port_format(&a, s->port, where);
		(void)snprintf(expected, sizeof(expected),
			       "GET /a/../b//?x=%%20 HTTP/1.1\r\nHost: %s\r\n"
			       "User-Agent: ipvsd/%s\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			       cases[i].host ? cases[i].host : where, IPVSD_VERSION);
		assert_string_equal(s->last_request, expected);
	}
	assert_return_code(unsetenv("http_proxy"), errno);
	rig_deinit(&rig);
}

/* The bytes of proxy-protocol.txt 2.2 for LOCAL, then what the probe would have begun with. */
static void test_proxy_header(void **state)
{
	static const char header[] = "\r\n\r\n\0\r\nQUIT\n\x20\0\0";
	static const struct {
		enum protocol_check check;
		const char *next;
	} cases[] = {
		{ PROTOCOL_CHECK_TCP, "" },
		{ PROTOCOL_CHECK_HTTP, "GET / HTTP/1.1\r\n" },
		{ PROTOCOL_CHECK_HTTPS, "\x16\x03\x01" },
		{ PROTOCOL_CHECK_TLS, "\x16\x03\x01" },
		{ PROTOCOL_CHECK_GRPC, "PRI * HTTP/2.0\r\n" },
	};
	static struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scripted_server *s = rig_server(&rig, AF_INET, SERVER_SILENT, NULL);
		struct protocol_probe_record p =
			probe_make(i, cases[i].check, "127.0.0.1", s->port);

		s->request_end_size = 0;
		p.probe.flags = PROTOCOL_PROBE_PROXY_V2;
		p.probe.timeout_usec = SHORT_TIMEOUT_USEC;
		probe_text(&p, PROTOCOL_TEXT_PATH, "/");
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *request = rig.servers[i].last_request;

		(void)rig_wait_result(&rig, i, 1);
		assert_memory_equal(request, header, sizeof(header));
		assert_memory_equal(request + sizeof(header), cases[i].next, strlen(cases[i].next));
	}
	rig_deinit(&rig);
}

/* A port of loopback on which nothing listens: it was the kernel's choice a moment ago. */
static uint16_t closed_port(void)
{
	struct scripted_server s;

	scripted_server_init(&s, AF_INET, SERVER_SILENT, NULL);
	scripted_server_deinit(&s);
	return s.port;
}

enum place {
	PLACE_LISTENS,
	PLACE_CLOSED,
	PLACE_FULL,
};

static const struct {
	const char *name, *address;
	enum place place;
	const char *source, *interface;
	uint32_t mark;
	enum probe_outcome outcome;
	int32_t detail;
} connect_cases[] = {
	{ "listens", "127.0.0.1", PLACE_LISTENS, NULL, "", 0, PROBE_OK, 0 },
	{ "IPv6", "::1", PLACE_LISTENS, NULL, "", 0, PROBE_OK, 0 },
	{ "source address", "127.0.0.1", PLACE_LISTENS, "127.0.0.9", "", 0, PROBE_OK, 0 },
	{ "interface", "127.0.0.1", PLACE_LISTENS, NULL, "lo", 0, PROBE_OK, 0 },
	{ "closed", "127.0.0.1", PLACE_CLOSED, NULL, "", 0, PROBE_REFUSED, ECONNREFUSED },
	{ "full backlog", "127.0.0.1", PLACE_FULL, NULL, "", 0, PROBE_CONNECT_TIMEOUT, 0 },
	{ "no route", "2001:db8::1", PLACE_CLOSED, NULL, "lo", 0, PROBE_UNREACHABLE, ENETUNREACH },
	{ "a source that is not ours", "127.0.0.1", PLACE_LISTENS, "192.0.2.1", "", 0,
	  PROBE_INTERNAL_ERROR, EADDRNOTAVAIL },
	{ "a source without its interface", "::1", PLACE_LISTENS, "fe80::1", "", 0,
	  PROBE_INTERNAL_ERROR, EINVAL },
	{ "no such interface", "127.0.0.1", PLACE_LISTENS, NULL, "nosuchif", 0,
	  PROBE_INTERNAL_ERROR, ENODEV },
	{ "a mark without the capability", "127.0.0.1", PLACE_LISTENS, NULL, "", 7,
	  PROBE_INTERNAL_ERROR, EPERM },
};

static void test_connect_outcomes(void **state)
{
	usec_t overshoot_usec = USEC_NEVER;
	static const enum protocol_check checks[] = { PROTOCOL_CHECK_TCP, PROTOCOL_CHECK_HTTP };
	static struct rig rig;
	const struct protocol_result *r;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(connect_cases) * ARRAY_SIZE(checks); i++) {
		size_t c = i / ARRAY_SIZE(checks);
		struct protocol_probe_record p = probe_make(
			i, checks[i % ARRAY_SIZE(checks)], connect_cases[c].address, closed_port());

		if (connect_cases[c].place != PLACE_CLOSED)
			p.probe.port = rig_server(&rig, p.probe.addr.family,
						  connect_cases[c].place == PLACE_FULL
							  ? SERVER_FULL_BACKLOG
							  : SERVER_ANSWER,
						  OK_HEAD "Content-Length: 0\r\n\r\n")
					       ->port;
		if (connect_cases[c].source)
			assert_int_equal(addr_parse(connect_cases[c].source, &p.probe.source), 0);
		if (connect_cases[c].place == PLACE_FULL)
			p.probe.timeout_usec = SHORT_TIMEOUT_USEC;
		probe_text(&p, PROTOCOL_TEXT_PATH, "/");
		p.probe.firewall_mark = connect_cases[c].mark;
		strcpy(p.probe.interface, connect_cases[c].interface);
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(connect_cases) * ARRAY_SIZE(checks); i++) {
		size_t c = i / ARRAY_SIZE(checks);
		bool http = checks[i % ARRAY_SIZE(checks)] == PROTOCOL_CHECK_HTTP;
		enum probe_outcome outcome = connect_cases[c].outcome;

		r = rig_wait_result(&rig, i, 1);
		if (r->outcome != outcome ||
		    r->detail != (http && outcome == PROBE_OK ? 200 : connect_cases[c].detail))
			fail_msg("%s, %s: %s, detail %d", connect_cases[c].name,
				 http ? "http" : "tcp",
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (outcome == PROBE_CONNECT_TIMEOUT)
			assert_at_deadline(r, SHORT_TIMEOUT_USEC, &overshoot_usec);
	}
	assert_true(overshoot_usec < SHORT_TIMEOUT_USEC * 9 / 10);
	rig_deinit(&rig);
}

static void test_no_ring(void **state)
{
	static struct rig rig;

	(void)state;
	rig_refuse_rings();
	rig_init(&rig);
	rig_send_hello(&rig);
	while (!rig.n_hellos)
		rig_pump(&rig);
	assert_false(rig_has_ring(&rig));
	rig_deinit(&rig);
}

/* By io_uring where this kernel has it for us, then by epoll: all is the same. One group, for meson takes one plan. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_http_outcomes),	 cmocka_unit_test(test_http_request),
		cmocka_unit_test(test_proxy_header),	 cmocka_unit_test(test_connect_outcomes),
		cmocka_unit_test(test_no_ring),		 cmocka_unit_test(test_http_outcomes),
		cmocka_unit_test(test_http_request),	 cmocka_unit_test(test_proxy_header),
		cmocka_unit_test(test_connect_outcomes),
	};

	log_init(LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

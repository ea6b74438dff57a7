/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Control requests: what is accepted, and with which words the rest is refused. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/control-request.h"

static const struct good {
	const char *method, *path, *body;
	struct control_parameter query[3];
	size_t n_query;
	struct control_request expected; /* strings borrowed here */
} good[] = {
	{ .method = "GET", .path = "/v1/version", .expected = { CONTROL_VERSION, .weight = -1 } },
	{ .method = "GET", .path = "/v1/status", .expected = { CONTROL_STATUS, .weight = -1 } },
	{ .method = "GET", .path = "/v1/events", .expected = { CONTROL_EVENTS, .weight = -1 } },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "wait", "60" }, { "after", "9223372036854775807" } },
	  .n_query = 2,
	  .expected = { CONTROL_EVENTS, .after = INT64_MAX, .wait_seconds = 60, .weight = -1 } },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "since", "2026-11-22T10:01:05Z" }, { "group", "g" }, { "target", "g/t" } },
	  .n_query = 3,
	  .expected = { CONTROL_EVENTS, .group = (char *)"g", .target = (char *)"g/t",
			.since_usec = 1795341665 * USEC_PER_SEC, .weight = -1 } },
	{ .method = "GET",
	  .path = "/v1/describe-target-health",
	  .query = { { "group", "g" }, { "targets", "Id=10.0.0.1,Port=80 Id=10.0.0.2" } },
	  .n_query = 2,
	  .expected = { CONTROL_DESCRIBE, .group = (char *)"g",
			.targets = (char *)"Id=10.0.0.1,Port=80 Id=10.0.0.2", .weight = -1 } },
	{ .method = "GET",
	  .path = "/v1/explain",
	  .query = { { "target", "[::1]:80" } },
	  .n_query = 1,
	  .expected = { CONTROL_EXPLAIN, .target = (char *)"[::1]:80", .weight = -1 } },
	{ .method = "GET",
	  .path = "/v1/history",
	  .query = { { "group", "g" } },
	  .n_query = 1,
	  .expected = { CONTROL_HISTORY, .group = (char *)"g", .weight = -1 } },
	{ .method = "POST", .path = "/v1/reload", .expected = { CONTROL_RELOAD, .weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/reload",
	  .body = " {} ",
	  .expected = { CONTROL_RELOAD, .weight = -1 } },
	{ .method = "POST", .path = "/v1/plan", .expected = { CONTROL_PLAN, .weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/plan",
	  .query = { { "config", "/tmp/x y.conf" } },
	  .n_query = 1,
	  .expected = { CONTROL_PLAN, .config = (char *)"/tmp/x y.conf", .weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"blue\",\"target\":\"[2001:db8::1]:80\",\"weight\":0,\"zone\":"
		  "\"a\"}",
	  .expected = { CONTROL_REGISTER, .group = (char *)"blue",
			.target = (char *)"[2001:db8::1]:80", .zone = (char *)"a", .weight = 0 } },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"b\",\"target\":\"10.0.0.1\",\"weight\":65535}",
	  .expected = { CONTROL_REGISTER, .group = (char *)"b", .target = (char *)"10.0.0.1",
			.weight = 65535 } },
	{ .method = "POST",
	  .path = "/v1/deregister",
	  .body = "{\"target\":\"t\",\"group\":\"g\"}",
	  .expected = { CONTROL_DEREGISTER, .group = (char *)"g", .target = (char *)"t",
			.weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"target\":\"t\",\"group\":\"g\"}",
	  .expected = { CONTROL_DRAIN, .group = (char *)"g", .target = (char *)"t",
			.weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/undrain",
	  .body = "{\"target\":\"t\",\"group\":\"g\"}",
	  .expected = { CONTROL_UNDRAIN, .group = (char *)"g", .target = (char *)"t",
			.weight = -1 } },
	{ .method = "GET", .path = "/v1/fastpath", .expected = { CONTROL_FASTPATH, .weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/fastpath/on",
	  .expected = { CONTROL_FASTPATH_ON, .weight = -1 } },
	{ .method = "POST",
	  .path = "/v1/fastpath/on",
	  .body = "{\"force\": true}",
	  .expected = { CONTROL_FASTPATH_ON, .weight = -1, .force = true } },
	{ .method = "POST",
	  .path = "/v1/fastpath/off",
	  .body = "{}",
	  .expected = { CONTROL_FASTPATH_OFF, .weight = -1 } },
};

static const struct bad {
	const char *method, *path, *body;
	struct control_parameter query[CONTROL_QUERY_MAX + 1];
	size_t n_query;
	unsigned status;
	const char *says;
} bad[] = {
	{ .method = "GET", .path = "/v1/fastpath/on", .status = 405, .says = "POST" },
	{ .method = "POST", .path = "/v1/fastpath", .status = 405, .says = "GET" },
	{ .method = "POST",
	  .path = "/v1/fastpath/on",
	  .body = "{\"force\": 1}",
	  .status = 400,
	  .says = "force" },
	{ .method = "POST",
	  .path = "/v1/fastpath/on",
	  .body = "{\"group\": \"g\"}",
	  .status = 400,
	  .says = "group" },
	{ .method = "POST",
	  .path = "/v1/fastpath/off",
	  .body = "{\"force\": true}",
	  .status = 400,
	  .says = "no body" },
	{ .method = "GET",
	  .path = "/v1/describe-target-health",
	  .status = 400,
	  .says = "\"group\" is missing" },
	{ .method = "GET",
	  .path = "/v1/describe-target-health",
	  .query = { { "group", "g" }, { "target", "t" } },
	  .n_query = 2,
	  .status = 400,
	  .says = "\"target\"" },
	{ .method = "GET", .path = "/v1/explain", .status = 400, .says = "\"target\" is missing" },
	{ .method = "GET",
	  .path = "/v1/explain",
	  .query = { { "target", "a b" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "target: has a byte" },
	{ .method = "GET", .path = "/v1/history", .status = 400, .says = "is missing" },
	{ .method = "POST", .path = "/v1/history", .status = 405, .says = "GET" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "since", "10m" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "since: not a time" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "group", "" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "group: not a text" },
	{ .method = "GET", .path = "/", .status = 404, .says = "no such path" },
	{ .method = "GET", .path = "/v1/status/", .status = 404, .says = "no such path" },
	{ .method = "GET", .path = "/v2/status", .status = 404, .says = "no such path" },
	{ .method = "GET", .path = "/v1/reload", .status = 405, .says = "POST" },
	{ .method = "HEAD", .path = "/v1/status", .status = 405, .says = "GET" },
	{ .method = "GET",
	  .path = "/v1/status",
	  .query = { { "x", "1" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "\"x\"" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "wait", "61" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "wait" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "wait", "" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "wait" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "after", NULL } },
	  .n_query = 1,
	  .status = 400,
	  .says = "after" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "after", "-1" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "after" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "after", "9223372036854775808" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "after" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "after", "1" }, { "after", "2" } },
	  .n_query = 2,
	  .status = 400,
	  .says = "repeated" },
	{ .method = "GET",
	  .path = "/v1/events",
	  .query = { { "a", "1" },
		     { "b", "1" },
		     { "c", "1" },
		     { "d", "1" },
		     { "e", "1" },
		     { "f", "1" },
		     { "g", "1" } },
	  .n_query = 7,
	  .status = 400,
	  .says = "more than" },
	{ .method = "POST",
	  .path = "/v1/plan",
	  .query = { { "config", "ipvsd.conf" } },
	  .n_query = 1,
	  .status = 400,
	  .says = "absolute" },
	{ .method = "POST",
	  .path = "/v1/plan",
	  .body = "{\"a\":1}",
	  .status = 400,
	  .says = "no body" },
	{ .method = "POST", .path = "/v1/drain", .status = 400, .says = "not JSON" },
	{ .method = "POST", .path = "/v1/drain", .body = "[]", .status = 400, .says = "object" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":\"g\"}",
	  .status = 400,
	  .says = "\"target\" is missing" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"target\":\"t\"}",
	  .status = 400,
	  .says = "\"group\" is missing" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":\"g\",\"target\":\"t\",\"weight\":1}",
	  .status = 400,
	  .says = "weight" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":\"g\",\"group\":\"h\",\"target\":\"t\"}",
	  .status = 400,
	  .says = "duplicate" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":7,\"target\":\"t\"}",
	  .status = 400,
	  .says = "\"group\": not a string" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":\"g\",\"target\":\"a b\"}",
	  .status = 400,
	  .says = "printable" },
	{ .method = "POST",
	  .path = "/v1/drain",
	  .body = "{\"group\":\"123456789012345678901234567890123\",\"target\":\"t\"}",
	  .status = 400,
	  .says = "1 to 32" },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"g\",\"target\":\"t\",\"weight\":65536}",
	  .status = 400,
	  .says = "65535" },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"g\",\"target\":\"t\",\"weight\":-1}",
	  .status = 400,
	  .says = "weight" },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"g\",\"target\":\"t\",\"weight\":1.5}",
	  .status = 400,
	  .says = "integer" },
	{ .method = "POST",
	  .path = "/v1/register",
	  .body = "{\"group\":\"g\",\"target\":\"t\"} x",
	  .status = 400,
	  .says = "not JSON" },
};

static void assert_text(const char *got, const char *expected)
{
	if (!expected)
		assert_null(got);
	else
		assert_string_equal(got, expected);
}

static void test_good(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		const struct good *g = &good[i];
		_cleanup_(control_request_deinit) struct control_request r = CONTROL_REQUEST_INIT;
		struct control_error e = { 0 };

		if (control_request_parse(g->method, g->path, g->query, g->n_query, g->body,
					  g->body ? strlen(g->body) : 0, &r, &e) < 0)
			fail_msg("%s %s: %s", g->method, g->path, e.text);
		assert_int_equal(r.verb, g->expected.verb);
		assert_int_equal(r.after, g->expected.after);
		assert_int_equal(r.wait_seconds, g->expected.wait_seconds);
		assert_int_equal(r.weight, g->expected.weight);
		assert_int_equal(r.force, g->expected.force);
		assert_text(r.config, g->expected.config);
		assert_text(r.group, g->expected.group);
		assert_text(r.target, g->expected.target);
		assert_text(r.zone, g->expected.zone);
		assert_text(r.targets, g->expected.targets);
		assert_int_equal(r.since_usec, g->expected.since_usec);
	}
}

static void test_bad(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		const struct bad *b = &bad[i];
		struct control_request r = CONTROL_REQUEST_INIT;
		struct control_error e = { 0 };

		assert_int_equal(control_request_parse(b->method, b->path, b->query, b->n_query,
						       b->body, b->body ? strlen(b->body) : 0, &r,
						       &e),
				 -EINVAL);
		if (e.status != b->status || !strstr(e.text, b->says))
			fail_msg("%s %s %s: expected %u \"%s\", got %u \"%s\"", b->method, b->path,
				 b->body ? b->body : "", b->status, b->says, e.status, e.text);
		assert_null(r.group);
	}
}

/* Every prefix of a good body is refused: none is taken for the whole. */
static void test_truncated_bodies(void **state)
{
	const char *body = "{\"group\":\"g\",\"target\":\"t\",\"weight\":12,\"zone\":\"a\"}";

	(void)state;
	for (size_t len = 0; len < strlen(body); len++) {
		struct control_request r = CONTROL_REQUEST_INIT;
		struct control_error e = { 0 };

		assert_int_equal(control_request_parse("POST", "/v1/register", NULL, 0, body, len,
						       &r, &e),
				 -EINVAL);
		assert_int_equal(e.status, 400);
	}
}

static void test_body_limit(void **state)
{
	static char body[CONTROL_BODY_MAX + 1];
	struct control_request r = CONTROL_REQUEST_INIT;
	struct control_error e = { 0 };

	(void)state;
	memset(body, ' ', sizeof(body));
	body[0] = '{';
	body[1] = '}';
	assert_int_equal(control_request_parse("POST", "/v1/reload", NULL, 0, body, sizeof(body),
					       &r, &e),
			 -EINVAL);
	assert_int_equal(e.status, 413);
	assert_int_equal(control_request_parse("POST", "/v1/reload", NULL, 0, body,
					       CONTROL_BODY_MAX, &r, &e),
			 0);
	control_request_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_truncated_bodies),
		cmocka_unit_test(test_body_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

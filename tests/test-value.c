/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/value.h"

static void test_bool(void **state)
{
	static const struct {
		const char *text;
		int r;
		bool value;
	} cases[] = {
		{ "yes", 0, true },	 { "True", 0, true },	  { "ON", 0, true },
		{ "1", 0, true },	 { "no", 0, false },	  { "false", 0, false },
		{ "off", 0, false },	 { "0", 0, false },	  { "", -EINVAL, false },
		{ "y", -EINVAL, false }, { "2", -EINVAL, false }, { "yes ", -EINVAL, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		bool value = !cases[i].value;

		assert_int_equal(value_parse_bool(cases[i].text, &value), cases[i].r);
		if (cases[i].r == 0)
			assert_int_equal(value, cases[i].value);
		else
			assert_int_equal(value, !cases[i].value);
	}
}

static void test_duration(void **state)
{
	static const struct {
		const char *text;
		int r;
		usec_t usec;
		const char *formatted;
	} cases[] = {
		{ "0", 0, 0, "0s" },
		{ "0ms", 0, 0, "0s" },
		{ "5", 0, 5000000, "5s" },
		{ "5s", 0, 5000000, "5s" },
		{ "500ms", 0, 500000, "500ms" },
		{ "1500ms", 0, 1500000, "1500ms" },
		{ "7us", 0, 7, "7us" },
		{ "2m", 0, 120000000, "2m" },
		{ "90", 0, 90000000, "90s" },
		{ "3600s", 0, 3600000000, "1h" },
		{ "7d", 0, 604800000000, "7d" },
		{ "1m30s", 0, 90000000, "90s" },
		{ "1h1ms", 0, 3600001000, "3600001ms" },
		{ "0m5s", 0, 5000000, "5s" },
		{ "", -EINVAL, 0, NULL },
		{ "s", -EINVAL, 0, NULL },
		{ "5 s", -EINVAL, 0, NULL },
		{ "5S", -EINVAL, 0, NULL },
		{ "5sec", -EINVAL, 0, NULL },
		{ "1m30", -EINVAL, 0, NULL },
		{ "0m30", -EINVAL, 0, NULL },
		{ "30s1m", -EINVAL, 0, NULL },
		{ "1m1m", -EINVAL, 0, NULL },
		{ "-5s", -EINVAL, 0, NULL },
		{ "1.5s", -EINVAL, 0, NULL },
		/* 2^64 - 1 microseconds is USEC_NEVER, so the longest is one less */
		{ "18446744073709551614us", 0, UINT64_MAX - 1, "18446744073709551614us" },
		{ "18446744073709551615us", -ERANGE, 0, NULL },
		{ "18446744073710s", -ERANGE, 0, NULL },
		{ "99999999999999999999999d", -ERANGE, 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char buf[VALUE_DURATION_STR_MAX];
		usec_t usec = 0;

		assert_int_equal(value_parse_duration(cases[i].text, &usec), cases[i].r);
		assert_int_equal(usec, cases[i].usec);
		if (cases[i].r == 0)
			assert_string_equal(value_format_duration(usec, buf), cases[i].formatted);
	}
}

static void test_range(void **state)
{
	static const struct {
		const char *text;
		int r;
		uint16_t low, high;
	} cases[] = {
		{ "80", 0, 80, 80 },	      { "1-65535", 0, 1, 65535 },
		{ "80-80", 0, 80, 80 },	      { "0", -ERANGE, 0, 0 },
		{ "65536", -ERANGE, 0, 0 },   { "80-65536", -ERANGE, 0, 0 },
		{ "81-80", -EINVAL, 0, 0 },   { "80-", -EINVAL, 0, 0 },
		{ "-80", -EINVAL, 0, 0 },     { "80-90-100", -EINVAL, 0, 0 },
		{ "80 - 90", -EINVAL, 0, 0 }, { "", -EINVAL, 0, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_range range = { 0, 0 };

		assert_int_equal(value_parse_range(cases[i].text, 1, 65535, &range), cases[i].r);
		assert_int_equal(range.low, cases[i].low);
		assert_int_equal(range.high, cases[i].high);
	}
}

static void test_matcher(void **state)
{
	struct conf_matcher m = { 0 };

	(void)state;
	assert_int_equal(value_parse_matcher("200-299, 304 ,404", &m), 0);
	assert_int_equal(m.n, 3);
	assert_int_equal(m.ranges[0].low, 200);
	assert_int_equal(m.ranges[0].high, 299);
	assert_int_equal(m.ranges[1].low, 304);
	assert_int_equal(m.ranges[1].high, 304);
	assert_int_equal(m.ranges[2].high, 404);
	assert_int_equal(value_parse_matcher("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16", &m), 0);
	assert_int_equal(m.n, 16);
	assert_int_equal(value_parse_matcher("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17", &m),
			 -E2BIG);
	assert_int_equal(value_parse_matcher("600", &m), -ERANGE);
	assert_int_equal(value_parse_matcher("200,", &m), -EINVAL);
	assert_int_equal(value_parse_matcher(",200", &m), -EINVAL);
	assert_int_equal(value_parse_matcher("200 201", &m), -EINVAL);
	assert_int_equal(value_parse_matcher("", &m), -EINVAL);
	assert_int_equal(m.n, 16); /* failures write nothing */
}

static void test_algorithm(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *scheduler;
		uint32_t flags; /* 8 fallback, 16 port */
	} cases[] = {
		{ "round-robin", 0, "wrr", 0 },
		{ "least-connections", 0, "wlc", 0 },
		{ "flow-hash", 0, "mh", 24 },
		{ "source-ip-hash", 0, "mh", 8 },
		{ "mh", 0, "mh", 8 },
		{ "sh", 0, "sh", 8 },
		{ "sh fallback", 0, "sh", 8 },
		{ "mh  port\tfallback ", 0, "mh", 24 },
		{ "source-ip-hash port", 0, "mh", 24 },
		{ "lblcr", 0, "lblcr", 0 },
		{ "dh", 0, "dh", 0 },
		{ "rr port", -ENOTSUP, NULL, 0 },
		{ "dh fallback", -ENOTSUP, NULL, 0 },
		{ "mh weight", -ENOTSUP, NULL, 0 },
		{ "MH", -EINVAL, NULL, 0 },
		{ "none", -EINVAL, NULL, 0 },
		{ "", -EINVAL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct conf_algorithm a = { 0 };

		assert_int_equal(value_parse_algorithm(cases[i].text, &a), cases[i].r);
		if (cases[i].r < 0)
			continue;
		assert_string_equal(a.scheduler, cases[i].scheduler);
		assert_int_equal(a.flags, cases[i].flags);
	}
}

static void test_names(void **state)
{
	(void)state;
	assert_true(value_is_name("a"));
	assert_true(value_is_name("Blue-2"));
	assert_true(value_is_name("abcdefghijklmnopqrstuvwxyz012345"));
	assert_false(value_is_name("abcdefghijklmnopqrstuvwxyz0123456"));
	assert_false(value_is_name(""));
	assert_false(value_is_name("-a"));
	assert_false(value_is_name("a-"));
	assert_false(value_is_name("a_b"));
	assert_false(value_is_name("\xc3\xa4"));
	assert_true(value_is_interface("eth0.100"));
	assert_true(value_is_interface("abcdefghijklmno"));
	assert_false(value_is_interface("abcdefghijklmnop"));
	assert_false(value_is_interface("a/b"));
	assert_false(value_is_interface(".."));
	assert_true(value_is_host("web-1.example.com"));
	assert_false(value_is_host("web..example.com"));
	assert_false(value_is_host(".example.com"));
	assert_false(value_is_host("we b"));
}

static void test_unquote(void **state)
{
	static const struct {
		const char *text;
		int r;
		const char *result;
	} cases[] = {
		{ "plain \\n text", 0, "plain \\n text" },
		{ "\"\"", 0, "" },
		{ "\"a b\"", 0, "a b" },
		{ "\"a\\\"b\\\\\"", 0, "a\"b\\" },
		{ "\"\\r\\n\\t\\x41\\xfF\"", 0, "\r\n\tA\xff" },
		{ "\"", -EINVAL, "\"" },
		{ "\"a", -EINVAL, "\"a" },
		{ "\"a\\\"", -EINVAL, "\"a\\\"" },
		{ "\"a\" b", -EINVAL, "\"a\" b" },
		{ "\"\\q\"", -EINVAL, "\"\\q\"" },
		{ "\"\\x4\"", -EINVAL, "\"\\x4\"" },
		{ "\"\\x00\"", -EINVAL, "\"\\x00\"" },
		{ "\"\\", -EINVAL, "\"\\" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text);

		assert_int_equal(value_unquote(text), cases[i].r);
		assert_string_equal(text, cases[i].result);
	}
}

static void test_utf8(void **state)
{
	static const struct {
		const char *text;
		bool ok;
	} cases[] = {
		{ "", true },
		{ "abc\x7f", true },
		{ "\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xef\xbf\xbf", true },
		{ "\xf0\x90\x80\x80 \xf4\x8f\xbf\xbf", true },
		{ "\x80", false },
		{ "\xc3", false },
		{ "\xc3(", false },
		{ "\xc0\xaf", false },	   /* overlong */
		{ "\xe0\x9f\xbf", false }, /* overlong */
		{ "\xed\xa0\x80", false }, /* surrogate */
		{ "\xf4\x90\x80\x80", false },
		{ "\xf0\x90\x80", false },
		{ "\xff", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = strdup(cases[i].text); /* its end is guarded */

		assert_int_equal(value_is_utf8(text), cases[i].ok);
	}
}

static void test_distance(void **state)
{
	static const struct {
		const char *a, *b;
		unsigned distance;
	} cases[] = {
		{ "", "", 0 },		 { "", "abc", 3 },    { "abc", "abc", 0 },
		{ "abc", "abd", 1 },	 { "abc", "ab", 1 },  { "abc", "xabc", 1 },
		{ "abc", "bac", 1 },	 { "abc", "cab", 2 }, { "kitten", "sitting", 3 },
		{ "flsuh", "flush", 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(value_edit_distance(cases[i].a, cases[i].b), cases[i].distance);
		assert_int_equal(value_edit_distance(cases[i].b, cases[i].a), cases[i].distance);
	}
}

static void test_suggest(void **state)
{
	struct value_suggestion best = { NULL, 0 };

	(void)state;
	value_suggest(&best, "prot", "forward");
	assert_null(best.name);
	value_suggest(&best, "prot", "port");
	assert_string_equal(best.name, "port");
	value_suggest(&best, "prot", "proto"); /* as near: the first stays */
	assert_string_equal(best.name, "port");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bool),	  cmocka_unit_test(test_duration),
		cmocka_unit_test(test_range),	  cmocka_unit_test(test_matcher),
		cmocka_unit_test(test_algorithm), cmocka_unit_test(test_names),
		cmocka_unit_test(test_unquote),	  cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_distance),  cmocka_unit_test(test_suggest),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

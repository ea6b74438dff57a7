/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/events.h"
#include "daemon/rfc3339.h"

static void assert_seqs(const struct event_ring *r, uint64_t after, uint64_t first, uint64_t last)
{
	const struct event_filter f = { .after = after };
	json_t *list = event_ring_to_json(r, &f), *item;
	uint64_t expected = first;
	size_t i;

	json_array_foreach (list, i, item) {
		assert_int_equal(json_integer_value(json_object_get(item, "seq")), expected);
		expected++;
	}
	assert_int_equal(expected, last + 1);
	json_decref(list);
}

static void test_the_oldest_are_overwritten(void **state)
{
	struct event_ring r;

	(void)state;
	assert_int_equal(event_ring_init(&r, 4), 0);
	assert_seqs(&r, 0, 1, 0);
	for (unsigned i = 0; i < 10; i++)
		event_ring_add(&r, i, "target", "g/10.0.0.1:80", "text");
	assert_seqs(&r, 0, 7, 10);
	assert_seqs(&r, 6, 7, 10);
	assert_seqs(&r, 8, 9, 10);
	assert_seqs(&r, 10, 11, 10);
	assert_seqs(&r, 99, 100, 99);
	event_ring_deinit(&r);
}

static void test_filters(void **state)
{
	static const struct {
		const char *object;
		struct event_filter filter;
		bool matches;
	} cases[] = {
		{ "blue/10.0.0.1:80", { 0 }, true },
		{ "blue/10.0.0.1:80", { .after = 7 }, false },
		{ "blue/10.0.0.1:80", { .since_wall_usec = 100 }, true },
		{ "blue/10.0.0.1:80", { .since_wall_usec = 101 }, false },
		{ "blue/10.0.0.1:80", { .group = "blue" }, true },
		{ "blue", { .group = "blue" }, true },
		{ "bluer", { .group = "blue" }, false },
		{ "blue/10.0.0.1:80", { .group = "green" }, false },
		{ "blue/10.0.0.1:80", { .target = "10.0.0.1:80" }, true },
		{ "blue/10.0.0.1:80", { .target = "10.0.0.1" }, true },
		{ "blue/10.0.0.1:80", { .target = "10.0.0.1:8" }, false },
		{ "blue/10.0.0.11:80", { .target = "10.0.0.1" }, false },
		{ "blue/10.0.0.1:80", { .target = "blue/10.0.0.1" }, true },
		{ "blue/10.0.0.1:80", { .target = "blu/10.0.0.1" }, false },
		{ "blue/10.0.0.1:80", { .target = "green/10.0.0.1:80" }, false },
		{ "blue/[2001:db8::1]:80", { .target = "2001:db8::1" }, true },
		{ "blue/[2001:db8::1]:80", { .target = "2001:db8" }, false },
		{ "blue/[2001:db8::1]:80", { .target = "[2001:db8::1]" }, true },
		{ "blue/[2001:db8::1]:80", { .target = "[2001:db8::1]:80" }, true },
		{ "blue", { .target = "10.0.0.1" }, false },
		{ "", { .target = "10.0.0.1" }, false },
		{ "", { .group = "blue" }, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct event e = { .seq = 7,
					 .wall_usec = 100,
					 .object = (char *)cases[i].object };

		if (event_matches(&e, &cases[i].filter) != cases[i].matches)
			fail_msg("case %zu: %s", i, cases[i].object);
	}
}

static void test_time(void **state)
{
	char buf[RFC3339_MAX];

	(void)state;
	assert_string_equal(rfc3339_format(0, buf), "1970-01-01T00:00:00.000Z");
	assert_string_equal(rfc3339_format(951827696007999ULL, buf), "2000-02-29T12:34:56.007Z");
	(void)rfc3339_format(UINT64_MAX, buf); /* must not overflow */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_the_oldest_are_overwritten),
		cmocka_unit_test(test_filters),
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "daemon/events.h"
#include "daemon/rfc3339.h"

static void assert_seqs(const struct event_ring *r, uint64_t after, uint64_t first, uint64_t last)
{
	json_t *list = event_ring_to_json(r, after), *item;
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
		cmocka_unit_test(test_time),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

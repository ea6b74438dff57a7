/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/number.h"

static void test_parse(void **state)
{
	static const struct {
		const char *text;
		uint64_t max;
		int r;
		uint64_t value;
	} cases[] = {
		{ "0", 0, 0, 0 },
		{ "007", 7, 0, 7 },
		{ "65535", 65535, 0, 65535 },
		{ "65536", 65535, -ERANGE, 0 },
		{ "18446744073709551615", UINT64_MAX, 0, UINT64_MAX },
		{ "8", 7, -ERANGE, 0 },
		{ "18446744073709551616", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999", UINT64_MAX, -ERANGE, 0 },
		{ "99999999999999999999999x", UINT64_MAX, -EINVAL, 0 },
		{ "", 9, -EINVAL, 0 },
		{ "+1", 9, -EINVAL, 0 },
		{ "-1", 9, -EINVAL, 0 },
		{ "-1", UINT64_MAX, -EINVAL, 0 },
		{ " 1", 9, -EINVAL, 0 },
		{ "1 ", 9, -EINVAL, 0 },
		{ "1\n", 9, -EINVAL, 0 },
		{ "0x1", 9, -EINVAL, 0 },
		{ "77x", 9, -EINVAL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t value = 4711;

		assert_int_equal(number_parse(cases[i].text, cases[i].max, &value), cases[i].r);
		assert_int_equal(value, cases[i].r == 0 ? cases[i].value : 4711);
	}
}

/* One behind the other; what is too large is behind us, too. */
static void test_take(void **state)
{
	const char *cursor = "12-300,x";
	uint64_t value;

	(void)state;
	assert_int_equal(number_take(&cursor, 99, &value), 0);
	assert_int_equal(value, 12);
	assert_int_equal(*cursor++, '-');
	assert_int_equal(number_take(&cursor, 99, &value), -ERANGE);
	assert_int_equal(*cursor++, ',');
	assert_int_equal(number_take(&cursor, 99, &value), -EINVAL);
	assert_int_equal(*cursor, 'x');
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_parse),
					    cmocka_unit_test(test_take) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

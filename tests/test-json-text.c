/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is written as text is what a reader of JSON understands. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"

DEFINE_CLEANUP(json_t *, json_decref)

static void test_text(void **state)
{
	_cleanup_free_ char *text = NULL;
	struct json_text j;
	size_t len;

	(void)state;
	assert_int_equal(json_text_begin(&j), 0);
	json_text_raw(&j, "{\"a\":");
	json_text_int(&j, 0);
	json_text_member_int(&j, "min", INT64_MIN);
	json_text_member_int(&j, "max", INT64_MAX);
	json_text_member_int(&j, "minus", -10);
	json_text_member_bool(&j, "yes", true);
	json_text_member_bool(&j, "no", false);
	json_text_member_string(&j, "empty", "");
	json_text_member_string(&j, "marks", "\\\"\\\\\"");
	json_text_member_string(&j, "control", "\x01 a\n\x1f\x7f");
	json_text_member_string(&j, "utf8", "\xc3\xa4");
	json_text_member(&j, "tree");
	json_text_tree(&j, json_pack("[i,{s:n}]", 1, "null"));
	json_text_raw(&j, "}\n");
	assert_int_equal(json_text_finish(&j, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	assert_string_equal(text,
			    "{\"a\":0,\"min\":-9223372036854775808,\"max\":9223372036854775807,"
			    "\"minus\":-10,\"yes\":true,\"no\":false,\"empty\":\"\","
			    "\"marks\":\"\\\\\\\"\\\\\\\\\\\"\","
			    "\"control\":\"\\u0001 a\\u000a\\u001f\x7f\",\"utf8\":\"\xc3\xa4\","
			    "\"tree\":[1,{\"null\":null}]}\n");
}

/* Every character of one byte, at every place where the text may have to grow. */
static void test_round_trip(void **state)
{
	enum { LENGTHS = 3000 };
	char string[128];

	(void)state;
	for (size_t i = 1; i < sizeof(string); i++)
		string[i - 1] = (char)i;
	string[sizeof(string) - 1] = '\0';
	for (size_t n = 0; n < LENGTHS; n += 7) {
		_cleanup_(json_decref_p) json_t *list = NULL;
		_cleanup_free_ char *text = NULL, *fill = calloc(1, n + 1);
		struct json_text j;
		size_t len;

		memset(fill, 'x', n);
		assert_int_equal(json_text_begin(&j), 0);
		json_text_raw(&j, "[");
		json_text_string(&j, fill);
		json_text_raw(&j, ",");
		json_text_string(&j, string);
		json_text_raw(&j, "]");
		assert_int_equal(json_text_finish(&j, &text, &len), 0);
		list = json_loadb(text, len, 0, NULL);
		assert_int_equal(json_array_size(list), 2);
		assert_string_equal(json_string_value(json_array_get(list, 0)), fill);
		assert_string_equal(json_string_value(json_array_get(list, 1)), string);
	}
}

/* A tree that could not be made is an answer that could not be made. */
static void test_no_tree(void **state)
{
	struct json_text j;
	char *text;
	size_t len;

	(void)state;
	assert_int_equal(json_text_begin(&j), 0);
	json_text_tree(&j, NULL);
	json_text_raw(&j, "]");
	assert_true(json_text_finish(&j, &text, &len) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_no_tree),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

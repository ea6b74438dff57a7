/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/diag.h"

static char *print(const struct diag_list *l, enum diag_severity least)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	diag_print(l, least, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

static void test_print(void **state)
{
	_cleanup_(diag_list_deinit) struct diag_list l = { 0 };
	_cleanup_free_ char *all = NULL, *errors = NULL;

	(void)state;
	diag_add(&l, DIAG_NOTE, "b", 2, "n%d", 1);
	assert_false(diag_has_errors(&l));
	diag_add(&l, DIAG_ERROR, "a", 0, "line\nbreak \x1b");
	diag_add(&l, DIAG_WARNING, "a", 10, "w");
	assert_true(diag_has_errors(&l));
	assert_int_equal(l.n_errors, 1);
	all = print(&l, DIAG_NOTE);
	assert_string_equal(all, "b:2: note: n1\na: error: line?break ?\na:10: warning: w\n");
	errors = print(&l, DIAG_ERROR);
	assert_string_equal(errors, "a: error: line?break ?\n");
}

/* Stable: the message numbers of one place must ascend, at every length up to some powers of two. */
static void test_sort(void **state)
{
	(void)state;
	for (unsigned n = 0; n < 70; n++) {
		_cleanup_(diag_list_deinit) struct diag_list l = { 0 };

		for (unsigned i = 0; i < n; i++)
			diag_add(&l, DIAG_ERROR, i % 3 ? "a" : "b", i * 7 % 5, "%03u", i);
		diag_sort(&l);
		assert_int_equal(l.n, n);
		for (unsigned i = 1; i < n; i++) {
			const struct diag *a = &l.items[i - 1], *b = &l.items[i];
			int c = strcmp(a->path, b->path);

			assert_true(c <= 0);
			if (c == 0)
				assert_true(a->line <= b->line);
			if (c == 0 && a->line == b->line)
				assert_true(strcmp(a->message, b->message) < 0);
		}
	}
}

static void test_message_is_bounded_utf8(void **state)
{
	_cleanup_(diag_list_deinit) struct diag_list l = { 0 };
	char text[1100];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	diag_add(&l, DIAG_ERROR, "a", 1, "%.1003s", text);
	assert_int_equal(strlen(l.items[0].message), 1003);
	assert_string_equal(l.items[0].message + 1000, "xxx");
	diag_add(&l, DIAG_ERROR, "a", 1, "%.1004s", text);
	assert_int_equal(strlen(l.items[1].message), 1003);
	assert_string_equal(l.items[1].message + 999, "x...");
	diag_add(&l, DIAG_ERROR, "a", 1, "K\xc3\xb6ln");
	assert_string_equal(l.items[2].message, "K\xc3\xb6ln");
	diag_add(&l, DIAG_ERROR, "a", 1, "K\xf6ln");
	assert_string_equal(l.items[3].message, "K?ln");
}

static void test_flood(void **state)
{
	_cleanup_(diag_list_deinit) struct diag_list l = { 0 };
	_cleanup_free_ char *text = NULL;

	(void)state;
	for (unsigned i = 0; i < DIAGS_MAX; i++)
		diag_add(&l, DIAG_NOTE, "a", i + 1, "n");
	assert_int_equal(l.n_dropped, 0);
	diag_add(&l, DIAG_ERROR, "a", 1, "e");
	assert_int_equal(l.n, DIAGS_MAX);
	assert_true(diag_has_errors(&l));
	text = print(&l, DIAG_ERROR);
	assert_string_equal(text, "1 more findings are not shown\n");
}

static void test_out_of_memory_is_an_error(void **state)
{
	struct diag_list l = { .out_of_memory = true };
	_cleanup_free_ char *text = print(&l, DIAG_ERROR);

	(void)state;
	assert_true(diag_has_errors(&l));
	assert_non_null(strstr(text, "out of memory"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_sort),
		cmocka_unit_test(test_message_is_bounded_utf8),
		cmocka_unit_test(test_flood),
		cmocka_unit_test(test_out_of_memory_is_an_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

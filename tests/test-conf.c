/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The corpus: each X.conf of tests/data/conf/{good,bad}, and each directory X with its ipvsd.conf and conf.d, is
 * loaded, and the diagnostics are compared with X.expected; without one there must be none.
 */

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"

static char *source_path(const char *below)
{
	const char *root = getenv("IPVSD_SOURCE_ROOT");
	char *path = NULL;

	assert_non_null(root);
	assert_true(asprintf(&path, "%s/%s", root, below) > 0);
	return path;
}

/* Takes the directory out of the text, which depends on where the tree is. */
static void remove_all(char *text, const char *what)
{
	size_t len = strlen(what);

	for (char *p = text; (p = strstr(p, what));)
		memmove(p, p + len, strlen(p + len) + 1);
}

static char *print_diags(const struct diag_list *diags, const char *directory)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	diag_print(diags, DIAG_NOTE, f);
	assert_int_equal(fclose(f), 0);
	remove_all(text, directory);
	return text;
}

/* "" for a file that does not exist. */
static char *read_expected(const char *path)
{
	_cleanup_fclose_ FILE *f = fopen(path, "re");
	char *text = calloc(1, 16384);
	size_t n;

	assert_non_null(text);
	if (!f) {
		assert_int_equal(errno, ENOENT);
		return text;
	}
	n = fread(text, 1, 16384, f);
	assert_true(n < 16384);
	return text;
}

/* True when it is as expected; prints what is not. */
static bool check_file(const char *directory, const char *name, bool good)
{
	_cleanup_free_ char *path = NULL, *expected_path = NULL, *found = NULL, *expected = NULL;
	struct diag_list diags = { 0 };
	struct conf *conf = NULL;
	bool same;
	int r;

	assert_true(asprintf(&path, "%s%s.conf", directory, name) > 0);
	assert_true(asprintf(&expected_path, "%s%s.expected", directory, name) > 0);
	expected = read_expected(expected_path);
	r = conf_load(path, &conf, &diags);
	found = print_diags(&diags, directory);
	same = strcmp(found, expected) == 0 && r == (good ? 0 : -EINVAL) && !conf == !good;
	if (!same)
		print_error("%s.conf: returned %d\n--- expected\n%s--- found\n%s", name, r,
			    expected, found);
	conf_free(conf);
	diag_list_deinit(&diags);
	return same;
}

static void check_directory(const char *below, bool good, size_t at_least)
{
	_cleanup_free_ char *root = source_path(below);
	DIR *dir = opendir(root);
	const struct dirent *entry;
	size_t n = 0, n_failed = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		_cleanup_free_ char *directory = NULL, *name = strdup(entry->d_name);
		size_t len = strlen(name);

		if (name[0] == '.')
			continue;
		if (!strchr(name, '.')) { /* a directory with drop-ins */
			assert_true(asprintf(&directory, "%s/%s/", root, name) > 0);
			n_failed += !check_file(directory, "ipvsd", good);
		} else if (len > 5 && strcmp(name + len - 5, ".conf") == 0) {
			assert_true(asprintf(&directory, "%s/", root) > 0);
			name[len - 5] = '\0';
			n_failed += !check_file(directory, name, good);
		} else {
			continue;
		}
		n++;
	}
	(void)closedir(dir);
	assert_int_equal(n_failed, 0);
	assert_in_range(n, at_least, SIZE_MAX);
}

static void test_good(void **state)
{
	(void)state;
	check_directory("tests/data/conf/good", true, 20);
}

static void test_bad(void **state)
{
	(void)state;
	check_directory("tests/data/conf/bad", false, 60);
}

static void test_examples(void **state)
{
	(void)state;
	check_directory("conf/examples", true, 6);
}

static void test_installed_file(void **state)
{
	_cleanup_free_ char *directory = source_path("conf/");

	(void)state;
	assert_true(check_file(directory, "ipvsd", true));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_examples),
		cmocka_unit_test(test_installed_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Every allocation of a load fails once: the result is -ENOMEM or the whole configuration, never a part of it, and the
 * leak checker of the sanitized build finds nothing.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "tests/failing-memory.h"

/* True when the n-th allocation existed and failed. */
static bool load_with_failure(const char *path, size_t n, int expected)
{
	struct diag_list diags = { 0 };
	struct conf *conf = NULL;
	bool reached;
	int r;

	failing_memory_arm(n);
	r = conf_load(path, &conf, &diags);
	reached = failing_memory_disarm();
	assert_int_equal(!conf, r < 0);
	if (r != -ENOMEM)
		assert_int_equal(r, expected);
	if (!reached)
		assert_int_equal(r, expected);
	conf_free(conf);
	diag_list_deinit(&diags);
	return reached;
}

static void test_each_allocation(void **state)
{
	static const struct {
		const char *path;
		int r;
	} cases[] = {
		{ "tests/data/conf/good/design-example.conf", 0 },
		{ "tests/data/conf/good/drop-ins/ipvsd.conf", 0 },
		{ "tests/data/conf/good/fastpath.conf", 0 },
		{ "tests/data/conf/good/security-rules.conf", 0 },
		{ "tests/data/conf/good/grpc.conf", 0 },
		{ "tests/data/conf/good/ca-file.conf", 0 },
		{ "tests/data/conf/bad/ca-file-cut.conf", -EINVAL },
		{ "tests/data/conf/bad/drop-ins/ipvsd.conf", -EINVAL },
		{ "tests/data/conf/bad/many-at-once.conf", -EINVAL },
	};
	const char *root = getenv("IPVSD_SOURCE_ROOT");

	(void)state;
	assert_non_null(root);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *path = NULL;
		size_t n = 0;

		assert_true(asprintf(&path, "%s/%s", root, cases[i].path) > 0);
		while (load_with_failure(path, n, cases[i].r))
			n++;
		assert_true(n > 10); /* the wrapping is in effect */
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

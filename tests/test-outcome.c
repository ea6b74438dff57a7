/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What people read of a probe's end. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/outcome.h"

static void test_each_has_words_of_its_own(void **state)
{
	char a[PROBE_OUTCOME_TEXT_MAX], b[PROBE_OUTCOME_TEXT_MAX];

	(void)state;
	for (unsigned i = 0; i < _PROBE_OUTCOME_MAX; i++)
		for (unsigned k = 0; k < i; k++) {
			assert_string_not_equal(probe_outcome_to_string((enum probe_outcome)i),
						probe_outcome_to_string((enum probe_outcome)k));
			assert_string_not_equal(probe_outcome_describe((enum probe_outcome)i, 0, a),
						probe_outcome_describe((enum probe_outcome)k, 0,
								       b));
		}
}

static void test_details(void **state)
{
	static const struct {
		enum probe_outcome outcome;
		int32_t detail;
		const char *text;
	} cases[] = {
		{ PROBE_OK, 0, "ok" },
		{ PROBE_OK, 204, "ok (204)" },
		{ PROBE_REFUSED, ECONNREFUSED, "refused" },
		{ PROBE_UNREACHABLE, EHOSTUNREACH, "unreachable: No route to host" },
		{ PROBE_WRONG_STATUS, 503, "wrong status 503" },
		{ PROBE_EXIT_STATUS, 2, "exit status 2" },
		{ PROBE_KILLED, 9, "killed by signal 9" },
		{ PROBE_CERTIFICATE, 10, "certificate expired" },
		{ PROBE_INTERNAL_ERROR, EMFILE, "internal error: Too many open files" },
		{ PROBE_INTERNAL_ERROR, INT32_MAX, "internal error: unknown" },
		/* RFC 1035, 4.1.1; without a code it is what was in the answer */
		{ PROBE_WRONG_ANSWER, 0, "wrong answer" },
		{ PROBE_WRONG_ANSWER, 2, "wrong answer (SERVFAIL)" },
		{ PROBE_WRONG_ANSWER, 3, "wrong answer (NXDOMAIN)" },
		{ PROBE_WRONG_ANSWER, 11, "wrong answer (code 11)" },
		/* grpc.health.v1: UNKNOWN, NOT_SERVING, SERVICE_UNKNOWN */
		{ PROBE_NOT_SERVING, 0, "not serving" },
		{ PROBE_NOT_SERVING, 2, "not serving" },
		{ PROBE_NOT_SERVING, 3, "not serving (status 3)" },
	};
	char text[PROBE_OUTCOME_TEXT_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(probe_outcome_describe(cases[i].outcome, cases[i].detail, text),
				    cases[i].text);
}

static void test_errors(void **state)
{
	static const struct {
		int error;
		enum probe_outcome of_connect, of_setup;
	} cases[] = {
		{ ECONNREFUSED, PROBE_REFUSED, PROBE_INTERNAL_ERROR },
		{ ECONNRESET, PROBE_RESET, PROBE_INTERNAL_ERROR },
		{ ETIMEDOUT, PROBE_CONNECT_TIMEOUT, PROBE_INTERNAL_ERROR },
		{ ENETUNREACH, PROBE_UNREACHABLE, PROBE_UNREACHABLE },
		{ EHOSTUNREACH, PROBE_UNREACHABLE, PROBE_UNREACHABLE },
		{ EPROTO, PROBE_UNREACHABLE, PROBE_INTERNAL_ERROR },
		{ EACCES, PROBE_UNREACHABLE, PROBE_INTERNAL_ERROR },
		{ EINVAL, PROBE_UNREACHABLE, PROBE_INTERNAL_ERROR },
		{ EADDRNOTAVAIL, PROBE_INTERNAL_ERROR, PROBE_INTERNAL_ERROR },
		{ EMFILE, PROBE_INTERNAL_ERROR, PROBE_INTERNAL_ERROR },
		{ EPERM, PROBE_INTERNAL_ERROR, PROBE_INTERNAL_ERROR },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(probe_outcome_from_errno(cases[i].error), cases[i].of_connect);
		assert_int_equal(probe_outcome_from_setup(cases[i].error), cases[i].of_setup);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_has_words_of_its_own),
		cmocka_unit_test(test_details),
		cmocka_unit_test(test_errors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What is told of targets: the answer in AWS's shape, what makes a weight, the results before; and whether a fault is here. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/inspect.h"
#include "daemon/reach.h"
#include "tests/checks-rig.h"

static json_t *describe(struct checks_rig *rig, const char *group, const char *targets, int r)
{
	_cleanup_free_ char *text = NULL;
	json_t *report;
	size_t len;

	assert_int_equal(inspect_describe(&rig->manager, group, targets, &text, &len), r);
	assert_int_equal(strlen(text), len);
	assert_int_equal(text[len - 1], '\n');
	report = json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(report);
	return report;
}

static void assert_error(struct checks_rig *rig, const char *group, const char *targets, int r,
			 const char *expected)
{
	json_t *report = describe(rig, group, targets, r);

	assert_int_equal(json_object_size(report), 1);
	assert_string_equal(json_string_value(json_object_get(report, "error")), expected);
	json_decref(report);
}

/* The shape of DescribeTargetHealth's answer (elbv2 API 2015-12-01), with our member left out. */
static void assert_described(struct checks_rig *rig, const char *targets, const char *expected)
{
	json_t *report = describe(rig, "a", targets, 0), *d,
	       *wanted = json_loads(expected, 0, NULL);
	size_t i;

	assert_non_null(wanted);
	json_array_foreach (json_object_get(report, "TargetHealthDescriptions"), i, d)
		(void)json_object_del(d, "Ipvsd");
	if (!json_equal(report, wanted)) {
		char *text = json_dumps(report, JSON_INDENT(1));

		print_message("%s\n", text);
		free(text);
		fail_msg("not %s", expected);
	}
	json_decref(report);
	json_decref(wanted);
}

static void test_describe_is_awss_shape(void **state)
{
	struct checks_rig *rig = *state;
	json_t *report, *own;

	strcpy(checks_rig_target(rig, 0, 0)->zone, "eu-1a");
	checks_rig_result(rig, 0, 0, PROBE_OK, 0);
	for (unsigned i = 0; i < 2; i++) {
		struct protocol_result r = { .id = checks_rig_target(rig, 0, 1)->id,
					     .outcome = PROBE_WRONG_STATUS,
					     .detail = 503,
					     .weight_percent = -1,
					     .due_usec = rig->now,
					     .start_usec = rig->now };

		checks_take_result(rig->checks, 0, &r, rig->now);
	}
	assert_described(rig, "Id=10.0.0.1,Port=80 Id=10.0.0.2",
			 "{\"TargetHealthDescriptions\":[{\"Target\":{\"Id\":\"10.0.0.1\","
			 "\"Port\":80,\"AvailabilityZone\":\"eu-1a\"},\"HealthCheckPort\":\"80\","
			 "\"TargetHealth\":{\"State\":\"healthy\"},\"AnomalyDetection\":"
			 "{\"MitigationInEffect\":\"no\",\"Result\":\"normal\"}},"
			 "{\"Target\":{\"Id\":\"10.0.0.2\",\"Port\":80},"
			 "\"HealthCheckPort\":\"80\",\"TargetHealth\":{\"State\":\"unhealthy\","
			 "\"Reason\":\"Target.ResponseCodeMismatch\",\"Description\":"
			 "\"Health checks failed with these codes: [503]\"},\"AnomalyDetection\":"
			 "{\"MitigationInEffect\":\"no\",\"Result\":\"normal\"}}]}");
	assert_described(rig, "Port=81,Id=10.0.0.1",
			 "{\"TargetHealthDescriptions\":[{\"Target\":{\"Id\":\"10.0.0.1\","
			 "\"Port\":81},\"HealthCheckPort\":\"81\",\"TargetHealth\":"
			 "{\"State\":\"unused\",\"Reason\":\"Target.NotRegistered\","
			 "\"Description\":\"Target is not registered to the target group\"}}]}");
	assert_error(rig, "a", "Id=x", -EINVAL, "targets: \"Id=x\" is not Id=ADDRESS[,Port=N]");
	assert_error(rig, "a", "Id=10.0.0.1 \"", -EINVAL,
		     "targets: \"\"\" is not Id=ADDRESS[,Port=N]");
	assert_error(rig, "z", NULL, -ENOENT, "z: no such target group");
	report = describe(rig, "a", NULL, 0);
	own = json_object_get(
		json_array_get(json_object_get(report, "TargetHealthDescriptions"), 1), "Ipvsd");
	assert_int_equal(json_object_size(own), 7);
	assert_int_equal(json_integer_value(json_object_get(own, "Failures")), 2);
	assert_int_equal(json_array_size(json_object_get(report, "TargetHealthDescriptions")),
			 CHECKS_RIG_TARGETS);
	json_decref(report);
}

static void test_explain_and_history(void **state)
{
	struct checks_rig *rig = *state;
	json_t *report = NULL, *t;
	double product = 1;
	size_t i;
	json_t *factor;

	rig->manager.conf->global.correlated_failure_percent = 0;
	checks_rig_all_healthy(rig);
	assert_true(registry_compute_weights(&rig->manager.registry, clock_wall_usec()) >= 0);
	checks_rig_result(rig, 0, 0, PROBE_REFUSED, 0);
	assert_int_equal(inspect_explain(&rig->manager, NULL, "a/10.0.0.1:80", &report), 0);
	t = json_array_get(json_object_get(report, "targets"), 0);
	json_array_foreach (json_object_get(t, "factors"), i, factor)
		product *= json_number_value(json_object_get(factor, "value"));
	assert_true(product == (double)json_integer_value(json_object_get(t, "weight")));
	assert_int_equal(json_array_size(json_object_get(t, "results")), 2);
	assert_string_equal(json_string_value(json_object_get(
				    json_array_get(json_object_get(t, "next"), 0), "what")),
			    "unhealthy after 1 more failed probe in a row");
	json_decref(report);

	assert_int_equal(inspect_history(&rig->manager, "b", NULL, &report), 0);
	assert_int_equal(json_array_size(json_object_get(report, "targets")), CHECKS_RIG_TARGETS);
	json_decref(report);
	assert_int_equal(inspect_explain(&rig->manager, "b", "10.0.0.1", &report), -ENOENT);
	json_decref(report);
	assert_int_equal(inspect_explain(&rig->manager, "b", "a/10.0.0.1", &report), -EINVAL);
	json_decref(report);
}

/* Nobody says that probes will decide when there are none. */
static void test_explain_without_authorities(void **state)
{
	struct checks_rig *rig = *state;
	struct conf_health_check *check = &rig->groups[0].check;
	json_t *report = NULL, *next;

	checks_rig_all_healthy(rig);
	check->protocol = CONF_CHECK_TLS;
	check->verify_certificate = true;
	check->ca_file = (char *)"/etc/bad.pem";
	assert_int_equal(inspect_explain(&rig->manager, NULL, "a/10.0.0.1:80", &report), 0);
	next = json_object_get(json_array_get(json_object_get(report, "targets"), 0), "next");
	assert_int_equal(json_array_size(next), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(next, 0), "what")),
			    "probed when the group's health-check-ca-file is good: it is an alarm");
	assert_true(json_is_null(json_object_get(json_array_get(next, 0), "in_ms")));
	json_decref(report);
}

static void test_loopback_is_reached(void **state)
{
	char text[REACH_TEXT_MAX];
	struct addr a;

	(void)state;
	assert_int_equal(addr_parse("127.0.0.1", &a), 0);
	assert_false(reach_is_ours(&a, text));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_describe_is_awss_shape, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_explain_and_history, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test_setup_teardown(test_explain_without_authorities, checks_rig_set_up,
						checks_rig_tear_down),
		cmocka_unit_test(test_loopback_is_reached),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A target that answers health checks and not clients: the kernel's counters tell, it is probed at once, and marked
 * unhealthy where the group wants that; the checks bring it back. And a target that answers is left alone.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"

enum {
	RATE = 40,
};

#define SICK "10.0.1.10"
#define WELL "10.0.2.10"
#define TARGETS "targets = " SICK ":8080 weight=1\n " WELL ":8080 weight=1\n"
#define PASSIVE                                                                                    \
	"algorithm = round-robin\nhealth-check-timeout = 1s\nhealthy-threshold = 2\n"              \
	"unhealthy-threshold = 2\nunhealthy-connection-termination = "                             \
	"no\npassive-minimum-connections = 5\n"

/* Same targets twice: probed every 5 minutes and only asked about, probed every second and judged. */
static const char conf[] = LAB_CONF_GLOBAL
	"reconcile-interval = 60s\n"
	"passive-health-interval = 1s\n"
	"[listener ask]\naddress = " LAB_VIP "\nport = 80\nforward = asked\n"
	"[listener judge]\naddress = " LAB_VIP2 "\nport = 80\nforward = judged\n"
	"[target-group asked]\n" TARGETS PASSIVE "health-check-interval = 300s\n"
	"[target-group judged]\n" TARGETS PASSIVE "health-check-interval = 1s\n"
	"passive-health-check = unhealthy\n";

static struct fixture f;
static struct lab_load *loads[2];

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	assert_int_equal(gateway_configure(f.gateway, "%s", conf), 0);
	fixture_start(&f, "asked");
	fixture_wait_healthy(&f, "judged");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++) {
		lab_load_free(loads[i]);
		loads[i] = NULL;
	}
	fixture_deinit(&f);
	return 0;
}

/* No way back to clients; the gateway, from where probes come, is on the target's own link. */
static void set_black_hole(bool wanted)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	const char *argv[] = { "ip",	    "route",	       wanted ? "add" : "del",
			       "blackhole", "198.51.100.0/24", NULL };

	assert_int_equal(lab_run(lab_host(f.lab, "a1"), argv, &result), 0);
	if (result.status != 0)
		fail_msg("ip route: %s", result.err);
}

static size_t count_results(const char *group, const char *target)
{
	json_t *report = NULL;
	char path[128];
	size_t n;

	(void)snprintf(path, sizeof(path), "/v1/history?group=%s&target=%s", group, target);
	assert_int_equal(gateway_request(f.gateway, "GET", path, NULL, &report), 200);
	n = json_array_size(
		json_object_get(json_array_get(json_object_get(report, "targets"), 0), "results"));
	json_decref(report);
	return n;
}

static bool was_asked(void *userdata)
{
	(void)userdata;
	return count_results("asked", SICK) >= 2;
}

struct wanted {
	const char *target, *state;
};

static bool is_judged(void *userdata)
{
	const struct wanted *w = userdata;
	char state[FIXTURE_STATE_MAX];

	return strcmp(fixture_state(&f, "judged", w->target, state), w->state) == 0;
}

static void wait_judged(const char *target, const char *state)
{
	struct wanted w = { target, state };

	if (lab_wait_until(is_judged, &w, 20 * USEC_PER_SEC) == 0)
		return;
	gateway_print_log(f.gateway);
	fail_msg("%s does not become %s", target, state);
}

static void test_black_hole(void **state)
{
	usec_t at;

	(void)state;
	loads[0] = fixture_load(&f, LAB_VIP, RATE, 500 * USEC_PER_MSEC);
	loads[1] = fixture_load(&f, LAB_VIP2, RATE, 500 * USEC_PER_MSEC);
	lab_sleep(1500 * USEC_PER_MSEC);
	if (gateway_log_has(f.gateway, "no answer to") || gateway_log_has(f.gateway, "half open")) {
		gateway_print_log(f.gateway);
		fail_msg("a target that answers was suspected");
	}
	assert_int_equal(count_results("asked", SICK), 1);

	at = clock_monotonic_usec();
	set_black_hole(true);
	if (lab_wait_until(was_asked, NULL, 20 * USEC_PER_SEC) < 0) {
		gateway_print_log(f.gateway);
		fail_msg("no probe came");
	}
	print_message("# probed after %lu ms, at an interval of 5 minutes\n",
		      (unsigned long)((clock_monotonic_usec() - at) / USEC_PER_MSEC));
	wait_judged(SICK, "unhealthy");
	print_message("# unhealthy after %lu ms\n",
		      (unsigned long)((clock_monotonic_usec() - at) / USEC_PER_MSEC));
	if (gateway_wait_weight(f.gateway, LAB_VIP2, SICK, 0, 5 * USEC_PER_SEC) == USEC_NEVER) {
		gateway_print_log(f.gateway);
		fail_msg("its weight is %ld", (long)gateway_weight(f.gateway, LAB_VIP2, 80, SICK));
	}
	assert_true(gateway_log_has(f.gateway, "judged/" SICK ":8080: no answer to "));
	assert_true(gateway_log_has(f.gateway, "judged/" SICK ":8080: healthy -> unhealthy"));
	/* Its checks are good, and the group that only asks believes them. */
	assert_true(gateway_weight(f.gateway, LAB_VIP, 80, SICK) > 0);

	set_black_hole(false);
	wait_judged(SICK, "healthy");
	assert_int_equal(count_results("asked", WELL), 1);
	for (size_t i = 0; i < ARRAY_SIZE(loads); i++)
		lab_load_stop(loads[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_black_hole, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

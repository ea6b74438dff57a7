/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What `ipvsd register` refuses, since it could not work: what the configuration refuses, too. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/manager.h"

/* Two listeners on a group, and a group that nobody uses. */
struct rig {
	struct conf_group groups[2];
	struct conf_forward forward;
	struct conf_listener listeners[2];
	struct conf conf;
	struct manager manager;
};

static void rig_init(struct rig *rig, enum conf_forwarding forwarding, uint16_t low, uint16_t high)
{
	const struct registry none = REGISTRY_INIT;

	*rig = (struct rig){ .forward = { .group = 0, .weight = 1 } };
	strcpy(rig->groups[0].name, "blue");
	strcpy(rig->groups[1].name, "spare");
	rig->groups[0].in_use = true;
	for (size_t i = 0; i < 2; i++) {
		rig->groups[i].forwarding = forwarding;
		rig->groups[i].check.protocol = CONF_CHECK_TCP;
		strcpy(rig->listeners[i].name, i ? "second" : "web");
		rig->listeners[i].family = AF_INET;
		rig->listeners[i].ports = (struct conf_range){ low, high };
		rig->listeners[i].forwards = &rig->forward;
		rig->listeners[i].n_forwards = 1;
	}
	rig->conf = (struct conf){
		.groups = rig->groups, .n_groups = 2, .listeners = rig->listeners, .n_listeners = 2
	};
	rig->manager.conf = &rig->conf;
	assert_int_equal(registry_build(&rig->conf, &none, 1, &rig->manager.registry), 0);
}

static void rig_deinit(struct rig *rig)
{
	registry_deinit(&rig->manager.registry);
}

static void test_refusals(void **state)
{
	static const struct {
		enum conf_forwarding forwarding;
		uint16_t low, high;
		const char *group, *target, *error;
	} cases[] = {
		{ CONF_FORWARDING_NAT, 80, 80, "red", "10.0.0.1",
		  "red/10.0.0.1: no such target group" },
		{ CONF_FORWARDING_NAT, 80, 80, "blue", "web.test",
		  "blue/web.test: not a target: give ADDRESS or ADDRESS:PORT ([IPv6]:PORT)" },
		{ CONF_FORWARDING_NAT, 80, 80, "blue", "[2001:db8::1]:80",
		  "blue/[2001:db8::1]:80: no listener of the group is IPv6; only ipip, gue and gre "
		  "cross address families" },
		{ CONF_FORWARDING_DIRECT, 80, 80, "blue", "2001:db8::1",
		  "blue/2001:db8::1: no listener of the group is IPv6; only ipip, gue and gre "
		  "cross "
		  "address families" },
		{ CONF_FORWARDING_DIRECT, 80, 80, "blue", "10.0.0.1:8080",
		  "blue/10.0.0.1:8080: direct cannot translate ports, so the port must be that of "
		  "[listener web]; leave it out" },
		{ CONF_FORWARDING_GUE, 8000, 8010, "blue", "10.0.0.1:8000",
		  "blue/10.0.0.1:8000: gue cannot translate ports, so the port must be that of "
		  "[listener web]; leave it out" },
		{ CONF_FORWARDING_NAT, 0, 0, "blue", "10.0.0.1",
		  "blue/10.0.0.1: [listener web] has no single port to probe: give one, or "
		  "health-check-port in the group" },
		{ CONF_FORWARDING_NAT, 8000, 8010, "blue", "10.0.0.1",
		  "blue/10.0.0.1: [listener web] has no single port to probe: give one, or "
		  "health-check-port in the group" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct manager_target_request q = { .group = cases[i].group,
							  .target = cases[i].target,
							  .weight = -1 };
		const char *error = NULL;
		json_t *report = NULL;
		struct rig rig;

		rig_init(&rig, cases[i].forwarding, cases[i].low, cases[i].high);
		assert_true(manager_target(&rig.manager, MANAGER_REGISTER, &q, &report) < 0);
		assert_int_equal(json_unpack(report, "{s:s}", "error", &error), 0);
		assert_string_equal(error, cases[i].error);
		assert_int_equal(rig.manager.registry.groups[0].n, 0);
		json_decref(report);
		rig_deinit(&rig);
	}
}

/* Whoever takes a target out is not asked whether it could work: elbv2.md §1.4, DeregisterTargets is idempotent. */
static void test_deregistration_is_not_refused(void **state)
{
	const struct manager_target_request q = { .group = "blue",
						  .target = "[2001:db8::1]:8080",
						  .weight = -1 };
	json_t *report = NULL;
	struct rig rig;

	(void)state;
	rig_init(&rig, CONF_FORWARDING_DIRECT, 80, 80);
	assert_int_equal(manager_target(&rig.manager, MANAGER_DEREGISTER, &q, &report), 0);
	assert_false(json_is_true(json_object_get(report, "changed")));
	json_decref(report);
	rig_deinit(&rig);
}

/* With the listener's port or without one, it is the target that is there. */
static void test_port_of_the_listener(void **state)
{
	static const struct {
		uint16_t known;
		const char *target, *named;
	} cases[] = {
		{ 0, "10.0.0.1:80", "10.0.0.1:0" },
		{ 80, "10.0.0.1", "10.0.0.1:80" },
		{ 0, "10.0.0.1", "10.0.0.1:0" },
		{ 80, "10.0.0.1:80", "10.0.0.1:80" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct manager_target_request q = { .group = "blue",
							  .target = cases[i].target,
							  .weight = -1 };
		struct conf_target known = { .port = cases[i].known, .weight = 7 };
		const struct registry none = REGISTRY_INIT;
		const char *named = NULL;
		json_t *report = NULL;
		struct rig rig;

		rig_init(&rig, CONF_FORWARDING_NAT, 80, 80);
		rig_deinit(&rig);
		assert_int_equal(addr_parse("10.0.0.1", &known.addr), 0);
		rig.groups[0].targets = &known;
		rig.groups[0].n_targets = 1;
		assert_int_equal(registry_build(&rig.conf, &none, 1, &rig.manager.registry), 0);
		assert_int_equal(manager_target(&rig.manager, MANAGER_REGISTER, &q, &report), 0);
		assert_false(json_is_true(json_object_get(report, "changed")));
		assert_int_equal(json_unpack(report, "{s:s}", "target", &named), 0);
		assert_string_equal(named, cases[i].named);
		assert_int_equal(rig.manager.registry.groups[0].n, 1);
		json_decref(report);
		rig_deinit(&rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_deregistration_is_not_refused),
		cmocka_unit_test(test_port_of_the_listener),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

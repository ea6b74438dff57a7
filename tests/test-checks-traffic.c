/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From the plane's counters to findings about targets: daemon/checks-traffic.c on dumps that are made up. */

#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "checks-rig.h"

static struct conf_forward forward = { .group = 0, .weight = 1 };
static struct conf_listener listener = {
	.family = AF_INET, .ports = { 80, 80 }, .forwards = &forward, .n_forwards = 1
};

/* Group a has passive checks and is behind a listener; all are healthy. */
static int set_up(void **state)
{
	struct ipvs_service_key key = { .family = AF_INET, .protocol = IPPROTO_TCP, .port = 80 };
	struct checks_rig *rig;
	struct ipvs_service *s;
	struct ipvs_dest dest;

	assert_int_equal(checks_rig_set_up(state), 0);
	rig = *state;
	dest = (struct ipvs_dest){ .addr = checks_rig_target(rig, 0, 0)->addr, .port = 80 };
	assert_int_equal(addr_parse("203.0.113.10", &listener.address), 0);
	key.addr = listener.address;
	s = ipvs_ruleset_append(&rig->manager.actual, &key);
	assert_non_null(s);
	assert_non_null(ipvs_service_append(s, &dest));
	rig->conf.listeners = &listener;
	rig->conf.n_listeners = 1;
	rig->groups[0].passive = CONF_PASSIVE_UNHEALTHY;
	rig->groups[0].passive_min_connections = 5;
	rig->groups[0].passive_percent = 50;
	checks_rig_all_healthy(rig);
	return 0;
}

static int tear_down(void **state)
{
	struct checks_rig *rig = *state;

	ipvs_ruleset_deinit(&rig->manager.actual);
	return checks_rig_tear_down(state);
}

/* A second later: the counters of its first target, which nothing comes back from. */
static void look(struct checks_rig *rig, uint64_t conns)
{
	struct ipvs_dest *d = &rig->manager.actual.services[0].dests[0];

	d->stats.conns = conns;
	d->stats.in_packets = 3 * conns;
	rig->now += USEC_PER_SEC;
	checks_watch_traffic(rig->checks, rig->now);
}

static unsigned count_events(const struct checks_rig *rig, const char *text)
{
	const struct event_ring *events = &rig->manager.events;
	unsigned n = 0;

	for (uint64_t seq = 1; seq <= events->last; seq++)
		n += strstr(events->items[seq % events->capacity].text, text) != NULL;
	return n;
}

static void test_marked_in_the_second_window(void **state)
{
	struct checks_rig *rig = *state;
	const struct target *t = checks_rig_target(rig, 0, 0);

	rig->groups[0].anomaly_mitigation = true;
	look(rig, 0);
	look(rig, 10);
	assert_int_equal(t->health.state, TARGET_HEALTHY);
	assert_int_equal(t->anomaly.failures, 1);
	look(rig, 20);
	assert_int_equal(t->health.state, TARGET_UNHEALTHY);
	/* health/anomaly.h: a finding is one result. */
	assert_int_equal(t->anomaly.n, 2);
	assert_int_equal(t->anomaly.failures, 3);
	assert_int_equal(count_events(rig, "no answer to 10 of its last 10 new connections"), 1);
}

/* What happened before a target was down, and while it was, is over when it is back. */
static void test_a_window_ends_with_health(void **state)
{
	struct checks_rig *rig = *state;
	const struct target *t = checks_rig_target(rig, 0, 0);
	const struct passive_window *w = &records_find(&rig->checks->records, t->id)->passive;

	look(rig, 0);
	look(rig, 10);
	assert_int_equal(w->silent, 1);
	for (unsigned i = 0; i < 2; i++)
		checks_rig_results(rig, 0, 0, 1, PROBE_REFUSED);
	assert_int_equal(t->health.state, TARGET_UNHEALTHY);
	for (unsigned i = 0; i < 100; i++)
		look(rig, 50);
	for (unsigned i = 0; i < 2; i++)
		checks_rig_results(rig, 0, 0, 1, PROBE_OK);
	assert_int_equal(t->health.state, TARGET_HEALTHY);
	look(rig, 50);
	assert_int_equal(t->health.state, TARGET_HEALTHY);
	/* What it does not answer from now on is a first window, and said. */
	look(rig, 60);
	assert_int_equal(t->health.state, TARGET_HEALTHY);
	assert_int_equal(w->silent, 1);
	assert_int_equal(count_events(rig, "no answer to 10 of its last 10 new connections"), 2);
}

/* While it is not probed, since its group's file of authorities is bad, nothing would bring it back. */
static void test_not_without_probes(void **state)
{
	struct checks_rig *rig = *state;
	const struct target *t = checks_rig_target(rig, 0, 0);

	rig->groups[0].check.protocol = CONF_CHECK_TLS;
	rig->groups[0].check.verify_certificate = true;
	rig->groups[0].check.ca_file = (char *)"/etc/bad.pem";
	for (unsigned i = 0; i < 4; i++)
		look(rig, 10 * i);
	assert_int_equal(t->health.state, TARGET_HEALTHY);
	assert_int_equal(count_events(rig, "no answer to"), 0);
	rig->groups[0].check.verify_certificate = false;
	for (unsigned i = 4; i < 8; i++)
		look(rig, 10 * i);
	assert_int_equal(t->health.state, TARGET_UNHEALTHY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_marked_in_the_second_window, set_up,
						tear_down),
		cmocka_unit_test_setup_teardown(test_a_window_ends_with_health, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_not_without_probes, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

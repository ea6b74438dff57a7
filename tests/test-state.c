/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/state.h"
#include "daemon/state-group.h"

DEFINE_CLEANUP(json_t *, json_decref)

#define NOW (1795345971839060ULL)

/* Two groups, every kind of target that the state must carry. */
static void make_registry(struct registry *r, struct target_group groups[static 2],
			  struct target targets[static 3])
{
	struct addr a;

	memset(groups, 0, 2 * sizeof(*groups));
	memset(targets, 0, 3 * sizeof(*targets));
	strcpy(groups[0].name, "blue");
	strcpy(groups[1].name, "green");
	groups[0].targets = targets;
	groups[0].n = 2;
	groups[1].targets = targets + 2;
	groups[1].n = 1;
	assert_int_equal(addr_parse("10.0.1.10", &a), 0);
	for (unsigned i = 0; i < 3; i++) {
		targets[i].addr = a;
		targets[i].addr.bytes[3] = (uint8_t)(10 + i);
		targets[i].port = 8080;
		targets[i].configured_weight = 100 + i;
		targets[i].file_weight = 200 + i;
	}
	strcpy(targets[0].zone, "eu\"west\\1a");
	targets[1].weight.weight = 7;
	targets[0].health = (struct target_health){
		.state = TARGET_UNHEALTHY,
		.reason = TARGET_REASON_RESPONSE_CODE_MISMATCH,
		.failures = 7,
		.since_usec = NOW - 5,
		.checked_usec = NOW - 1,
		.outcome = PROBE_WRONG_STATUS,
		.detail = 503,
		.duration_usec = 1234,
	};
	targets[1].origin = TARGET_FROM_REGISTER;
	targets[1].drained = true;
	targets[1].health =
		(struct target_health){ .state = TARGET_HEALTHY, .successes = 4000000000 };
	assert_int_equal(addr_parse("2001:db8::1", &targets[2].addr), 0);
	targets[2].deregistered = true;
	targets[2].awaiting_first_result = true;
	targets[2].health = (struct target_health){
		.state = TARGET_DRAINING,
		.reason = TARGET_REASON_DEREGISTRATION_IN_PROGRESS,
		.drain_deadline_usec = NOW + 300 * USEC_PER_SEC,
		.resume_state = TARGET_HEALTHY,
	};
	*r = (struct registry){ .groups = groups, .n = 2 };
}

static void assert_targets_equal(const struct target *a, const struct target *b)
{
	assert_true(addr_eq(&a->addr, &b->addr));
	assert_int_equal(a->port, b->port);
	assert_int_equal(a->configured_weight, b->configured_weight);
	assert_int_equal(a->file_weight, b->file_weight);
	assert_string_equal(a->zone, b->zone);
	assert_int_equal(a->origin, b->origin);
	assert_int_equal(a->deregistered, b->deregistered);
	assert_int_equal(a->drained, b->drained);
	assert_int_equal(a->awaiting_first_result, b->awaiting_first_result);
	assert_int_equal(a->weight.weight, b->weight.weight);
	assert_memory_equal(&a->health, &b->health, sizeof(a->health));
}

static int read_group(const char *text, size_t len, struct state_group *ret)
{
	int r = state_group_add(ret, text, len);

	return r < 0 ? r : state_group_settle(ret);
}

static char *make_group_text(const struct target_group *g)
{
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(state_group_format(g, NOW, &text, &len), 0);
	assert_int_equal(strlen(text), len);
	return text;
}

static char *make_global_text(void)
{
	const struct ipvs_service_key keys[] = {
		{ .family = AF_INET, .fwmark = 0xfffffffe },
		{ .family = AF_INET6, .protocol = 17, .port = 53, .addr = { .family = AF_INET6 } },
	};
	struct linger_entry leaving = { .service = keys[1],
					.addr = { .family = AF_INET6 },
					.port = 8053,
					.deadline_usec = NOW + 7 };
	_cleanup_(json_decref_p) json_t *vips = json_pack("[{s:s}]", "address", "10.0.0.1");
	const struct linger_set linger = { &leaving, 1 };
	const struct state_global_view v = { .owned_services = keys,
					     .n_owned_services = ARRAY_SIZE(keys),
					     .linger = &linger,
					     .vips = vips,
					     .stopped = true };
	char *text = NULL;
	size_t len = 0;

	assert_int_equal(state_global_format(&v, NOW, &text, &len), 0);
	return text;
}

static void test_group_round_trip(void **state)
{
	struct target_group groups[2];
	struct target targets[3];
	struct registry r;

	(void)state;
	make_registry(&r, groups, targets);
	groups[0].cold = true;
	for (size_t i = 0; i < r.n; i++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
		_cleanup_free_ char *text = make_group_text(&groups[i]);

		assert_int_equal(read_group(text, strlen(text), &s), 0);
		assert_int_equal(s.n_skipped, 0);
		assert_int_equal(s.saved_usec, NOW);
		assert_string_equal(s.group.name, groups[i].name);
		assert_int_equal(s.group.cold, groups[i].cold);
		assert_int_equal(s.group.n, groups[i].n);
		for (size_t j = 0; j < s.group.n; j++)
			assert_targets_equal(&s.group.targets[j], &groups[i].targets[j]);
		assert_int_equal(state_group_hash(&s.group), state_group_hash(&groups[i]));
	}
}

static void test_global_round_trip(void **state)
{
	_cleanup_(state_global_deinit) struct state_global s = STATE_GLOBAL_INIT;
	_cleanup_free_ char *text = make_global_text();

	(void)state;
	assert_int_equal(state_global_parse(text, strlen(text), &s), 0);
	assert_int_equal(s.n_skipped, 0);
	assert_int_equal(s.saved_usec, NOW);
	assert_true(s.stopped);
	assert_int_equal(s.linger.n, 1);
	assert_int_equal(s.linger.items[0].service.port, 53);
	assert_int_equal(s.linger.items[0].port, 8053);
	assert_int_equal(s.linger.items[0].deadline_usec, NOW + 7);
	assert_int_equal(s.n_owned_services, 2);
	assert_int_equal(s.owned_services[0].fwmark + s.owned_services[1].fwmark, 0xfffffffe);
	assert_string_equal(
		json_string_value(json_object_get(json_array_get(s.vips, 0), "address")),
		"10.0.0.1");
}

static size_t document_len(const char *text)
{
	return (size_t)(strrchr(text, '}') - text) + 1; /* a newline follows */
}

static void test_truncated_at_every_length(void **state)
{
	_cleanup_free_ char *global = make_global_text(), *group = NULL;
	struct target_group groups[2];
	struct target targets[3];
	struct registry r;

	(void)state;
	make_registry(&r, groups, targets);
	group = make_group_text(&groups[0]);
	for (size_t len = 0; len < document_len(group); len++) {
		struct state_group s = STATE_GROUP_INIT;

		assert_int_equal(read_group(group, len, &s), -EBADMSG);
		assert_null(s.group.targets);
	}
	for (size_t len = 0; len < document_len(global); len++) {
		struct state_global s = STATE_GLOBAL_INIT;

		assert_int_equal(state_global_parse(global, len, &s), -EBADMSG);
		assert_null(s.owned_services);
	}
}

#define GROUP(name, targets)                                                                       \
	"{\"version\":1,\"saved\":1,\"group\":\"" name "\",\"cold\":false,\"targets\":" targets "}"

static void test_group_nonsense(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t n_skipped;
	} cases[] = {
		{ "", -EBADMSG, 0 },
		{ "[]", -EBADMSG, 0 },
		{ "{}", -EBADMSG, 0 },
		{ "{\"version\":2}", -EPROTONOSUPPORT, 0 },
		{ "{\"version\":4294967297}", -EPROTONOSUPPORT, 0 },
		{ "{\"version\":\"1\"}", -EBADMSG, 0 },
		{ "{\"version\":1,\"saved\":-1,\"group\":\"a\",\"cold\":false,\"targets\":[]}",
		  -EBADMSG, 0 },
		{ "{\"version\":1,\"saved\":1,\"group\":\"a\",\"targets\":[]}", -EBADMSG, 0 },
		{ GROUP("a", "{}"), -EBADMSG, 0 },
		{ GROUP("a/b", "[]"), -EBADMSG, 0 },
		{ GROUP("", "[]"), -EBADMSG, 0 },
		{ GROUP("a-name-that-is-longer-than-thirty-two-characters", "[]"), -EBADMSG, 0 },
		{ GROUP("a", "[]"), 0, 0 },
		{ GROUP("a", "[3,{},null]"), 0, 3 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"healthy\"}]"), 0, 0 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\"}]"), 0, 1 },
		{ GROUP("a", "[{\"target\":\"x\",\"state\":\"healthy\"}]"), 0, 1 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"ill\"}]"), 0, 1 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"healthy\","
			     "\"drained\":1}]"),
		  0, 1 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"healthy\","
			     "\"successes\":4294967296}]"),
		  0, 1 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"healthy\","
			     "\"outcome\":99}]"),
		  0, 1 },
		{ GROUP("a", "[{\"target\":\"10.0.0.1:80\",\"state\":\"healthy\","
			     "\"zone\":\"a-zone-that-is-longer-than-31-characters\"}]"),
		  0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;

		if (read_group(cases[i].text, strlen(cases[i].text), &s) != cases[i].r)
			fail_msg("%s: not %d", cases[i].text, cases[i].r);
		assert_int_equal(s.n_skipped, cases[i].n_skipped);
	}
}

#define GLOBAL(owned, lingering, vips)                                                             \
	"{\"version\":1,\"saved\":1,\"stopped\":false,\"owned_services\":" owned                   \
	",\"lingering\":" lingering ",\"vips\":" vips "}"

static void test_global_nonsense(void **state)
{
	static const struct {
		const char *text;
		int r;
		size_t n_skipped;
	} cases[] = {
		{ "", -EBADMSG, 0 },
		{ "{\"version\":999}", -EPROTONOSUPPORT, 0 },
		{ GLOBAL("[]", "[]", "[]"), 0, 0 },
		{ GLOBAL("{}", "[]", "[]"), -EBADMSG, 0 },
		{ GLOBAL("[]", "1", "[]"), -EBADMSG, 0 },
		{ GLOBAL("[]", "[]", "null"), -EBADMSG, 0 },
		{ GLOBAL("[1,{}]", "[{}]", "[]"), 0, 3 },
		{ GLOBAL("[{\"family\":4,\"protocol\":6,\"port\":80}]", "[]", "[]"), 0, 1 },
		{ GLOBAL("[{\"family\":6,\"protocol\":6,\"port\":80,\"address\":\"10.0.0.1\"}]",
			 "[]", "[]"),
		  0, 1 },
		{ GLOBAL("[{\"family\":4,\"protocol\":0,\"port\":0,\"fwmark\":7}]", "[]", "[]"), 0,
		  0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_global_deinit) struct state_global s = STATE_GLOBAL_INIT;

		if (state_global_parse(cases[i].text, strlen(cases[i].text), &s) != cases[i].r)
			fail_msg("%s: not %d", cases[i].text, cases[i].r);
		assert_int_equal(s.n_skipped, cases[i].n_skipped);
	}
}

/* What the configuration alone gives is no entry, but in front of a target that leaves and keeps its place. */
static void test_what_is_left_out(void **state)
{
	struct target targets[3] = { 0 };
	struct target_group g = { .name = "blue", .targets = targets, .n = 3 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(addr_parse("10.0.1.10", &targets[i].addr), 0);
		targets[i].addr.bytes[3] = (uint8_t)(10 + i);
		targets[i].awaiting_first_result = true;
	}
	assert_int_equal(state_group_hash(&g), 0);
	targets[1].health.state = TARGET_DRAINING;
	assert_int_not_equal(state_group_hash(&g), 0);
	{
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
		_cleanup_free_ char *text = make_group_text(&g);

		assert_int_equal(read_group(text, strlen(text), &s), 0);
		assert_int_equal(s.group.n, 2);
		assert_true(addr_eq(&s.group.targets[0].addr, &targets[0].addr));
		assert_int_equal(state_group_hash(&s.group), state_group_hash(&g));
	}
	targets[1].health.state = TARGET_INITIAL;
	targets[2].health.state =
		TARGET_UNAVAILABLE; /* without checks: never a result, but traffic */
	{
		_cleanup_free_ char *text = make_group_text(&g);

		assert_null(strstr(text, "10.0.1.11"));
		assert_non_null(strstr(text, "10.0.1.12"));
		assert_null(strstr(text, "\"successes\"")); /* usual values are left out too */
	}
}

/* Which members make a group's file out of date. */
static void test_what_counts_as_a_change(void **state)
{
	struct target t = { .configured_weight = 5, .origin = TARGET_FROM_REGISTER };
	struct target_group g = { .name = "blue", .targets = &t, .n = 1 };
	const struct target before = t;
	uint64_t was;

	(void)state;
	t.health.checked_usec = 1;
	was = state_group_hash(&g);
	t.health.checked_usec = 2;
	t.health.successes = t.health.failures = 9;
	t.health.duration_usec = 9;
	t.health.outcome = PROBE_TIMEOUT;
	t.health.detail = 9;
	t.id = 9;
	t.logged_weight = 9;
	assert_int_equal(state_group_hash(&g), was);
#define ASSERT_MATTERS(assignment)                                                                 \
	do {                                                                                       \
		t = before;                                                                        \
		was = state_group_hash(&g);                                                        \
		assignment;                                                                        \
		assert_int_not_equal(state_group_hash(&g), was);                                   \
	} while (0)
	ASSERT_MATTERS(t.addr.bytes[15] = 1);
	ASSERT_MATTERS(t.port = 1);
	ASSERT_MATTERS(t.configured_weight = 6);
	ASSERT_MATTERS(t.zone[CONF_ZONE_MAX - 2] = 'a');
	ASSERT_MATTERS(t.origin = TARGET_FROM_CONFIG);
	ASSERT_MATTERS(t.deregistered = true);
	ASSERT_MATTERS(t.drained = true);
	ASSERT_MATTERS(t.awaiting_first_result = true);
	ASSERT_MATTERS(t.health.state = TARGET_HEALTHY);
	ASSERT_MATTERS(t.health.reason = TARGET_REASON_TIMEOUT);
	ASSERT_MATTERS(t.health.since_usec = 1);
	ASSERT_MATTERS(t.health.checked_usec = 1); /* probed at all */
	ASSERT_MATTERS(t.health.drain_deadline_usec = 1);
	ASSERT_MATTERS(t.health.resume_state = TARGET_HEALTHY);
	ASSERT_MATTERS(t.health.resume_reason = TARGET_REASON_TIMEOUT);
	ASSERT_MATTERS(t.health.reason_detail = 503);
	ASSERT_MATTERS(t.weight.weight = 1);
	ASSERT_MATTERS(g.cold = true);
#undef ASSERT_MATTERS
}

static void test_old_verdicts_are_forgotten(void **state)
{
	struct target_group groups[2];
	struct target targets[3];
	struct registry r;

	(void)state;
	make_registry(&r, groups, targets);
	state_group_forget_verdicts(&groups[0], NOW);
	state_group_forget_verdicts(&groups[1], NOW);
	assert_int_equal(targets[0].health.state, TARGET_INITIAL);
	assert_true(targets[0].awaiting_first_result);
	assert_true(targets[1].drained);
	assert_int_equal(targets[2].health.state, TARGET_DRAINING);
	assert_true(groups[0].cold);
}

/* Failures of an hour ago and the next one are not consecutive. */
static void test_old_counters_are_forgotten(void **state)
{
	struct target targets[3] = {
		{ .health = { .state = TARGET_HEALTHY, .successes = 3, .failures = 2 } },
		{ .health = { .state = TARGET_UNHEALTHY, .successes = 3, .failures = 2 } },
		{ .health = { .state = TARGET_DRAINING,
			      .resume_state = TARGET_UNHEALTHY,
			      .successes = 3,
			      .failures = 2 } },
	};
	struct target_group g = { .name = "blue", .targets = targets, .n = 3 };

	(void)state;
	state_group_forget_counters(&g);
	assert_int_equal(targets[0].health.successes * 10 + targets[0].health.failures, 30);
	assert_int_equal(targets[1].health.successes * 10 + targets[1].health.failures, 2);
	assert_int_equal(targets[2].health.successes * 10 + targets[2].health.failures, 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group_round_trip),
		cmocka_unit_test(test_global_round_trip),
		cmocka_unit_test(test_truncated_at_every_length),
		cmocka_unit_test(test_group_nonsense),
		cmocka_unit_test(test_global_nonsense),
		cmocka_unit_test(test_what_is_left_out),
		cmocka_unit_test(test_what_counts_as_a_change),
		cmocka_unit_test(test_old_verdicts_are_forgotten),
		cmocka_unit_test(test_old_counters_are_forgotten),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

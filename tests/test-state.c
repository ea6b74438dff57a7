/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/state-file.h"
#include "daemon/state.h"

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
	}
	strcpy(targets[0].zone, "eu-west-1a");
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
	assert_string_equal(a->zone, b->zone);
	assert_int_equal(a->origin, b->origin);
	assert_int_equal(a->deregistered, b->deregistered);
	assert_int_equal(a->drained, b->drained);
	assert_int_equal(a->awaiting_first_result, b->awaiting_first_result);
	assert_memory_equal(&a->health, &b->health, sizeof(a->health));
}

static char *make_text(void)
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
	_cleanup_(json_decref_p) json_t *document = NULL;
	struct target_group groups[2];
	struct target targets[3];
	struct registry r;

	make_registry(&r, groups, targets);
	document = state_format(&r, keys, ARRAY_SIZE(keys), &(struct linger_set){ &leaving, 1 },
				vips, NOW);
	assert_non_null(document);
	return json_dumps(document, JSON_COMPACT);
}

static void test_round_trip(void **state)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	_cleanup_free_ char *text = make_text();
	struct target_group groups[2];
	struct target targets[3];
	struct registry r;

	(void)state;
	make_registry(&r, groups, targets);
	assert_int_equal(state_parse(text, strlen(text), &s), 0);
	assert_int_equal(s.n_skipped, 0);
	assert_int_equal(s.saved_usec, NOW);
	assert_int_equal(s.registry.n, 2);
	assert_targets_equal(&s.registry.groups[0].targets[0], &targets[0]);
	assert_targets_equal(&s.registry.groups[0].targets[1], &targets[1]);
	assert_targets_equal(&s.registry.groups[1].targets[0], &targets[2]);
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

static void test_truncated_at_every_length(void **state)
{
	_cleanup_free_ char *text = make_text();

	(void)state;
	for (size_t len = 0; len < strlen(text); len++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;

		assert_int_equal(state_parse(text, len, &s), -EBADMSG);
		assert_int_equal(s.registry.n, 0);
	}
}

static void test_nonsense(void **state)
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
		{ "{\"version\":\"1\"}", -EBADMSG, 0 },
		{ "{\"version\":1,\"saved\":1,\"owned_services\":[],\"lingering\":[],\"groups\":[],"
		  "\"vips\":[]}",
		  -EBADMSG, 0 },
		{ "{\"version\":1,\"saved\":-1,\"owned_services\":[],\"lingering\":[],\"groups\":{}"
		  ",\"vips\":[]}",
		  -EBADMSG, 0 },
		{ "{\"version\":1,\"saved\":1,\"owned_services\":[1,{}],\"lingering\":[{}],"
		  "\"groups\":{},\"vips\":[]}",
		  0, 3 },
		{ "{\"version\":1,\"saved\":1,\"owned_services\":[],\"lingering\":[],\"groups\":{"
		  "\"a\":[3,{}],\"b\":"
		  "1},\"vips\":null}",
		  0, 3 },
		{ "{\"version\":1,\"saved\":1,\"owned_services\":[],\"lingering\":[],\"groups\":{"
		  "\"a-name-that-is-longer-than-the-thirty-two-characters\":[]},\"vips\":[]}",
		  0, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;

		assert_int_equal(state_parse(cases[i].text, strlen(cases[i].text), &s), cases[i].r);
		assert_int_equal(s.n_skipped, cases[i].n_skipped);
	}
}

static void test_old_verdicts_are_forgotten(void **state)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	_cleanup_free_ char *text = make_text();

	(void)state;
	assert_int_equal(state_parse(text, strlen(text), &s), 0);
	state_forget_verdicts(&s, NOW);
	assert_int_equal(s.registry.groups[0].targets[0].health.state, TARGET_INITIAL);
	assert_true(s.registry.groups[0].targets[0].awaiting_first_result);
	assert_true(s.registry.groups[0].targets[1].drained);
	assert_int_equal(s.registry.groups[1].targets[0].health.state, TARGET_DRAINING);
}

static void write_text(const char *path, const char *text)
{
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
}

static void test_file(void **state)
{
	char directory[] = "/tmp/ipvsd-test-state-XXXXXX", path[64], damaged[64];
	_cleanup_free_ char *text = make_text();
	_cleanup_(json_decref_p) json_t *document = json_loads(text, 0, NULL);
	struct state s = STATE_INIT;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(directory));
	(void)snprintf(path, sizeof(path), "%s/state.json", directory);
	(void)snprintf(damaged, sizeof(damaged), "%s/state.json.damaged", directory);
	assert_int_equal(state_file_load(directory, &s), -ENOENT);
	assert_int_equal(state_file_save(directory, document, STATE_FILE_DURABLE), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(state_file_save(directory, document, STATE_FILE_QUICK), 0);
	assert_int_equal(state_file_load(directory, &s), 0);
	assert_int_equal(s.registry.n, 2);
	state_deinit(&s);
	write_text(path, "{\"version\":1,");
	assert_int_equal(state_file_load(directory, &s), -EBADMSG);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(access(damaged, F_OK), 0);
	assert_int_equal(state_file_save(directory, document, STATE_FILE_DURABLE), 0);
	assert_int_equal(state_file_load(directory, &s), 0);
	state_deinit(&s);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(unlink(damaged), 0);
	assert_int_equal(rmdir(directory), 0); /* nothing else was left behind */
	assert_int_equal(state_file_save(directory, document, STATE_FILE_DURABLE), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_truncated_at_every_length),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_old_verdicts_are_forgotten),
		cmocka_unit_test(test_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

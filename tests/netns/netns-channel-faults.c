/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The channel where things go wrong: refused requests, missing rights and modules, another writer. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "channel-fixture.h"

/* Bad requests among good ones, in one batch: each error belongs to its own request, the others are done. */
static void test_errors(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "rr");
	struct plan_op ops[10] = { 0 };
	struct plan p = { .ops = ops, .n = ARRAY_SIZE(ops) };
	struct ipvs_service services[ARRAY_SIZE(ops)];
	struct ipvs_dest dests[ARRAY_SIZE(ops)];
	struct channel_result results[ARRAY_SIZE(ops)];
	const int expected[] = { 0,	 0,	  -EEXIST, -ENOENT, -ENOENT,
				 -ESRCH, -ERANGE, -EINVAL, -EEXIST, 0 };
	size_t failed = 0;

	add_dests(s, 2);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++) {
		services[i] = *s;
		dests[i] = s->dests[0];
		ops[i] = (struct plan_op){ .kind = PLAN_DEST_NEW,
					   .service = &services[i],
					   .dest = &dests[i] };
	}
	ops[0].kind = PLAN_SERVICE_NEW;
	ops[3].kind = PLAN_DEST_SET;
	dests[3].port = 1;
	ops[4].kind = PLAN_DEST_DEL;
	dests[4].port = 1;
	services[5].key.port = 81;
	dests[6].port = 2;
	dests[6].upper_threshold = 1;
	dests[6].lower_threshold = 2;
	dests[7].port = 3;
	dests[7].forward = IPVS_FORWARD_TUNNEL;
	dests[7].tunnel = IPVS_TUNNEL_GUE;
	ops[8].kind = PLAN_SERVICE_NEW;
	dests[9] = s->dests[1];
	assert_int_equal(channel_apply(*state, &p, results, &failed), 0);
	for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
		assert_int_equal(results[i].error, expected[i]);
	assert_int_equal(failed, 7);
	dump(*state, &after);
	assert_int_equal(after.n, 1);
	assert_int_equal(after.services[0].n_dests, 2);
	assert_int_equal(channel_writes(*state), ARRAY_SIZE(ops));
}

static void test_missing_scheduler(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	struct channel_result results[3];
	size_t failed = 0;

	add_service(&r, "10.9.0.1", 80, "rr");
	add_service(&r, "10.9.0.1", 81, "nosuch");
	add_service(&r, "10.9.0.1", 82, "rr");
	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	assert_int_equal(p.n, 3);
	assert_int_equal(channel_apply(*state, &p, results, &failed), 0);
	assert_int_equal(failed, 1);
	assert_int_equal(results[0].error, 0);
	assert_int_equal(results[1].error, -ENOENT);
	assert_int_equal(results[2].error, 0);
}

/* Root without CAP_NET_ADMIN is nobody here; so is any other user. */
static int unprivileged(void)
{
	struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_info info;
	struct channel *c;

	if (setresuid(65534, 65534, 65534) < 0)
		return 1;
	if (channel_open_kernel(&c) != 0)
		return 2;
	if (channel_dump(c, &r) != -EPERM || channel_get_info(c, &info) != -EPERM)
		return 3;
	channel_free(c);
	return 0;
}

static void test_unprivileged(void **state)
{
	pid_t pid = fork();
	int status = -1;

	(void)state;
	assert_true(pid >= 0);
	if (pid == 0)
		_exit(unprivileged());
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* Somebody else changes the table during our dumps: a dump is whole or refused, and never has a key twice. */
static void test_concurrent_writer(void **state)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	unsigned whole = 0;
	int status;
	pid_t pid;

	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), 300);
	add_service(&r, "10.9.0.1", 81, "rr");
	reconcile(*state, &r, &(struct plan_ownership){ 0 });
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		struct ipvs_service *s = &r.services[0];
		struct plan_op ops[2] = {
			{ .kind = PLAN_DEST_DEL, .service = s, .dest = &s->dests[0] },
			{ .kind = PLAN_DEST_NEW, .service = s, .dest = &s->dests[0] },
		};
		struct plan p = { .ops = ops, .n = 2 };
		struct channel_result results[2];
		struct channel *mine;
		size_t failed = 0;

		if (channel_open_kernel(&mine) < 0)
			_exit(1);
		for (unsigned i = 0; i < 2000 && failed == 0; i++)
			if (channel_apply(mine, &p, results, &failed) < 0)
				_exit(2);
		_exit(failed != 0);
	}
	while (waitpid(pid, &status, WNOHANG) == 0) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset seen = IPVS_RULESET_INIT;
		int e = channel_dump(*state, &seen);

		if (e == -EAGAIN)
			continue;
		assert_int_equal(e, 0);
		assert_int_equal(seen.n, 2);
		for (size_t i = 1; i < seen.services[0].n_dests; i++)
			for (size_t k = 0; k < i; k++)
				assert_int_not_equal(ipvs_dest_key_cmp(&seen.services[0].dests[i],
								       &seen.services[0].dests[k]),
						     0);
		whole++;
	}
	assert_int_equal(status, 0);
	assert_true(whole > 0);
	assert_int_equal(reconcile(*state, &r, &(struct plan_ownership){ 0 }), 0);
}

/* ip_vs unloaded and loaded again: the family has another number, and the channel finds it. */
static void test_module_reload(void **state)
{
	struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_info info;

	if (system("modprobe -qr $(lsmod | sed -n 's/^\\(ip_vs_[a-z_]*\\) .*/\\1/p') ip_vs") != 0) {
		print_message("ip_vs is in use or built in\n");
		skip();
	}
	assert_int_equal(channel_get_info(*state, &info), -ENOENT);
	dump(*state, &r);
	assert_int_equal(r.n, 0);
	assert_int_equal(channel_get_info(*state, &info), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		channel_test(test_errors),	  channel_test(test_missing_scheduler),
		channel_test(test_unprivileged),  channel_test(test_concurrent_writer),
		channel_test(test_module_reload),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

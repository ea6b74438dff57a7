/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The state directory: which files are written when, and what a damaged one costs. */

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <signal.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/state-rig.h"

#define NOW STATE_RIG_NOW

enum {
	N_GROUPS = STATE_RIG_GROUPS,
	N_TARGETS = 3,
};

static int set_up(void **state)
{
	return state_rig_new(N_GROUPS, N_TARGETS, state);
}

/* How many files the save wrote. */
static size_t save_groups(struct state_rig *f, enum state_store_flags flags)
{
	size_t before = f->store.n_written;

	assert_int_equal(state_store_save_groups(&f->store, &f->registry, flags, NOW), 0);
	return f->store.n_written - before;
}

static int save_global_as(struct state_rig *f, const struct state_global_view *like,
			  enum state_store_flags flags, usec_t now)
{
	const struct linger_set linger = LINGER_SET_INIT;
	struct state_global_view v = *like;

	v.linger = &linger;
	return state_store_save_global(&f->store, &v, flags, now);
}

static size_t save_global(struct state_rig *f, bool stopped, enum state_store_flags flags)
{
	const struct state_global_view v = { .stopped = stopped };
	size_t before = f->store.n_written;

	assert_int_equal(save_global_as(f, &v, flags, NOW), 0);
	return f->store.n_written - before;
}

static void write_text(const struct state_rig *f, const char *name, const char *text)
{
	_cleanup_fclose_ FILE *out = fopen(state_rig_path(f, name), "we");

	assert_non_null(out);
	assert_true(fputs(text, out) >= 0);
}

static ino_t inode(const struct state_rig *f, const char *name)
{
	struct stat st;

	assert_int_equal(stat(state_rig_path(f, name), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	return st.st_ino;
}

static void test_only_what_changed(void **state)
{
	struct state_rig *f = *state;
	ino_t blue, green;

	assert_int_equal(save_groups(f, STATE_STORE_QUICK), N_GROUPS);
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 0);
	blue = inode(f, "group-blue.json");
	green = inode(f, "group-green.json");
	f->groups[0].targets[1].health.successes = 99;
	f->groups[0].targets[1].health.checked_usec++;
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), 0);
	f->groups[0].targets[1].health.state = TARGET_UNHEALTHY;
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 1);
	assert_int_not_equal(inode(f, "group-blue.json"), blue);
	assert_int_equal(inode(f, "group-green.json"), green);
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE | STATE_STORE_ALL), N_GROUPS);
	assert_int_equal(save_global(f, false, STATE_STORE_QUICK), 1);
	assert_int_equal(save_global(f, false, STATE_STORE_DURABLE), 0);
	assert_int_equal(save_global(f, true, STATE_STORE_DURABLE), 1);
	assert_int_equal(save_global(f, true, STATE_STORE_ALL), 1);
}

/* A durable save after a quick one writes nothing, and yet what was written quickly is on the disk. */
static void test_quick_then_durable(void **state)
{
	struct state_rig *f = *state;

	assert_int_equal(save_groups(f, STATE_STORE_QUICK), N_GROUPS);
	assert_int_equal(save_global(f, false, STATE_STORE_QUICK), 1);
	assert_false(f->store.files[0].durable || f->store.global.durable);
	assert_false(f->store.directory_durable);
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), 0);
	assert_int_equal(save_global(f, false, STATE_STORE_DURABLE), 0);
	for (size_t i = 0; i < f->store.n; i++)
		assert_true(f->store.files[i].durable);
	assert_true(f->store.global.durable && f->store.directory_durable);
	/* It is the file that is synchronised: without it the save fails, and the next one repairs that. */
	f->groups[0].targets[0].drained = true;
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 1);
	assert_int_equal(unlink(state_rig_path(f, "group-blue.json")), 0);
	assert_int_equal(state_store_save_groups(&f->store, &f->registry, STATE_STORE_DURABLE, NOW),
			 -ENOENT);
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), 1);
	assert_true(state_rig_exists(f, "group-blue.json"));
}

static void test_vanished_groups(void **state)
{
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), N_GROUPS);
	write_text(f, "group-blue.json.new", "what a crash left");
	write_text(f, "group-.json", "a stranger's");
	write_text(f, "group-x.txt", "a stranger's");
	for (unsigned i = 0; i < 2; i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;

		f->registry.n = 2 - i;
		assert_int_equal(save_groups(f, STATE_STORE_QUICK), 0);
		assert_false(state_rig_exists(f, "group-group-7.json"));
		assert_int_equal(state_rig_exists(f, "group-green.json"), i == 0);
		state_rig_load(f, NOW, &troubles,
			       &s); /* the next round finds the files by itself */
		assert_int_equal(s.registry.n, 2 - i);
	}
	assert_true(state_rig_exists(f, "group-.json") && state_rig_exists(f, "group-x.txt"));
	assert_false(state_rig_exists(f, "group-blue.json.new"));
	/* A group that has nothing to keep any more. */
	for (unsigned j = 0; j < N_TARGETS; j++) {
		f->groups[0].targets[j].health = (struct target_health){ .state = TARGET_INITIAL };
		f->groups[0].targets[j].awaiting_first_result = true;
	}
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 0);
	assert_false(state_rig_exists(f, "group-blue.json"));
}

/* A start that changes nothing writes nothing. */
static void test_restart(void **state)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	f->groups[3].targets[1].drained = true;
	f->groups[4].targets[0].health.successes = 7;
	f->groups[4].targets[0].health.failures = 7;
	(void)save_groups(f, STATE_STORE_QUICK);
	(void)save_global(f, true, STATE_STORE_QUICK);
	state_rig_load(f, NOW, &troubles, &s);
	assert_int_equal(troubles.n, 0);
	assert_int_equal(s.registry.n, N_GROUPS);
	assert_int_equal(state_store_save_groups(&f->store, &s.registry, STATE_STORE_DURABLE, NOW),
			 0);
	assert_int_equal(f->store.n_written, 0);
	for (size_t i = 0; i < f->store.n; i++) /* whoever wrote it, it is on the disk now */
		assert_true(f->store.files[i].durable);
	assert_true(registry_find_group(&s.registry, "group-3")->targets[1].drained);
	assert_int_equal(registry_find_group(&s.registry, "group-4")->targets[0].health.failures,
			 7);
}

static void test_age(void **state)
{
	static const struct {
		usec_t group_age_sec, global_age_sec;
		bool stopped;
		enum target_state expected;
		unsigned failures;
	} cases[] = {
		{ 0, 0, true, TARGET_HEALTHY, 7 },
		{ 0, 0, false, TARGET_HEALTHY, 0 }, /* a crash: the counters may be old */
		{ 600, 600, true, TARGET_HEALTHY, 7 },
		{ 601, 600, true, TARGET_HEALTHY, 7 },
		{ 600, 601, true, TARGET_HEALTHY, 7 },
		{ 601, 601, true, TARGET_INITIAL, 0 },
	};
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	f->groups[0].targets[0].health.failures = 7;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;
		const struct state_global_view v = { .stopped = cases[i].stopped };
		const struct target *t;

		assert_int_equal(
			state_store_save_groups(&f->store, &f->registry, STATE_STORE_ALL,
						NOW - cases[i].group_age_sec * USEC_PER_SEC),
			0);
		assert_int_equal(save_global_as(f, &v, STATE_STORE_ALL,
						NOW - cases[i].global_age_sec * USEC_PER_SEC),
				 0);
		state_rig_load(f, NOW, &troubles, &s);
		t = &registry_find_group(&s.registry, "blue")->targets[0];
		assert_int_equal(t->health.state, cases[i].expected);
		assert_int_equal(t->health.failures, cases[i].failures);
	}
}

static void test_damage(void **state)
{
	static const struct {
		const char *name, *text;
		int error;
		size_t n_groups, n_skipped;
	} cases[] = {
		{ "group-blue.json", "{\"version\":1,", -EBADMSG, N_GROUPS - 1, 0 },
		{ "group-blue.json", "", -EBADMSG, N_GROUPS - 1, 0 },
		{ "group-blue.json", "{\"version\":2}", -EPROTONOSUPPORT, N_GROUPS - 1, 0 },
		{ "group-blue.json", /* another group's */
		  "{\"version\":1,\"saved\":1,\"group\":\"green\",\"cold\":true,\"targets\":[]}",
		  -EBADMSG, N_GROUPS - 1, 0 },
		{ "group-blue.json",
		  "{\"version\":1,\"saved\":1,\"group\":\"blue\",\"cold\":true,\"targets\":[1]}", 0,
		  N_GROUPS, 1 },
		{ "global.json", "garbage", -EBADMSG, N_GROUPS, 0 },
		{ "global.json", "{\"version\":99}", -EPROTONOSUPPORT, N_GROUPS, 0 },
	};
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;
		char damaged[64];

		(void)save_groups(f, STATE_STORE_DURABLE);
		(void)save_global(f, false, STATE_STORE_DURABLE);
		write_text(f, cases[i].name, cases[i].text);
		(void)snprintf(damaged, sizeof(damaged), "%s.damaged", cases[i].name);
		state_rig_load(f, NOW, &troubles, &s);
		assert_int_equal(troubles.n, 1);
		assert_int_equal(troubles.error, cases[i].error);
		assert_int_equal(troubles.n_skipped, cases[i].n_skipped);
		assert_string_equal(troubles.name, cases[i].name);
		assert_int_equal(s.registry.n, cases[i].n_groups);
		assert_int_equal(state_rig_exists(f, damaged), cases[i].error != 0);
		assert_int_equal(state_rig_exists(f, cases[i].name), cases[i].error == 0);
		if (cases[i].error)
			assert_int_equal(unlink(state_rig_path(f, damaged)), 0);
		/* The others' files are right, this one is written again. */
		assert_int_equal(save_groups(f, STATE_STORE_QUICK) +
					 save_global(f, false, STATE_STORE_QUICK),
				 1 + (cases[i].name[1] ==
				      'r')); /* the global file's hash is not known */
	}
}

/* No more than this many bytes in a file: the write fails as on a full disk, also for root. */
static void limit_files(rlim_t bytes)
{
	struct rlimit limit;

	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	limit.rlim_cur = bytes;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void test_full_disk(void **state)
{
	struct state_rig *f = *state;
	ino_t blue;
	int r;

	(void)signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), N_GROUPS);
	blue = inode(f, "group-blue.json");
	f->groups[0].targets[0].drained = true;
	f->groups[1].targets[0].drained = true;
	limit_files(10);
	r = state_store_save_groups(&f->store, &f->registry, STATE_STORE_DURABLE, NOW);
	limit_files(RLIM_INFINITY);
	assert_int_equal(r, -EFBIG);
	assert_int_equal(inode(f, "group-blue.json"), blue); /* the old one is whole */
	assert_false(state_rig_exists(f, "group-blue.json.new"));
	assert_int_equal(save_groups(f, STATE_STORE_DURABLE), 2); /* and it is tried again */
}

/* One that cannot be written does not keep the others from it. */
static void test_unwritable(void **state)
{
	struct state_rig *f = *state;

	assert_int_equal(mkdir(state_rig_path(f, "group-blue.json"), 0700), 0);
	assert_int_equal(state_store_save_groups(&f->store, &f->registry, STATE_STORE_QUICK, NOW),
			 -EISDIR);
	assert_int_equal(f->store.n_written, N_GROUPS - 1);
	assert_int_equal(rmdir(state_rig_path(f, "group-blue.json")), 0);
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 1);
	assert_int_equal(unlink(state_rig_path(f, "group-green.json")), 0);
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 0);
	state_store_check(&f->store);
	assert_int_equal(save_groups(f, STATE_STORE_QUICK), 1);
	assert_int_equal(state_store_open(&f->store, "/nonexistent"), -ENOENT);
	assert_int_equal(state_store_save_groups(&f->store, &f->registry, STATE_STORE_QUICK, NOW),
			 -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_only_what_changed, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_quick_then_durable, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_vanished_groups, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_restart, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_age, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_damage, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_unwritable, set_up, state_rig_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a loss of power leaves of the state. A document that was replaced quickly may be found empty, cut, or with a tail
 * of zeros or of other files' bytes, since the file system may write its name first: then the state is that of a moment
 * before. It is never older than that: rather none.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/state-rig.h"

#define NOW STATE_RIG_NOW
#define DOCUMENT "group-blue.json"
#define OLD "group-blue.json.old"
#define JOURNAL "group-blue.journal"
#define GLOBAL "global.json"
#define GLOBAL_OLD "global.json.old"

enum {
	SMALL = 3,   /* no journal */
	LARGE = 100, /* with one */
};

static int set_up(void **state)
{
	return state_rig_new(1, SMALL, state);
}

static void save(struct state_rig *f, enum state_store_flags flags)
{
	assert_int_equal(state_store_save_groups(&f->store, &f->registry, flags, NOW), 0);
}

/* Returns the hash of the state as it was before. */
static uint64_t change(struct state_rig *f, unsigned i)
{
	struct target *t = &f->targets[i];
	uint64_t before = state_group_hash(&f->groups[0]);

	t->health.state = t->health.state == TARGET_HEALTHY ? TARGET_UNHEALTHY : TARGET_HEALTHY;
	return before;
}

static char *read_file(const struct state_rig *f, const char *name, size_t *ret_len)
{
	_cleanup_fclose_ FILE *in = fopen(state_rig_path(f, name), "re");
	char *text = malloc(1 << 20);

	assert_non_null(in);
	assert_non_null(text);
	*ret_len = fread(text, 1, 1 << 20, in);
	return text;
}

static void write_file(const struct state_rig *f, const char *name, const char *text, size_t len)
{
	_cleanup_fclose_ FILE *out = NULL;

	(void)unlink(state_rig_path(f, name)); /* not through the link */
	out = fopen(state_rig_path(f, name), "we");
	assert_non_null(out);
	assert_int_equal(fwrite(text, 1, len, out), len);
}

/* By the daemon after the next boot. The group's hash; 0 = it is not known. */
static uint64_t load(struct state_rig *f, struct state_rig_troubles *troubles)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;

	state_rig_load(f, NOW, troubles, &s);
	return s.registry.n ? state_group_hash(&s.registry.groups[0]) : 0;
}

static void assert_gone_back(struct state_rig *f, const char *name, uint64_t expected)
{
	struct state_rig_troubles troubles;

	assert_int_equal(load(f, &troubles), expected);
	assert_int_equal(troubles.n, 1);
	assert_int_equal(troubles.error, -ESTALE);
	assert_string_equal(troubles.name, name);
	assert_int_equal(load(f, &troubles), expected); /* and the next time in peace */
	assert_int_equal(troubles.n, 0);
}

/* Every length, with each kind of tail in the place of what is lost. */
static void test_every_length(void **state)
{
	static const char *const tails[] = { "", "zeros", "\xff\x01{\"a\":[1,2", "}\n" };
	struct state_rig *f = *state;
	size_t len, len_old;
	uint64_t before;

	save(f, STATE_STORE_DURABLE);
	assert_false(state_rig_exists(f, OLD));
	before = change(f, 0);
	save(f, STATE_STORE_QUICK);
	assert_true(state_rig_exists(f, OLD));
	{
		_cleanup_free_ char *new = read_file(f, DOCUMENT, &len);
		_cleanup_free_ char *old = read_file(f, OLD, &len_old);
		_cleanup_free_ char *cut = calloc(1, len + 64);

		/* All but the end of the line is a whole document. */
		for (size_t i = 0; i < len - 1; i++)
			for (size_t k = 0; k < ARRAY_SIZE(tails); k++) {
				bool zeros = k == 1;
				size_t n = zeros ? len : i + strlen(tails[k]);

				memset(cut, 0, len);
				memcpy(cut, new, i);
				if (!zeros)
					strcpy(cut + i, tails[k]);
				if (n >= len - 1 && memcmp(cut, new, len - 1) == 0)
					continue;
				write_file(f, DOCUMENT, cut, n);
				write_file(f, OLD, old, len_old);
				assert_gone_back(f, DOCUMENT, before);
			}
	}
	/* And what was lost is written again by the next save. */
	save(f, STATE_STORE_DURABLE);
	assert_int_equal(load(f, &(struct state_rig_troubles){ 0 }),
			 state_group_hash(&f->groups[0]));
}

/* It is not the power that was lost: the new one is whole, and stands. */
static void test_kill(void **state)
{
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	save(f, STATE_STORE_DURABLE);
	(void)change(f, 0);
	save(f, STATE_STORE_QUICK);
	assert_int_equal(load(f, &troubles), state_group_hash(&f->groups[0]));
	assert_int_equal(troubles.n, 0);
	assert_true(state_rig_exists(f, OLD)); /* it may be lost yet */
	save(f, STATE_STORE_DURABLE);
	assert_false(state_rig_exists(f, OLD));
}

/* Of several quick saves in a row only the first stands beside one that is on the disk. */
static void test_several(void **state)
{
	struct state_rig *f = *state;
	uint64_t before;

	save(f, STATE_STORE_DURABLE);
	before = change(f, 0);
	save(f, STATE_STORE_QUICK);
	(void)change(f, 1);
	save(f, STATE_STORE_QUICK);
	write_file(f, DOCUMENT, "", 0);
	assert_gone_back(f, DOCUMENT, before);
	/* A durable save of a new document as well as of the one that is there. */
	(void)change(f, 2);
	save(f, STATE_STORE_QUICK);
	(void)change(f, 1);
	save(f, STATE_STORE_DURABLE);
	assert_false(state_rig_exists(f, OLD));
	(void)change(f, 1);
	save(f, STATE_STORE_QUICK);
	save(f, STATE_STORE_DURABLE);
	assert_false(state_rig_exists(f, OLD));
}

/* Without its journal the old document would be of an hour ago. */
static void test_journal(void **state)
{
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;
	uint64_t before;

	f->groups[0].n = LARGE;
	save(f, STATE_STORE_DURABLE);
	(void)change(f, 7);
	save(f, STATE_STORE_QUICK);
	(void)change(f, 8);
	save(f, STATE_STORE_DURABLE);
	assert_int_equal(f->store.n_appended, 2);
	before = change(f, 9);
	save(f, STATE_STORE_QUICK | STATE_STORE_ALL);
	assert_true(state_rig_exists(f, OLD) && state_rig_exists(f, JOURNAL));
	write_file(f, DOCUMENT, "", 0);
	assert_gone_back(f, DOCUMENT, before);

	/* The new document has a journal of its own: nothing, rather than what is old. */
	save(f, STATE_STORE_DURABLE | STATE_STORE_ALL);
	assert_false(state_rig_exists(f, JOURNAL));
	(void)change(f, 7);
	save(f, STATE_STORE_DURABLE);
	(void)change(f, 8);
	save(f, STATE_STORE_QUICK | STATE_STORE_ALL);
	assert_true(state_rig_exists(f, OLD) && state_rig_exists(f, JOURNAL));
	(void)change(f, 9);
	save(f, STATE_STORE_QUICK);
	assert_false(state_rig_exists(f, OLD));
	assert_int_equal(load(f, &troubles), state_group_hash(&f->groups[0]));
	assert_int_equal(troubles.n, 0);
	write_file(f, DOCUMENT, "", 0);
	assert_int_equal(load(f, &troubles), 0);
	assert_int_equal(troubles.error, -EBADMSG);

	/* Where the old one had none, it stays good beside a new journal. */
	save(f, STATE_STORE_DURABLE | STATE_STORE_ALL);
	before = change(f, 7);
	save(f, STATE_STORE_QUICK | STATE_STORE_ALL);
	(void)change(f, 8);
	save(f, STATE_STORE_QUICK);
	assert_true(state_rig_exists(f, OLD) && state_rig_exists(f, JOURNAL));
	write_file(f, DOCUMENT, "", 0);
	assert_int_equal(load(f, &troubles), before);
	assert_int_equal(troubles.error, -ESTALE);
}

static void test_removed(void **state)
{
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	save(f, STATE_STORE_DURABLE);
	(void)change(f, 0);
	save(f, STATE_STORE_QUICK);
	f->registry.n = 0;
	save(f, STATE_STORE_QUICK);
	assert_false(state_rig_exists(f, DOCUMENT) || state_rig_exists(f, OLD));
	write_file(f, OLD, "{}", 2);
	assert_int_equal(load(f, &troubles), 0);
	assert_int_equal(troubles.n, 0);
	assert_false(state_rig_exists(f, OLD));
}

static void save_global(struct state_rig *f, enum state_store_flags flags, usec_t now)
{
	const struct linger_set linger = LINGER_SET_INIT;
	const struct state_global_view v = { .linger = &linger };

	assert_int_equal(state_store_save_global(&f->store, &v, flags, now), 0);
}

static void test_global(void **state)
{
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	save_global(f, STATE_STORE_DURABLE, NOW - 2);
	save_global(f, STATE_STORE_QUICK | STATE_STORE_ALL, NOW - 1);
	assert_true(state_rig_exists(f, GLOBAL_OLD));
	(void)load(f, &troubles);
	assert_int_equal(f->store.global_saved_usec, NOW - 1);
	write_file(f, GLOBAL, "", 0);
	assert_gone_back(f, GLOBAL, 0);
	assert_int_equal(f->store.global_saved_usec, NOW - 2);
	save_global(f, STATE_STORE_QUICK | STATE_STORE_ALL, NOW);
	save_global(f, STATE_STORE_DURABLE, NOW);
	assert_false(state_rig_exists(f, GLOBAL_OLD));
	write_file(f, GLOBAL, "", 0);
	(void)load(f, &troubles);
	assert_int_equal(troubles.error, -EBADMSG);
}

#define in_a_directory(name) cmocka_unit_test_setup_teardown(name, set_up, state_rig_free)

int main(void)
{
	const struct CMUnitTest tests[] = {
		in_a_directory(test_every_length), in_a_directory(test_kill),
		in_a_directory(test_several),	   in_a_directory(test_journal),
		in_a_directory(test_removed),	   in_a_directory(test_global),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

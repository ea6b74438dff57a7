/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A large group in the state directory: what a save writes of it, and what a daemon that starts afterwards finds,
 * also when the last one was killed in the middle of a save.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/state-rig.h"

#define NOW STATE_RIG_NOW
#define DOCUMENT "group-blue.json"
#define JOURNAL "group-blue.journal"

enum {
	N = 200,
	KILLS = 100,
	KILL_AFTER_MAX = 200, /* saves */
};

static int set_up(void **state)
{
	return state_rig_new(1, N, state);
}

static int try_save(struct state_rig *f, enum state_store_flags flags)
{
	return state_store_save_groups(&f->store, &f->registry, flags, NOW);
}

/* Asserts how many documents and lines it wrote. */
static void save(struct state_rig *f, enum state_store_flags flags, size_t n_documents,
		 size_t n_lines)
{
	size_t written = f->store.n_written, appended = f->store.n_appended;

	assert_int_equal(try_save(f, flags), 0);
	assert_int_equal(f->store.n_written - written, n_documents);
	assert_int_equal(f->store.n_appended - appended, n_lines);
}

/* The k-th change; a second one takes the first one back. */
static void change(struct state_rig *f, unsigned k)
{
	struct target *t = &f->targets[k * 7 % N];

	t->health.state = t->health.state == TARGET_HEALTHY ? TARGET_UNHEALTHY : TARGET_HEALTHY;
	t->health.since_usec = NOW + k;
}

static size_t size_of(const struct state_rig *f, const char *name)
{
	struct stat st;

	assert_int_equal(stat(state_rig_path(f, name), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	return (size_t)st.st_size;
}

static bool is_restored(const struct state_rig *f, const struct state *s)
{
	return s->registry.n == 1 &&
	       state_group_hash(&s->registry.groups[0]) == state_group_hash(&f->groups[0]);
}

static void assert_restored(struct state_rig *f, size_t n_troubles)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	struct state_rig_troubles troubles;

	state_rig_load(f, NOW, &troubles, &s);
	assert_int_equal(troubles.n, n_troubles);
	assert_true(is_restored(f, &s));
}

/* A change costs a line; so many lines cost a document. */
static void test_costs(void **state)
{
	struct state_rig *f = *state;
	size_t document, line;

	save(f, STATE_STORE_QUICK, 1, 0);
	assert_false(state_rig_exists(f, JOURNAL));
	document = size_of(f, DOCUMENT);
	change(f, 1);
	save(f, STATE_STORE_QUICK, 0, 1);
	line = size_of(f, JOURNAL);
	assert_true(line < 300);
	assert_int_equal(size_of(f, DOCUMENT), document);
	assert_restored(f, 0);
	save(f, STATE_STORE_DURABLE, 0, 0); /* a start that changes nothing writes nothing */
	change(f, 2);
	save(f, STATE_STORE_QUICK, 1, 0); /* the first change after a start: a document */
	save(f, STATE_STORE_DURABLE, 0, 0);
	assert_false(state_rig_exists(f, JOURNAL));
	for (unsigned k = 0; k < 2 * document / line; k++) {
		change(f, k);
		assert_int_equal(try_save(f, STATE_STORE_QUICK), 0);
	}
	assert_in_range(f->store.n_written, 2, 5);
	assert_true(size_of(f, JOURNAL) <= size_of(f, DOCUMENT));
	assert_restored(f, 0);
	save(f, STATE_STORE_ALL | STATE_STORE_DURABLE, 1, 0); /* with the last counters */
	assert_false(state_rig_exists(f, JOURNAL));
}

static void test_durable(void **state)
{
	struct state_rig *f = *state;

	save(f, STATE_STORE_DURABLE, 1, 0);
	assert_true(f->store.files[0].durable && f->store.directory_durable);
	change(f, 1);
	save(f, STATE_STORE_QUICK, 0, 1);
	assert_false(f->store.files[0].durable || f->store.directory_durable);
	save(f, STATE_STORE_DURABLE, 0, 0);
	assert_true(f->store.files[0].durable && f->store.directory_durable);
	change(f, 2);
	save(f, STATE_STORE_DURABLE, 0, 1);
	assert_true(f->store.files[0].durable && f->store.directory_durable);
	/* It is the journal that is synchronised: without it the save fails, and the next one repairs that. */
	change(f, 3);
	save(f, STATE_STORE_QUICK, 0, 1);
	assert_int_equal(unlink(state_rig_path(f, JOURNAL)), 0);
	assert_int_equal(try_save(f, STATE_STORE_DURABLE), -ENOENT);
	save(f, STATE_STORE_DURABLE, 1, 0);
	assert_restored(f, 0);
}

static void test_removed(void **state)
{
	struct state_rig *f = *state;
	int fd;

	save(f, STATE_STORE_QUICK, 1, 0);
	change(f, 1);
	save(f, STATE_STORE_QUICK, 0, 1);
	assert_int_equal(unlink(state_rig_path(f, JOURNAL)), 0);
	state_store_check(&f->store);
	save(f, STATE_STORE_QUICK, 1, 0);
	assert_restored(f, 0);
	save(f, STATE_STORE_ALL, 1, 0);
	change(f, 2);
	save(f, STATE_STORE_QUICK, 0, 1);
	f->registry.n = 0; /* the group is gone */
	save(f, STATE_STORE_QUICK, 0, 0);
	assert_false(state_rig_exists(f, DOCUMENT) || state_rig_exists(f, JOURNAL));
	/* A crash came between the two removals. */
	fd = open(state_rig_path(f, JOURNAL), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	assert_int_equal(state_store_open(&f->store, f->directory), 0);
	assert_false(state_rig_exists(f, JOURNAL));
}

static void copy(const struct state_rig *f, const char *from, const char *to)
{
	char command[256];

	(void)snprintf(command, sizeof(command), "cp -p %s/%s %s/%s", f->directory, from,
		       f->directory, to);
	assert_int_equal(system(command), 0);
}

/* A crash after a new document, before its predecessor's journal was removed: old verdicts stay old. */
static void test_stale_journal(void **state)
{
	struct state_rig *f = *state;

	save(f, STATE_STORE_QUICK, 1, 0);
	change(f, 1);
	save(f, STATE_STORE_QUICK, 0, 1);
	copy(f, JOURNAL, "kept");
	change(f, 1);
	save(f, STATE_STORE_ALL, 1, 0);
	copy(f, "kept", JOURNAL);
	assert_restored(f, 0);
	save(f, STATE_STORE_DURABLE, 1, 0);
	assert_false(state_rig_exists(f, JOURNAL));
	/* And a daemon that finds none begins one of its own. */
	copy(f, "kept", JOURNAL);
	change(f, 2);
	save(f, STATE_STORE_QUICK, 0, 1);
	assert_restored(f, 0);
}

static void test_damage(void **state)
{
	static const struct {
		const char *command; /* with the journal of two lines as $j */
		int error;
		bool both; /* lines are used, or only the first */
	} cases[] = {
		{ "truncate -s -1 $j", -ENODATA, false },
		{ "printf x >>$j", -ENODATA, true },
		{ "truncate -s +4096 $j", -ENODATA, true }, /* zeros: a loss of power */
		{ "echo garbage >>$j", -EBADMSG, true },
		{ "sed -i '2s/a/b/' $j", -EBADMSG, false },
		{ "mv $j $j.x && mkdir $j", -EBADMSG, false },
	};
	struct state_rig *f = *state;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;
		bool readable = strstr(cases[i].command, "mkdir") == NULL;
		struct state_rig_troubles troubles;
		char command[256];

		save(f, STATE_STORE_ALL, 1, 0);
		change(f, 1);
		save(f, STATE_STORE_QUICK, 0, 1);
		change(f, 2);
		save(f, STATE_STORE_QUICK, 0, 1);
		(void)snprintf(command, sizeof(command), "j=%s/%s; %s", f->directory, JOURNAL,
			       cases[i].command);
		assert_int_equal(system(command), 0);
		state_rig_load(f, NOW, &troubles, &s);
		assert_int_equal(troubles.n, 1);
		assert_string_equal(troubles.name, JOURNAL);
		assert_int_equal(troubles.error, cases[i].error);
		if (!cases[i].both)
			change(f, 2);
		if (!readable)
			change(f, 1);
		/* A second change of a target takes its verdict back, not the time of it. */
		for (unsigned k = 0; k < N; k++)
			assert_int_equal(s.registry.groups[0].targets[k].health.state,
					 f->targets[k].health.state);
		assert_int_equal(state_rig_exists(f, JOURNAL ".damaged"),
				 cases[i].error == -EBADMSG);
		/* What is left is made whole, although nothing has changed. */
		save(f, STATE_STORE_DURABLE, 1, 0);
		assert_false(state_rig_exists(f, JOURNAL));
		assert_restored(f, 0);
		(void)snprintf(command, sizeof(command), "rm -rf %s/*.damaged %s/*.x", f->directory,
			       f->directory);
		assert_int_equal(system(command), 0);
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

/* Half a line is written: what was there before is restored, and nothing is added behind it. */
static void test_full_disk(void **state)
{
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	struct state_rig *f = *state;
	struct state_rig_troubles troubles;

	(void)signal(SIGXFSZ, SIG_IGN);
	save(f, STATE_STORE_DURABLE, 1, 0);
	change(f, 1);
	save(f, STATE_STORE_QUICK, 0, 1);
	change(f, 2);
	limit_files(size_of(f, JOURNAL) + 10);
	assert_int_equal(try_save(f, STATE_STORE_QUICK), -EFBIG);
	assert_int_equal(try_save(f, STATE_STORE_QUICK), -EFBIG); /* nor a document */
	limit_files(RLIM_INFINITY);
	state_rig_load(f, NOW, &troubles, &s);
	assert_int_equal(troubles.error, -ENODATA);
	change(f, 2);
	f->targets[14].health.since_usec = NOW;
	assert_true(is_restored(f, &s));
	change(f, 2);
	save(f, STATE_STORE_QUICK, 1, 0); /* and it is tried again */
	assert_restored(f, 0);
}

/* Changes and saves for ever; *ret: how many are over. The plane would get a change after its save. */
static void save_until_killed(struct state_rig *f, unsigned from, _Atomic unsigned *ret)
{
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (unsigned k = from;; k++) {
		change(f, k);
		if (try_save(f, STATE_STORE_QUICK) < 0) {
			atomic_store(ret, UINT_MAX);
			_exit(1);
		}
		atomic_store(ret, k + 1);
	}
}

/* Killed wherever it is, what a save that is over has said is restored, and no half of another one. */
static void test_kill(void **state)
{
	_Atomic unsigned *done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
				      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct state_rig *f = *state;
	unsigned seed = 20261122, k = 0, torn = 0, in_between = 0;

	assert_true(done != MAP_FAILED);
	for (unsigned i = 0; i < KILLS; i++) {
		_cleanup_(state_deinit) struct state s = STATE_INIT;
		unsigned after = k + (unsigned)rand_r(&seed) % KILL_AFTER_MAX;
		unsigned spin = (unsigned)rand_r(&seed) % 20000;
		struct state_rig_troubles troubles;
		int status;
		pid_t pid = fork();

		assert_true(pid >= 0);
		if (pid == 0)
			save_until_killed(f, k, done);
		while (atomic_load(done) <= after)
			;
		while (spin-- > 0)
			(void)atomic_load(done);
		assert_int_equal(kill(pid, SIGKILL), 0);
		assert_int_equal(waitpid(pid, &status, 0), pid);
		assert_true(WIFSIGNALED(status));
		for (; k < atomic_load(done); k++)
			change(f, k);
		state_rig_load(f, NOW, &troubles, &s);
		assert_true(troubles.n == 0 || troubles.error == -ENODATA);
		torn += troubles.n;
		if (!is_restored(f, &s)) {
			change(f, k++); /* saved, but nobody was told */
			in_between++;
		}
		assert_true(is_restored(f, &s));
	}
	print_message("# %u changes, %u kills: %u between write and answer, %u within a line\n", k,
		      KILLS, in_between, torn);
	assert_int_equal(munmap((void *)done, sizeof(*done)), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_costs, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_durable, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_removed, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_stale_journal, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_damage, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_full_disk, set_up, state_rig_free),
		cmocka_unit_test_setup_teardown(test_kill, set_up, state_rig_free),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

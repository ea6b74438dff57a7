/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What changed of a large group: lines beside its document, read again up to any damage; when a document is due. */

#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/state.h"
#include "daemon/state-journal.h"

#define NOW (1795345971839060ULL)

enum {
	N = 100,
	LINES_MAX = 64,
};

/* A group, its document and its journal as they would be in files. */
struct fixture {
	struct target_group group;
	struct target targets[N];
	struct state_journal journal;
	char *document; /* owned */
	size_t document_len;
	char *text; /* owned; of the journal */
	size_t len;
	/* After each line: how long the text was, and what the group's document would have been. */
	size_t ends[LINES_MAX];
	char *snapshots[LINES_MAX]; /* owned */
	size_t n_lines;
	usec_t now;
};

static struct state_group_mark *marks_of(const struct fixture *f)
{
	struct state_group_mark *marks = calloc(N + 1, sizeof(*marks));

	assert_non_null(marks);
	(void)state_group_mark(&f->group, marks);
	return marks;
}

static char *format(const struct target_group *g, usec_t now)
{
	char *text;
	size_t len;

	assert_int_equal(state_group_format(g, now, &text, &len), 0);
	return text;
}

static void write_document(struct fixture *f)
{
	_cleanup_free_ struct state_group_mark *marks = marks_of(f);

	free(f->document);
	f->document = format(&f->group, f->now);
	f->document_len = strlen(f->document);
	state_journal_begin(&f->journal, f->document, f->document_len, &marks, f->group.n);
	f->len = 0;
}

/* Every other target is not kept: it never had a result. */
static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	f->group = (struct target_group){ .name = "blue", .targets = f->targets, .n = N };
	f->now = NOW;
	for (unsigned i = 0; i < N; i++) {
		struct target *t = &f->targets[i];

		assert_int_equal(addr_parse("10.0.0.0", &t->addr), 0);
		t->addr.bytes[3] = (uint8_t)i;
		t->port = 80;
		t->configured_weight = t->file_weight = 100;
		t->awaiting_first_result = i % 2;
		if (i % 2 == 0)
			t->health = (struct target_health){ .state = TARGET_HEALTHY,
							    .since_usec = NOW + i,
							    .checked_usec = NOW };
	}
	write_document(f);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	state_journal_deinit(&f->journal);
	free(f->document);
	free(f->text);
	for (size_t i = 0; i < f->n_lines; i++)
		free(f->snapshots[i]);
	free(f);
	return 0;
}

static int format_line(const struct fixture *f, char **ret, size_t *ret_len)
{
	_cleanup_free_ struct state_group_mark *marks = marks_of(f);

	return state_journal_format(&f->journal, &f->group, marks, f->now, ret, ret_len);
}

static void append(struct fixture *f, const char *line, size_t len)
{
	f->text = realloc(f->text, f->len + len + 1);
	assert_non_null(f->text);
	memcpy(f->text + f->len, line, len + 1);
	f->len += len;
}

static void save(struct fixture *f)
{
	_cleanup_free_ struct state_group_mark *marks = marks_of(f);
	_cleanup_free_ char *line = NULL;
	size_t len;

	f->now += 7;
	assert_int_equal(format_line(f, &line, &len), 0);
	assert_int_equal(len, strlen(line));
	append(f, line, len);
	state_journal_extend(&f->journal, len, &marks);
	assert_true(f->n_lines < LINES_MAX);
	f->ends[f->n_lines] = f->len;
	f->snapshots[f->n_lines++] = format(&f->group, f->now);
}

/* One of everything that a line may say. */
static void make_lines(struct fixture *f)
{
	f->targets[0].health.state = TARGET_UNHEALTHY;
	f->targets[0].health.reason = TARGET_REASON_TIMEOUT;
	save(f);
	f->targets[7].awaiting_first_result = false; /* enters between others */
	f->targets[7].health.checked_usec = NOW;
	f->targets[99].drained = true;
	save(f);
	f->group.cold = true; /* and no target */
	save(f);
	f->targets[0].health.state = TARGET_HEALTHY;
	f->targets[98].health.state = TARGET_UNHEALTHY;
	f->group.cold = false;
	save(f);
}

static int replay(const struct fixture *f, const char *text, size_t len, struct state_group *s)
{
	int r;

	assert_int_equal(state_group_add(s, f->document, f->document_len), 0);
	r = state_journal_replay(text, len, state_journal_base(f->document, f->document_len), s);
	assert_int_equal(state_group_settle(s), 0);
	return r;
}

/* Is it what the group was after so many lines? */
static void assert_state(const struct fixture *f, const struct state_group *s, size_t n_lines)
{
	const char *expected = n_lines ? f->snapshots[n_lines - 1] : f->document;
	_cleanup_(state_group_deinit) struct state_group parsed = STATE_GROUP_INIT;
	_cleanup_free_ char *a = NULL, *b = NULL;

	assert_int_equal(s->n_skipped, 0);
	assert_int_equal(state_group_add(&parsed, expected, strlen(expected)), 0);
	assert_int_equal(state_group_settle(&parsed), 0);
	a = format(&s->group, s->saved_usec);
	b = format(&parsed.group, parsed.saved_usec);
	assert_string_equal(a, b);
	assert_int_equal(s->group.n, parsed.group.n);
	assert_memory_equal(s->at, parsed.at, s->group.n * sizeof(*s->at));
}

static void test_truncated_at_every_length(void **state)
{
	struct fixture *f = *state;
	size_t n_lines = 0;

	make_lines(f);
	for (size_t len = 0; len <= f->len; len++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
		bool whole;

		if (n_lines < f->n_lines && len == f->ends[n_lines])
			n_lines++;
		whole = len == (n_lines ? f->ends[n_lines - 1] : 0);
		assert_int_equal(replay(f, f->text, len, &s), whole ? 0 : -ENODATA);
		assert_state(f, &s, n_lines);
	}
	assert_int_equal(n_lines, f->n_lines);
}

/* A byte that changed costs its line and those behind it, wherever it is. */
static void test_damaged_at_every_byte(void **state)
{
	struct fixture *f = *state;
	size_t n_lines = 0;

	make_lines(f);
	for (size_t i = 0; i < f->len; i++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
		char was = f->text[i];
		int expected = -EBADMSG;

		if (i == f->ends[n_lines])
			n_lines++;
		if (was == '\n' && i + 1 == f->len)
			expected = -ENODATA; /* as if it had never been written */
		f->text[i] = (char)(was ^ (i % 2 ? 1 : 0x80));
		assert_int_equal(replay(f, f->text, f->len, &s), expected);
		assert_state(f, &s, n_lines);
		f->text[i] = was;
	}
}

static void append_sealed(struct fixture *f, uint64_t base, const char *document)
{
	char line[512], rest[480];

	(void)snprintf(rest, sizeof(rest), "%016" PRIx64 " %s", base, document);
	(void)snprintf(line, sizeof(line), "%016" PRIx64 " %s\n",
		       state_hash_bytes(STATE_VERSION, rest, strlen(rest)), rest);
	append(f, line, strlen(line));
}

/* Whole lines that are not for us. */
static void test_strangers(void **state)
{
#define LINE(version, group, targets)                                                              \
	"{\"version\":" version ",\"saved\":1,\"group\":\"" group                                  \
	"\",\"cold\":false,\"targets\":" targets "}"
	static const struct {
		const char *document;
		uint64_t base_xor;
		int r;
		size_t n_skipped;
	} cases[] = {
		{ LINE("1", "blue", "[]"), 0, 0, 0 },
		{ LINE("1", "blue", "[]"), 1, -ESTALE, 0 },
		{ LINE("1", "green", "[]"), 0, -EBADMSG, 0 },
		{ LINE("2", "blue", "[]"), 0, -EPROTONOSUPPORT, 0 },
		{ LINE("1", "blue", "{}"), 0, -EBADMSG, 0 },
		{ LINE("1", "blue", "[1]"), 0, 0, 1 },
		{ LINE("1", "blue",
		       "[{\"target\":\"10.0.0.1:80\",\"at\":-1,\"state\":\"healthy\"}]"),
		  0, 0, 1 },
		{ LINE("1", "blue",
		       "[{\"target\":\"10.0.0.1:80\",\"at\":\"1\",\"state\":\"healthy\"}]"),
		  0, 0, 1 },
		{ LINE("1", "blue",
		       "[{\"target\":\"10.0.0.1:80\",\"at\":4294967296,\"state\":\"healthy\"}]"),
		  0, 0, 1 },
		{ LINE("1", "blue",
		       "[{\"target\":\"10.0.0.1:80\",\"at\":4294967295,\"state\":\"healthy\"}]"),
		  0, 0, 0 },
		{ "", 0, -EBADMSG, 0 },
		{ "garbage", 0, -EBADMSG, 0 },
	};
#undef LINE
	struct fixture *f = *state;

	make_lines(f);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;

		f->len = f->ends[f->n_lines - 1];
		append_sealed(f, f->journal.base ^ cases[i].base_xor, cases[i].document);
		if (replay(f, f->text, f->len, &s) != cases[i].r)
			fail_msg("%s: not %d", cases[i].document, cases[i].r);
		assert_int_equal(s.n_skipped, cases[i].n_skipped);
		if (cases[i].r < 0)
			assert_state(f, &s, f->n_lines);
	}
}

static void assert_document_due(struct fixture *f, bool due)
{
	_cleanup_free_ char *line = NULL;
	size_t len;

	assert_int_equal(format_line(f, &line, &len), due ? -ESTALE : 0);
}

static void test_when_a_document_is_due(void **state)
{
	struct fixture *f = *state;
	struct target first = f->targets[0];

	assert_document_due(f, false);
	f->targets[0] = f->targets[2]; /* other places */
	assert_document_due(f, true);
	f->targets[0] = first;
	assert_document_due(f, false);
	f->group.n--;
	assert_document_due(f, true);
	f->group.n++;
	f->targets[1].drained = true;
	save(f);
	f->targets[1].drained = false; /* no longer kept */
	assert_document_due(f, true);
	write_document(f);
	assert_document_due(f, false);
	/* All at once: a line would be as long. */
	for (unsigned i = 0; i < N; i += 2)
		f->targets[i].health.reason = TARGET_REASON_TIMEOUT;
	assert_document_due(f, true);
	/* Of a short document nothing is known. */
	f->group.n = 10;
	write_document(f);
	assert_true(f->document_len < STATE_JOURNAL_DOCUMENT_MIN_BYTES);
	assert_document_due(f, true);
}

/* Never longer than the document, and a document is due no sooner than it must be. */
static void test_length(void **state)
{
	struct fixture *f = *state;
	size_t line_len = 0;

	for (unsigned i = 0;; i++) {
		_cleanup_free_ struct state_group_mark *marks = NULL;
		_cleanup_free_ char *line = NULL;
		size_t len;
		int r;

		f->targets[0].health.since_usec++;
		marks = marks_of(f);
		r = format_line(f, &line, &len);
		if (r == -ESTALE)
			break;
		assert_int_equal(r, 0);
		line_len = len;
		state_journal_extend(&f->journal, len, &marks);
	}
	assert_true(f->journal.bytes <= f->document_len);
	assert_true(f->journal.bytes + line_len + 2 > f->document_len);
	assert_true(line_len < 300); /* what one target costs */
}

/* Whatever changes: what is read is what was written. */
static void test_random(void **state)
{
	struct fixture *f = *state;
	unsigned seed = 20261122, n_lines = 0, n_documents = 0;

	for (unsigned step = 0; step < 2000; step++) {
		_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
		_cleanup_free_ struct state_group_mark *marks = NULL;
		_cleanup_free_ char *line = NULL;
		size_t len;

		for (unsigned k = (unsigned)rand_r(&seed) % 4; k > 0; k--) {
			struct target *t = &f->targets[(unsigned)rand_r(&seed) % N];

			t->health.state = (unsigned)rand_r(&seed) % 2 ? TARGET_HEALTHY
								      : TARGET_UNHEALTHY;
			t->health.checked_usec = NOW + step;
			t->awaiting_first_result = false;
			t->drained = (unsigned)rand_r(&seed) % 8 == 0;
		}
		f->group.cold = (unsigned)rand_r(&seed) % 16 == 0;
		marks = marks_of(f);
		if (format_line(f, &line, &len) == 0) {
			append(f, line, len);
			state_journal_extend(&f->journal, len, &marks);
			n_lines++;
		} else {
			write_document(f);
			n_documents++;
		}
		assert_int_equal(replay(f, f->text, f->len, &s), 0);
		assert_int_equal(s.n_skipped, 0);
		assert_int_equal(state_group_hash(&s.group), state_group_hash(&f->group));
		for (size_t i = 0; i < s.group.n; i++)
			assert_true(addr_eq(&s.group.targets[i].addr, &f->targets[s.at[i]].addr));
	}
	print_message("# %u lines, %u documents\n", n_lines, n_documents);
	assert_true(n_documents < n_lines / 10);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_truncated_at_every_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged_at_every_byte, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_strangers, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_when_a_document_is_due, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_length, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_random, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

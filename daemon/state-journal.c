/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-journal.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/state.h"

enum {
	HASH_LEN = 17, /* 16 digits and a space */
	PREFIX_LEN = 2 * HASH_LEN,
};

void state_journal_deinit(struct state_journal *j)
{
	free(j->marks);
	*j = STATE_JOURNAL_INIT;
}

uint64_t state_journal_base(const char *document, size_t len_bytes)
{
	return state_hash_bytes(state_hash_add(STATE_VERSION, len_bytes), document, len_bytes);
}

void state_journal_begin(struct state_journal *j, const char *document, size_t len_bytes,
			 struct state_group_mark **marks, size_t n)
{
	state_journal_deinit(j);
	if (len_bytes < STATE_JOURNAL_DOCUMENT_MIN_BYTES)
		return;
	*j = (struct state_journal){
		.marks = take_ptr(*marks),
		.n = n,
		.base = state_journal_base(document, len_bytes),
		.document_bytes = len_bytes,
	};
}

void state_journal_extend(struct state_journal *j, size_t len_bytes,
			  struct state_group_mark **marks)
{
	free(j->marks);
	j->marks = take_ptr(*marks);
	j->bytes += len_bytes;
}

/* The positions of those that changed; -ESTALE as state_journal_format(). */
static int find_changes(const struct state_journal *j, const struct target_group *g,
			const struct state_group_mark *marks, uint32_t **ret, size_t *ret_n)
{
	_cleanup_free_ uint32_t *positions = NULL;
	size_t n = 0;

	if (!j->marks || j->n != g->n)
		return -ESTALE;
	for (size_t i = 0; i < g->n; i++) {
		if (j->marks[i].who != marks[i].who || (j->marks[i].what && !marks[i].what))
			return -ESTALE;
		n += j->marks[i].what != marks[i].what;
	}
	positions = calloc(n + 1, sizeof(*positions));
	if (!positions)
		return -ENOMEM;
	n = 0;
	for (size_t i = 0; i < g->n; i++)
		if (j->marks[i].what != marks[i].what)
			positions[n++] = (uint32_t)i;
	*ret = take_ptr(positions);
	*ret_n = n;
	return 0;
}

static uint64_t sum_of(const char *text, size_t len_bytes)
{
	return state_hash_bytes(STATE_VERSION, text, len_bytes);
}

static int make_line(const char *document, size_t len_bytes, uint64_t base, char **ret_text,
		     size_t *ret_len_bytes)
{
	size_t size = PREFIX_LEN + len_bytes + 2;
	char *line = malloc(size);

	if (!line)
		return -ENOMEM;
	(void)snprintf(line + HASH_LEN, size - HASH_LEN, "%016" PRIx64 " %s\n", base, document);
	/* The line's end is not part of the sum. snprintf() ends it where the rest begins. */
	(void)snprintf(line, HASH_LEN, "%016" PRIx64, sum_of(line + HASH_LEN, size - HASH_LEN - 2));
	line[HASH_LEN - 1] = ' ';
	*ret_text = line;
	*ret_len_bytes = size - 1;
	return 0;
}

int state_journal_format(const struct state_journal *j, const struct target_group *g,
			 const struct state_group_mark *marks, usec_t now_wall_usec,
			 char **ret_text, size_t *ret_len_bytes)
{
	_cleanup_free_ uint32_t *positions = NULL;
	_cleanup_free_ char *document = NULL;
	size_t n = 0, len = 0;
	int r;

	r = find_changes(j, g, marks, &positions, &n);
	if (r == 0)
		r = state_group_format_some(g, positions, n, now_wall_usec, &document, &len);
	if (r < 0)
		return r;
	if (j->bytes + PREFIX_LEN + len + 1 > j->document_bytes)
		return -ESTALE;
	return make_line(document, len, j->base, ret_text, ret_len_bytes);
}

/* 16 digits and a space. */
static int parse_hash(const char *text, uint64_t *ret)
{
	uint64_t value = 0;

	for (size_t i = 0; i < HASH_LEN - 1; i++) {
		static const char digits[] = "0123456789abcdef";
		const char *digit = text[i] ? strchr(digits, text[i]) : NULL;

		if (!digit)
			return -EBADMSG;
		value = value << 4 | (uint64_t)(digit - digits);
	}
	if (text[HASH_LEN - 1] != ' ')
		return -EBADMSG;
	*ret = value;
	return 0;
}

/* Without its end. */
static int replay_line(const char *line, size_t len_bytes, uint64_t base, struct state_group *s)
{
	uint64_t sum, its_base;

	if (len_bytes < PREFIX_LEN || parse_hash(line, &sum) < 0 ||
	    parse_hash(line + HASH_LEN, &its_base) < 0 ||
	    sum != sum_of(line + HASH_LEN, len_bytes - HASH_LEN))
		return -EBADMSG;
	if (its_base != base)
		return -ESTALE;
	return state_group_add(s, line + PREFIX_LEN, len_bytes - PREFIX_LEN);
}

int state_journal_replay(const char *text, size_t len_bytes, uint64_t base, struct state_group *s)
{
	const char *end = text + len_bytes;

	while (text < end) {
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		int r;

		if (!newline)
			return -ENODATA;
		r = replay_line(text, (size_t)(newline - text), base, s);
		if (r < 0)
			return r;
		text = newline + 1;
	}
	return 0;
}

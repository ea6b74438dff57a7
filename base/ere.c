/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/ere.h"

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/ere-internal.h"

enum {
	STEPS_MAX = 2048, /* each may be taken at each byte */
};

enum operation {
	STEP_BYTE, /* one of `set`, then on */
	STEP_ASSERTION,
	STEP_FORK, /* to a and to b */
	STEP_MATCH,
};

struct step {
	enum operation operation;
	enum ere_assertion assertion;
	uint16_t a, b;
	struct ere_set set;
};

struct ere {
	struct step steps[STEPS_MAX]; /* `n` of them; the first is where it begins */
	size_t n;
};

/* An index that is out of range once there are too many. */
static size_t emit(struct ere *e, const struct step *s)
{
	if (e->n < STEPS_MAX)
		e->steps[e->n] = *s;
	return e->n < STEPS_MAX ? e->n++ : STEPS_MAX;
}

static size_t emit_fork(struct ere *e)
{
	return emit(e, &(struct step){ .operation = STEP_FORK });
}

static void point(struct ere *e, size_t fork, size_t a, size_t b)
{
	if (fork == STEPS_MAX)
		return;
	e->steps[fork].a = (uint16_t)a;
	e->steps[fork].b = (uint16_t)b;
}

static void emit_node(struct ere *e, const struct ere_node *node);

/* left, as often as it must be; then as often as it may be. */
static void emit_repeat(struct ere *e, const struct ere_node *node)
{
	size_t fork, before = STEPS_MAX;

	/* What takes no step needs no second time; (((){255}){255}){255} would take millions. */
	for (int i = 0; i < node->min && e->n < STEPS_MAX && e->n != before; i++) {
		before = e->n;
		emit_node(e, node->left);
	}
	if (node->max == ERE_UNBOUNDED) {
		size_t back;

		fork = emit_fork(e);
		emit_node(e, node->left);
		back = emit_fork(e);
		point(e, back, fork, fork);
		point(e, fork, fork + 1, e->n);
		return;
	}
	for (int i = node->min; i < node->max && e->n < STEPS_MAX; i++) {
		fork = emit_fork(e);
		emit_node(e, node->left);
		/* Whoever leaves out this one may take one of the next: the same matches, and fewer links to mend. */
		point(e, fork, fork + 1, e->n);
	}
}

static void emit_either(struct ere *e, const struct ere_node *node)
{
	size_t fork = emit_fork(e), jump;

	emit_node(e, node->left);
	jump = emit_fork(e);
	point(e, fork, fork + 1, e->n);
	emit_node(e, node->right);
	point(e, jump, e->n, e->n);
}

static void emit_node(struct ere *e, const struct ere_node *node)
{
	switch (node->kind) {
	case ERE_EMPTY:
		return;
	case ERE_SET:
		(void)emit(e, &(struct step){ .operation = STEP_BYTE, .set = node->set });
		return;
	case ERE_ASSERTION:
		(void)emit(e, &(struct step){ .operation = STEP_ASSERTION,
					      .assertion = node->assertion });
		return;
	case ERE_BOTH:
		emit_node(e, node->left);
		emit_node(e, node->right);
		return;
	case ERE_EITHER:
		emit_either(e, node);
		return;
	case ERE_REPEAT:
		emit_repeat(e, node);
		return;
	}
}

int ere_compile(const char *expression, struct ere **ret)
{
	struct ere_tree tree;
	struct ere *e;
	int r = ere_parse(expression, &tree);

	if (r < 0)
		return r;
	e = malloc(sizeof(*e));
	if (!e) {
		free(tree.nodes);
		return -ENOMEM;
	}
	e->n = 0;
	emit_node(e, tree.root);
	free(tree.nodes);
	if (emit(e, &(struct step){ .operation = STEP_MATCH }) == STEPS_MAX) {
		free(e);
		return -E2BIG;
	}
	*ret = e;
	return 0;
}

void ere_free(struct ere *e)
{
	free(e);
}

/* A place between two bytes. */
struct place {
	const char *bytes;
	size_t size, at;
};

static bool holds(enum ere_assertion a, const struct place *p)
{
	bool begin = p->at == 0, end = p->at == p->size;
	bool before = !begin && ere_is_word((unsigned char)p->bytes[p->at - 1]);
	bool behind = !end && ere_is_word((unsigned char)p->bytes[p->at]);

	switch (a) {
	case ERE_LINE_BEGIN:
		return begin || p->bytes[p->at - 1] == '\n';
	case ERE_LINE_END:
		return end || p->bytes[p->at] == '\n';
	case ERE_BEGIN:
		return begin;
	case ERE_END:
		return end;
	case ERE_WORD_BEGIN:
		return !before && behind;
	case ERE_WORD_END:
		return before && !behind;
	case ERE_WORD_EDGE:
		return before != behind;
	case ERE_NO_WORD_EDGE:
		return before == behind;
	}
	return false;
}

/* Those that stand at a byte, each once; marks are of the place where it came to stand, plus 1. */
struct crowd {
	uint16_t steps[STEPS_MAX];
	size_t n;
};

struct search {
	const struct ere *ere;
	struct place place;
	struct crowd now, next;
	size_t marks[STEPS_MAX];
	uint16_t stack[2 * STEPS_MAX];
};

/* All that can be reached from `first` without a byte. True: the end of the expression is. */
static bool reach(struct search *s, struct crowd *crowd, uint16_t first)
{
	size_t n = 0;

	s->stack[n++] = first;
	while (n > 0) {
		uint16_t i = s->stack[--n];
		const struct step *step = &s->ere->steps[i];

		if (s->marks[i] == s->place.at + 1)
			continue;
		s->marks[i] = s->place.at + 1;
		switch (step->operation) {
		case STEP_MATCH:
			return true;
		case STEP_BYTE:
			crowd->steps[crowd->n++] = i;
			break;
		case STEP_FORK:
			s->stack[n++] = step->a;
			s->stack[n++] = step->b;
			break;
		case STEP_ASSERTION:
			if (holds(step->assertion, &s->place))
				s->stack[n++] = (uint16_t)(i + 1);
			break;
		}
	}
	return false;
}

/* From one place to the next. */
static bool advance(struct search *s)
{
	unsigned char c = (unsigned char)s->place.bytes[s->place.at++];

	s->next.n = 0;
	for (size_t i = 0; i < s->now.n; i++)
		if (ere_set_has(&s->ere->steps[s->now.steps[i]].set, c) &&
		    reach(s, &s->next, (uint16_t)(s->now.steps[i] + 1)))
			return true;
	s->now.n = s->next.n;
	for (size_t i = 0; i < s->next.n; i++)
		s->now.steps[i] = s->next.steps[i];
	/* A match may begin anywhere. */
	return reach(s, &s->now, 0);
}

int ere_search(const struct ere *e, const char *bytes, size_t size)
{
	_cleanup_free_ struct search *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->ere = e;
	s->place = (struct place){ bytes, size, 0 };
	if (reach(s, &s->now, 0))
		return 1;
	while (s->place.at < size)
		if (advance(s))
			return 1;
	return 0;
}

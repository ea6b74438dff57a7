/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/ere-internal.h"

enum {
	REPEAT_MAX = 32767, /* regcomp()'s RE_DUP_MAX */
};

struct parser {
	const char *at;
	struct ere_tree *tree;
	unsigned depth; /* of open parentheses */
	int error;
};

bool ere_is_word(unsigned char c)
{
	return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
	       c == '_';
}

static bool is_space(unsigned char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* Room was made for all that an expression of its length can have; more is not understood. */
static struct ere_node *add(struct parser *p, enum ere_kind kind)
{
	struct ere_node *node = &p->tree->nodes[p->tree->n];

	if (p->tree->n + 1 < p->tree->room)
		p->tree->n++;
	else
		p->error = -EINVAL;
	*node = (struct ere_node){ .kind = kind };
	return node;
}

static void put(struct ere_set *s, unsigned char c)
{
	s->bits[c / 64] |= UINT64_C(1) << c % 64;
}

static void take_out(struct ere_set *s, unsigned char c)
{
	s->bits[c / 64] &= ~(UINT64_C(1) << c % 64);
}

static void invert(struct ere_set *s)
{
	for (size_t i = 0; i < ERE_BYTES / 64; i++)
		s->bits[i] = ~s->bits[i];
}

static bool is_in_class(const char *name, size_t len, unsigned char c)
{
	bool lower = c >= 'a' && c <= 'z', upper = c >= 'A' && c <= 'Z';
	bool digit = c >= '0' && c <= '9', visible = c > ' ' && c < 0x7f;
	const struct {
		const char *name;
		bool has;
	} classes[] = {
		{ "alpha", lower || upper },
		{ "digit", digit },
		{ "alnum", lower || upper || digit },
		{ "upper", upper },
		{ "lower", lower },
		{ "space", is_space(c) },
		{ "blank", c == ' ' || c == '\t' },
		{ "punct", visible && !lower && !upper && !digit },
		{ "print", visible || c == ' ' },
		{ "graph", visible },
		{ "cntrl", c < ' ' || c == 0x7f },
		{ "xdigit", digit || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') },
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(classes[0]); i++)
		if (strlen(classes[i].name) == len && memcmp(classes[i].name, name, len) == 0)
			return classes[i].has;
	return false;
}

/* "[:alpha:]", "[=a=]" or "[.-.]" within a bracket, p->at behind its first bracket. A byte, or -1: a class. */
static int parse_named(struct parser *p, struct ere_set *set)
{
	const char kind[] = { *p->at, ']', 0 };
	const char *name = p->at + 1, *end = strstr(name, kind);

	if (!end || end == name || (*kind != ':' && end != name + 1)) {
		p->error = -EINVAL;
		return -1;
	}
	p->at = end + 2;
	if (*kind != ':')
		return (unsigned char)*name;
	for (unsigned c = 0; c < ERE_BYTES; c++)
		if (is_in_class(name, (size_t)(end - name), (unsigned char)c))
			put(set, (unsigned char)c);
	return -1;
}

/* A byte that may begin or end a range; -1: it was a class, or an error. */
static int parse_member(struct parser *p, struct ere_set *set)
{
	if (!*p->at) {
		p->error = -EINVAL;
		return -1;
	}
	if (p->at[0] == '[' && p->at[1] && strchr(":=.", p->at[1])) {
		p->at++;
		return parse_named(p, set);
	}
	return (unsigned char)*p->at++;
}

/* Behind the opening bracket. */
static struct ere_node *parse_bracket(struct parser *p)
{
	struct ere_node *node = add(p, ERE_SET);
	bool negated = *p->at == '^';

	p->at += negated;
	for (bool first = true; p->error == 0 && (first || *p->at != ']'); first = false) {
		int from = parse_member(p, &node->set), to = from;

		if (from < 0)
			continue;
		if (p->at[0] == '-' && p->at[1] != ']') {
			p->at++;
			to = parse_member(p, &node->set);
			if (to < from)
				p->error = -EINVAL;
		}
		for (int c = from; c <= to; c++)
			put(&node->set, (unsigned char)c);
	}
	p->at += p->error == 0;
	if (negated) {
		invert(&node->set);
		take_out(&node->set, '\n');
	}
	return node;
}

static struct ere_node *add_byte(struct parser *p, unsigned char c)
{
	struct ere_node *node = add(p, ERE_SET);

	put(&node->set, c);
	return node;
}

static struct ere_node *add_assertion(struct parser *p, enum ere_assertion assertion)
{
	struct ere_node *node = add(p, ERE_ASSERTION);

	node->assertion = assertion;
	return node;
}

static struct ere_node *add_all(struct parser *p, bool (*has)(unsigned char), bool negated)
{
	struct ere_node *node = add(p, ERE_SET);

	for (unsigned c = 0; c < ERE_BYTES; c++)
		if (has((unsigned char)c) != negated)
			put(&node->set, (unsigned char)c);
	return node;
}

/* Behind a backslash. */
static struct ere_node *parse_escape(struct parser *p)
{
	static const char edges[] = "`'<>bB";
	static const enum ere_assertion assertions[] = { ERE_BEGIN,	 ERE_END,
							 ERE_WORD_BEGIN, ERE_WORD_END,
							 ERE_WORD_EDGE,	 ERE_NO_WORD_EDGE };
	char c = *p->at++;
	const char *edge = c ? strchr(edges, c) : NULL;

	if (!c || (c >= '1' && c <= '9')) {
		p->at--;
		p->error = -EINVAL;
	}
	if (edge)
		return add_assertion(p, assertions[edge - edges]);
	if (c == 'w' || c == 'W')
		return add_all(p, ere_is_word, c == 'W');
	if (c == 's' || c == 'S')
		return add_all(p, is_space, c == 'S');
	return add_byte(p, (unsigned char)c);
}

static struct ere_node *parse_choice(struct parser *p);

static struct ere_node *parse_group(struct parser *p)
{
	struct ere_node *node;

	p->depth++;
	node = parse_choice(p);
	p->depth--;
	if (*p->at == ')')
		p->at++;
	else
		p->error = -EINVAL;
	return node;
}

static struct ere_node *parse_any(struct parser *p)
{
	struct ere_node *node = add(p, ERE_SET);

	invert(&node->set);
	take_out(&node->set, '\n');
	take_out(&node->set, '\0');
	return node;
}

static struct ere_node *parse_atom(struct parser *p)
{
	char c = *p->at++;

	switch (c) {
	case '(':
		return parse_group(p);
	case '[':
		return parse_bracket(p);
	case '.':
		return parse_any(p);
	case '^':
		return add_assertion(p, ERE_LINE_BEGIN);
	case '$':
		return add_assertion(p, ERE_LINE_END);
	case '\\':
		return parse_escape(p);
	case '*':
	case '+':
	case '?':
	case '{':
		p->error = -EINVAL;
		return add(p, ERE_EMPTY);
	default:
		return add_byte(p, (unsigned char)c);
	}
}

/* -1: there is none. */
static int parse_number(struct parser *p)
{
	int n = -1;

	while (*p->at >= '0' && *p->at <= '9') {
		n = (n < 0 ? 0 : n) * 10 + (*p->at++ - '0');
		if (n > REPEAT_MAX) {
			p->error = -EINVAL;
			n = 0;
		}
	}
	return n;
}

/* "{2}", "{2,}", "{2,3}", "{,3}", behind the brace. */
static void parse_interval(struct parser *p, struct ere_node *repeat)
{
	int min = parse_number(p), max = min;

	if (*p->at == ',') {
		p->at++;
		max = parse_number(p);
		if (max < 0)
			max = ERE_UNBOUNDED;
		min = min < 0 ? 0 : min;
	}
	repeat->min = min;
	repeat->max = max;
	if (*p->at != '}' || min < 0 || (max != ERE_UNBOUNDED && max < min))
		p->error = -EINVAL;
	else
		p->at++;
}

static struct ere_node *parse_repeated(struct parser *p)
{
	struct ere_node *node = parse_atom(p);

	while (p->error == 0 && *p->at && strchr("*+?{", *p->at)) {
		struct ere_node *repeat = add(p, ERE_REPEAT);
		char c = *p->at++;

		repeat->left = node;
		repeat->min = c == '+';
		repeat->max = c == '?' ? 1 : ERE_UNBOUNDED;
		if (c == '{')
			parse_interval(p, repeat);
		node = repeat;
	}
	return node;
}

/* A closing parenthesis that closes nothing is a byte like others. */
static bool ends_branch(const struct parser *p)
{
	return !*p->at || *p->at == '|' || (*p->at == ')' && p->depth > 0);
}

static struct ere_node *parse_branch(struct parser *p)
{
	struct ere_node *node = add(p, ERE_EMPTY);

	while (p->error == 0 && !ends_branch(p)) {
		struct ere_node *both = add(p, ERE_BOTH);

		both->left = node;
		both->right = parse_repeated(p);
		node = both;
	}
	return node;
}

static struct ere_node *parse_choice(struct parser *p)
{
	struct ere_node *node = parse_branch(p);

	while (p->error == 0 && *p->at == '|') {
		struct ere_node *either = add(p, ERE_EITHER);

		p->at++;
		either->left = node;
		either->right = parse_branch(p);
		node = either;
	}
	return node;
}

int ere_parse(const char *expression, struct ere_tree *ret)
{
	struct ere_tree tree = { .room = 4 * strlen(expression) + 4 };
	struct parser p = { .at = expression, .tree = &tree };

	tree.nodes = calloc(tree.room, sizeof(*tree.nodes));
	if (!tree.nodes)
		return -ENOMEM;
	tree.root = parse_choice(&p);
	if (p.error == 0 && *p.at)
		p.error = -EINVAL;
	if (p.error < 0)
		free(tree.nodes);
	else
		*ret = tree;
	return p.error;
}

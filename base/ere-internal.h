/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The tree of an expression: ere-parse.c makes it, ere.c a program from it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ere.h"

enum {
	ERE_UNBOUNDED = -1,
	ERE_BYTES = 256,
};

enum ere_kind {
	ERE_EMPTY,
	ERE_SET,
	ERE_ASSERTION,
	ERE_BOTH,   /* left, then right */
	ERE_EITHER, /* left or right */
	ERE_REPEAT, /* left, from min to max times */
};

enum ere_assertion {
	ERE_LINE_BEGIN,
	ERE_LINE_END,
	ERE_BEGIN,
	ERE_END,
	ERE_WORD_BEGIN,
	ERE_WORD_END,
	ERE_WORD_EDGE,
	ERE_NO_WORD_EDGE,
};

struct ere_set {
	uint64_t bits[ERE_BYTES / 64];
};

struct ere_node {
	enum ere_kind kind;
	enum ere_assertion assertion;
	int min, max;
	struct ere_node *left, *right; /* borrowed */
	struct ere_set set;
};

/* All nodes of a tree. */
struct ere_tree {
	struct ere_node *nodes; /* owned; does not move */
	size_t n, room;
	struct ere_node *root;
};

int ere_parse(const char *expression, struct ere_tree *ret);
bool ere_is_word(unsigned char c);

static inline bool ere_set_has(const struct ere_set *s, unsigned char c)
{
	return s->bits[c / 64] >> c % 64 & 1;
}

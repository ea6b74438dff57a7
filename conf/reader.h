/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The bytes of a configuration file to its statements, with exact line numbers: lines of any length, LF or CRLF, a
 * byte order mark, comments, continuation lines. Reports what is no statement at all to diags and goes on. Pure.
 *
 * A line that begins with a blank continues the value above it, unless it has the form "word = …": then it is an
 * indented key. Comments begin with ; or #, at the start of a line or after a blank, but not inside of quotes.
 */

#include <stdbool.h>
#include <stddef.h>

struct diag_list;

enum reader_kind {
	READER_SECTION, /* .name: the text between the brackets; NULL = reported as unreadable */
	READER_KEY,	/* .name, .value */
	READER_CONTINUATION, /* .value */
	READER_TEXT,	     /* .value: a line of a plain file */
};

struct reader_line {
	enum reader_kind kind;
	unsigned line;
	char *name;  /* borrowed from the reader until the next call */
	char *value; /* the same; without blanks at either end */
};

struct reader {
	const char *path; /* borrowed */
	const char *text; /* borrowed */
	size_t len, pos;
	unsigned line;
	bool plain;    /* lines of text without sections and keys: a targets-file */
	bool in_value; /* a continuation line has something to continue */
	bool broken;   /* the line that a continuation would continue was reported */
	char *copy;    /* owned: the present line */
	size_t copy_size;
	unsigned seen;		 /* kinds of bytes in the present line, reader.c's own */
	struct diag_list *diags; /* borrowed */
};

/* text need not end in NUL. */
void reader_init(struct reader *r, const char *path, const char *text, size_t len, bool plain,
		 struct diag_list *diags);
void reader_deinit(struct reader *r);

/* 1 and *ret, 0 at the end, -ENOMEM. */
int reader_next(struct reader *r, struct reader_line *ret);

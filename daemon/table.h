/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Tables for people: aligned by characters (not bytes), fitted to the terminal's width by leaving out the least
 * important columns, coloured where wanted; numbers with units. Text from elsewhere is printed without control
 * characters. Pure but for the FILE.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"

enum table_colour {
	TABLE_PLAIN,
	TABLE_DIM,
	TABLE_GREEN,
	TABLE_YELLOW,
	TABLE_RED,
	TABLE_BOLD,
	_TABLE_COLOUR_MAX,
};

struct table_style {
	unsigned width; /* 0 = unlimited */
	bool colour;
};

struct table_column {
	const char *title;
	bool right;	     /* aligned */
	unsigned importance; /* the least goes first when the width does not suffice; 0 = stays */
	bool shrinks;	     /* long texts are cut before any column goes */
};

struct table_cell {
	char *text; /* owned */
	enum table_colour colour;
};

struct table {
	const struct table_column *columns; /* borrowed */
	size_t n_columns;
	struct table_cell *cells; /* owned; row by row */
	size_t n_cells;
	bool out_of_memory; /* cells are missing */
};

void table_init(struct table *t, const struct table_column *columns, size_t n_columns);
void table_deinit(struct table *t);

/* The next cell, left to right, then the next row. */
void table_add(struct table *t, enum table_colour colour, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* With the titles; every line starts with `indent` spaces. */
void table_print(const struct table *t, const struct table_style *style, unsigned indent, FILE *f);

/* Text in a colour, if the style has colours. */
void table_put(FILE *f, const struct table_style *style, enum table_colour colour,
	       const char *text);
/* Text, with '?' for every control character. */
void table_put_text(FILE *f, const char *text);

enum {
	TABLE_NUMBER_MAX = 32,
	TABLE_TIME_MAX = 40,
};

/* "0", "950", "1.2k", "34M": at most three digits and a unit. Returns buf. */
const char *table_format_number(uint64_t n, char buf[static TABLE_NUMBER_MAX]);
/* "45s", "3m12s", "2h05m", "3d04h". Returns buf. */
const char *table_format_duration(usec_t usec, char buf[static TABLE_NUMBER_MAX]);
/* "2026-11-22 10:00:00" of an RFC 3339 text; the text itself when it is none. Returns buf. */
const char *table_format_time(const char *rfc3339, char buf[static TABLE_TIME_MAX]);
/* False when it is none. */
bool table_parse_time(const char *rfc3339, usec_t *ret_wall_usec);

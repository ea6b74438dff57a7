/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/table.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"

enum {
	GAP = 2, /* spaces between columns */
	COLUMNS_MAX = 32,
	SHRUNK = 20, /* characters that a shrinking column keeps at least */
};

static const char *const colours[_TABLE_COLOUR_MAX] = {
	[TABLE_PLAIN] = "",	     [TABLE_DIM] = "\033[2m",	 [TABLE_GREEN] = "\033[32m",
	[TABLE_YELLOW] = "\033[33m", [TABLE_RED] = "\033[1;31m", [TABLE_BOLD] = "\033[1m",
};

void table_init(struct table *t, const struct table_column *columns, size_t n_columns)
{
	*t = (struct table){ .columns = columns, .n_columns = MIN(n_columns, COLUMNS_MAX) };
}

void table_deinit(struct table *t)
{
	for (size_t i = 0; i < t->n_cells; i++)
		free(t->cells[i].text);
	free(t->cells);
	*t = (struct table){ 0 };
}

void table_add(struct table *t, enum table_colour colour, const char *format, ...)
{
	struct table_cell *cells;
	char *text;
	va_list args;
	int len;

	va_start(args, format);
	len = vasprintf(&text, format, args);
	va_end(args);
	if (len < 0) {
		t->out_of_memory = true;
		return;
	}
	cells = reallocarray(t->cells, t->n_cells + 1, sizeof(*cells));
	if (!cells) {
		free(text);
		t->out_of_memory = true;
		return;
	}
	t->cells = cells;
	cells[t->n_cells++] = (struct table_cell){ text, colour };
}

/* Characters of UTF-8: every byte but the continuations. All that ipvsd prints is one column wide. */
static size_t width_of(const char *text)
{
	size_t n = 0;

	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

void table_put_text(FILE *f, const char *text)
{
	for (; *text; text++) {
		unsigned char c = (unsigned char)*text;

		(void)fputc(c < ' ' || c == 0x7f ? '?' : c, f);
	}
}

void table_put(FILE *f, const struct table_style *style, enum table_colour colour, const char *text)
{
	bool coloured = style->colour && colour != TABLE_PLAIN;

	if (coloured)
		(void)fputs(colours[colour], f);
	table_put_text(f, text);
	if (coloured)
		(void)fputs("\033[0m", f);
}

static size_t total_of(const struct table *t, const size_t *widths)
{
	size_t total = 0;

	for (size_t i = 0; i < t->n_columns; i++)
		total += widths[i] ? widths[i] + GAP : 0;
	return total;
}

/* The least important column that may go; n_columns when none may. */
static size_t find_least(const struct table *t, const size_t *widths)
{
	size_t least = t->n_columns;

	for (size_t i = 0; i < t->n_columns; i++) {
		if (widths[i] && t->columns[i].importance &&
		    (least == t->n_columns ||
		     t->columns[i].importance < t->columns[least].importance))
			least = i;
	}
	return least;
}

/* Widths of the columns; 0 = left out. */
static void fit(const struct table *t, unsigned limit, size_t *widths)
{
	size_t natural[COLUMNS_MAX];

	for (size_t i = 0; i < t->n_columns; i++)
		widths[i] = width_of(t->columns[i].title);
	for (size_t i = 0; i < t->n_cells; i++) {
		size_t *width = &widths[i % t->n_columns];

		*width = MAX(*width, width_of(t->cells[i].text));
	}
	if (limit == 0 || total_of(t, widths) <= limit + GAP)
		return;

	for (size_t i = 0; i < t->n_columns; i++) {
		natural[i] = widths[i];
		if (t->columns[i].shrinks)
			widths[i] = MIN(widths[i], MAX(width_of(t->columns[i].title), SHRUNK));
	}
	while (total_of(t, widths) > limit + GAP) {
		size_t least = find_least(t, widths);

		if (least == t->n_columns)
			return;
		widths[least] = 0;
	}
	for (size_t i = 0; i < t->n_columns; i++) {
		size_t room = limit + GAP - total_of(t, widths);

		if (t->columns[i].shrinks && widths[i])
			widths[i] = MIN(natural[i], widths[i] + room);
	}
}

/* The first `width` characters, the last of them an ellipsis if there are more. Owned by the caller. */
static char *cut(const char *text, size_t width)
{
	size_t n = 0;
	const char *end = text;
	char *ret;

	if (width_of(text) <= width)
		return strdup(text);
	for (; *end; end++) {
		n += ((unsigned char)*end & 0xc0) != 0x80;
		if (n == width)
			break;
	}
	return asprintf(&ret, "%.*s…", (int)(end - text), text) < 0 ? NULL : ret;
}

static void pad(FILE *f, size_t n)
{
	while (n-- > 0)
		(void)fputc(' ', f);
}

/* A row's last column is not padded: no line ends in blanks. */
static void print_row(const struct table *t, const struct table_style *style, const size_t *widths,
		      const struct table_cell *cells, FILE *f)
{
	size_t blanks = 0;

	for (size_t i = 0; i < t->n_columns; i++) {
		size_t free_width = widths[i] - MIN(widths[i], width_of(cells[i].text));

		if (widths[i] == 0)
			continue;
		if (t->columns[i].right)
			blanks += free_width;
		if (*cells[i].text) {
			_cleanup_free_ char *text = cut(cells[i].text, widths[i]);

			pad(f, blanks);
			table_put(f, style, cells[i].colour, text ? text : "?");
			blanks = 0;
		}
		if (!t->columns[i].right)
			blanks += free_width;
		blanks += GAP;
	}
	(void)fputc('\n', f);
}

void table_print(const struct table *t, const struct table_style *style, unsigned indent, FILE *f)
{
	struct table_cell titles[COLUMNS_MAX];
	size_t widths[COLUMNS_MAX];

	if (t->n_columns == 0)
		return;
	fit(t, style->width ? style->width - MIN(indent, style->width - 1) : 0, widths);
	for (size_t i = 0; i < t->n_columns; i++)
		titles[i] = (struct table_cell){ (char *)t->columns[i].title, TABLE_DIM };
	pad(f, indent);
	print_row(t, style, widths, titles, f);
	for (size_t i = 0; i + t->n_columns <= t->n_cells; i += t->n_columns) {
		pad(f, indent);
		print_row(t, style, widths, t->cells + i, f);
	}
	if (t->out_of_memory)
		(void)fputs("(out of memory: rows are missing)\n", f);
}

const char *table_format_number(uint64_t n, char buf[static TABLE_NUMBER_MAX])
{
	static const char units[] = " kMGTPE";
	uint64_t whole = n, tenth = 0;
	size_t unit = 0;

	while (whole >= 1000) {
		tenth = whole % 1000 / 100;
		whole /= 1000;
		unit++;
	}
	if (unit == 0)
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64, whole);
	else if (whole < 10)
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 ".%" PRIu64 "%c", whole, tenth,
			       units[unit]);
	else
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 "%c", whole, units[unit]);
	return buf;
}

const char *table_format_duration(usec_t usec, char buf[static TABLE_NUMBER_MAX])
{
	uint64_t s = usec / USEC_PER_SEC;

	if (s < 60)
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 "s", s);
	else if (s < 3600)
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 "m%02" PRIu64 "s", s / 60, s % 60);
	else if (s < 86400)
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 "h%02" PRIu64 "m", s / 3600,
			       s % 3600 / 60);
	else
		(void)snprintf(buf, TABLE_NUMBER_MAX, "%" PRIu64 "d%02" PRIu64 "h", s / 86400,
			       s % 86400 / 3600);
	return buf;
}

bool table_parse_time(const char *rfc3339, usec_t *ret_wall_usec)
{
	struct tm tm = { 0 };
	const char *rest = rfc3339 ? strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) : NULL;
	time_t sec;

	if (!rest)
		return false;
	sec = timegm(&tm);
	if (sec < 0)
		return false;
	*ret_wall_usec = (usec_t)sec * USEC_PER_SEC;
	return true;
}

const char *table_format_time(const char *rfc3339, char buf[static TABLE_TIME_MAX])
{
	struct tm tm = { 0 };

	/* Cut when longer than the buffer: then it is no time anyway. */
	if (!strptime(rfc3339, "%Y-%m-%dT%H:%M:%S", &tm) ||
	    !strftime(buf, TABLE_TIME_MAX, "%Y-%m-%d %H:%M:%S", &tm))
		(void)snprintf(buf, TABLE_TIME_MAX, "%s", rfc3339);
	return buf;
}

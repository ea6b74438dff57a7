/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/reader.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/value.h"

static const char bom[] = "\xef\xbb\xbf";

/* One look at a line tells what need not be searched for in it: most are plain. */
enum {
	BYTE_CONTROL = 1 << 0,
	BYTE_COMMENT = 1 << 1,
	BYTE_BEYOND_ASCII = 1 << 2,
	BYTE_WORD = 1 << 3,
};

static const uint8_t byte_classes[UINT8_MAX + 1] = {
	[0 ... '\t' - 1] = BYTE_CONTROL,
	['\t' + 1 ... 0x1f] = BYTE_CONTROL,
	[0x7f] = BYTE_CONTROL,
	[0x80 ... 0xff] = BYTE_BEYOND_ASCII,
	['#'] = BYTE_COMMENT,
	[';'] = BYTE_COMMENT,
	['A' ... 'Z'] = BYTE_WORD,
	['a' ... 'z'] = BYTE_WORD,
	['0' ... '9'] = BYTE_WORD,
	['-'] = BYTE_WORD,
	['_'] = BYTE_WORD,
};

void reader_init(struct reader *r, const char *path, const char *text, size_t len, bool plain,
		 struct diag_list *diags)
{
	*r = (struct reader){
		.path = path, .text = text, .len = len, .plain = plain, .diags = diags
	};
	if (len >= 3 && memcmp(text, bom, 3) == 0)
		r->pos = 3;
}

void reader_deinit(struct reader *r)
{
	free(r->copy);
	r->copy = NULL;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t';
}

static unsigned class_of(char c)
{
	return byte_classes[(uint8_t)c];
}

/*
 * The classes that occur in s, at least those of what is no plain text: eight bytes at a time while all of them are
 * printable ASCII and none begins a comment. Without a byte beyond ASCII no subtraction below borrows from the next byte
 * unless its own shows.
 */
static unsigned classes_of(const char *s, size_t n)
{
	const uint64_t ones = UINT64_MAX / UINT8_MAX, highs = ones << 7;
	unsigned seen = 0;

	for (uint64_t x; n >= sizeof(x); s += sizeof(x), n -= sizeof(x)) {
		memcpy(&x, s, sizeof(x));
		if (((x | (x + ones) | (x - ones * ' ') | ((x ^ ones * '#') - ones) |
		      ((x ^ ones * ';') - ones)) &
		     highs) == 0)
			continue;
		for (size_t i = 0; i < sizeof(x); i++)
			seen |= class_of(s[i]);
	}
	for (size_t i = 0; i < n; i++)
		seen |= class_of(s[i]);
	return seen;
}

static void report_control(struct reader *r)
{
	const char *c = r->copy;

	while (!(class_of(*c) & BYTE_CONTROL))
		c++;
	diag_add(r->diags, DIAG_ERROR, r->path, r->line, "control character 0x%02x in the line",
		 (uint8_t)*c);
	r->copy[0] = '\0';
	r->broken = true;
}

/* Copies the next line without its end. 1, 0 at the end of the text, -ENOMEM. */
static int take_line(struct reader *r)
{
	const char *start = r->text + r->pos, *newline;
	size_t left = r->len - r->pos, len;

	if (left == 0)
		return 0;
	newline = memchr(start, '\n', left);
	len = newline ? (size_t)(newline - start) : left;
	r->pos += len + (newline ? 1 : 0);
	r->line++;
	if (len > 0 && start[len - 1] == '\r')
		len--;
	if (len + 1 > r->copy_size) {
		size_t size = MAX(len + 1, r->copy_size * 2);
		char *copy = realloc(r->copy, size);

		if (!copy)
			return -ENOMEM;
		r->copy = copy;
		r->copy_size = size;
	}
	memcpy(r->copy, start, len);
	r->copy[len] = '\0';
	r->seen = classes_of(start, len);
	if (r->seen & BYTE_CONTROL)
		report_control(r);
	return 1;
}

/* Past a quoted text; where it has no end, s itself: then its quote is a character like others. */
static char *skip_quoted(char *s)
{
	for (char *p = s + 1; *p; p++) {
		if (*p == '\\' && p[1])
			p++;
		else if (*p == '"')
			return p + 1;
	}
	return s;
}

/* Cuts a comment and blanks off the end, and returns s without blanks before it. */
static char *trim(const struct reader *r, char *s)
{
	char *end;

	while (is_blank(*s))
		s++;
	end = *s == '"' ? skip_quoted(s) : s;
	if (!(r->seen & BYTE_COMMENT))
		end += strlen(end);
	for (; *end; end++) {
		if (class_of(*end) & BYTE_COMMENT && (end == s || is_blank(end[-1]))) {
			*end = '\0';
			break;
		}
	}
	while (end > s && is_blank(end[-1]))
		*--end = '\0';
	return s;
}

static bool take_section(struct reader *r, char *s, struct reader_line *ret)
{
	size_t len;

	s = trim(r, s);
	len = strlen(s);
	r->in_value = false;
	r->broken = false;
	if (s[len - 1] != ']') {
		diag_add(r->diags, DIAG_ERROR, r->path, r->line,
			 "a section header ends in \"]\", but this is %s", s);
		r->broken = true;
		/* what follows belongs to a section that nobody can name */
		*ret = (struct reader_line){ READER_SECTION, r->line, NULL, NULL };
		return true;
	}
	s[len - 1] = '\0';
	*ret = (struct reader_line){ READER_SECTION, r->line, trim(r, s + 1), NULL };
	return true;
}

/* Is this "word =…"? Then returns the place of the equals sign. */
static char *find_equals(char *s)
{
	char *p = s;

	while (class_of(*p) & BYTE_WORD)
		p++;
	if (p == s)
		return NULL;
	while (is_blank(*p))
		p++;
	return *p == '=' ? p : NULL;
}

static bool take_statement(struct reader *r, struct reader_line *ret)
{
	bool indented = is_blank(r->copy[0]);
	char *s = r->copy, *equals;

	while (is_blank(*s))
		s++;
	if (!*s || *s == ';' || *s == '#')
		return false;
	if (r->plain) {
		*ret = (struct reader_line){ READER_TEXT, r->line, NULL, trim(r, s) };
		return true;
	}
	if (*s == '[' && !(indented && r->in_value))
		return take_section(r, s, ret);
	equals = find_equals(s);
	if (equals) {
		char *value = equals + 1;

		while (equals > s && is_blank(equals[-1]))
			equals--;
		*equals = '\0';
		r->in_value = true;
		r->broken = false;
		*ret = (struct reader_line){ READER_KEY, r->line, s, trim(r, value) };
		return true;
	}
	if (indented && r->in_value) {
		*ret = (struct reader_line){ READER_CONTINUATION, r->line, NULL, trim(r, s) };
		return true;
	}
	/* one report is enough for a value that was meant to go on over several lines */
	if (!(indented && r->broken))
		diag_add(r->diags, DIAG_ERROR, r->path, r->line,
			 "expected \"[section]\" or \"key = value\", but this is %s%s", trim(r, s),
			 indented ? "" : "; a line that continues a value begins with a blank");
	r->in_value = false;
	r->broken = true;
	return false;
}

int reader_next(struct reader *r, struct reader_line *ret)
{
	int n;

	while ((n = take_line(r)) > 0) {
		if (!take_statement(r, ret))
			continue;
		/* names and values go into JSON and the journal; comments may hold anything */
		if (!(r->seen & BYTE_BEYOND_ASCII) ||
		    (value_is_utf8(ret->value ? ret->value : "") &&
		     value_is_utf8(ret->name ? ret->name : "")))
			return 1;
		diag_add(r->diags, DIAG_ERROR, r->path, r->line,
			 "bytes that are not UTF-8; save the file in that encoding");
		if (ret->kind == READER_SECTION) {
			ret->name = NULL;
			return 1;
		}
	}
	return n;
}

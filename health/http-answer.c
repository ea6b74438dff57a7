/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/http-answer.h"

#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

enum where {
	IN_VERSION, /* "HTTP/1." */
	IN_MINOR,
	IN_MINOR_END,
	IN_STATUS, /* three digits */
	IN_STATUS_END,
	IN_REASON,
	AT_STATUS_LF,
	AT_FIELD,
	IN_NAME,
	IN_VALUE_START,
	IN_VALUE,
	IN_VALUE_END, /* blanks behind a value that is read */
	AT_VALUE_LF,
	AT_HEADER_LF,
	IN_CHUNK_START,
	IN_CHUNK_SIZE,
	IN_CHUNK_EXTENSION,
	AT_CHUNK_LF,
	IN_CHUNK,
	AT_CHUNK_END,
	AT_CHUNK_END_LF,
	AT_TRAILER,
	IN_TRAILER,
	AT_TRAILER_LF,
	AT_LAST_LF,
	IN_BODY,	/* of a length that is known */
	IN_BODY_TO_END, /* until the server closes */
};

enum field {
	FIELD_NONE, /* before the first */
	FIELD_OTHER,
	FIELD_LENGTH,
	FIELD_ENCODING,
};

static const char version[] = "HTTP/1.";
static const char chunked[] = "chunked";

void http_answer_init(struct http_answer *a, char *body)
{
	*a = (struct http_answer){ .body = body };
}

static bool is_digit(unsigned char c)
{
	return c >= '0' && c <= '9';
}

static char lower(unsigned char c)
{
	return (char)(c >= 'A' && c <= 'Z' ? c | 0x20 : c);
}

/* RFC 9110 §5.6.2: tchar. */
static bool is_token(unsigned char c)
{
	static const bool token[UINT8_MAX + 1] = {
		['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true, ['!'] = true,
		['#'] = true,	      ['$'] = true,	    ['%'] = true,	  ['&'] = true,
		['\''] = true,	      ['*'] = true,	    ['+'] = true,	  ['-'] = true,
		['.'] = true,	      ['^'] = true,	    ['_'] = true,	  ['`'] = true,
		['|'] = true,	      ['~'] = true,
	};

	return token[c];
}

/* RFC 9110 §5.5: a field value's bytes, blanks included; RFC 9112 §4 has the same for a reason phrase. */
static bool is_text(unsigned char c)
{
	return (c >= ' ' && c != 0x7f) || c == '\t';
}

static bool is_blank(unsigned char c)
{
	return c == ' ' || c == '\t';
}

static int hex_digit(unsigned char c)
{
	if (is_digit(c))
		return c - '0';
	c = (unsigned char)lower(c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static enum http_progress go(struct http_answer *a, enum where where)
{
	a->where = (uint8_t)where;
	return HTTP_MORE;
}

static enum http_progress go_if(struct http_answer *a, bool good, enum where where)
{
	return good ? go(a, where) : HTTP_BAD;
}

/* The end of a line in `behind`; where CR came, LF must follow in `at_lf`. */
static bool line_ends(struct http_answer *a, unsigned char c, enum where at_lf, enum where behind)
{
	if (c != '\r' && c != '\n')
		return false;
	(void)go(a, c == '\r' ? at_lf : behind);
	return true;
}

static enum http_progress feed_status_line(struct http_answer *a, unsigned char c)
{
	switch (a->where) {
	case IN_VERSION:
		if (c != (unsigned char)version[a->left])
			return HTTP_BAD;
		a->left++;
		return go(a, version[a->left] ? IN_VERSION : IN_MINOR);
	case IN_MINOR:
		return go_if(a, is_digit(c), IN_MINOR_END);
	case IN_MINOR_END:
		a->left = 0;
		a->status = 0;
		return go_if(a, c == ' ', IN_STATUS);
	case IN_STATUS:
		if (!is_digit(c) || (a->left == 0 && c == '0'))
			return HTTP_BAD;
		a->status = (uint16_t)(a->status * 10 + (c - '0'));
		a->left++;
		return go(a, a->left < 3 ? IN_STATUS : IN_STATUS_END);
	case IN_STATUS_END: /* some servers leave out the blank before an empty reason */
		if (line_ends(a, c, AT_STATUS_LF, AT_FIELD))
			return HTTP_MORE;
		return go_if(a, c == ' ', IN_REASON);
	case IN_REASON:
		if (line_ends(a, c, AT_STATUS_LF, AT_FIELD))
			return HTTP_MORE;
		return go_if(a, is_text(c), IN_REASON);
	default: /* AT_STATUS_LF */
		return go_if(a, c == '\n', AT_FIELD);
	}
}

/* Not of a 204 or a 304, whatever their fields say (RFC 9112 §6.3). */
static enum http_progress begin_body(struct http_answer *a)
{
	if (a->status == 204 || a->status == 304)
		return HTTP_DONE;
	if (a->chunked)
		return go(a, IN_CHUNK_START);
	if (!a->has_length)
		return go(a, IN_BODY_TO_END);
	a->left = a->length;
	return a->left ? go(a, IN_BODY) : HTTP_DONE;
}

static enum http_progress end_header(struct http_answer *a)
{
	if (a->status < 200 && a->status != 101) {
		uint32_t size = a->header_size;

		http_answer_init(a, a->body);
		a->header_size = size;
		return HTTP_MORE;
	}
	a->has_header = true;
	return a->body ? begin_body(a) : HTTP_DONE;
}

static enum field classify(const char *name, size_t size)
{
	static const struct {
		const char *name;
		enum field field;
	} known[] = {
		{ "content-length", FIELD_LENGTH },
		{ "transfer-encoding", FIELD_ENCODING },
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (size == strlen(known[i].name) && strncasecmp(name, known[i].name, size) == 0)
			return known[i].field;
	return FIELD_OTHER;
}

static enum http_progress begin_value(struct http_answer *a)
{
	a->field = (uint8_t)classify(a->name, a->name_size);
	a->left = 0;
	a->name_size = 0; /* from here on: how many bytes of the value were read */
	return go(a, IN_VALUE_START);
}

static enum http_progress read_value(struct http_answer *a, unsigned char c)
{
	if (a->field == FIELD_LENGTH) {
		if (!is_digit(c) || a->left > UINT64_MAX / 10 - 1)
			return HTTP_BAD;
		a->left = a->left * 10 + (c - '0');
		a->name_size = 1;
	} else if (a->field == FIELD_ENCODING && a->name_size < sizeof(chunked)) {
		/* Only "chunked" alone is understood: we asked for no other coding. */
		if (lower(c) != chunked[a->name_size])
			a->name_size = sizeof(chunked);
		else
			a->name_size++;
	}
	return go(a, IN_VALUE);
}

static enum http_progress end_value(struct http_answer *a)
{
	switch (a->field) {
	case FIELD_LENGTH: /* a second one must say the same */
		if (a->name_size == 0 || (a->has_length && a->length != a->left))
			return HTTP_BAD;
		a->has_length = true;
		a->length = a->left;
		return HTTP_MORE;
	case FIELD_ENCODING:
		a->chunked = a->name_size == sizeof(chunked) - 1 && !a->has_encoding;
		a->has_encoding = true;
		return a->chunked || !a->body ? HTTP_MORE : HTTP_BAD;
	default:
		return HTTP_MORE;
	}
}

static enum http_progress feed_value(struct http_answer *a, unsigned char c)
{
	if (line_ends(a, c, AT_VALUE_LF, AT_FIELD))
		return end_value(a);
	if (!is_text(c))
		return HTTP_BAD;
	if (a->where == IN_VALUE_START && is_blank(c))
		return HTTP_MORE;
	if (a->field == FIELD_OTHER)
		return go(a, IN_VALUE);
	if (is_blank(c) && a->where != IN_VALUE_START)
		return go(a, IN_VALUE_END);
	if (a->where == IN_VALUE_END) { /* a second word */
		if (a->field == FIELD_LENGTH)
			return HTTP_BAD;
		a->name_size = sizeof(chunked);
		return HTTP_MORE;
	}
	return read_value(a, c);
}

static enum http_progress feed_field(struct http_answer *a, unsigned char c)
{
	switch (a->where) {
	case AT_FIELD:
		if (is_blank(c))
			return go_if(a, a->field == FIELD_OTHER, IN_VALUE);
		if (c == '\n')
			return end_header(a);
		if (c == '\r')
			return go(a, AT_HEADER_LF);
		a->name_size = 0;
		__attribute__((fallthrough));
	case IN_NAME:
		if (c == ':' && a->name_size > 0)
			return begin_value(a);
		if (!is_token(c))
			return HTTP_BAD;
		if (a->name_size < sizeof(a->name))
			a->name[a->name_size++] = lower(c);
		return go(a, IN_NAME);
	case AT_HEADER_LF:
		return c == '\n' ? end_header(a) : HTTP_BAD;
	case AT_VALUE_LF:
		return go_if(a, c == '\n', AT_FIELD);
	default:
		return feed_value(a, c);
	}
}

static enum http_progress feed_chunk_size(struct http_answer *a, unsigned char c)
{
	int digit = hex_digit(c);

	if (digit >= 0) {
		if (a->where == IN_CHUNK_START)
			a->left = 0;
		if (a->left >> 56)
			return HTTP_BAD;
		a->left = a->left << 4 | (unsigned)digit;
		return go(a, IN_CHUNK_SIZE);
	}
	if (a->where == IN_CHUNK_START)
		return HTTP_BAD;
	if (line_ends(a, c, AT_CHUNK_LF, a->left ? IN_CHUNK : AT_TRAILER))
		return HTTP_MORE;
	return go_if(a, c == ';' || is_blank(c), IN_CHUNK_EXTENSION);
}

/* What stands between the chunks and behind them. */
static enum http_progress feed_framing(struct http_answer *a, unsigned char c)
{
	switch (a->where) {
	case IN_CHUNK_START:
	case IN_CHUNK_SIZE:
		return feed_chunk_size(a, c);
	case IN_CHUNK_EXTENSION:
		if (line_ends(a, c, AT_CHUNK_LF, a->left ? IN_CHUNK : AT_TRAILER))
			return HTTP_MORE;
		return go_if(a, is_text(c), IN_CHUNK_EXTENSION);
	case AT_CHUNK_LF:
		return go_if(a, c == '\n', a->left ? IN_CHUNK : AT_TRAILER);
	case AT_CHUNK_END:
		if (line_ends(a, c, AT_CHUNK_END_LF, IN_CHUNK_START))
			return HTTP_MORE;
		return HTTP_BAD;
	case AT_CHUNK_END_LF:
		return go_if(a, c == '\n', IN_CHUNK_START);
	case AT_TRAILER:
		if (c == '\n')
			return HTTP_DONE;
		if (c == '\r')
			return go(a, AT_LAST_LF);
		return go_if(a, is_token(c), IN_TRAILER);
	case IN_TRAILER:
		if (line_ends(a, c, AT_TRAILER_LF, AT_TRAILER))
			return HTTP_MORE;
		return go_if(a, is_text(c), IN_TRAILER);
	case AT_TRAILER_LF:
		return go_if(a, c == '\n', AT_TRAILER);
	default: /* AT_LAST_LF */
		return c == '\n' ? HTTP_DONE : HTTP_BAD;
	}
}

/* Takes *used bytes of the body. */
static enum http_progress feed_body(struct http_answer *a, const char *bytes, size_t size,
				    size_t *ret_used)
{
	bool to_end = a->where == IN_BODY_TO_END;
	size_t n = to_end ? size : (size_t)MIN(a->left, (uint64_t)size);
	size_t room = HTTP_ANSWER_BODY_MAX - a->body_size;

	memcpy(a->body + a->body_size, bytes, MIN(n, room));
	a->body_size += MIN(n, room);
	if (n > room)
		return HTTP_TOO_LARGE;
	*ret_used = n;
	if (to_end)
		return HTTP_MORE;
	a->left -= n;
	if (a->left)
		return HTTP_MORE;
	return a->where == IN_BODY ? HTTP_DONE : go(a, AT_CHUNK_END);
}

static enum http_progress feed_byte(struct http_answer *a, unsigned char c)
{
	if (++a->header_size > HTTP_ANSWER_HEADER_MAX)
		return HTTP_TOO_LARGE;
	if (a->where <= AT_STATUS_LF)
		return feed_status_line(a, c);
	return a->where <= AT_HEADER_LF ? feed_field(a, c) : feed_framing(a, c);
}

/*
 * The length of a field line that is whole, good and none of those that matter: most of an answer, and a tenth of the
 * work that its bytes would be one by one. 0: feed_byte() is to see.
 */
static size_t skip_field(const char *bytes, size_t size)
{
	size_t n = 0;

	while (n < size && is_token((unsigned char)bytes[n]))
		n++;
	if (n == size || n == 0 || bytes[n] != ':' || classify(bytes, n) != FIELD_OTHER)
		return 0;
	for (n++; n < size && is_text((unsigned char)bytes[n]); n++)
		;
	if (n < size && bytes[n] == '\r')
		n++;
	return n < size && bytes[n] == '\n' ? n + 1 : 0;
}

static enum http_progress feed_header(struct http_answer *a, const char *bytes, size_t size,
				      size_t *ret_used)
{
	size_t room = HTTP_ANSWER_HEADER_MAX - a->header_size;

	*ret_used = a->where == AT_FIELD ? skip_field(bytes, MIN(size, room)) : 0;
	a->header_size += (uint32_t)*ret_used;
	if (*ret_used) {
		a->field = FIELD_OTHER;
		return HTTP_MORE;
	}
	*ret_used = 1;
	return feed_byte(a, (unsigned char)*bytes);
}

enum http_progress http_answer_feed(struct http_answer *a, const char *bytes, size_t size)
{
	enum http_progress progress = HTTP_MORE;

	for (size_t i = 0; i < size && progress == HTTP_MORE;) {
		size_t used = 0;

		if (a->where == IN_CHUNK || a->where >= IN_BODY)
			progress = feed_body(a, bytes + i, size - i, &used);
		else
			progress = feed_header(a, bytes + i, size - i, &used);
		i += used;
	}
	return progress;
}

enum http_progress http_answer_end(const struct http_answer *a)
{
	return a->where == IN_BODY_TO_END ? HTTP_DONE : HTTP_MORE;
}

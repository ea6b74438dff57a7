/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reads an HTTP/1.x answer (RFC 9112) in pieces of any length, only as far as a health check needs it: the status, and
 * where a body is wanted its bytes without their framing. Interim answers (1xx but 101) are skipped. Strict: bytes that
 * no sender of HTTP/1.x may send make it bad; a line may end with a bare LF, as RFC 9112 §2.2 allows, and the value of a
 * field that means nothing here may go on in a folded line, as §5.2 demands of who reads an answer. Pure.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	HTTP_ANSWER_HEADER_MAX = 32 * 1024, /* status lines, fields, chunk sizes, trailers in all */
	HTTP_ANSWER_BODY_MAX = 64 * 1024,
};

enum http_progress {
	HTTP_MORE,
	HTTP_DONE, /* the header, or where it is wanted the body, is complete */
	HTTP_BAD,
	HTTP_TOO_LARGE,
	_HTTP_PROGRESS_MAX,
};

struct http_answer {
	uint16_t status; /* valid as soon as has_header */
	bool has_header; /* the final one is complete */
	char *body;	 /* borrowed, HTTP_ANSWER_BODY_MAX bytes; NULL = none is wanted */
	size_t body_size;

	/* What follows is the parser's own. */
	uint8_t where;
	uint8_t field; /* which header field this line is, or the last one was, if any that matters */
	uint8_t name_size;
	bool chunked, has_length, has_encoding;
	uint32_t header_size;
	uint64_t length; /* as Content-Length says */
	uint64_t left;	 /* of the body or of a chunk; a number or a word that is being read */
	char name[20];	 /* of a field, in lower case, as far as it can matter */
};

/* body: room for HTTP_ANSWER_BODY_MAX bytes, or NULL: then the answer is complete with its header. */
void http_answer_init(struct http_answer *a, char *body);

/* After anything but HTTP_MORE no more is to be fed. */
enum http_progress http_answer_feed(struct http_answer *a, const char *bytes, size_t size);

/* The server has closed: does that complete the answer (HTTP_DONE), or is it cut off (HTTP_MORE)? */
enum http_progress http_answer_end(const struct http_answer *a);

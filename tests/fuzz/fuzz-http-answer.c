/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * An answer from a target: read at once and byte by byte, it is the same, whatever it is; and nothing is written beyond
 * the body's room.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "health/http-answer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static enum http_progress read_in_pieces(struct http_answer *a, const char *bytes, size_t size,
					 size_t piece)
{
	enum http_progress progress = HTTP_MORE;

	for (size_t i = 0; i < size && progress == HTTP_MORE; i += piece)
		progress = http_answer_feed(a, bytes + i, MIN(piece, size - i));
	return progress;
}

static void compare(const char *bytes, size_t size, bool wants_body)
{
	/* On the heap, where the sanitizer guards their ends. */
	_cleanup_free_ char *body = wants_body ? malloc(HTTP_ANSWER_BODY_MAX) : NULL;
	_cleanup_free_ char *other_body = wants_body ? malloc(HTTP_ANSWER_BODY_MAX) : NULL;
	struct http_answer a, b;
	enum http_progress progress;

	http_answer_init(&a, body);
	http_answer_init(&b, other_body);
	progress = read_in_pieces(&a, bytes, size, size ? size : 1);
	assert(progress < _HTTP_PROGRESS_MAX);
	assert(progress == read_in_pieces(&b, bytes, size, 1));
	assert(a.has_header == b.has_header && a.body_size == b.body_size);
	assert(a.body_size <= HTTP_ANSWER_BODY_MAX && (wants_body || a.body_size == 0));
	assert(progress != HTTP_DONE || a.has_header);
	if (a.has_header)
		assert(a.status == b.status && a.status >= 101 && a.status <= 999);
	if (wants_body)
		assert(memcmp(body, other_body, a.body_size) == 0);
	if (progress == HTTP_MORE)
		assert(http_answer_end(&a) == http_answer_end(&b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	compare((const char *)data, size, false);
	compare((const char *)data, size, true);
	return 0;
}

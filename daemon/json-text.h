/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * JSON written member by member into a memory stream: ten thousand targets are written in the time that a tree of
 * values takes to build. The stream's own error flag (out of memory) is looked at once, by json_text_finish().
 * Not for two threads: the stream is not locked.
 */

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct json_text {
	FILE *stream; /* owned until finished */
	char *text;   /* owned until finished */
	size_t len_bytes;
};

/* -ENOMEM. */
int json_text_begin(struct json_text *j);

/* The text, owned by the caller; the object is over, whatever the result. -ENOMEM. */
int json_text_finish(struct json_text *j, char **ret_text, size_t *ret_len_bytes);

/* As it is: punctuation, or text that is JSON already. */
void json_text_raw(struct json_text *j, const char *text);

/* `s` is UTF-8. */
void json_text_string(struct json_text *j, const char *s);
void json_text_int(struct json_text *j, int64_t value);

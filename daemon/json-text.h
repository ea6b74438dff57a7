/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * JSON written member by member into a text that grows: ten thousand targets are written in a fraction of the time and
 * memory that a tree of values takes. Whether memory ran out is looked at once, by json_text_finish().
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

struct json_text {
	char *text; /* owned until finished */
	size_t len_bytes, size_bytes;
	bool failed;
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
void json_text_bool(struct json_text *j, bool value);

/* A member that is not its object's first. */
void json_text_member(struct json_text *j, const char *name);
void json_text_member_string(struct json_text *j, const char *name, const char *s);
void json_text_member_int(struct json_text *j, const char *name, int64_t value);
void json_text_member_bool(struct json_text *j, const char *name, bool value);
/* RFC 3339; null for 0, "never". */
void json_text_member_time(struct json_text *j, const char *name, usec_t wall_usec);

/* Any value, which it takes; NULL counts as out of memory. */
void json_text_tree(struct json_text *j, json_t *tree);

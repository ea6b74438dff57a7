/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/json-text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/rfc3339.h"

enum {
	FIRST_BYTES = 1024,
};

/* There is always room for the NUL, too. */
static bool reserve(struct json_text *j, size_t len_bytes)
{
	size_t size = MAX(j->size_bytes, (size_t)FIRST_BYTES);
	char *grown;

	if (j->failed || j->size_bytes - j->len_bytes > len_bytes)
		return !j->failed;
	while (size - j->len_bytes <= len_bytes)
		size *= 2;
	grown = realloc(j->text, size);
	if (!grown) {
		j->failed = true;
		return false;
	}
	j->text = grown;
	j->size_bytes = size;
	return true;
}

static void append(struct json_text *j, const char *bytes, size_t len_bytes)
{
	if (!reserve(j, len_bytes))
		return;
	memcpy(j->text + j->len_bytes, bytes, len_bytes);
	j->len_bytes += len_bytes;
}

int json_text_begin(struct json_text *j)
{
	*j = (struct json_text){ 0 };
	return reserve(j, 0) ? 0 : -ENOMEM;
}

int json_text_finish(struct json_text *j, char **ret_text, size_t *ret_len_bytes)
{
	if (j->failed) {
		free(j->text);
		j->text = NULL;
		return -ENOMEM;
	}
	j->text[j->len_bytes] = '\0';
	*ret_text = take_ptr(j->text);
	*ret_len_bytes = j->len_bytes;
	return 0;
}

void json_text_raw(struct json_text *j, const char *text)
{
	append(j, text, strlen(text));
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c != '"' && c != '\\';
}

void json_text_string(struct json_text *j, const char *s)
{
	append(j, "\"", 1);
	while (*s) {
		unsigned char c;
		char escape[8];
		size_t n = 0;

		while (is_plain((unsigned char)s[n]))
			n++;
		append(j, s, n);
		s += n;
		c = (unsigned char)*s;
		if (!c)
			break;
		append(j, escape,
		       (size_t)snprintf(escape, sizeof(escape), c < 0x20 ? "\\u%04x" : "\\%c", c));
		s++;
	}
	append(j, "\"", 1);
}

void json_text_int(struct json_text *j, int64_t value)
{
	char digits[24], *end = digits + sizeof(digits), *p = end;
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--p = '-';
	append(j, p, (size_t)(end - p));
}

void json_text_bool(struct json_text *j, bool value)
{
	json_text_raw(j, value ? "true" : "false");
}

void json_text_member(struct json_text *j, const char *name)
{
	append(j, ",\"", 2);
	append(j, name, strlen(name));
	append(j, "\":", 2);
}

void json_text_member_string(struct json_text *j, const char *name, const char *s)
{
	json_text_member(j, name);
	json_text_string(j, s);
}

void json_text_member_int(struct json_text *j, const char *name, int64_t value)
{
	json_text_member(j, name);
	json_text_int(j, value);
}

void json_text_member_bool(struct json_text *j, const char *name, bool value)
{
	json_text_member(j, name);
	json_text_bool(j, value);
}

void json_text_member_time(struct json_text *j, const char *name, usec_t wall_usec)
{
	char text[RFC3339_MAX];

	json_text_member(j, name);
	if (wall_usec)
		json_text_string(j, rfc3339_format(wall_usec, text));
	else
		json_text_raw(j, "null");
}

static int on_dump(const char *bytes, size_t len_bytes, void *userdata)
{
	append(userdata, bytes, len_bytes);
	return 0;
}

void json_text_tree(struct json_text *j, json_t *tree)
{
	if (!tree || json_dump_callback(tree, on_dump, j,
					JSON_COMPACT | JSON_PRESERVE_ORDER | JSON_ENCODE_ANY) < 0)
		j->failed = true;
	json_decref(tree);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/json-text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/cleanup.h"

int json_text_begin(struct json_text *j)
{
	*j = (struct json_text){ 0 };
	j->stream = open_memstream(&j->text, &j->len_bytes);
	return j->stream ? 0 : -ENOMEM;
}

int json_text_finish(struct json_text *j, char **ret_text, size_t *ret_len_bytes)
{
	bool failed = ferror_unlocked(j->stream);

	failed |= fclose(j->stream) != 0;
	j->stream = NULL;
	if (failed) {
		free(j->text);
		j->text = NULL;
		return -ENOMEM;
	}
	*ret_text = take_ptr(j->text);
	*ret_len_bytes = j->len_bytes;
	return 0;
}

void json_text_raw(struct json_text *j, const char *text)
{
	(void)fputs_unlocked(text, j->stream);
}

void json_text_string(struct json_text *j, const char *s)
{
	(void)putc_unlocked('"', j->stream);
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if (c < 0x20) {
			(void)fprintf(j->stream, "\\u%04x", c);
			continue;
		}
		if (c == '"' || c == '\\')
			(void)putc_unlocked('\\', j->stream);
		(void)putc_unlocked(c, j->stream);
	}
	(void)putc_unlocked('"', j->stream);
}

void json_text_int(struct json_text *j, int64_t value)
{
	char digits[24], *p = digits + sizeof(digits);
	uint64_t rest = value < 0 ? 0 - (uint64_t)value : (uint64_t)value;

	*--p = '\0';
	do {
		*--p = (char)('0' + rest % 10);
		rest /= 10;
	} while (rest);
	if (value < 0)
		*--p = '-';
	(void)fputs_unlocked(p, j->stream);
}

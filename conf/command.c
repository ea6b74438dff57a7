/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/command.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Copies the word at *from to `to`, which is not behind it, and leaves *from on the blank or NUL that ends it. */
static char *take_word(char **from, char *to)
{
	char quote = '\0', *p = *from;

	for (; *p && (quote || !is_blank(*p)); p++) {
		if (quote ? *p == quote : *p == '\'' || *p == '"') {
			quote = quote ? '\0' : *p;
			continue;
		}
		if (*p == '\\' && quote != '\'' && *++p == '\0')
			return NULL;
		*to++ = *p;
	}
	*from = p;
	return quote ? NULL : to;
}

int command_split(char *text, char *argv[static COMMAND_WORDS_MAX + 1])
{
	char *from = text, *to = text;
	int n = 0;

	for (;;) {
		while (is_blank(*from))
			from++;
		if (!*from)
			break;
		if (n == COMMAND_WORDS_MAX)
			return -E2BIG;
		argv[n++] = to;
		to = take_word(&from, to);
		if (!to)
			return -EINVAL;
		if (*from)
			from++;
		*to++ = '\0';
	}
	argv[n] = NULL;
	return n;
}

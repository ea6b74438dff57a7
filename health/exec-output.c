/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/exec-output.h"

#include <string.h>

#include "health/agent-line.h"

static void trim(const char **text, size_t *n)
{
	while (*n && strchr(" \t\r", **text)) {
		(*text)++;
		(*n)--;
	}
	while (*n && strchr(" \t\r", (*text)[*n - 1]))
		(*n)--;
}

static void take_line(const char *line, size_t n, int32_t *weight)
{
	static const char word[] = "weight";
	int32_t percent;

	trim(&line, &n);
	if (n <= strlen(word) || memcmp(line, word, strlen(word)) != 0 ||
	    !strchr(" \t", line[strlen(word)]))
		return;
	line += strlen(word);
	n -= strlen(word);
	trim(&line, &n);
	if (agent_percent_parse(line, n, &percent) == 0)
		*weight = percent;
}

int32_t exec_output_weight(const char *text, size_t n)
{
	int32_t weight = -1;

	while (n) {
		const char *end = memchr(text, '\n', n);
		size_t size = end ? (size_t)(end - text) : n;

		take_line(text, size, &weight);
		size += end != NULL;
		text += size;
		n -= size;
	}
	return weight;
}

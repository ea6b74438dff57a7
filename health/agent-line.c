/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/agent-line.h"

#include <errno.h>
#include <string.h>
#include <strings.h>

#include "base/cleanup.h"

enum word_kind {
	WORD_OPERATION, /* up or down */
	WORD_ADMINISTRATION,
};

static const struct {
	const char *name;
	enum word_kind kind;
	enum probe_advice advice;
} words[] = {
	{ "up", WORD_OPERATION, PROBE_ADVICE_UP },
	{ "down", WORD_OPERATION, PROBE_ADVICE_DOWN },
	{ "fail", WORD_OPERATION, PROBE_ADVICE_DOWN },
	{ "failed", WORD_OPERATION, PROBE_ADVICE_DOWN },
	{ "stopped", WORD_OPERATION, PROBE_ADVICE_DOWN },
	{ "ready", WORD_ADMINISTRATION, PROBE_ADVICE_READY },
	{ "drain", WORD_ADMINISTRATION, PROBE_ADVICE_DRAIN },
	{ "maint", WORD_ADMINISTRATION, PROBE_ADVICE_MAINT },
};

int agent_percent_parse(const char *word, size_t n, int32_t *ret)
{
	int32_t percent = 0;

	if (n < 2 || word[n - 1] != '%')
		return -EINVAL;
	for (size_t i = 0; i + 1 < n; i++) {
		if (word[i] < '0' || word[i] > '9')
			return -EINVAL;
		percent = MIN(percent * 10 + (word[i] - '0'), PROBE_WEIGHT_PERCENT_MAX);
	}
	*ret = percent;
	return 0;
}

static bool take_word(const char *word, size_t n, enum probe_advice *operation,
		      struct agent_report *report)
{
	static const char maxconn[] = "maxconn:";

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if (strlen(words[i].name) != n || strncasecmp(words[i].name, word, n) != 0)
			continue;
		if (words[i].kind == WORD_OPERATION)
			*operation = words[i].advice;
		else
			report->advice = words[i].advice;
		return true;
	}
	if (n >= strlen(maxconn) && strncasecmp(word, maxconn, strlen(maxconn)) == 0)
		return true;
	return agent_percent_parse(word, n, &report->weight_percent) == 0;
}

static bool is_separator(char c)
{
	return c == ' ' || c == '\t' || c == ',';
}

int agent_line_parse(const char *line, size_t n, struct agent_report *ret)
{
	struct agent_report report = { .advice = PROBE_ADVICE_NONE, .weight_percent = -1 };
	enum probe_advice operation = PROBE_ADVICE_NONE;
	const char *description = memchr(line, '#', n);
	size_t at = 0;
	bool any = false;

	if (description)
		n = (size_t)(description - line);
	while (at < n) {
		size_t begin = at;

		while (at < n && !is_separator(line[at]))
			at++;
		any |= at > begin && take_word(line + begin, at - begin, &operation, &report);
		at++;
	}
	if (!any)
		return -EINVAL;
	report.down = operation == PROBE_ADVICE_DOWN;
	if (report.advice == PROBE_ADVICE_NONE)
		report.advice = operation;
	*ret = report;
	return 0;
}

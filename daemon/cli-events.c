/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/table.h"

enum {
	WAIT_SECONDS = 30,
	PATH_MAX_LEN = 80,
};

static const char *text_of(const json_t *event, const char *name)
{
	const char *text = json_string_value(json_object_get(event, name));

	return text ? text : "";
}

static void print_event(const json_t *event)
{
	char time[TABLE_TIME_MAX];

	table_format_time(text_of(event, "time"), time);
	(void)printf("%s  %-7s ", time, text_of(event, "kind"));
	/* Texts carry what targets and files say: no control characters reach the terminal. */
	if (*text_of(event, "object")) {
		table_put_text(stdout, text_of(event, "object"));
		(void)fputs(": ", stdout);
	}
	table_put_text(stdout, text_of(event, "text"));
	(void)putchar('\n');
}

/* One object a line, so that a pipe can follow. */
static void print_event_json(const json_t *event)
{
	(void)json_dumpf(event, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
	(void)putchar('\n');
}

static int print_events(const struct cli *cli, const json_t *events, size_t first)
{
	for (size_t i = first; i < json_array_size(events); i++) {
		if (cli->json)
			print_event_json(json_array_get(events, i));
		else
			print_event(json_array_get(events, i));
	}
	return fflush(stdout) == EOF ? CLI_FAILED : CLI_OK;
}

/* A restarted daemon counts from 1 again. */
static uint64_t next_after(uint64_t after, const json_t *report)
{
	json_int_t last = json_integer_value(json_object_get(report, "last"));

	return last < 0 || (uint64_t)last < after ? 0 : (uint64_t)last;
}

int cli_events(const struct cli *cli)
{
	char path[PATH_MAX_LEN] = "/v1/events";
	uint64_t after = 0;
	bool first = true;
	int status;

	do {
		json_t *report = NULL, *events;
		size_t skip = 0;

		status = cli_ask(cli, "GET", path, NULL, WAIT_SECONDS + 10, &report);
		if (status != CLI_OK)
			return status;
		events = json_object_get(report, "events");
		if (first && cli->lines >= 0 && json_array_size(events) > (size_t)cli->lines)
			skip = json_array_size(events) - (size_t)cli->lines;
		status = print_events(cli, events, skip);
		after = next_after(after, report);
		first = false;
		json_decref(report);
		(void)snprintf(path, sizeof(path), "/v1/events?after=%" PRIu64 "&wait=%d", after,
			       WAIT_SECONDS);
	} while (cli->follow && status == CLI_OK);
	return status;
}

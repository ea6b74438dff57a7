/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/value.h"
#include "daemon/rfc3339.h"
#include "daemon/table.h"

enum {
	WAIT_SECONDS = 30,
};

static void print_event(const json_t *event)
{
	char time[TABLE_TIME_MAX];

	table_format_time(cli_text(event, "time"), time);
	(void)printf("%s  %-7s ", time, cli_text(event, "kind"));
	/* Texts carry what targets and files say: no control characters reach the terminal. */
	if (*cli_text(event, "object")) {
		table_put_text(stdout, cli_text(event, "object"));
		(void)fputs(": ", stdout);
	}
	table_put_text(stdout, cli_text(event, "text"));
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

/* "10m" is a time ago; everything else is a time, as it is printed or as in RFC 3339. */
static int parse_since(const struct cli *cli, char buf[static RFC3339_MAX])
{
	usec_t ago, now = clock_wall_usec();
	size_t len = strlen(cli->since);

	if (value_parse_duration(cli->since, &ago) == 0) {
		(void)rfc3339_format(ago < now ? now - ago : 0, buf);
		return CLI_OK;
	}
	if (len + 2 < RFC3339_MAX) {
		bool utc = len && cli->since[len - 1] == 'Z';

		(void)stpcpy(stpcpy(buf, cli->since), utc ? "" : "Z");
		for (char *c = buf; *c; c++)
			*c = *c == ' ' ? 'T' : *c;
		if (table_parse_time(buf, &now))
			return CLI_OK;
	}
	(void)fprintf(stderr,
		      "ipvsd events: --since: \"%s\" is neither a duration such as 10m nor a time "
		      "such as 2026-11-22T10:00:00Z\n",
		      cli->since);
	return CLI_USAGE;
}

/* NULL = no memory. */
static char *events_path(const struct cli *cli, const char *since, uint64_t after, bool wait)
{
	char after_text[24], wait_text[24];

	(void)snprintf(after_text, sizeof(after_text), "%" PRIu64, after);
	(void)snprintf(wait_text, sizeof(wait_text), "%d", WAIT_SECONDS);
	return cli_query("/v1/events",
			 (const char *const[][2]){ { "after", wait ? after_text : NULL },
						   { "wait", wait ? wait_text : NULL },
						   { "since", since },
						   { "group", cli->group },
						   { "target", cli->target } },
			 5);
}

int cli_events(const struct cli *cli)
{
	char since[RFC3339_MAX];
	uint64_t after = 0;
	bool first = true;
	int status = cli->since ? parse_since(cli, since) : CLI_OK;

	if (status != CLI_OK)
		return status;
	do {
		_cleanup_free_ char *path =
			events_path(cli, cli->since ? since : NULL, after, !first);
		json_t *report = NULL, *events;
		size_t skip = 0;

		if (!path)
			return cli_fail(cli, "out of memory");
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
	} while (cli->follow && status == CLI_OK);
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* describe-target-health: JSON as `aws elbv2` prints it, or a table for people. */

#include "daemon/cli.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "daemon/table.h"

enum {
	DESCRIBE_SECONDS = 30,
};

DEFINE_CLEANUP(json_t *, json_decref)

static const char *dash(const char *text)
{
	return *text ? text : "-";
}

static void add_row(struct table *t, const json_t *d)
{
	const json_t *target = json_object_get(d, "Target");
	const json_t *health = json_object_get(d, "TargetHealth");
	const char *state = cli_text(health, "State");

	table_add(t, TABLE_PLAIN, "%s", cli_text(target, "Id"));
	table_add(t, TABLE_PLAIN, "%lld",
		  (long long)json_integer_value(json_object_get(target, "Port")));
	table_add(t, TABLE_PLAIN, "%s", dash(cli_text(target, "AvailabilityZone")));
	table_add(t, TABLE_PLAIN, "%s", cli_text(d, "HealthCheckPort"));
	table_add(t,
		  !strcmp(state, "healthy")			      ? TABLE_GREEN
		  : !strncmp(state, "unhealthy", strlen("unhealthy")) ? TABLE_RED
								      : TABLE_YELLOW,
		  "%s", state);
	table_add(t, TABLE_PLAIN, "%s", dash(cli_text(health, "Reason")));
	table_add(t, TABLE_PLAIN, "%s", dash(cli_text(json_object_get(d, "Ipvsd"), "Detail")));
	table_add(t, TABLE_PLAIN, "%s", dash(cli_text(health, "Description")));
}

static void print_table(const json_t *list)
{
	static const struct table_column columns[] = {
		{ "ID", false, 0, false },    { "PORT", true, 0, false },
		{ "ZONE", false, 2, false },  { "CHECKED", true, 1, false },
		{ "STATE", false, 0, false }, { "REASON", false, 0, false },
		{ "DETAIL", false, 4, true }, { "DESCRIPTION", false, 3, true },
	};
	_cleanup_(table_deinit) struct table t;
	struct table_style style = { .width = 0 };
	struct winsize size;
	const json_t *d;
	size_t i;

	if (isatty(STDOUT_FILENO)) {
		const char *no_colour = getenv("NO_COLOR");

		style.colour = !no_colour || !*no_colour;
		if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0)
			style.width = size.ws_col;
	}
	table_init(&t, columns, ARRAY_SIZE(columns));
	json_array_foreach (list, i, d)
		add_row(&t, d);
	table_print(&t, &style, 0, stdout);
}

/* "Id=… Id=…": those of --targets and those behind the group, as aws takes them. NULL = none. */
static int join_targets(const struct cli *cli, char **ret)
{
	_cleanup_free_ char *joined = NULL;
	size_t len = 1;
	char *end;

	*ret = NULL;
	for (int i = 0; i < cli->n_targets; i++)
		len += strlen(cli->targets[i]) + 1;
	for (int i = 1; i < cli->n_args; i++)
		len += strlen(cli->args[i]) + 1;
	if (len == 1)
		return CLI_OK;
	end = joined = calloc(1, len);
	if (!joined)
		return cli_fail(cli, "out of memory");
	for (int i = 0; i < cli->n_targets; i++)
		end = stpcpy(stpcpy(end, cli->targets[i]), " ");
	for (int i = 1; i < cli->n_args; i++)
		end = stpcpy(stpcpy(end, cli->args[i]), " ");
	end[-1] = '\0';
	*ret = take_ptr(joined);
	return CLI_OK;
}

int cli_describe_target_health(const struct cli *cli)
{
	_cleanup_free_ char *targets = NULL, *path = NULL;
	_cleanup_(json_decref_p) json_t *report = NULL;
	bool table = cli->output && !strcmp(cli->output, "table");
	int status;

	if (cli->output && !table && strcmp(cli->output, "json") != 0) {
		(void)fprintf(stderr, "ipvsd %s: --output: json or table\n", cli->verb->name);
		return CLI_USAGE;
	}
	status = join_targets(cli, &targets);
	if (status != CLI_OK)
		return status;
	path = cli_query(
		"/v1/describe-target-health",
		(const char *const[][2]){ { "group", cli->args[0] }, { "targets", targets } }, 2);
	if (!path)
		return cli_fail(cli, "out of memory");
	status = cli_ask(cli, "GET", path, NULL, DESCRIBE_SECONDS, &report);
	if (status != CLI_OK)
		return status;
	if (!table)
		return cli_print_json(report);
	print_table(json_object_get(report, "TargetHealthDescriptions"));
	return CLI_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* explain: the weight of a target, factor by factor; its last probes; what comes next. */

#include "daemon/cli.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/table.h"

enum {
	EXPLAIN_SECONDS = 30,
};

DEFINE_CLEANUP(json_t *, json_decref)

static json_int_t number(const json_t *object, const char *name)
{
	return json_integer_value(json_object_get(object, name));
}

static void print_state(const json_t *t)
{
	char since[TABLE_TIME_MAX];

	table_put_text(stdout, cli_text(t, "group"));
	(void)putchar('/');
	table_put_text(stdout, cli_text(t, "target"));
	(void)printf(": %s since %s UTC, weight %lld\n", cli_text(t, "state"),
		     table_format_time(cli_text(t, "since"), since),
		     (long long)number(t, "weight"));
	if (*cli_text(t, "reason"))
		(void)printf("  %s: %s\n", cli_text(t, "reason"), cli_text(t, "description"));
	if (*cli_text(t, "held"))
		(void)printf("  ! its verdict is held: %s\n", cli_text(t, "held"));
}

/* A factor of 1 that says nothing special is left out of the lines, not of the product. */
static void print_factors(const json_t *factors)
{
	const json_t *f;
	size_t i;

	(void)fputs("  weight =", stdout);
	json_array_foreach (factors, i, f)
		(void)printf("%s %s %.4g", i ? " x" : "", cli_text(f, "name"),
			     json_number_value(json_object_get(f, "value")));
	(void)putchar('\n');
	json_array_foreach (factors, i, f) {
		(void)printf("    %-10s %6.4g  ", cli_text(f, "name"),
			     json_number_value(json_object_get(f, "value")));
		table_put_text(stdout, cli_text(f, "text"));
		(void)putchar('\n');
	}
}

static void print_listeners(const json_t *listeners)
{
	const json_t *l;
	size_t i;

	json_array_foreach (listeners, i, l)
		(void)printf("  listener %s: the group has %lld of %lld parts of its new "
			     "connections\n",
			     cli_text(l, "listener"), (long long)number(l, "weight"),
			     (long long)number(l, "of"));
}

static void print_check(const json_t *t)
{
	const json_t *c = json_object_get(t, "check");

	if (!strcmp(cli_text(c, "protocol"), "none")) {
		(void)puts("  health check: none");
		return;
	}
	(void)printf("  health check: %s on port %lld every %g s, timeout %g s, up after %lld, "
		     "down after %lld\n",
		     cli_text(c, "protocol"), (long long)number(c, "port"),
		     (double)number(c, "interval_ms") / 1e3, (double)number(c, "timeout_ms") / 1e3,
		     (long long)number(c, "healthy_threshold"),
		     (long long)number(c, "unhealthy_threshold"));
	(void)printf("  in a row: %lld good, %lld failed; last result that counts %.1f s ago\n",
		     (long long)number(t, "successes"), (long long)number(t, "failures"),
		     (double)number(t, "verdict_age_ms") / 1e3);
}

static void print_results(const json_t *results)
{
	char time[TABLE_TIME_MAX];
	const json_t *r;
	size_t i;

	if (json_array_size(results))
		(void)puts("  last probes:");
	json_array_foreach (results, i, r) {
		const char *note = cli_text(r, "note");

		(void)printf("    %s  %-10s %8.1f ms  ",
			     table_format_time(cli_text(r, "time"), time), cli_text(r, "state"),
			     (double)number(r, "duration_us") / 1e3);
		table_put_text(stdout, cli_text(r, "text"));
		if (strcmp(note, "counted") != 0)
			(void)printf(" (%s)", note);
		(void)putchar('\n');
	}
}

static void print_traffic(const json_t *traffic)
{
	if (number(traffic, "connections"))
		(void)printf("  traffic: at least %lld of its last %lld new connections got no "
			     "answer\n",
			     (long long)number(traffic, "unanswered"),
			     (long long)number(traffic, "connections"));
}

static void print_next(const json_t *next)
{
	const json_t *n;
	size_t i;

	if (json_array_size(next))
		(void)puts("  next:");
	json_array_foreach (next, i, n) {
		const json_t *in = json_object_get(n, "in_ms");

		(void)fputs("    ", stdout);
		table_put_text(stdout, cli_text(n, "what"));
		if (json_is_integer(in))
			(void)printf(", in %.1f s at the earliest",
				     (double)json_integer_value(in) / 1e3);
		(void)putchar('\n');
	}
}

static void print_explanation(const json_t *t)
{
	print_state(t);
	print_factors(json_object_get(t, "factors"));
	print_listeners(json_object_get(t, "listeners"));
	print_check(t);
	print_traffic(json_object_get(t, "traffic"));
	print_results(json_object_get(t, "results"));
	print_next(json_object_get(t, "next"));
}

int cli_explain(const struct cli *cli)
{
	_cleanup_(json_decref_p) json_t *report = NULL;
	_cleanup_free_ char *path = NULL;
	const json_t *t;
	size_t i;
	int status;

	path = cli_query(
		"/v1/explain",
		(const char *const[][2]){ { "target", cli->args[cli->n_args - 1] },
					  { "group", cli->n_args == 2 ? cli->args[0] : NULL } },
		2);
	if (!path)
		return cli_fail(cli, "out of memory");
	status = cli_ask(cli, "GET", path, NULL, EXPLAIN_SECONDS, &report);
	if (status != CLI_OK)
		return status;
	if (cli->json)
		return cli_print_json(report);
	json_array_foreach (json_object_get(report, "targets"), i, t) {
		if (i)
			(void)putchar('\n');
		print_explanation(t);
	}
	return CLI_OK;
}

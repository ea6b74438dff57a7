/* SPDX-License-Identifier: GPL-2.0-or-later */

/* fastpath on, off, status. */

#include "daemon/cli.h"

#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "daemon/table.h"

enum {
	ORDER_SECONDS = 30,
	SETTLED_SECONDS = 60, /* gigabytes of huge pages take their time */
	POLL_MSEC = 50,
};

static const char *str(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

static void print_ports(const json_t *ports)
{
	const json_t *port;
	size_t i;

	json_array_foreach (ports, i, port) {
		const char *interface = str(port, "interface"), *driver = str(port, "driver");

		(void)printf("  port %zu: ", i);
		table_put_text(stdout, str(port, "port"));
		if (*interface)
			(void)printf(", %s is %s now", interface, str(port, "exception_interface"));
		if (*driver)
			(void)printf(", driver was %s", driver);
		(void)putchar('\n');
	}
}

static void print_listeners(const json_t *names, const char *what)
{
	const json_t *name;
	size_t i;

	if (json_array_size(names) == 0)
		return;
	(void)printf("  security groups %s:", what);
	json_array_foreach (names, i, name) {
		(void)fputs(i ? ", " : " ", stdout);
		table_put_text(stdout, json_string_value(name));
	}
	(void)putchar('\n');
}

static void print_security(const json_t *groups)
{
	print_listeners(json_object_get(groups, "enforced"), "enforced of listeners");
	print_listeners(json_object_get(groups, "not_enforced"),
			"NOT enforced (the kernel plane admits everybody) of listeners");
}

/* Sums over the workers, the zeros left out. */
static void print_counters(const json_t *workers)
{
	const json_t *first = json_object_get(json_array_get(workers, 0), "counters"), *value;
	const char *name;

	json_object_foreach ((json_t *)first, name, value) {
		json_int_t sum = 0;

		for (size_t i = 0; i < json_array_size(workers); i++)
			sum += json_integer_value(json_object_get(
				json_object_get(json_array_get(workers, i), "counters"), name));
		if (sum)
			(void)printf("  %-24s %lld\n", name, (long long)sum);
	}
}

static void print_state(const json_t *report)
{
	char since[TABLE_TIME_MAX];
	const char *reason = str(report, "reason");
	double retry = json_number_value(json_object_get(report, "retry_seconds"));

	(void)printf("fast path: %s since %s UTC", str(report, "state"),
		     table_format_time(str(report, "since"), since));
	if (json_integer_value(json_object_get(report, "pid")))
		(void)printf(", process %lld",
			     (long long)json_integer_value(json_object_get(report, "pid")));
	(void)putchar('\n');
	if (*reason) {
		(void)fputs("  last failure: ", stdout);
		table_put_text(stdout, reason);
		(void)putchar('\n');
	}
	if (retry > 0)
		(void)printf("  trying again in %.0f s\n", retry);
}

static int show(const struct cli *cli, const json_t *report)
{
	if (cli->json)
		return cli_print_json(report);
	print_state(report);
	print_ports(json_object_get(report, "ports"));
	print_security(json_object_get(report, "security_groups"));
	print_counters(json_object_get(report, "workers"));
	return CLI_OK;
}

static int wait_until_settled(const struct cli *cli, json_t **report)
{
	usec_t end = clock_monotonic_usec() + SETTLED_SECONDS * USEC_PER_SEC;

	while (!json_is_true(json_object_get(*report, "settled"))) {
		json_t *next = NULL;
		int status;

		if (clock_monotonic_usec() > end)
			return cli_fail(cli, "it is still %s: see `ipvsd fastpath status`",
					str(*report, "state"));
		(void)nanosleep(&(struct timespec){ .tv_nsec = POLL_MSEC * 1000L * 1000 }, NULL);
		status = cli_ask(cli, "GET", "/v1/fastpath", NULL, ORDER_SECONDS, &next);
		if (status != CLI_OK)
			return status;
		json_decref(*report);
		*report = next;
	}
	return CLI_OK;
}

static int order(const struct cli *cli, bool on)
{
	json_t *body = on ? json_pack("{s:b}", "force", cli->force) : NULL, *report = NULL;
	const char *wanted = on ? "active" : "off";
	int status = cli_ask(cli, "POST", on ? "/v1/fastpath/on" : "/v1/fastpath/off", body,
			     ORDER_SECONDS, &report);

	json_decref(body);
	if (status == CLI_OK)
		status = wait_until_settled(cli, &report);
	if (status == CLI_OK && cli->json)
		status = cli_print_json(report);
	if (status == CLI_OK && strcmp(str(report, "state"), wanted) != 0)
		status = cli_fail(cli, "%s",
				  *str(report, "reason") ? str(report, "reason")
							 : str(report, "state"));
	else if (status == CLI_OK && !cli->json)
		(void)puts(on ? "the fast path has the traffic" : "the kernel has the traffic");
	json_decref(report);
	return status;
}

int cli_fastpath(const struct cli *cli)
{
	json_t *report = NULL;
	int status;

	if (!strcmp(cli->args[0], "on"))
		return order(cli, true);
	if (!strcmp(cli->args[0], "off"))
		return order(cli, false);
	if (strcmp(cli->args[0], "status") != 0) {
		(void)fprintf(stderr, "usage: ipvsd fastpath [OPTION…] on|off|status\n");
		return CLI_USAGE;
	}
	status = cli_ask(cli, "GET", "/v1/fastpath", NULL, ORDER_SECONDS, &report);
	if (status == CLI_OK)
		status = show(cli, report);
	json_decref(report);
	return status;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the verbs that talk to the daemon share: finding it, asking, and showing its refusal. */

#include "daemon/cli.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/client.h"

enum {
	VERSION_SECONDS = 10,
};

DEFINE_CLEANUP(struct conf *, conf_free)

int cli_fail(const struct cli *cli, const char *format, ...)
{
	va_list args;

	(void)fprintf(stderr, "ipvsd %s: ", cli->verb->name);
	va_start(args, format);
	(void)vfprintf(stderr, format, args);
	va_end(args);
	(void)fputc('\n', stderr);
	return CLI_FAILED;
}

char *cli_socket_path(const struct cli *cli)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(conf_free_p) struct conf *conf = NULL;

	if (cli->socket)
		return strdup(cli->socket);
	/* Diagnostics are `check`'s to show: a daemon with a good configuration may well be running. */
	if (conf_load_own(cli->config, &conf, &diags) < 0 || !conf->global.control_socket)
		return strdup(CLI_SOCKET_DEFAULT);
	return strdup(conf->global.control_socket);
}

bool cli_daemon_is_down(const struct cli *cli)
{
	_cleanup_(client_reply_deinit) struct client_reply reply = { 0 };
	_cleanup_free_ char *socket = cli_socket_path(cli), *error = NULL;
	struct client_request request = { "GET", "/v1/version", NULL, VERSION_SECONDS };
	int ret;

	if (!socket)
		return false;
	ret = client_call(socket, &request, &reply, &error);
	return ret == -ENOENT || ret == -ECONNREFUSED;
}

static void print_diagnostics(const json_t *report)
{
	json_t *d;
	size_t i;

	json_array_foreach (json_object_get(report, "diagnostics"), i, d) {
		const char *file = json_string_value(json_object_get(d, "file"));
		const char *severity = json_string_value(json_object_get(d, "severity"));
		const char *message = json_string_value(json_object_get(d, "message"));
		json_int_t line = json_integer_value(json_object_get(d, "line"));

		if (!file || !severity || !message)
			continue;
		if (line > 0)
			(void)fprintf(stderr, "%s:%lld: %s: %s\n", file, (long long)line, severity,
				      message);
		else
			(void)fprintf(stderr, "%s: %s: %s\n", file, severity, message);
	}
}

int cli_ask(const struct cli *cli, const char *method, const char *path, const json_t *body,
	    long timeout_seconds, json_t **ret_report)
{
	_cleanup_(client_reply_deinit) struct client_reply reply = { 0 };
	_cleanup_free_ char *socket = cli_socket_path(cli), *error = NULL;
	struct client_request request = { method, path, body, timeout_seconds };
	const char *text;

	if (!socket)
		return cli_fail(cli, "out of memory");
	if (client_call(socket, &request, &reply, &error) < 0)
		return cli_fail(cli, "%s", error ? error : "out of memory");
	print_diagnostics(reply.body);
	if (reply.status != 200) {
		text = json_string_value(json_object_get(reply.body, "error"));
		if (text)
			return cli_fail(cli, "%s", text);
		return cli_fail(cli, "the daemon answered with HTTP status %ld", reply.status);
	}
	*ret_report = take_ptr(reply.body);
	return CLI_OK;
}

char *cli_query(const char *path, const char *const pairs[][2], size_t n)
{
	char *query = strdup(path);
	char separator = '?';

	for (size_t i = 0; query && i < n; i++) {
		_cleanup_free_ char *before = query, *value = NULL;

		query = NULL;
		if (!pairs[i][1]) {
			query = take_ptr(before);
			continue;
		}
		value = client_escape(pairs[i][1]);
		if (!value ||
		    asprintf(&query, "%s%c%s=%s", before, separator, pairs[i][0], value) < 0)
			return NULL;
		separator = '&';
	}
	return query;
}

const char *cli_text(const json_t *object, const char *name)
{
	const char *text = json_string_value(json_object_get(object, name));

	return text ? text : "";
}

int cli_print_json(const json_t *j)
{
	if (json_dumpf(j, stdout, JSON_INDENT(2) | JSON_PRESERVE_ORDER) < 0 ||
	    putchar('\n') == EOF || fflush(stdout) == EOF)
		return CLI_FAILED;
	return CLI_OK;
}

void cli_print_changes(const json_t *report, const char *none)
{
	const json_t *impact = json_object_get(report, "impact");
	const json_t *changes = json_object_get(report, "changes");
	json_t *entry;
	size_t i;

	json_array_foreach (changes, i, entry) {
		const json_t *live = json_array_get(impact, i);
		json_int_t active = json_integer_value(json_object_get(live, "active"));
		json_int_t inactive = json_integer_value(json_object_get(live, "inactive"));

		(void)printf("%s", json_string_value(entry) ? json_string_value(entry) : "?");
		if (active || inactive)
			(void)printf("  [%lld active, %lld inactive connections]",
				     (long long)active, (long long)inactive);
		(void)putchar('\n');
	}
	if (json_array_size(changes) == 0)
		(void)puts(none);
	json_array_foreach (json_object_get(report, "warnings"), i, entry) {
		if (json_is_string(entry))
			(void)fprintf(stderr, "warning: %s\n", json_string_value(entry));
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* register, deregister, drain, undrain. */

#include "daemon/cli.h"

#include <stdio.h>

enum {
	TARGET_SECONDS = 30,
};

static int ask(const struct cli *cli, const char *path)
{
	json_t *body, *report = NULL;
	const char *message;
	int status;

	body = json_pack("{s:s, s:s, s:s*}", "group", cli->args[0], "target", cli->args[1], "zone",
			 cli->zone);
	if (!body)
		return cli_fail(cli, "the arguments are not UTF-8");
	if (cli->weight >= 0 &&
	    json_object_set_new(body, "weight", json_integer(cli->weight)) < 0) {
		json_decref(body);
		return cli_fail(cli, "out of memory");
	}
	status = cli_ask(cli, "POST", path, body, TARGET_SECONDS, &report);
	json_decref(body);
	if (status != CLI_OK)
		return status;

	message = json_string_value(json_object_get(report, "message"));
	if (cli->json)
		status = cli_print_json(report);
	else if (message)
		(void)puts(message);
	else
		(void)printf("%s/%s: %s\n", cli->args[0], cli->args[1],
			     json_is_true(json_object_get(report, "changed")) ? "done"
									      : "no change");
	json_decref(report);
	return status;
}

int cli_register(const struct cli *cli)
{
	return ask(cli, "/v1/register");
}

int cli_deregister(const struct cli *cli)
{
	return ask(cli, "/v1/deregister");
}

int cli_drain(const struct cli *cli)
{
	return ask(cli, "/v1/drain");
}

int cli_undrain(const struct cli *cli)
{
	return ask(cli, "/v1/undrain");
}

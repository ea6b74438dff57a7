/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli.h"

#include <stdio.h>

enum {
	RELOAD_SECONDS = 120,
};

int cli_reload(const struct cli *cli)
{
	json_t *report = NULL;
	int status = cli_ask(cli, "POST", "/v1/reload", NULL, RELOAD_SECONDS, &report);

	if (status != CLI_OK)
		return status;
	if (cli->json)
		status = cli_print_json(report);
	else
		cli_print_changes(report, "reloaded: no change");
	json_decref(report);
	return status;
}

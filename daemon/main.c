/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/cli.h"

int cli_version(const struct cli *cli)
{
	(void)cli;
	(void)puts("ipvsd " IPVSD_VERSION);
	return CLI_OK;
}

static int unknown_verb(const char *name)
{
	const char *near = cli_suggest_verb(name);

	(void)fprintf(stderr, "ipvsd: unknown verb \"%s\"", name);
	if (near)
		(void)fprintf(stderr, "; did you mean \"%s\"?\n", near);
	else
		(void)fprintf(stderr, "; see ipvsd help\n");
	return CLI_USAGE;
}

int cli_help(const struct cli *cli)
{
	const struct cli_verb *verb;

	if (cli->n_args == 0) {
		cli_print_overview();
		return CLI_OK;
	}
	verb = cli_find_verb(cli->args[0]);
	if (!verb)
		return unknown_verb(cli->args[0]);
	cli_print_help(verb);
	return CLI_OK;
}

int main(int argc, char **argv)
{
	const struct cli_verb *verb;
	const char *name = argc > 1 ? argv[1] : NULL;
	struct cli cli;
	bool help;
	int status;

	if (!name) {
		cli_print_overview();
		return CLI_USAGE;
	}
	if (!strcmp(name, "--help") || !strcmp(name, "-h"))
		name = "help";
	else if (!strcmp(name, "--version") || !strcmp(name, "-V"))
		name = "version";
	verb = cli_find_verb(name);
	if (!verb)
		return unknown_verb(name);

	status = cli_parse(verb, argc - 1, argv + 1, &cli, &help);
	if (status != CLI_OK)
		return status;
	if (help) {
		cli_print_help(verb);
		return CLI_OK;
	}
	status = verb->run(&cli);
	if (fflush(stdout) == EOF && status == CLI_OK)
		status = CLI_FAILED;
	return status;
}

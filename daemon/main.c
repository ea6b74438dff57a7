/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <stdio.h>
#include <string.h>

#include "daemon/cli.h"

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
		return cli_unknown_verb(name);

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

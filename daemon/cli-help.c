/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "conf/keys.h"

void cli_print_overview(void)
{
	(void)puts("ipvsd: a load balancer out of kernel IPVS\n\n"
		   "usage: ipvsd VERB [OPTION…] [ARGUMENT…]\n");
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!v->hidden)
			(void)printf("  %-10s %-13s %s\n", v->name, v->arguments, v->summary);
	}
	(void)puts("\n`ipvsd VERB --help` shows a verb's options; ipvsd(8) has the rest.\n"
		   "exit status: 0 done, 1 failed or invalid, 2 plan has changes, 64 wrong usage");
}

static const char *option_value(const struct cli_option *o, char buf[static 64])
{
	if (o->argument == no_argument)
		(void)snprintf(buf, 64, "--%s", o->name);
	else if (o->argument == optional_argument)
		(void)snprintf(buf, 64, "--%s[=%s]", o->name, o->value);
	else
		(void)snprintf(buf, 64, "--%s %s", o->name, o->value);
	return buf;
}

void cli_print_help(const struct cli_verb *verb)
{
	char buf[64];

	(void)printf("usage: ipvsd %s [OPTION…]%s%s\n\n%s\n\n", verb->name,
		     *verb->arguments ? " " : "", verb->arguments, verb->summary);
	for (const struct cli_option *o = cli_options; o->name; o++) {
		if (!strchr(verb->options, o->letter))
			continue;
		if (o->letter == 'S' || o->letter == 'D' || o->letter == 'F' || o->letter == 'W')
			(void)printf("      %-24s %s\n", option_value(o, buf), o->summary);
		else
			(void)printf("  -%c, %-24s %s\n", o->letter, option_value(o, buf),
				     o->summary);
	}
}

int cli_version(const struct cli *cli)
{
	(void)cli;
	(void)puts("ipvsd " IPVSD_VERSION);
	return CLI_OK;
}

int cli_unknown_verb(const char *name)
{
	const char *near = cli_suggest_verb(name);

	(void)fprintf(stderr, "ipvsd: unknown verb \"%s\"", name);
	if (near)
		(void)fprintf(stderr, "; did you mean \"%s\"?\n", near);
	else
		(void)fprintf(stderr, "; see ipvsd help\n");
	return CLI_USAGE;
}

void cli_list_keys(FILE *f)
{
	for (unsigned s = 0; s < _KEY_SECTION_MAX; s++) {
		size_t n;
		const struct key *keys = keys_of((enum key_section)s, &n);

		for (size_t i = 0; i < n; i++)
			(void)fprintf(f, "%s\n", keys[i].name);
	}
}

bool cli_help_key(const char *name, FILE *f)
{
	bool found = false;

	for (unsigned s = 0; s < _KEY_SECTION_MAX; s++) {
		const struct key *k = key_find((enum key_section)s, name);

		if (!k)
			continue;
		(void)fprintf(f, "%s[%s%s]\n%s = %s\n  %s\n", found ? "\n" : "",
			      key_sections[s].kind, key_sections[s].named ? " NAME" : "", k->name,
			      k->fallback ? k->fallback : "…", k->help);
		for (const struct key_choice *c = k->choices; c && c->name; c++)
			(void)fprintf(f, "%s%s", c == k->choices ? "  One of: " : ", ", c->name);
		if (k->choices)
			(void)fputc('\n', f);
		if (k->later)
			(void)fprintf(f, "  It has no effect in this version; it comes with %s.\n",
				      k->later);
		found = true;
	}
	return found;
}

int cli_help(const struct cli *cli)
{
	const struct cli_verb *verb;

	if (cli->n_args == 0) {
		cli_print_overview();
		return CLI_OK;
	}
	if (!strcmp(cli->args[0], "keys")) {
		cli_list_keys(stdout);
		return CLI_OK;
	}
	verb = cli_find_verb(cli->args[0]);
	if (!verb)
		return cli_help_key(cli->args[0], stdout) ? CLI_OK : cli_unknown_verb(cli->args[0]);
	cli_print_help(verb);
	return CLI_OK;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The tables of verbs and options, their parser, and suggestions. */

#include "daemon/cli.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/value.h"

const struct cli_verb cli_verbs[] = {
	{ "run", "", "cSDh", 0, 0, false, "run the daemon in the foreground, as systemd does",
	  cli_run },
	{ "check", "[FILE]", "ch", 0, 1, false, "check the configuration; needs no privilege",
	  cli_check },
	{ "plan", "[FILE]", "cSjh", 0, 1, false,
	  "show what a reload would do, and to how many live connections", cli_plan },
	{ "reload", "", "cSjh", 0, 0, false, "apply the configuration on disk, or say why not",
	  cli_reload },
	{ "status", "", "cSjwh", 0, 1, false, "show listeners, groups and targets", cli_status },
	{ "register", "GROUP TARGET", "cSWzjh", 2, 2, false, "add a target to a group",
	  cli_register },
	{ "deregister", "GROUP TARGET", "cSjh", 2, 2, false,
	  "take a target out of a group: drain it, then remove it", cli_deregister },
	{ "drain", "GROUP TARGET", "cSjh", 2, 2, false, "send a target no new connections",
	  cli_drain },
	{ "undrain", "GROUP TARGET", "cSjh", 2, 2, false, "end a drain", cli_undrain },
	{ "describe-target-health", "GROUP [Id=ADDRESS[,Port=N]…]", "cSToh", 1, 1 + CLI_TARGETS_MAX,
	  false, "show targets' health as aws elbv2 does", cli_describe_target_health },
	{ "explain", "[GROUP] TARGET", "cSjh", 1, 2, false,
	  "show why a target has its weight, and what changes it next", cli_explain },
	{ "replay", "GROUP|TARGET", "cSUNOjh", 1, 1, false,
	  "run recorded probes again with other thresholds", cli_replay },
	{ "events", "", "cSfngtsjh", 0, 0, false, "show what changed, and why", cli_events },
	{ "fastpath", "on|off|status", "cSFjh", 1, 1, false,
	  "move the traffic to the fast path, or back to the kernel", cli_fastpath },
	{ "version", "", "h", 0, 0, false, "show the version", cli_version },
	{ "help", "[VERB|KEY]", "h", 0, 1, false,
	  "show the verbs, one verb's options, or what a key of the configuration does", cli_help },
	{ "health-worker", "USER KIND", "h", 2, 2, true, "internal: the daemon starts it",
	  cli_health_worker },
	{ "resolver", "USER MILLISECONDS [SERVERS]", "h", 2, 3, true,
	  "internal: the daemon starts it", cli_resolver },
	{ .name = NULL },
};

const struct cli_option cli_options[] = {
	{ "config", 'c', required_argument, "FILE",
	  "configuration (default: " CLI_CONFIG_DEFAULT ")" },
	{ "socket", 'S', required_argument, "PATH",
	  "control socket (default: the configuration's, else " CLI_SOCKET_DEFAULT ")" },
	{ "state-directory", 'D', required_argument, "DIR",
	  "where state is kept (default: the configuration's)" },
	{ "json", 'j', no_argument, NULL, "print the daemon's JSON" },
	{ "watch", 'w', optional_argument, "SECONDS",
	  "redraw every SECONDS (default 2) until Ctrl-C" },
	{ "weight", 'W', required_argument, "N", "weight of the target (default 100)" },
	{ "zone", 'z', required_argument, "ZONE", "zone of the target" },
	{ "force", 'F', no_argument, NULL, "take an interface that has the default route, too" },
	{ "follow", 'f', no_argument, NULL, "wait for more until Ctrl-C" },
	{ "lines", 'n', required_argument, "N", "only the last N" },
	{ "group", 'g', required_argument, "GROUP", "only of this target group" },
	{ "target", 't', required_argument, "TARGET", "only of this target" },
	{ "since", 's', required_argument, "TIME",
	  "only since then: 10m, or 2026-11-22T10:00:00Z" },
	{ "targets", 'T', required_argument, "Id=ADDRESS[,Port=N]", "only these" },
	{ "output", 'o', required_argument, "json|table", "as aws has it (default: json)" },
	{ "healthy-threshold", 'U', required_argument, "N", "good probes that make healthy" },
	{ "unhealthy-threshold", 'N', required_argument, "N", "failed probes that make unhealthy" },
	{ "timeout", 'O', required_argument, "TIME", "answers that took longer count as failed" },
	{ "help", 'h', no_argument, NULL, "show this help" },
	{ .name = NULL },
};

enum {
	WATCH_SECONDS_DEFAULT = 2,
	WATCH_SECONDS_MAX = 3600,
	LINES_MAX = 1000000,
	THRESHOLD_MAX = 1000,
	NAME_MAX_LEN = 32,
};

const struct cli_verb *cli_find_verb(const char *name)
{
	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		if (!strcmp(v->name, name))
			return v;
	}
	return NULL;
}

/* Levenshtein's distance, of short strings. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NAME_MAX_LEN + 1];
	size_t len = strlen(b);

	if (strlen(a) > NAME_MAX_LEN || len > NAME_MAX_LEN)
		return SIZE_MAX;
	for (size_t j = 0; j <= len; j++)
		row[j] = j;
	for (size_t i = 1; a[i - 1]; i++) {
		size_t diagonal = row[0];

		row[0] = i;
		for (size_t j = 1; j <= len; j++) {
			size_t above = row[j];
			size_t change = diagonal + (a[i - 1] != b[j - 1]);

			row[j] = MIN(change, MIN(above, row[j - 1]) + 1);
			diagonal = above;
		}
	}
	return row[len];
}

const char *cli_suggest_verb(const char *name)
{
	const char *best = NULL;
	size_t least = 3; /* two slips of the finger */

	for (const struct cli_verb *v = cli_verbs; v->name; v++) {
		size_t d = v->hidden ? SIZE_MAX : distance(name, v->name);

		if (d < least) {
			least = d;
			best = v->name;
		}
	}
	return best;
}

static int parse_number(const struct cli *cli, const char *name, const char *text, long max,
			long *ret)
{
	uint64_t n;

	if (number_parse(text, (uint64_t)max, &n) < 0) {
		(void)fprintf(stderr, "ipvsd %s: %s: \"%s\" is not a number from 0 to %ld\n",
			      cli->verb->name, name, text, max);
		return CLI_USAGE;
	}
	*ret = (long)n;
	return CLI_OK;
}

static int parse_threshold(const struct cli *cli, const char *name, const char *text, long *ret)
{
	int status = parse_number(cli, name, text, THRESHOLD_MAX, ret);

	if (status == CLI_OK && *ret == 0) {
		(void)fprintf(stderr, "ipvsd %s: %s: at least 1\n", cli->verb->name, name);
		return CLI_USAGE;
	}
	return status;
}

static int parse_duration(const struct cli *cli, const char *name, const char *text, usec_t *ret)
{
	if (value_parse_duration(text, ret) == 0 && *ret > 0)
		return CLI_OK;
	(void)fprintf(stderr, "ipvsd %s: %s: \"%s\" is not a time such as 500ms or 2s\n",
		      cli->verb->name, name, text);
	return CLI_USAGE;
}

static int add_targets(struct cli *cli, const char *text)
{
	if (cli->n_targets == CLI_TARGETS_MAX) {
		(void)fprintf(stderr, "ipvsd %s: more than %d targets\n", cli->verb->name,
			      CLI_TARGETS_MAX);
		return CLI_USAGE;
	}
	cli->targets[cli->n_targets++] = text;
	return CLI_OK;
}

static int parse_watch(struct cli *cli, const char *text)
{
	int ret = CLI_OK;

	cli->watch_seconds = WATCH_SECONDS_DEFAULT;
	if (text)
		ret = parse_number(cli, "--watch", text, WATCH_SECONDS_MAX, &cli->watch_seconds);
	if (cli->watch_seconds == 0)
		cli->watch_seconds = 1;
	return ret;
}

static int take_option(struct cli *cli, int letter, bool *ret_help)
{
	switch (letter) {
	case 'c':
		cli->config = optarg;
		cli->has_config = true;
		return CLI_OK;
	case 'S':
		cli->socket = optarg;
		return CLI_OK;
	case 'D':
		cli->state_directory = optarg;
		return CLI_OK;
	case 'z':
		cli->zone = optarg;
		return CLI_OK;
	case 'j':
		cli->json = true;
		return CLI_OK;
	case 'f':
		cli->follow = true;
		return CLI_OK;
	case 'F':
		cli->force = true;
		return CLI_OK;
	case 'h':
		*ret_help = true;
		return CLI_OK;
	case 'g':
		cli->group = optarg;
		return CLI_OK;
	case 't':
		cli->target = optarg;
		return CLI_OK;
	case 's':
		cli->since = optarg;
		return CLI_OK;
	case 'o':
		cli->output = optarg;
		return CLI_OK;
	case 'T':
		return add_targets(cli, optarg);
	case 'O':
		return parse_duration(cli, "--timeout", optarg, &cli->timeout_usec);
	case 'U':
		return parse_threshold(cli, "--healthy-threshold", optarg, &cli->healthy_threshold);
	case 'N':
		return parse_threshold(cli, "--unhealthy-threshold", optarg,
				       &cli->unhealthy_threshold);
	case 'w':
		return parse_watch(cli, optarg);
	case 'W':
		return parse_number(cli, "--weight", optarg, CONF_TARGET_WEIGHT_MAX, &cli->weight);
	case 'n':
		return parse_number(cli, "--lines", optarg, LINES_MAX, &cli->lines);
	default:
		(void)fprintf(stderr, "see ipvsd %s --help\n", cli->verb->name);
		return CLI_USAGE;
	}
}

/* What getopt_long() wants, of the options that the verb has. */
static void make_getopt_tables(const struct cli_verb *verb, struct option *options, char *letters)
{
	size_t n = 0;

	for (const struct cli_option *o = cli_options; o->name; o++) {
		if (!strchr(verb->options, o->letter))
			continue;
		options[n++] = (struct option){ o->name, o->argument, NULL, o->letter };
		*letters++ = o->letter;
		for (int colons = o->argument; colons > 0; colons--)
			*letters++ = ':';
	}
	options[n] = (struct option){ 0 };
	*letters = '\0';
}

static int take_arguments(struct cli *cli)
{
	const struct cli_verb *v = cli->verb;

	/* "--watch 5": getopt takes an optional value only when it is joined. */
	if (cli->watch_seconds && cli->n_args == 1) {
		cli->n_args = 0;
		return parse_watch(cli, cli->args[0]);
	}
	if (cli->n_args < v->min_args || cli->n_args > v->max_args ||
	    (cli->n_args > 0 && !*v->arguments)) {
		(void)fprintf(stderr, "usage: ipvsd %s [OPTION…]%s%s\n", v->name,
			      *v->arguments ? " " : "", v->arguments);
		return CLI_USAGE;
	}
	return CLI_OK;
}

int cli_parse(const struct cli_verb *verb, int argc, char **argv, struct cli *ret, bool *ret_help)
{
	struct cli cli = {
		.verb = verb,
		.config = CLI_CONFIG_DEFAULT,
		.weight = -1,
		.lines = -1,
		.healthy_threshold = -1,
		.unhealthy_threshold = -1,
	};
	struct option options[16];
	char letters[64];
	int letter, status = CLI_OK;

	*ret_help = false;
	make_getopt_tables(verb, options, letters);
	optind = 0; /* glibc: begin anew */
	while (status == CLI_OK && (letter = getopt_long(argc, argv, letters, options, NULL)) != -1)
		status = take_option(&cli, letter, ret_help);
	cli.args = argv + optind;
	cli.n_args = argc - optind;
	if (status == CLI_OK && !*ret_help)
		status = take_arguments(&cli);
	if (status == CLI_OK)
		*ret = cli;
	return status;
}

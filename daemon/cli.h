/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The commands of ipvsd: one table of verbs and options, from which parsing, `ipvsd help` and the tests of the
 * manual page and the completion come. Results go to standard output, everything else to standard error.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>
#include <stddef.h>

#include "base/clock.h"

/* Exit statuses, documented in ipvsd(8). */
enum {
	CLI_OK = 0,
	CLI_FAILED = 1,
	CLI_CHANGES = 2, /* plan: there is something to do */
	CLI_USAGE = 64,	 /* EX_USAGE of sysexits.h */
};

#define CLI_CONFIG_DEFAULT "/etc/ipvsd/ipvsd.conf"
#define CLI_SOCKET_DEFAULT "/run/ipvsd/control.sock"

struct cli_verb;

enum {
	CLI_TARGETS_MAX = 100, /* that one command names */
};

struct cli {
	const struct cli_verb *verb;
	const char *config;			     /* borrowed, as all strings below */
	const char *socket;			     /* NULL = see cli_socket_path() */
	const char *state_directory;		     /* NULL = the configuration's */
	const char *zone;			     /* NULL = none */
	const char *group, *target, *since, *output; /* NULL = not given */
	const char *targets[CLI_TARGETS_MAX];
	int n_targets;
	long healthy_threshold, unhealthy_threshold; /* -1 = as they are */
	usec_t timeout_usec;			     /* 0 = as it is */
	bool has_config;			     /* --config, or a FILE argument, was given */
	bool json, follow, force;
	long weight;	    /* -1 = the default */
	long lines;	    /* -1 = all */
	long watch_seconds; /* 0 = once */
	char **args;
	int n_args;
};

struct cli_verb {
	const char *name;
	const char *arguments; /* for the usage line */
	const char *options;   /* letters of cli_options */
	int min_args, max_args;
	bool hidden;
	const char *summary;
	int (*run)(const struct cli *cli);
};

struct cli_option {
	const char *name;
	char letter;
	int argument;	   /* no_argument, required_argument, optional_argument */
	const char *value; /* for help */
	const char *summary;
};

extern const struct cli_verb cli_verbs[];     /* ends with a NULL name */
extern const struct cli_option cli_options[]; /* likewise */

const struct cli_verb *cli_find_verb(const char *name);
/* The verb that was probably meant, or NULL. */
const char *cli_suggest_verb(const char *name);
/* Says so, with a suggestion, and returns CLI_USAGE. */
/* `ipvsd help KEY`: where it stands, its default and what it does, from conf/keys.c. False: no such key. */
bool cli_help_key(const char *name, FILE *f);

/* Every key's name, a line each: `ipvsd help keys`, for the shell's completion. */
void cli_list_keys(FILE *f);

int cli_unknown_verb(const char *name);
void cli_print_overview(void);
void cli_print_help(const struct cli_verb *verb);

/*
 * argv[0] is the verb's name. CLI_OK and *ret; else the exit status, after a message. *ret_help: help was asked for.
 */
int cli_parse(const struct cli_verb *verb, int argc, char **argv, struct cli *ret, bool *ret_help);

/* Says "ipvsd VERB: TEXT" and returns CLI_FAILED. */
int cli_fail(const struct cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * The daemon's socket: --socket, or what the configuration says, or the default when the configuration is not
 * readable or not valid. Owned by the caller; NULL = no memory.
 */
char *cli_socket_path(const struct cli *cli);

/* Nobody listens there (as against: it refuses, or is slow). */
bool cli_daemon_is_down(const struct cli *cli);

/*
 * Asks the daemon; CLI_OK and *ret_report when it did what it was asked for. Otherwise says why, with the
 * diagnostics if there are any, and returns CLI_FAILED.
 */
int cli_ask(const struct cli *cli, const char *method, const char *path, const json_t *body,
	    long timeout_seconds, json_t **ret_report);

/* {"changes", "warnings"} of a reload or a plan, for people. `none` when there is no change. */
void cli_print_changes(const json_t *report, const char *none);

/* "PATH?NAME=VALUE&…" with the values escaped; those that are NULL are left out. NULL = no memory. Owned by the caller. */
char *cli_query(const char *path, const char *const pairs[][2], size_t n);

/* The member's text, "" when it is none. */
const char *cli_text(const json_t *object, const char *name);

/* Raw JSON, indented. CLI_FAILED when standard output is gone. */
int cli_print_json(const json_t *j);

int cli_check(const struct cli *cli);
int cli_deregister(const struct cli *cli);
int cli_describe_target_health(const struct cli *cli);
int cli_drain(const struct cli *cli);
int cli_events(const struct cli *cli);
int cli_explain(const struct cli *cli);
int cli_fastpath(const struct cli *cli);
int cli_health_worker(const struct cli *cli);
int cli_resolver(const struct cli *cli);
int cli_help(const struct cli *cli);
int cli_plan(const struct cli *cli);
int cli_register(const struct cli *cli);
int cli_reload(const struct cli *cli);
int cli_replay(const struct cli *cli);
int cli_run(const struct cli *cli);
int cli_status(const struct cli *cli);
int cli_undrain(const struct cli *cli);
int cli_version(const struct cli *cli);

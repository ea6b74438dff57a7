/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * What a reload would do. The daemon knows the verdicts and the drains, so it is asked; without it the
 * configuration is compared with the kernel as if every target were healthy.
 */

#include "daemon/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/client.h"
#include "ipvs/channel.h"
#include "ipvs/desired.h"
#include "ipvs/plan.h"
#include "ipvs/ruleset.h"

enum {
	PLAN_SECONDS = 60,
};

DEFINE_CLEANUP(struct conf *, conf_free)
DEFINE_CLEANUP(struct channel *, channel_free)
DEFINE_CLEANUP(json_t *, json_decref)

/* Owned by the caller: the groups' one block of targets is at groups[0].targets. */
static struct desired_group *configured_weights(const struct conf *conf)
{
	_cleanup_free_ struct desired_target *targets = NULL;
	struct desired_group *groups;
	size_t n = 0;

	for (size_t i = 0; i < conf->n_groups; i++)
		n += conf->groups[i].n_targets;
	targets = calloc(n + 1, sizeof(*targets));
	groups = calloc(conf->n_groups + 1, sizeof(*groups));
	if (!targets || !groups) {
		free(groups);
		return NULL;
	}
	n = 0;
	groups[0].targets = targets;
	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct conf_group *g = &conf->groups[i];

		groups[i].targets = targets + n;
		for (size_t k = 0; k < g->n_targets; k++) {
			if (g->targets[k].addr.family == AF_UNSPEC)
				continue; /* a host name: only the daemon resolves */
			targets[n++] = (struct desired_target){ g->targets[k].addr,
								g->targets[k].port,
								g->targets[k].weight };
			groups[i].n++;
		}
	}
	(void)take_ptr(targets);
	return groups;
}

static void groups_free(struct desired_group *groups)
{
	free((void *)groups[0].targets);
	free(groups);
}

typedef struct desired_group *desired_groups;
DEFINE_CLEANUP(desired_groups, groups_free)

static int add_op(json_t *changes, json_t *impact, const struct plan_op *op)
{
	const struct ipvs_dest *live = op->kind == PLAN_DEST_SET ? op->old_dest : op->dest;
	bool drains = op->kind == PLAN_DEST_DEL ||
		      (op->kind == PLAN_DEST_SET && op->dest->weight < op->old_dest->weight);
	_cleanup_free_ char *text = plan_op_describe(op);

	if (!text || json_array_append_new(changes, json_string(text)) < 0 ||
	    json_array_append_new(
		    impact, json_pack("{s:s, s:I, s:I}", "change", text, "active",
				      (json_int_t)(drains ? live->active_conns : 0), "inactive",
				      (json_int_t)(drains ? live->inactive_conns : 0))) < 0)
		return -ENOMEM;
	return 0;
}

static json_t *report_plan(const struct plan *plan)
{
	_cleanup_(json_decref_p) json_t *report =
		json_pack("{s:[], s:[], s:I, s:b, s:[s]}", "changes", "impact", "operations",
			  (json_int_t)plan->n, "offline", 1, "warnings",
			  "ipvsd is not running: compared with the kernel as if every target were "
			  "healthy; services that the configuration no longer names are not shown");

	for (size_t i = 0; report && i < plan->n; i++) {
		if (add_op(json_object_get(report, "changes"), json_object_get(report, "impact"),
			   &plan->ops[i]) < 0)
			return NULL;
	}
	return take_ptr(report);
}

static int dump_kernel(const struct cli *cli, struct ipvs_ruleset *ret)
{
	_cleanup_(channel_free_p) struct channel *channel = NULL;
	int error = channel_open_kernel(&channel);

	if (error == -ENOENT)
		return cli_fail(cli, "this kernel has no IPVS; load it with modprobe ip_vs");
	if (error == 0)
		error = channel_dump(channel, ret);
	if (error == -EPERM || error == -EACCES)
		return cli_fail(cli, "permission denied: reading the kernel's table needs root "
				     "(CAP_NET_ADMIN)");
	if (error < 0)
		return cli_fail(cli, "cannot read the kernel's table: %s", strerror(-error));
	return CLI_OK;
}

static int plan_offline(const struct cli *cli, const char *path, json_t **ret_report)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
	_cleanup_(conf_free_p) struct conf *conf = NULL;
	_cleanup_(groups_free_p) desired_groups groups = NULL;
	struct plan_ownership owned = { 0 };
	int status = conf_load(path, &conf, &diags);

	diag_print(&diags, DIAG_WARNING, stderr);
	if (status < 0)
		return cli_fail(cli, "%s is invalid; nothing to plan", path);
	status = dump_kernel(cli, &actual);
	if (status != CLI_OK)
		return status;

	owned.exclusive = conf->global.exclusive;
	groups = configured_weights(conf);
	if (!groups || desired_compute(conf, groups, DESIRED_KERNEL, &desired) < 0 ||
	    plan_compute(&actual, &desired, &owned, &plan) < 0)
		return cli_fail(cli, "out of memory");
	*ret_report = report_plan(&plan);
	return *ret_report ? CLI_OK : cli_fail(cli, "out of memory");
}

/* The daemon's working directory is not ours. */
static int plan_online(const struct cli *cli, const char *file, json_t **ret_report)
{
	_cleanup_free_ char *absolute = NULL, *escaped = NULL, *path = NULL;

	if (!file)
		return cli_ask(cli, "POST", "/v1/plan", NULL, PLAN_SECONDS, ret_report);
	absolute = realpath(file, NULL);
	if (!absolute)
		return cli_fail(cli, "%s: %s", file, strerror(errno));
	escaped = client_escape(absolute);
	if (!escaped || asprintf(&path, "/v1/plan?config=%s", escaped) < 0)
		return cli_fail(cli, "out of memory");
	return cli_ask(cli, "POST", path, NULL, PLAN_SECONDS, ret_report);
}

int cli_plan(const struct cli *cli)
{
	_cleanup_(json_decref_p) json_t *report = NULL;
	const char *file = cli->n_args ? cli->args[0] : cli->has_config ? cli->config : NULL;
	json_int_t operations;
	int status;

	if (cli_daemon_is_down(cli))
		status = plan_offline(cli, file ? file : cli->config, &report);
	else
		status = plan_online(cli, file, &report);
	if (status != CLI_OK)
		return status;

	operations = json_integer_value(json_object_get(report, "operations"));
	if (cli->json)
		status = cli_print_json(report);
	else
		cli_print_changes(report, "no change");
	if (!cli->json && operations > 0)
		(void)printf("%lld operation%s\n", (long long)operations,
			     operations == 1 ? "" : "s");
	return status == CLI_OK && operations > 0 ? CLI_CHANGES : status;
}

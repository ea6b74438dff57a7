/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/cli.h"

#include <stdio.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/load.h"

DEFINE_CLEANUP(struct conf *, conf_free)

static const char *plural(size_t n)
{
	return n == 1 ? "" : "s";
}

int cli_check(const struct cli *cli)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(conf_free_p) struct conf *conf = NULL;
	const char *path = cli->n_args ? cli->args[0] : cli->config;
	size_t targets = 0;
	int error = conf_load(path, &conf, &diags);

	diag_print(&diags, DIAG_NOTE, stderr);
	if (error < 0 || diag_has_errors(&diags)) {
		if (diags.n_errors == 0)
			return cli_fail(cli, "out of memory");
		(void)printf("%s: invalid, %zu error%s\n", path, diags.n_errors,
			     plural(diags.n_errors));
		return CLI_FAILED;
	}
	for (size_t i = 0; i < conf->n_groups; i++)
		targets += conf->groups[i].n_targets;
	(void)printf("%s: ok, %zu listener%s, %zu group%s, %zu target%s\n", path, conf->n_listeners,
		     plural(conf->n_listeners), conf->n_groups, plural(conf->n_groups), targets,
		     plural(targets));
	return CLI_OK;
}

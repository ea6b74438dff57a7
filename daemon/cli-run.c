/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The verbs that are processes of the daemon: run, health-worker, and resolver. */

#include "daemon/cli.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/number.h"
#include "daemon/child-process.h"
#include "conf/value.h"
#include "daemon/manager.h"
#include "daemon/resolver.h"
#include "health/worker.h"

/* Absolute, but a symbolic link stays one: it may point elsewhere at the next reload. NULL = no memory. */
static char *absolute(const char *path)
{
	_cleanup_free_ char *here = NULL;
	char *joined;

	if (path[0] == '/')
		return strdup(path);
	here = getcwd(NULL, 0);
	return here && asprintf(&joined, "%s/%s", here, path) >= 0 ? joined : NULL;
}

int cli_run(const struct cli *cli)
{
	_cleanup_free_ char *config = absolute(cli->config);
	struct manager_options options = {
		.control_socket = cli->socket,
		.state_directory = cli->state_directory,
	};
	struct manager *m = NULL;
	int error;

	log_init(LOG_INFO);
	if (!config) {
		log_err("%s: %s", cli->config, strerror(errno));
		return CLI_FAILED;
	}
	options.config_path = config;
	error = manager_new(&options, &m);
	if (error < 0)
		return CLI_FAILED;
	error = manager_run(m);
	manager_free(m);
	return error < 0 ? CLI_FAILED : CLI_OK;
}

int cli_health_worker(const struct cli *cli)
{
	enum worker_kind kind;

	log_init(LOG_INFO);
	if (worker_kind_from_string(cli->args[1], &kind) < 0) {
		log_err("%s: no kind of worker", cli->args[1]);
		return CLI_USAGE;
	}
	return worker_main(CHILD_PROCESS_FD, cli->args[0], kind);
}

int cli_resolver(const struct cli *cli)
{
	uint64_t timeout_ms;

	log_init(LOG_INFO);
	if (number_parse(cli->args[1], UINT32_MAX, &timeout_ms) < 0 || !timeout_ms)
		return CLI_USAGE;
	return resolver_main(CHILD_PROCESS_FD, cli->args[0], timeout_ms * USEC_PER_MSEC,
			     cli->n_args > 2 ? cli->args[2] : NULL);
}

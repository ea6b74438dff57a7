/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/pool-rig.h"

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/worker.h"

static void on_result(unsigned worker, const struct protocol_result *result, void *userdata)
{
	struct pool_rig *rig = userdata;

	rig->handlers.on_result(worker, result, rig->handlers.userdata);
}

static void on_heartbeat(unsigned worker, const struct protocol_heartbeat *beat, void *userdata)
{
	struct pool_rig *rig = userdata;

	if (rig->handlers.on_heartbeat)
		rig->handlers.on_heartbeat(worker, beat, rig->handlers.userdata);
}

static void on_trouble(const char *text, void *userdata)
{
	struct pool_rig *rig = userdata;

	rig->troubles++;
	(void)snprintf(rig->trouble, sizeof(rig->trouble), "%s", text);
}

void pool_rig_init(struct pool_rig *rig, const struct worker_handlers *handlers)
{
	const struct worker_handlers ours = { NULL, on_result, on_heartbeat, on_trouble, rig };
	const struct worker_users users = { "nobody", "nobody" };
	sigset_t child;

	*rig = (struct pool_rig){ .handlers = *handlers };
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	assert_return_code(sigprocmask(SIG_BLOCK, &child, NULL), errno);
	assert_true(sd_event_new(&rig->event) >= 0);
	assert_int_equal(worker_pool_new(rig->event, &users, &ours, &rig->pool), 0);
}

void pool_rig_deinit(struct pool_rig *rig)
{
	worker_pool_free(rig->pool);
	sd_event_unref(rig->event);
}

struct protocol_probe *pool_rig_probe(const struct protocol_probe *like)
{
	struct protocol_probe *p = calloc(1, sizeof(*p));

	assert_non_null(p);
	*p = *like;
	assert_int_equal(addr_parse("127.0.0.1", &p->addr), 0);
	protocol_init(&p->header, PROTOCOL_PROBE_SET, sizeof(*p));
	return p;
}

void pool_rig_sync(struct pool_rig *rig, unsigned n_workers, const struct worker_task *task)
{
	assert_int_equal(worker_pool_sync(rig->pool, n_workers, task), 0);
	for (size_t i = 0; i < task->n; i++)
		free(task->probes[i]);
}

void pool_rig_step(struct pool_rig *rig, unsigned msec)
{
	assert_true(sd_event_run(rig->event, msec * USEC_PER_MSEC) >= 0);
}

struct worker_status pool_rig_status(const struct pool_rig *rig, unsigned worker)
{
	struct worker_status s;

	assert_true(worker_pool_status(rig->pool, worker, clock_monotonic_usec(), &s));
	return s;
}

int pool_rig_main(int argc, char **argv)
{
	log_init(LOG_ERR);
	return argc == 4 && strcmp(argv[1], "health-worker") == 0
		       ? worker_main(3, argv[2], WORKER_NETWORK)
		       : -1;
}

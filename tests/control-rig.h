/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control side of the fast path without DPDK: the real tables, one real director, the real answers; and a server on
 * a socket of its own, in a thread. What DPDK would say of workers and ports is made up. Aborts where it cannot be made.
 */

#include <pthread.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "dpdk-fastpath/answer.h"
#include "dpdk-fastpath/control-server.h"
#include "dpdk-fastpath/tables.h"
#include "ipvs/channel-unix.h"
#include "tests/temporary.h"

enum {
	CONTROL_RIG_FLOWS = 4096,
	CONTROL_RIG_WORKERS = 2, /* of which only the first is there */
};

struct control_rig {
	struct tables *tables;
	struct director *director;
	struct answer *answer;
	unsigned n_attached; /* times that ATTACH_PORTS was asked for */
	bool holds_routes;
	int export_error; /* what a dump of connections is to fail with */
	/* Arrays that tables and director borrow. */
	struct dest_counters *dest_counters;
	_Atomic uint8_t *overloaded;
	struct nexthop *nexthops;
	/* The server. */
	gid_t gid; /* whose members are admitted; (gid_t)-1 at first */
	char folder[TEMPORARY_MAX], path[TEMPORARY_MAX + 32];
	sd_event *event;
	struct control_server *server;
	int stop_fd, stopped_fd;
	pthread_t thread;
	struct channel *channel; /* to it */
};

void control_rig_init(struct control_rig *rig);
void control_rig_deinit(struct control_rig *rig);

/* Empty again, without trash and connections: cheaper than a new one. `now_usec` grows from call to call by minutes. */
void control_rig_clear(struct control_rig *rig, uint64_t now_usec);

/* From here to the stop, rig->path is served, rig->channel is open, and the members above are the thread's. */
void control_rig_start(struct control_rig *rig);
void control_rig_stop(struct control_rig *rig);

static const usec_t CONTROL_RIG_TIMEOUT = 20 * USEC_PER_SEC;

/* cmocka fixtures: *state is a rig that serves. */
int control_rig_set_up(void **state);
int control_rig_tear_down(void **state);

#define control_test(f)                                                                            \
	cmocka_unit_test_setup_teardown(f, control_rig_set_up, control_rig_tear_down)

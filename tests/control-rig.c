/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "control-rig.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"

enum {
	TICK_MSEC = 100,
	IDS_USED_MAX = 8192,
	TRASH_USEC = 130 * 1000 * 1000,
};

/* No worker reads a view behind our back: each call of the director ends before the next change. */
static void retire(void *context, void (*free_fn)(void *), void *object)
{
	(void)context;
	free_fn(object);
}

static void import_conns(void *context, const struct director_conn *conns, unsigned n, int *rets)
{
	struct control_rig *rig = context;

	for (unsigned i = 0; i < n; i++)
		rets[i] =
			director_import(rig->director, tables_snapshot(rig->tables), 0, &conns[i]);
}

static int export_conns(void *context, struct answer_cursor *cursor, struct director_conn *ret,
			unsigned n)
{
	struct control_rig *rig = context;

	if (rig->export_error)
		return rig->export_error;
	return (int)director_export(rig->director, tables_snapshot(rig->tables), 0, &cursor->index,
				    ret, n);
}

static void fill_counters(struct private_counters *c, unsigned n, unsigned base)
{
	c->n = n;
	for (unsigned i = 0; i < n; i++) {
		(void)snprintf(c->at[i].name, sizeof(c->at[i].name), "counter-%u", i);
		c->at[i].value = (uint64_t)base << 32 | i;
	}
}

static int worker(void *context, unsigned index, struct private_worker *ret,
		  struct private_counters *ret_counters)
{
	(void)context;
	if (index >= CONTROL_RIG_WORKERS)
		return -ENOENT;
	*ret = (struct private_worker){ .index = index, .lcore = 10 + index, .late_usec = 7 };
	if (ret_counters)
		fill_counters(ret_counters, 20, index);
	return 0;
}

/* With so many counters that a second port needs a datagram of its own. */
static int port(void *context, unsigned index, struct private_port *ret,
		struct private_counters *ret_counters)
{
	(void)context;
	if (index >= 2)
		return -ENOENT;
	*ret = (struct private_port){ .index = index,
				      .name = "net_null0",
				      .driver = "net_null",
				      .mac = { 2, 0, 0, 0, 0, (uint8_t)index },
				      .link_up = index == 0,
				      .speed_mbps = 25000,
				      .mtu = 1500 };
	if (ret_counters)
		fill_counters(ret_counters, PRIVATE_COUNTERS_MAX, index);
	return 0;
}

static int status(void *context, struct private_status *ret)
{
	(void)context;
	ret->pid = (uint32_t)getpid();
	ret->uptime_usec = 77;
	return 0;
}

static int attach_ports(void *context)
{
	struct control_rig *rig = context;

	rig->n_attached++;
	return 0;
}

static void hold_routes(void *context, bool hold)
{
	struct control_rig *rig = context;

	rig->holds_routes = hold;
}

static const struct answer_ops ops = {
	.import_conns = import_conns,
	.export_conns = export_conns,
	.worker = worker,
	.port = port,
	.status = status,
	.attach_ports = attach_ports,
	.hold_routes = hold_routes,
};

static void make_director(struct control_rig *rig)
{
	static const uint8_t mac[1][PACKET_MAC_LEN] = { { 2, 0, 0, 0, 0, 1 } };
	const struct snapshot *s = tables_snapshot(rig->tables);
	struct director_config c = {
		.n_workers = 1,
		.flows = { .max_flows = CONTROL_RIG_FLOWS,
			   .seed = 1,
			   .tick_msec = TICK_MSEC,
			   .endpoints = s->endpoints,
			   .locals = s->locals },
		.max_fragments = 16,
		.seed = 1,
		.dest_counters = rig->dest_counters,
		.all_counters = (struct dest_counters *const *)&rig->dest_counters,
		.overloaded = rig->overloaded,
		.port_macs = mac,
		.n_ports = 1,
	};
	int r = director_new(&c, &rig->director);

	assert(r == 0);
}

void control_rig_init(struct control_rig *rig)
{
	struct tables_config c = { .n_workers = 1, .tick_msec = TICK_MSEC, .retire = retire };
	struct answer_config answer = { .ops = &ops, .context = rig, .conn_table_size = 4096 };
	int r;

	*rig = (struct control_rig){ .gid = (gid_t)-1, .stop_fd = -1, .stopped_fd = -1 };
	rig->dest_counters = calloc(SNAPSHOT_DESTS_MAX, sizeof(*rig->dest_counters));
	rig->overloaded = calloc(SNAPSHOT_DESTS_MAX, sizeof(*rig->overloaded));
	rig->nexthops = calloc(SNAPSHOT_NEXTHOPS_MAX, sizeof(*rig->nexthops));
	assert(rig->dest_counters && rig->overloaded && rig->nexthops);
	c.dest_counters = &rig->dest_counters;
	c.overloaded = rig->overloaded;
	c.nexthops = rig->nexthops;
	r = tables_new(&c, &rig->tables);
	assert(r == 0);
	make_director(rig);
	answer.tables = rig->tables;
	r = answer_new(&answer, &rig->answer);
	assert(r == 0);
}

void control_rig_deinit(struct control_rig *rig)
{
	answer_free(rig->answer);
	director_free(rig->director);
	tables_free(rig->tables);
	free(rig->dest_counters);
	free((void *)rig->overloaded);
	free(rig->nexthops);
}

void control_rig_clear(struct control_rig *rig, uint64_t now_usec)
{
	struct flow_usage usage;

	flow_table_usage(director_flows(rig->director), &usage);
	if (usage.flows > 0) {
		/* A director does not uncount what it leaves: its process ends with it. Ids are the lowest. */
		director_free(rig->director);
		memset((void *)rig->dest_counters, 0, IDS_USED_MAX * sizeof(*rig->dest_counters));
		make_director(rig);
	}
	tables_flush(rig->tables);
	/* Seen without references, and then for longer than the kernel's trash keeps them. */
	for (unsigned i = 0; i < 3; i++) {
		(void)tables_tick(rig->tables, now_usec + i * TRASH_USEC);
		(void)tables_publish(rig->tables);
	}
}

static int on_stop(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	(void)fd;
	(void)revents;
	(void)userdata;
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static void *serve(void *userdata)
{
	struct control_rig *rig = userdata;
	int r = sd_event_loop(rig->event);

	assert(r == 0);
	return NULL;
}

void control_rig_start(struct control_rig *rig)
{
	int fds[2], r;

	r = temporary_make(rig->folder);
	assert(r == 0);
	(void)snprintf(rig->path, sizeof(rig->path), "%s/fastpath.sock", rig->folder);
	r = sd_event_new(&rig->event);
	assert(r >= 0);
	r = control_server_new(rig->event, rig->answer, rig->path, rig->gid, &rig->server);
	assert(r == 0);
	r = pipe2(fds, O_CLOEXEC);
	assert(r == 0);
	rig->stopped_fd = fds[0];
	rig->stop_fd = fds[1];
	r = sd_event_add_io(rig->event, NULL, rig->stopped_fd, EPOLLIN, on_stop, NULL);
	assert(r >= 0);
	r = pthread_create(&rig->thread, NULL, serve, rig);
	assert(r == 0);
	r = channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &rig->channel);
	assert(r == 0);
}

void control_rig_stop(struct control_rig *rig)
{
	int r;

	channel_free(rig->channel);
	(void)close(rig->stop_fd);
	r = pthread_join(rig->thread, NULL);
	assert(r == 0);
	control_server_free(rig->server);
	(void)sd_event_unref(rig->event);
	(void)close(rig->stopped_fd);
	r = access(rig->path, F_OK);
	assert(r < 0);
	r = temporary_remove(rig->folder);
	assert(r == 0);
}

int control_rig_set_up(void **state)
{
	struct control_rig *rig = calloc(1, sizeof(*rig));

	if (!rig)
		return -1;
	control_rig_init(rig);
	control_rig_start(rig);
	*state = rig;
	return 0;
}

int control_rig_tear_down(void **state)
{
	control_rig_stop(*state);
	control_rig_deinit(*state);
	free(*state);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The life of struct fastpath: orders, configuration, what `status` tells. */

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/fastpath-internal.h"
#include "daemon/manager.h"
#include "daemon/rfc3339.h"
#include "ipvs/channel-unix.h"

#define SOCKET_NAME "fastpath.sock"

DEFINE_CLEANUP(struct fastpath *, fastpath_free)

const char *fastpath_directory(const struct fastpath *f)
{
	const struct manager *m = f->manager;

	return m->options.state_directory ? m->options.state_directory
					  : m->conf->global.state_directory;
}

usec_t fastpath_ask_due(const struct fastpath *f)
{
	return f->asked_usec + (f->is_awaited ? FASTPATH_ASK_USEC : FASTPATH_BEAT_USEC);
}

void fastpath_arm(struct fastpath *f)
{
	usec_t due = *f->trouble ? 0 : fastpath_machine_due(&f->machine);

	if (f->is_awaited && due != USEC_NEVER)
		due = MIN(due, fastpath_ask_due(f));

	(void)sd_event_source_set_time(f->timer, due == USEC_NEVER ? 0 : due);
	(void)sd_event_source_set_enabled(f->timer,
					  due == USEC_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	fastpath_tick(userdata);
	return 0;
}

/* Beside our own: who may come to one may come to the other. */
static char *socket_path(const struct manager *m)
{
	const char *ours = m->options.control_socket ? m->options.control_socket
						     : m->conf->global.control_socket;
	const char *slash = strrchr(ours, '/');
	char *path;

	if (asprintf(&path, "%.*s%s", slash ? (int)(slash + 1 - ours) : 0, ours, SOCKET_NAME) < 0)
		return NULL;
	return path;
}

static void load_record(struct fastpath *f)
{
	int r = fastpath_record_load(fastpath_directory(f), &f->record);

	if (r == -EBADMSG)
		log_warning("%s/fastpath.json is damaged and was set aside: if addresses are "
			    "missing, the fast path had them",
			    fastpath_directory(f));
	else if (r < 0 && r != -ENOENT)
		log_warning("%s/fastpath.json: %s", fastpath_directory(f), strerror(-r));
}

int fastpath_new(struct manager *m, struct fastpath **ret)
{
	_cleanup_(fastpath_free_p) struct fastpath *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->manager = m;
	f->process = FASTPATH_PROCESS_INIT;
	f->task = FASTPATH_TASK_INIT;
	f->socket = socket_path(m);
	if (!f->socket)
		return -ENOMEM;
	r = sd_event_add_time(m->event, &f->timer, CLOCK_MONOTONIC, 0, USEC_PER_MSEC, on_timer, f);
	if (r >= 0)
		r = sd_event_source_set_enabled(f->timer, SD_EVENT_OFF);
	if (r < 0)
		return r;
	load_record(f);
	fastpath_machine_init(&f->machine, f->record.enabled, clock_monotonic_usec());
	f->machine.wanted = f->record.wanted;
	f->adopted = fastpath_adopt(f) == 0;
	*ret = take_ptr(f);
	return 0;
}

void fastpath_free(struct fastpath *f)
{
	if (!f)
		return;
	sd_event_source_disable_unref(f->timer);
	/* The record does not tell how far it has come: better that it comes to its end. */
	fastpath_task_deinit(&f->task, 2 * USEC_PER_SEC);
	fastpath_link_free(f->link);
	fastpath_plane_close(&f->plane);
	fastpath_process_deinit(&f->process);
	fastpath_record_deinit(&f->record);
	fastpath_states_deinit(&f->states);
	free(f->socket);
	free(f);
}

/* Does what runs run as configured? */
static bool is_changed(const struct fastpath *f)
{
	_cleanup_(fastpath_command_free) struct fastpath_command command = { 0 };

	return f->record.phase != FASTPATH_IDLE && f->record.command &&
	       fastpath_command_make(&command, &f->manager->conf->fastpath, f->socket) == 0 &&
	       strcmp(command.text, f->record.command) != 0;
}

void fastpath_configure(struct fastpath *f)
{
	const bool enabled = f->manager->conf->fastpath.enabled;

	fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_CONFIGURED,
						     .enabled = enabled,
						     .changed = is_changed(f) });
	fastpath_refresh(f);
	if (f->record.enabled != enabled || f->record.wanted != f->machine.wanted) {
		f->record.enabled = enabled;
		fastpath_save(f);
	}
}

/* The order of before is in force unless the configuration has changed meanwhile. */
void fastpath_begin(struct fastpath *f)
{
	bool wanted = f->machine.wanted;

	if (f->adopted)
		fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_ADOPT });
	else if (wanted && f->machine.enabled && f->manager->conf->fastpath.enabled)
		fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_SWITCH_ON });
	else
		f->machine.wanted = false;
	fastpath_configure(f);
}

int fastpath_order(struct fastpath *f, bool on, bool force, json_t **ret_report)
{
	f->force = force;
	if (on && f->manager->conf->fastpath.n_ports == 0) {
		*ret_report = json_pack("{s:s}", "error",
					"no ports: give ports in [fastpath] of the configuration");
		return -EINVAL;
	}
	fastpath_handle(f, &(struct fastpath_event){ .kind = on ? FASTPATH_SWITCH_ON
								: FASTPATH_SWITCH_OFF });
	fastpath_save(f);
	return fastpath_report(f, false, ret_report);
}

static json_t *ports_to_json(const struct fastpath *f)
{
	const struct conf_fastpath *c = &f->manager->conf->fastpath;
	json_t *ports = json_array();

	for (size_t i = 0; ports && i < f->record.n_ports; i++) {
		const struct fastpath_taken *t = &f->record.ports[i];

		(void)json_array_append_new(ports, json_pack("{s:s,s:s,s:s,s:s}", "port",
							     t->port.spec, "interface",
							     t->interface, "exception_interface",
							     t->exception, "driver", t->driver));
	}
	for (size_t i = 0; ports && f->record.n_ports == 0 && i < c->n_ports; i++)
		(void)json_array_append_new(ports, json_pack("{s:s}", "port", c->ports[i]));
	return ports;
}

static int on_worker(void *userdata, const struct private_worker *w,
		     const struct private_counters *counters)
{
	json_t *list = userdata, *values = json_object();

	for (size_t i = 0; values && i < counters->n; i++)
		(void)json_object_set_new(values, counters->at[i].name,
					  json_integer((json_int_t)counters->at[i].value));
	return json_array_append_new(list,
				     json_pack("{s:I,s:I,s:I,s:o?}", "worker", (json_int_t)w->index,
					       "lcore", (json_int_t)w->lcore, "late_us",
					       (json_int_t)w->late_usec, "counters", values)) < 0
		       ? -ENOMEM
		       : 0;
}

static json_t *workers_to_json(struct fastpath *f)
{
	json_t *list = json_array();

	if (list && f->plane.channel && f->machine.state == FASTPATH_ACTIVE)
		(void)channel_dump_workers(f->plane.channel, on_worker, list);
	return list;
}

/* Who enforces the security groups of which listeners, now. */
static json_t *security_to_json(const struct fastpath *f)
{
	const struct conf *conf = f->manager->conf;
	bool active = f->machine.state == FASTPATH_ACTIVE;
	json_t *enforced = json_array(), *open = json_array();

	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (l->n_security_groups > 0)
			(void)json_array_append_new(active && !l->firewall_mark ? enforced : open,
						    json_string(l->name));
	}
	return json_pack("{s:o?,s:o?}", "enforced", enforced, "not_enforced", open);
}

int fastpath_report(struct fastpath *f, bool counters, json_t **ret_report)
{
	const struct fastpath_machine *x = &f->machine;
	usec_t now = clock_monotonic_usec(), wall = clock_wall_usec();
	bool waits = x->state == FASTPATH_WAITING && x->deadline_usec > now;
	char since[RFC3339_MAX];

	*ret_report = json_pack(
		"{s:s,s:b,s:b,s:b,s:s,s:s?,s:I,s:f,s:I,s:s,s:o?,s:o?,s:o*}", "state",
		fastpath_state_to_string(x->state), "settled", fastpath_machine_is_settled(x),
		"enabled", f->manager->conf->fastpath.enabled, "wanted", x->wanted, "since",
		rfc3339_format(wall - (now - x->since_usec), since), "reason",
		*x->reason ? x->reason : NULL, "failures", (json_int_t)x->failures, "retry_seconds",
		waits ? (double)(x->deadline_usec - now) / (double)USEC_PER_SEC : 0.0, "pid",
		(json_int_t)f->process.pid, "program", f->manager->conf->fastpath.program, "ports",
		ports_to_json(f), "security_groups", security_to_json(f), "workers",
		counters ? workers_to_json(f) : NULL);
	return *ret_report ? 0 : -ENOMEM;
}

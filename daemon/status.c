/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The JSON of `ipvsd status`: see manager.h and ipvsd(8). Written as text: a tree of ten thousand targets is 50 MB, which
 * the heap then keeps, and holds up the loop ten times as long.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/checks.h"
#include "daemon/connections.h"
#include "daemon/fastpath.h"
#include "daemon/json-text.h"
#include "daemon/manager.h"
#include "daemon/names.h"
#include "daemon/reconcile.h"
#include "daemon/rfc3339.h"
#include "daemon/worker-pool.h"
#include "ipvs/channel.h"
#include "ipvs/desired.h"

/* Counters of a dump that is no older than this are shown as they are. */
#define FRESH_USEC (500 * USEC_PER_MSEC)

DEFINE_CLEANUP(json_t *, json_decref)

static void add_rates(struct json_text *j, uint64_t active, uint64_t inactive,
		      const struct ipvs_stats *s)
{
	json_text_member_int(j, "active", (int64_t)active);
	json_text_member_int(j, "inactive", (int64_t)inactive);
	json_text_member_int(j, "connections", (int64_t)s->conns);
	json_text_member_int(j, "in_packets", (int64_t)s->in_packets);
	json_text_member_int(j, "out_packets", (int64_t)s->out_packets);
	json_text_member_int(j, "in_bytes", (int64_t)s->in_bytes);
	json_text_member_int(j, "out_bytes", (int64_t)s->out_bytes);
	json_text_member_int(j, "cps", (int64_t)s->cps);
	json_text_member_int(j, "in_pps", (int64_t)s->in_pps);
	json_text_member_int(j, "out_pps", (int64_t)s->out_pps);
	json_text_member_int(j, "in_bps", (int64_t)s->in_bps);
	json_text_member_int(j, "out_bps", (int64_t)s->out_bps);
}

/* Destinations that a reload took out and that still have connections. */
static void add_leaving(struct json_text *j, const struct manager *m, const struct conf_listener *l)
{
	const char *separator = "{\"target\":";

	json_text_member(j, "leaving");
	json_text_raw(j, "[");
	for (size_t i = 0; i < m->linger.n; i++) {
		const struct linger_entry *e = &m->linger.items[i];
		char name[ADDR_PORT_STR_MAX];

		if (!desired_service_is_of(l, &e->service))
			continue;
		json_text_raw(j, separator);
		json_text_string(j, addr_port_format(&e->addr, e->port, name));
		json_text_member_time(j, "drain_deadline",
				      e->deadline_usec == LINGER_UNTIL_IDLE ? 0 : e->deadline_usec);
		json_text_raw(j, "}");
		separator = ",{\"target\":";
	}
	json_text_raw(j, "]");
}

static void add_forwards(struct json_text *j, const struct conf_listener *l)
{
	json_text_member(j, "forward");
	json_text_raw(j, "[");
	for (size_t i = 0; i < l->n_forwards; i++) {
		json_text_raw(j, i ? ",{\"group\":" : "{\"group\":");
		json_text_string(j, l->forwards[i].name);
		json_text_member_int(j, "weight", l->forwards[i].weight);
		json_text_raw(j, "}");
	}
	json_text_raw(j, "]");
}

static void add_listener(struct json_text *j, const struct manager *m,
			 const struct conf_listener *l)
{
	char address[ADDR_STR_MAX], ports[16];
	struct ipvs_stats stats = { 0 };
	uint64_t active = 0, inactive = 0;
	const char *scheduler = "";

	for (size_t i = 0; i < m->actual.n; i++) {
		const struct ipvs_service *s = &m->actual.services[i];

		if (!desired_service_is_of(l, &s->key))
			continue;
		scheduler = s->scheduler;
		connection_stats_add(&stats, &s->stats);
		for (size_t k = 0; k < s->n_dests; k++) {
			active += s->dests[k].active_conns;
			inactive += s->dests[k].inactive_conns;
		}
	}
	(void)snprintf(ports, sizeof(ports), l->ports.low == l->ports.high ? "%u" : "%u-%u",
		       l->ports.low, l->ports.high);
	json_text_raw(j, "{\"name\":");
	json_text_string(j, l->name);
	json_text_member_string(j, "address",
				l->firewall_mark ? "" : addr_format(&l->address, address));
	json_text_member_string(j, "port", ports);
	json_text_member_string(j, "protocol", conf_protocol_to_string(l->protocol));
	json_text_member_string(j, "scheduler", scheduler);
	json_text_member_int(j, "firewall_mark", l->firewall_mark);
	json_text_member_string(j, "family", l->family == AF_INET6 ? "ipv6" : "ipv4");
	add_forwards(j, l);
	add_leaving(j, m, l);
	add_rates(j, active, inactive, &stats);
	json_text_raw(j, "}");
}

/* Where it is known from now; of one that leaves, where it was known from. */
static void add_source(struct json_text *j, const struct manager *m, size_t group, size_t index)
{
	const struct target *t = &m->registry.groups[group].targets[index];
	_cleanup_(json_decref_p)
		json_t *source = names_target_source(m->names, group, &t->addr, t->port, index);
	const char *text = json_string_value(source);

	if (!text)
		text = t->origin == TARGET_FROM_CONFIG ? "none" : "register";
	json_text_member_string(j, "source", text);
}

static void add_health(struct json_text *j, const struct target_health *h)
{
	char detail[PROBE_OUTCOME_TEXT_MAX] = "", description[TARGET_DESCRIPTION_MAX];

	if (h->checked_usec)
		(void)probe_outcome_describe(h->outcome, h->detail, detail);
	json_text_member_string(j, "state", target_state_to_string(h->state));
	json_text_member_string(j, "reason", target_reason_to_string(h->reason));
	json_text_member_string(j, "description", target_health_describe(h, description));
	json_text_member_string(j, "detail", detail);
	json_text_member_time(j, "since", h->since_usec);
	json_text_member_time(j, "checked", h->checked_usec);
	json_text_member_int(j, "duration_us", (int64_t)h->duration_usec);
	json_text_member_int(j, "successes", h->successes);
	json_text_member_int(j, "failures", h->failures);
}

static void add_target(struct json_text *j, const struct target_group *g, const struct target *t,
		       const struct connection_table *table)
{
	const struct connection_counts none = { 0 };
	const struct connection_counts *c = connection_table_find(table, &t->addr, t->port);
	bool draining = t->health.state == TARGET_DRAINING;
	char name[ADDR_PORT_STR_MAX];

	if (!c)
		c = &none;
	json_text_raw(j, "{\"target\":");
	json_text_string(j, t->port ? addr_port_format(&t->addr, t->port, name)
				    : addr_format(&t->addr, name));
	json_text_member_string(j, "zone", t->zone);
	json_text_member_string(j, "origin",
				t->origin == TARGET_FROM_CONFIG ? "config" : "register");
	add_health(j, &t->health);
	json_text_member_int(j, "configured_weight", t->configured_weight);
	json_text_member_int(j, "weight", t->weight.weight);
	json_text_member_bool(j, "fail_open", t->weight.by_fail_open && !g->cold);
	json_text_member_bool(j, "cold_start", t->weight.by_fail_open && g->cold);
	json_text_member_bool(j, "drained", t->drained);
	json_text_member_time(j, "drain_deadline", draining ? t->health.drain_deadline_usec : 0);
	json_text_member_time(j, "slow_start_end",
			      t->slow_start_usec ? t->slow_start_usec + g->settings.slow_start_usec
						 : 0);
	json_text_member_bool(j, "anomalous", t->anomaly.anomalous);
	json_text_member_int(j, "mitigation_steps", t->anomaly.steps);
	add_rates(j, c->active, c->inactive, &c->stats);
}

static void add_check(struct json_text *j, const struct conf_health_check *c)
{
	bool has_path = c->protocol == CONF_CHECK_HTTP && c->path;
	_cleanup_free_ char *text = NULL;

	if (c->protocol == CONF_CHECK_NONE) {
		json_text_member_string(j, "check", "none");
		return;
	}
	if (asprintf(&text, "%s%s%s every %g s, timeout %g s, up after %u, down after %u",
		     conf_check_to_string(c->protocol), has_path ? " " : "",
		     has_path ? c->path : "", (double)c->interval_usec / (double)USEC_PER_SEC,
		     (double)c->timeout_usec / (double)USEC_PER_SEC, c->healthy_threshold,
		     c->unhealthy_threshold) < 0) {
		text = NULL;
		j->failed = true;
		return;
	}
	json_text_member_string(j, "check", text);
}

static int add_group(struct json_text *j, const struct manager *m, size_t index)
{
	_cleanup_(connection_table_deinit) struct connection_table table = { 0 };
	const struct target_group *g = &m->registry.groups[index];
	int r = connection_table_of_group(m->conf, &m->actual, index, 0, &table);

	if (r < 0)
		return r;
	json_text_raw(j, "{\"name\":");
	json_text_string(j, g->name);
	json_text_member_int(j, "registered", g->summary.registered);
	json_text_member_int(j, "healthy", g->summary.healthy);
	json_text_member_bool(j, "fail_open", g->summary.fail_open);
	json_text_member_bool(j, "cold_start", g->summary.cold_start);
	json_text_member_bool(j, "dns_healthy", g->summary.dns_healthy);
	json_text_member_bool(j, "in_use", g->conf->in_use);
	add_check(j, &g->conf->check);
	json_text_member(j, "sources");
	json_text_tree(j, names_group_sources(m->names, index));
	json_text_member(j, "authorities");
	json_text_tree(j, names_group_authorities(m->names, index));
	json_text_member(j, "targets");
	json_text_raw(j, "[");
	for (size_t i = 0; i < g->n; i++) {
		json_text_raw(j, i ? "," : "");
		add_target(j, g, &g->targets[i], &table);
		add_source(j, m, index, i);
		json_text_raw(j, "}");
	}
	json_text_raw(j, "]}");
	return 0;
}

static json_t *health_to_json(const struct manager *m)
{
	_cleanup_(json_decref_p) json_t *checks = checks_to_json(m->checks);
	json_t *j = worker_pool_to_json(m->workers, clock_monotonic_usec());

	if (j && checks)
		(void)json_object_update(j, checks);
	if (j)
		checks_add_lateness(m->checks, json_object_get(j, "workers"));
	if (j)
		names_add_alarms(m->names, json_object_get(j, "alarms"));
	return j;
}

/* All but the tables: an object that is open at its end. */
static void add_head(struct json_text *j, const struct manager *m, json_t *fastpath)
{
	char loaded[RFC3339_MAX];
	json_t *head = json_pack(
		"{s:s,s:i,s:f,s:s,s:s,s:s?,s:s,s:I,s:I,s:I,s:I,s:O?,s:o?,s:o}", "version",
		IPVSD_VERSION, "pid", (int)getpid(), "uptime_seconds",
		(double)(clock_monotonic_usec() - m->started_usec) / (double)USEC_PER_SEC, "config",
		m->options.config_path, "loaded", rfc3339_format(m->loaded_usec, loaded),
		"last_error", m->last_error, "plane", fastpath_plane_name(m->fastpath), "reloads",
		(json_int_t)m->reloads, "reloads_failed", (json_int_t)m->reloads_failed,
		"drift_repairs", (json_int_t)m->drift_repairs, "netlink_writes",
		(json_int_t)channel_writes(m->channel), "warnings", m->warnings, "health",
		health_to_json(m), "fastpath", fastpath);
	_cleanup_free_ char *text = head ? json_dumps(head, JSON_COMPACT | JSON_PRESERVE_ORDER)
					 : NULL;

	json_decref(head);
	if (!text) {
		j->failed = true;
		return;
	}
	text[strlen(text) - 1] = '\0';
	json_text_raw(j, text);
}

int manager_status(struct manager *m, char **ret_text, size_t *ret_len_bytes)
{
	json_t *fastpath = NULL;
	struct json_text j;
	int r;

	if (clock_monotonic_usec() - m->actual_usec > FRESH_USEC)
		(void)reconcile_dump(m); /* else the older counters are shown */
	r = json_text_begin(&j);
	if (r < 0)
		return r;
	if (fastpath_report(m->fastpath, false, &fastpath) < 0)
		j.failed = true;
	add_head(&j, m, fastpath);
	json_text_raw(&j, ",\"listeners\":[");
	for (size_t i = 0; i < m->conf->n_listeners; i++) {
		json_text_raw(&j, i ? "," : "");
		add_listener(&j, m, &m->conf->listeners[i]);
	}
	json_text_raw(&j, "],\"groups\":[");
	for (size_t i = 0; i < m->registry.n; i++) {
		json_text_raw(&j, i ? "," : "");
		if (add_group(&j, m, i) < 0)
			j.failed = true;
	}
	json_text_raw(&j, "]}\n");
	return json_text_finish(&j, ret_text, ret_len_bytes);
}

int manager_events(struct manager *m, const struct event_filter *f, json_t **ret_report)
{
	json_t *events = event_ring_to_json(&m->events, f);

	*ret_report = json_pack("{s:o?,s:I}", "events", events, "last", (json_int_t)m->events.last);
	return *ret_report ? 0 : -ENOMEM;
}

int manager_fastpath_status(struct manager *m, json_t **ret_report)
{
	return fastpath_report(m->fastpath, true, ret_report);
}

int manager_fastpath_order(struct manager *m, bool on, bool force, json_t **ret_report)
{
	if (m->stopping) {
		*ret_report = json_pack("{s:s}", "error", "ipvsd is stopping");
		return -EBUSY;
	}
	return fastpath_order(m->fastpath, on, force, ret_report);
}

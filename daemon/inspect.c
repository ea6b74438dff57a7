/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/inspect.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/checks.h"
#include "daemon/manager.h"
#include "daemon/rfc3339.h"

enum {
	EXPLAIN_RESULTS = 10, /* of the last ones */
};

DEFINE_CLEANUP(json_t *, json_decref)

int inspect_select(const char *group, const char *target, struct inspect_selector *ret)
{
	struct inspect_selector s = { .any_target = !target };
	const char *slash = target ? strchr(target, '/') : NULL;
	size_t len;

	if (!group && !target)
		return -EINVAL;
	if (slash) {
		len = (size_t)(slash - target);
		if (group && (strlen(group) != len || strncmp(group, target, len) != 0))
			return -EINVAL;
		group = NULL;
		if (len == 0 || len >= sizeof(s.group))
			return -EINVAL;
		memcpy(s.group, target, len);
		target = slash + 1;
	}
	if (group) {
		if (strlen(group) >= sizeof(s.group))
			return -EINVAL;
		memcpy(s.group, group, strlen(group));
	}
	if (target && addr_port_parse(target, &s.addr, &s.port) < 0)
		return -EINVAL;
	*ret = s;
	return 0;
}

bool inspect_selects(const struct inspect_selector *s, const struct target_group *g,
		     const struct target *t)
{
	if (*s->group && strcmp(s->group, g->name) != 0)
		return false;
	return s->any_target || (addr_eq(&s->addr, &t->addr) && (!s->port || s->port == t->port));
}

static json_t *time_to_json(usec_t wall_usec)
{
	char text[RFC3339_MAX];

	return wall_usec ? json_string(rfc3339_format(wall_usec, text)) : json_null();
}

static json_t *result_to_json(const struct history_entry *e)
{
	char text[PROBE_OUTCOME_TEXT_MAX];
	enum probe_outcome outcome = (enum probe_outcome)e->outcome;

	return json_pack("{s:o,s:s,s:I,s:s,s:I,s:s,s:s}", "time",
			 time_to_json((usec_t)e->wall_msec * USEC_PER_MSEC), "outcome",
			 probe_outcome_to_string(outcome), "detail", (json_int_t)e->detail, "text",
			 probe_outcome_describe(outcome, e->detail, text), "duration_us",
			 (json_int_t)e->duration_usec, "state",
			 target_state_to_string((enum target_state)e->state), "note",
			 history_note_to_string((enum history_note)e->note));
}

json_t *inspect_results_to_json(const struct manager *m, const struct target *t, unsigned last)
{
	const struct record *r = records_find(&m->checks->records, t->id);
	_cleanup_(json_decref_p) json_t *list = json_array();

	if (!list)
		return NULL;
	for (uint32_t i = r && r->history.n > last ? r->history.n - last : 0; r && i < r->history.n;
	     i++)
		if (json_array_append_new(list, result_to_json(history_get(&r->history, i))) < 0)
			return NULL;
	return take_ptr(list);
}

static json_t *check_to_json(const struct target_group *g, const struct target *t)
{
	const struct conf_health_check *c = &g->conf->check;

	return json_pack("{s:s,s:I,s:I,s:I,s:I,s:I}", "protocol", conf_check_to_string(c->protocol),
			 "port", (json_int_t)registry_probe_port(g, t), "interval_ms",
			 (json_int_t)(c->interval_usec / USEC_PER_MSEC), "timeout_ms",
			 (json_int_t)(c->timeout_usec / USEC_PER_MSEC), "healthy_threshold",
			 (json_int_t)c->healthy_threshold, "unhealthy_threshold",
			 (json_int_t)c->unhealthy_threshold);
}

static const char *name_of(const struct target *t, char buf[static ADDR_PORT_STR_MAX])
{
	return t->port ? addr_port_format(&t->addr, t->port, buf) : addr_format(&t->addr, buf);
}

/* By listener: the group's weight among those that share its new connections. */
static json_t *shares_to_json(const struct conf *conf, const struct target_group *g)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];
		json_int_t own = -1, all = 0;

		for (size_t j = 0; j < l->n_forwards; j++) {
			all += l->forwards[j].weight;
			if (strcmp(l->forwards[j].name, g->name) == 0)
				own = l->forwards[j].weight;
		}
		if (own >= 0)
			(void)json_array_append_new(list,
						    json_pack("{s:s,s:I,s:I}", "listener", l->name,
							      "weight", own, "of", all));
	}
	return list;
}

/* What the counters said of the last window with enough new connections. */
static json_t *traffic_to_json(const struct record *r)
{
	return json_pack("{s:I,s:I,s:I}", "connections", (json_int_t)(r ? r->passive.conns : 0),
			 "unanswered", (json_int_t)(r ? r->passive.unanswered : 0),
			 "silent_windows", (json_int_t)(r ? r->passive.silent : 0));
}

static json_t *explanation(const struct manager *m, const struct target_group *g,
			   const struct target *t)
{
	const struct target_health *h = &t->health;
	const struct record *r = records_find(&m->checks->records, t->id);
	char name[ADDR_PORT_STR_MAX], text[TARGET_DESCRIPTION_MAX];
	char detail[PROBE_OUTCOME_TEXT_MAX] = "";

	if (h->checked_usec)
		(void)probe_outcome_describe(h->outcome, h->detail, detail);
	return json_pack(
		"{s:s,s:s,s:s,s:s,s:s,s:s,s:s,s:o,s:o,s:I,s:s,s:I,s:I,s:I,s:o?,s:o?,s:o?,s:o?,s:o?,"
		"s:o?}",
		"group", g->name, "target", name_of(t, name), "zone", t->zone, "state",
		target_state_to_string(h->state), "reason", target_reason_to_string(h->reason),
		"description", target_health_describe(h, text), "detail", detail, "since",
		time_to_json(h->since_usec), "checked", time_to_json(h->checked_usec),
		"verdict_age_ms",
		(json_int_t)(checks_age(m->checks, t, clock_monotonic_usec()) / USEC_PER_MSEC),
		"held", r ? guard_hold_to_string(r->hold) : "", "successes",
		(json_int_t)h->successes, "failures", (json_int_t)h->failures, "weight",
		(json_int_t)t->weight.weight, "factors", inspect_factors_to_json(m, g, t),
		"traffic", traffic_to_json(r), "listeners", shares_to_json(m->conf, g), "check",
		check_to_json(g, t), "next", inspect_next_to_json(m, g, t), "results",
		inspect_results_to_json(m, t, EXPLAIN_RESULTS));
}

/* With what the ring knows of the time before it, so that a client can run it again. */
static json_t *record_to_json(const struct manager *m, const struct target_group *g,
			      const struct target *t)
{
	const struct record *r = records_find(&m->checks->records, t->id);
	char name[ADDR_PORT_STR_MAX];

	return json_pack("{s:s,s:s,s:o?,s:{s:s,s:I,s:I},s:o?}", "group", g->name, "target",
			 name_of(t, name), "check", check_to_json(g, t), "before", "state",
			 target_state_to_string(r ? r->history.base_state : TARGET_INITIAL),
			 "successes", (json_int_t)(r ? r->history.base_successes : 0), "failures",
			 (json_int_t)(r ? r->history.base_failures : 0), "results",
			 inspect_results_to_json(m, t, UINT32_MAX));
}

typedef json_t *(*target_to_json_fn)(const struct manager *m, const struct target_group *g,
				     const struct target *t);

static int refuse(int error, const char *group, const char *target, const char *why,
		  json_t **ret_report)
{
	*ret_report =
		json_pack("{s:o}", "error",
			  json_sprintf("%s%s%s: %s", group ? group : "", group && target ? "/" : "",
				       target ? target : "", why));
	return error;
}

static int collect(const struct manager *m, const char *group, const char *target,
		   target_to_json_fn to_json, json_t **ret_report)
{
	_cleanup_(json_decref_p) json_t *list = json_array();
	struct inspect_selector s;

	if (inspect_select(group, target, &s) < 0)
		return refuse(-EINVAL, group, target,
			      "not a target: give ADDRESS or ADDRESS:PORT ([IPv6]:PORT), or "
			      "GROUP/ and that",
			      ret_report);
	if (*s.group && !registry_find_group(&m->registry, s.group))
		return refuse(-ENOENT, s.group, NULL, "no such target group", ret_report);
	for (size_t i = 0; list && i < m->registry.n; i++) {
		const struct target_group *g = &m->registry.groups[i];

		for (size_t j = 0; j < g->n; j++)
			if (inspect_selects(&s, g, &g->targets[j]) &&
			    json_array_append_new(list, to_json(m, g, &g->targets[j])) < 0)
				return -ENOMEM;
	}
	if (!list)
		return -ENOMEM;
	if (target && json_array_size(list) == 0)
		return refuse(-ENOENT, group, target, "no such target", ret_report);
	*ret_report = json_pack("{s:O}", "targets", list);
	return *ret_report ? 0 : -ENOMEM;
}

int inspect_explain(struct manager *m, const char *group, const char *target, json_t **ret_report)
{
	return collect(m, group, target, explanation, ret_report);
}

int inspect_history(struct manager *m, const char *group, const char *target, json_t **ret_report)
{
	return collect(m, group, target, record_to_json, ret_report);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The state of the checks themselves, for `ipvsd status`. */

#include <inttypes.h>
#include <stdio.h>

#include "daemon/checks-internal.h"
#include "daemon/manager.h"

static json_t *oldest_to_json(const struct checks *c)
{
	char name[ADDR_PORT_STR_MAX];
	struct target_group *g;
	const struct target *t =
		c->oldest_id ? registry_find_id(&c->manager->registry, c->oldest_id, &g) : NULL;

	if (!t)
		return json_null();
	return json_pack("{s:s,s:s,s:I}", "group", g->name, "target",
			 addr_port_format(&t->addr, t->port, name), "age_ms",
			 (json_int_t)(c->oldest_usec / USEC_PER_MSEC));
}

static void add_alarm(json_t *list, json_t *text)
{
	if (text)
		(void)json_array_append_new(list, text);
}

static const char *phase_text(enum guard_phase p)
{
	return p == GUARD_SUSPECT ? "their verdicts are held" : "their verdicts are in effect";
}

static void add_group_alarms(const struct checks_group *g, json_t *list)
{
	if (g->scope.phase != GUARD_CALM)
		add_alarm(list, json_sprintf("group %s: most targets fail at the same time: %s",
					     g->name, phase_text(g->scope.phase)));
	if (g->waiting)
		add_alarm(list, json_sprintf("group %s: %u targets fail but stay in service: "
					     "capacity-loss-limit",
					     g->name, g->waiting));
}

static json_t *alarms_to_json(const struct checks *c)
{
	char late[CHECKS_LATE_TEXT_MAX];
	json_t *list = json_array();

	if (!list)
		return NULL;
	if (c->late_alarm.raised)
		add_alarm(list, json_string(checks_late_text(c, late)));
	if (c->crowd.alarm.raised)
		add_alarm(list, checks_crowd_text(c));
	if (c->age_alarm.raised)
		add_alarm(list, json_sprintf("verdicts are old: the oldest by %" PRIu64 " s",
					     c->oldest_usec / USEC_PER_SEC));
	if (c->all.phase != GUARD_CALM)
		add_alarm(list, json_sprintf("most targets fail at the same time: %s",
					     phase_text(c->all.phase)));
	for (size_t i = 0; i < c->n_groups; i++)
		add_group_alarms(&c->groups[i], list);
	return list;
}

json_t *checks_to_json(const struct checks *c)
{
	return json_pack("{s:o?,s:o,s:I,s:I,s:o?}", "lateness_us", checks_lateness_to_json(c),
			 "oldest_verdict", oldest_to_json(c), "held", (json_int_t)c->n_held,
			 "not_counted", (json_int_t)c->n_doubted, "alarms", alarms_to_json(c));
}

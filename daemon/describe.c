/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * describe-target-health. Members and values are those of DescribeTargetHealth in the elbv2 API 2015-12-01; what AWS does
 * not tell stands in one member of our own, Ipvsd.
 */

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/value.h"
#include "daemon/inspect.h"
#include "daemon/manager.h"
#include "daemon/rfc3339.h"

DEFINE_CLEANUP(json_t *, json_decref)

static json_t *time_to_json(usec_t wall_usec)
{
	char text[RFC3339_MAX];

	return wall_usec ? json_string(rfc3339_format(wall_usec, text)) : json_null();
}

static json_t *target_description(const struct addr *addr, uint16_t port, const char *zone)
{
	char id[ADDR_STR_MAX];

	return json_pack("{s:s,s:I,s:s*}", "Id", addr_format(addr, id), "Port", (json_int_t)port,
			 "AvailabilityZone", *zone ? zone : NULL);
}

/* A healthy target has neither reason nor description. */
static json_t *health_description(const char *state, const char *reason, const char *description)
{
	return json_pack("{s:s,s:s*,s:s*}", "State", state, "Reason", *reason ? reason : NULL,
			 "Description", *description ? description : NULL);
}

static json_t *own_description(const struct target *t)
{
	const struct target_health *h = &t->health;
	char detail[PROBE_OUTCOME_TEXT_MAX] = "";

	if (h->checked_usec)
		(void)probe_outcome_describe(h->outcome, h->detail, detail);
	return json_pack("{s:s,s:o,s:o,s:I,s:I,s:I,s:I}", "Detail", detail, "Since",
			 time_to_json(h->since_usec), "Checked", time_to_json(h->checked_usec),
			 "DurationUsec", (json_int_t)h->duration_usec, "Successes",
			 (json_int_t)h->successes, "Failures", (json_int_t)h->failures, "Weight",
			 (json_int_t)t->weight.weight);
}

static json_t *port_text(uint16_t port)
{
	return port ? json_sprintf("%u", port) : json_string("traffic-port");
}

static json_t *describe(const struct target_group *g, const struct target *t)
{
	const struct target_health *h = &t->health;
	bool mitigated = g->conf->anomaly_mitigation && t->anomaly.steps > 0;
	char text[TARGET_DESCRIPTION_MAX];

	return json_pack(
		"{s:o,s:o,s:o,s:{s:s,s:s},s:o}", "Target",
		target_description(&t->addr, t->port ? t->port : g->listener_port, t->zone),
		"HealthCheckPort", port_text(registry_probe_port(g, t)), "TargetHealth",
		health_description(target_state_to_string(h->state),
				   target_reason_to_string(h->reason),
				   target_health_describe(h, text)),
		"AnomalyDetection", "MitigationInEffect", mitigated ? "yes" : "no", "Result",
		g->conf->anomaly_mitigation && t->anomaly.anomalous ? "anomalous" : "normal",
		"Ipvsd", own_description(t));
}

static json_t *describe_unknown(const struct target_group *g, const struct addr *addr,
				uint16_t port)
{
	uint16_t probed = g->conf->check.port ? g->conf->check.port : port;

	return json_pack("{s:o,s:o,s:o}", "Target", target_description(addr, port, ""),
			 "HealthCheckPort", port_text(probed), "TargetHealth",
			 health_description(target_state_to_string(TARGET_UNUSED),
					    target_reason_to_string(TARGET_REASON_NOT_REGISTERED),
					    target_reason_describe(TARGET_REASON_NOT_REGISTERED)));
}

/* "Id=10.0.0.1,Port=80", any order, or "10.0.0.1:80". Port 0 = the group's. */
static int parse_one(char *text, struct addr *ret_addr, uint16_t *ret_port)
{
	char *field, *rest = text;
	bool has_id = false;
	uint64_t port = 0;

	*ret_port = 0;
	if (!strchr(text, '='))
		return addr_port_parse(text, ret_addr, ret_port);
	while ((field = strsep(&rest, ","))) {
		if (!strncmp(field, "Id=", 3) && addr_parse(field + 3, ret_addr) == 0)
			has_id = true;
		else if (strncmp(field, "Port=", 5) != 0 ||
			 number_parse(field + 5, UINT16_MAX, &port) < 0 || port == 0)
			return -EINVAL;
	}
	*ret_port = (uint16_t)port;
	return has_id ? 0 : -EINVAL;
}

/* Without a port an address stands for all its targets. */
static int add_wanted(const struct target_group *g, const struct addr *addr, uint16_t port,
		      json_t *list)
{
	bool found = false;

	for (size_t i = 0; i < g->n; i++) {
		const struct target *t = &g->targets[i];

		if (!addr_eq(&t->addr, addr) || (port && t->port != port))
			continue;
		found = true;
		if (json_array_append_new(list, describe(g, t)) < 0)
			return -ENOMEM;
	}
	if (found)
		return 0;
	return json_array_append_new(list, describe_unknown(g, addr, port ? port : g->conf->port)) <
			       0
		       ? -ENOMEM
		       : 0;
}

static int add_all(const struct target_group *g, json_t *list)
{
	for (size_t i = 0; i < g->n; i++)
		if (json_array_append_new(list, describe(g, &g->targets[i])) < 0)
			return -ENOMEM;
	return 0;
}

static int add_list(const struct target_group *g, const char *targets, json_t *list,
		    json_t **ret_report)
{
	_cleanup_free_ char *copy = strdup(targets), *quoted = NULL;
	char *rest = copy, *one;
	struct addr addr;
	uint16_t port;
	int r = 0;

	if (!copy)
		return -ENOMEM;
	while (r == 0 && (one = strsep(&rest, " \t\n"))) {
		if (!*one)
			continue;
		free(quoted);
		quoted = strdup(one);
		if (!quoted)
			return -ENOMEM;
		if (parse_one(one, &addr, &port) < 0) {
			*ret_report = json_pack(
				"{s:o}", "error",
				json_sprintf("targets: \"%s\" is not Id=ADDRESS[,Port=N]", quoted));
			return -EINVAL;
		}
		r = add_wanted(g, &addr, port, list);
	}
	return r;
}

int inspect_describe(struct manager *m, const char *group, const char *targets, json_t **ret_report)
{
	_cleanup_(json_decref_p) json_t *list = json_array();
	const struct target_group *g = registry_find_group(&m->registry, group);
	int r;

	if (!g) {
		*ret_report = json_pack("{s:o}", "error",
					json_sprintf("%s: no such target group", group));
		return -ENOENT;
	}
	if (!list)
		return -ENOMEM;
	r = targets ? add_list(g, targets, list, ret_report) : add_all(g, list);
	if (r < 0)
		return r;
	*ret_report = json_pack("{s:O}", "TargetHealthDescriptions", list);
	return *ret_report ? 0 : -ENOMEM;
}

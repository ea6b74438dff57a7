/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * describe-target-health. Members and values are those of DescribeTargetHealth in the elbv2 API 2015-12-01; what AWS does
 * not tell stands in one member of our own, Ipvsd. Written as text, as daemon/status.c is.
 */

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/value.h"
#include "daemon/inspect.h"
#include "daemon/json-text.h"
#include "daemon/manager.h"

/* Left out when there is nothing to say, as AWS does. */
static void add_optional(struct json_text *j, const char *name, const char *s)
{
	if (*s)
		json_text_member_string(j, name, s);
}

/* Begins a target's object. probed: 0 = no single port. */
static void add_target(struct json_text *j, const struct addr *addr, uint16_t port,
		       const char *zone, uint16_t probed)
{
	char text[ADDR_STR_MAX];

	json_text_raw(j, "{\"Target\":{\"Id\":");
	json_text_string(j, addr_format(addr, text));
	json_text_member_int(j, "Port", port);
	add_optional(j, "AvailabilityZone", zone);
	json_text_raw(j, "}");
	(void)snprintf(text, sizeof(text), "%u", probed);
	json_text_member_string(j, "HealthCheckPort", probed ? text : "traffic-port");
}

/* A healthy target has neither reason nor description. */
static void add_health(struct json_text *j, enum target_state state, enum target_reason reason,
		       const char *description)
{
	json_text_member(j, "TargetHealth");
	json_text_raw(j, "{\"State\":");
	json_text_string(j, target_state_to_string(state));
	add_optional(j, "Reason", target_reason_to_string(reason));
	add_optional(j, "Description", description);
	json_text_raw(j, "}");
}

static void add_own(struct json_text *j, const struct target *t)
{
	const struct target_health *h = &t->health;
	char detail[PROBE_OUTCOME_TEXT_MAX] = "";

	if (h->checked_usec)
		(void)probe_outcome_describe(h->outcome, h->detail, detail);
	json_text_member(j, "Ipvsd");
	json_text_raw(j, "{\"Detail\":");
	json_text_string(j, detail);
	json_text_member_time(j, "Since", h->since_usec);
	json_text_member_time(j, "Checked", h->checked_usec);
	json_text_member_int(j, "DurationUsec", (int64_t)h->duration_usec);
	json_text_member_int(j, "Successes", h->successes);
	json_text_member_int(j, "Failures", h->failures);
	json_text_member_int(j, "Weight", t->weight.weight);
	json_text_raw(j, "}");
}

static void describe(struct json_text *j, const struct target_group *g, const struct target *t)
{
	const struct target_health *h = &t->health;
	bool watched = g->conf->anomaly_mitigation;
	char text[TARGET_DESCRIPTION_MAX];

	add_target(j, &t->addr, t->port ? t->port : g->listener_port, t->zone,
		   registry_probe_port(g, t));
	add_health(j, h->state, h->reason, target_health_describe(h, text));
	json_text_member(j, "AnomalyDetection");
	json_text_raw(j, "{\"MitigationInEffect\":");
	json_text_string(j, watched && t->anomaly.steps > 0 ? "yes" : "no");
	json_text_member_string(j, "Result",
				watched && t->anomaly.anomalous ? "anomalous" : "normal");
	json_text_raw(j, "}");
	add_own(j, t);
	json_text_raw(j, "}");
}

static void describe_unknown(struct json_text *j, const struct target_group *g,
			     const struct addr *addr, uint16_t port)
{
	add_target(j, addr, port, "", g->conf->check.port ? g->conf->check.port : port);
	add_health(j, TARGET_UNUSED, TARGET_REASON_NOT_REGISTERED,
		   target_reason_describe(TARGET_REASON_NOT_REGISTERED));
	json_text_raw(j, "}");
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

/* In front of each of an array's items. */
static void separate(struct json_text *j, size_t *n)
{
	json_text_raw(j, (*n)++ ? "," : "");
}

/* Without a port an address stands for all its targets. */
static void add_wanted(struct json_text *j, size_t *n, const struct target_group *g,
		       const struct addr *addr, uint16_t port)
{
	size_t before = *n;

	for (size_t i = 0; i < g->n; i++) {
		const struct target *t = &g->targets[i];

		if (!addr_eq(&t->addr, addr) || (port && t->port != port))
			continue;
		separate(j, n);
		describe(j, g, t);
	}
	if (*n > before)
		return;
	separate(j, n);
	describe_unknown(j, g, addr, port ? port : g->conf->port);
}

static void add_all(struct json_text *j, const struct target_group *g)
{
	size_t n = 0;

	for (size_t i = 0; i < g->n; i++) {
		separate(j, &n);
		describe(j, g, &g->targets[i]);
	}
}

/* -EINVAL and *ret_bad, owned by the caller: one of them is none. */
static int add_list(struct json_text *j, const struct target_group *g, const char *targets,
		    char **ret_bad)
{
	_cleanup_free_ char *copy = strdup(targets), *quoted = NULL;
	char *rest = copy, *one;
	struct addr addr;
	size_t n = 0;
	uint16_t port;

	if (!copy)
		return -ENOMEM;
	while ((one = strsep(&rest, " \t\n"))) {
		if (!*one)
			continue;
		free(quoted);
		quoted = strdup(one);
		if (!quoted)
			return -ENOMEM;
		if (parse_one(one, &addr, &port) < 0) {
			*ret_bad = take_ptr(quoted);
			return -EINVAL;
		}
		add_wanted(j, &n, g, &addr, port);
	}
	return 0;
}

/* In the place of what was written until now. */
__attribute__((format(printf, 2, 3))) static void replace_by_error(struct json_text *j,
								   const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		j->failed = true;
		return;
	}
	j->len_bytes = 0;
	json_text_raw(j, "{\"error\":");
	json_text_string(j, text);
	json_text_raw(j, "}\n");
}

int inspect_describe(struct manager *m, const char *group, const char *targets, char **ret_text,
		     size_t *ret_len_bytes)
{
	const struct target_group *g = registry_find_group(&m->registry, group);
	_cleanup_free_ char *bad = NULL;
	struct json_text j;
	int r = json_text_begin(&j), err;

	if (r < 0)
		return r;
	json_text_raw(&j, "{\"TargetHealthDescriptions\":[");
	if (!g)
		r = -ENOENT;
	else if (targets)
		r = add_list(&j, g, targets, &bad);
	else
		add_all(&j, g);
	json_text_raw(&j, "]}\n");
	if (r == -ENOENT)
		replace_by_error(&j, "%s: no such target group", group);
	else if (r == -EINVAL)
		replace_by_error(&j, "targets: \"%s\" is not Id=ADDRESS[,Port=N]", bad);
	else if (r < 0)
		j.failed = true;
	err = json_text_finish(&j, ret_text, ret_len_bytes);
	return err < 0 ? err : r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(json_t *, json_decref)

void state_deinit(struct state *s)
{
	registry_deinit(&s->registry);
	free(s->owned_services);
	linger_set_deinit(&s->linger);
	json_decref(s->vips);
	*s = STATE_INIT;
}

static json_t *format_target(const struct target *t)
{
	const struct target_health *h = &t->health;
	char name[ADDR_PORT_STR_MAX];

	addr_port_format(&t->addr, t->port, name);
	return json_pack(
		"{s:s,s:s,s:I,s:s,s:b,s:b,s:b,s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:i,s:i,s:i,s:I,s:I,"
		"s:I}",
		"target", name, "origin", t->origin == TARGET_FROM_CONFIG ? "config" : "register",
		"configured_weight", (json_int_t)t->configured_weight, "zone", t->zone,
		"deregistered", t->deregistered, "drained", t->drained, "awaiting_first_result",
		t->awaiting_first_result, "state", target_state_to_string(h->state), "reason",
		target_reason_to_string(h->reason), "resume_state",
		target_state_to_string(h->resume_state), "resume_reason",
		target_reason_to_string(h->resume_reason), "successes", (json_int_t)h->successes,
		"failures", (json_int_t)h->failures, "since", (json_int_t)h->since_usec, "checked",
		(json_int_t)h->checked_usec, "outcome", (int)h->outcome, "detail", (int)h->detail,
		"reason_detail", (int)h->reason_detail, "duration", (json_int_t)h->duration_usec,
		"drain_deadline", (json_int_t)h->drain_deadline_usec, "weight",
		(json_int_t)t->weight.weight);
}

static json_t *format_groups(const struct registry *r)
{
	_cleanup_(json_decref_p) json_t *groups = json_object();

	if (!groups)
		return NULL;
	for (size_t i = 0; i < r->n; i++) {
		const struct target_group *g = &r->groups[i];
		json_t *targets = json_array();

		if (json_object_set_new(groups, g->name, targets) < 0)
			return NULL;
		for (size_t j = 0; j < g->n; j++)
			if (json_array_append_new(targets, format_target(&g->targets[j])) < 0)
				return NULL;
	}
	return take_ptr(groups);
}

static json_t *format_key(const struct ipvs_service_key *k)
{
	char text[ADDR_STR_MAX];

	return json_pack("{s:i,s:i,s:s,s:i,s:I}", "family", k->family == AF_INET6 ? 6 : 4,
			 "protocol", (int)k->protocol, "address",
			 k->fwmark ? "" : addr_format(&k->addr, text), "port", (int)k->port,
			 "fwmark", (json_int_t)k->fwmark);
}

static json_t *format_owned(const struct ipvs_service_key *owned, size_t n)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	for (size_t i = 0; list && i < n; i++)
		if (json_array_append_new(list, format_key(&owned[i])) < 0)
			return NULL;
	return take_ptr(list);
}

static json_t *format_linger(const struct linger_set *s)
{
	_cleanup_(json_decref_p) json_t *list = json_array();

	for (size_t i = 0; list && i < s->n; i++) {
		char name[ADDR_PORT_STR_MAX];
		json_t *item = json_pack(
			"{s:o,s:s,s:I}", "service", format_key(&s->items[i].service), "destination",
			addr_port_format(&s->items[i].addr, s->items[i].port, name), "deadline",
			(json_int_t)s->items[i].deadline_usec);

		if (json_array_append_new(list, item) < 0)
			return NULL;
	}
	return take_ptr(list);
}

json_t *state_format(const struct registry *r, const struct ipvs_service_key *owned, size_t n_owned,
		     const struct linger_set *linger, const json_t *vips, usec_t now_wall_usec)
{
	_cleanup_(json_decref_p) json_t *groups = format_groups(r);
	_cleanup_(json_decref_p) json_t *services = format_owned(owned, n_owned);

	_cleanup_(json_decref_p) json_t *lingering = format_linger(linger);

	if (!groups || !services || !lingering)
		return NULL;
	return json_pack("{s:i,s:I,s:O,s:O,s:O,s:O?}", "version", STATE_VERSION, "saved",
			 (json_int_t)now_wall_usec, "owned_services", services, "groups", groups,
			 "lingering", lingering, "vips", vips);
}

static int parse_health(const json_t *j, struct target_health *ret)
{
	const char *state, *reason, *resume_state, *resume_reason;
	json_int_t successes, failures, since, checked, duration, deadline;
	struct target_health h = { 0 };
	int outcome, detail, reason_detail;

	if (json_unpack((json_t *)j, "{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:i,s:i,s:i,s:I,s:I}",
			"state", &state, "reason", &reason, "resume_state", &resume_state,
			"resume_reason", &resume_reason, "successes", &successes, "failures",
			&failures, "since", &since, "checked", &checked, "outcome", &outcome,
			"detail", &detail, "reason_detail", &reason_detail, "duration", &duration,
			"drain_deadline", &deadline) < 0)
		return -EBADMSG;
	if (target_state_from_string(state, &h.state) < 0 ||
	    target_reason_from_string(reason, &h.reason) < 0 ||
	    target_state_from_string(resume_state, &h.resume_state) < 0 ||
	    target_reason_from_string(resume_reason, &h.resume_reason) < 0)
		return -EBADMSG;
	if (outcome < 0 || outcome >= _PROBE_OUTCOME_MAX || successes < 0 || failures < 0 ||
	    successes > UINT32_MAX || failures > UINT32_MAX || since < 0 || checked < 0 ||
	    duration < 0 || duration > UINT32_MAX || deadline < 0)
		return -EBADMSG;
	h.successes = (unsigned)successes;
	h.failures = (unsigned)failures;
	h.since_usec = (usec_t)since;
	h.checked_usec = (usec_t)checked;
	h.outcome = (enum probe_outcome)outcome;
	h.detail = detail;
	h.reason_detail = reason_detail;
	h.duration_usec = (uint32_t)duration;
	h.drain_deadline_usec = (usec_t)deadline;
	*ret = h;
	return 0;
}

static int parse_target(const json_t *j, struct target *ret)
{
	const char *name, *origin, *zone;
	json_int_t configured, weight;
	int deregistered, drained, awaiting;
	struct target t = { 0 };

	if (json_unpack((json_t *)j, "{s:s,s:s,s:I,s:s,s:b,s:b,s:b,s:I}", "target", &name, "origin",
			&origin, "configured_weight", &configured, "zone", &zone, "deregistered",
			&deregistered, "drained", &drained, "awaiting_first_result", &awaiting,
			"weight", &weight) < 0)
		return -EBADMSG;
	if (addr_port_parse(name, &t.addr, &t.port) < 0 || !addr_is_host(&t.addr) ||
	    configured < 0 || configured > CONF_TARGET_WEIGHT_MAX || weight < 0 ||
	    weight > INT32_MAX || strlen(zone) >= sizeof(t.zone))
		return -EBADMSG;
	if (strcmp(origin, "register") == 0)
		t.origin = TARGET_FROM_REGISTER;
	else if (strcmp(origin, "config") != 0)
		return -EBADMSG;
	if (parse_health(j, &t.health) < 0)
		return -EBADMSG;
	t.configured_weight = (uint32_t)configured;
	memcpy(t.zone, zone, strlen(zone));
	t.deregistered = deregistered;
	t.drained = drained;
	t.awaiting_first_result = awaiting;
	t.logged_weight = (uint32_t)weight;
	t.logged_state = t.health.state;
	*ret = t;
	return 0;
}

static int parse_group(struct state *s, struct target_group *g, const json_t *targets)
{
	size_t n = json_array_size(targets);

	g->targets = calloc(n + 1, sizeof(*g->targets));
	if (!g->targets)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct target t;

		if (parse_target(json_array_get(targets, i), &t) < 0)
			s->n_skipped++;
		else
			g->targets[g->n++] = t;
	}
	g->cold = true;
	for (size_t i = 0; i < g->n; i++)
		g->cold &= g->targets[i].awaiting_first_result;
	return 0;
}

static int parse_groups(struct state *s, json_t *groups)
{
	const char *name;
	json_t *targets;
	int r;

	s->registry.groups = calloc(json_object_size(groups) + 1, sizeof(*s->registry.groups));
	if (!s->registry.groups)
		return -ENOMEM;
	json_object_foreach (groups, name, targets) {
		struct target_group *g = &s->registry.groups[s->registry.n];

		if (strlen(name) >= sizeof(g->name) || !json_is_array(targets)) {
			s->n_skipped++;
			continue;
		}
		memcpy(g->name, name, strlen(name));
		s->registry.n++;
		r = parse_group(s, g, targets);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_key(const json_t *j, struct ipvs_service_key *ret)
{
	struct ipvs_service_key k = { 0 };
	json_int_t fwmark;
	const char *address;
	int family, protocol, port;

	if (json_unpack((json_t *)j, "{s:i,s:i,s:s,s:i,s:I}", "family", &family, "protocol",
			&protocol, "address", &address, "port", &port, "fwmark", &fwmark) < 0)
		return -EBADMSG;
	if ((family != 4 && family != 6) || protocol < 0 || protocol > UINT8_MAX || port < 0 ||
	    port > UINT16_MAX || fwmark < 0 || fwmark > UINT32_MAX)
		return -EBADMSG;
	k.family = family == 6 ? AF_INET6 : AF_INET;
	k.fwmark = (uint32_t)fwmark;
	k.protocol = (uint8_t)protocol;
	k.port = (uint16_t)port;
	if (!k.fwmark && (addr_parse(address, &k.addr) < 0 || k.addr.family != k.family))
		return -EBADMSG;
	*ret = k;
	return 0;
}

static int key_cmp(const void *a, const void *b)
{
	return ipvs_service_key_cmp(a, b);
}

static int parse_owned(struct state *s, const json_t *list)
{
	size_t n = json_array_size(list);

	s->owned_services = calloc(n + 1, sizeof(*s->owned_services));
	if (!s->owned_services)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ipvs_service_key *k = &s->owned_services[s->n_owned_services];

		if (parse_key(json_array_get(list, i), k) < 0)
			s->n_skipped++;
		else
			s->n_owned_services++;
	}
	qsort(s->owned_services, s->n_owned_services, sizeof(*s->owned_services), key_cmp);
	return 0;
}

static int parse_linger(struct state *s, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct linger_entry e = { 0 };
		const char *destination;
		json_int_t deadline;
		json_t *service;

		if (json_unpack(json_array_get(list, i), "{s:o,s:s,s:I}", "service", &service,
				"destination", &destination, "deadline", &deadline) < 0 ||
		    parse_key(service, &e.service) < 0 || deadline < 0 ||
		    addr_port_parse(destination, &e.addr, &e.port) < 0) {
			s->n_skipped++;
			continue;
		}
		e.deadline_usec = (usec_t)deadline;
		if (linger_set_add(&s->linger, &e) < 0)
			return -ENOMEM;
	}
	return 0;
}

int state_parse(const char *text, size_t len_bytes, struct state *ret)
{
	_cleanup_(json_decref_p)
		json_t *root = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, NULL);
	_cleanup_(state_deinit) struct state s = STATE_INIT;
	json_t *owned, *groups, *lingering, *vips;
	json_int_t saved;
	int version, r;

	if (!root || json_unpack(root, "{s:i}", "version", &version) < 0)
		return -EBADMSG;
	if (version != STATE_VERSION)
		return -EPROTONOSUPPORT;
	if (json_unpack(root, "{s:I,s:o,s:o,s:o,s:o}", "saved", &saved, "owned_services", &owned,
			"groups", &groups, "lingering", &lingering, "vips", &vips) < 0 ||
	    saved < 0 || !json_is_array(owned) || !json_is_object(groups) ||
	    !json_is_array(lingering))
		return -EBADMSG;
	s.saved_usec = (usec_t)saved;
	r = parse_owned(&s, owned);
	if (r < 0)
		return r;
	r = parse_groups(&s, groups);
	if (r < 0)
		return r;
	r = parse_linger(&s, lingering);
	if (r < 0)
		return r;
	s.vips = json_incref(vips);
	*ret = s;
	s = STATE_INIT;
	return 0;
}

void state_forget_verdicts(struct state *s, usec_t now_wall_usec)
{
	for (size_t i = 0; i < s->registry.n; i++) {
		s->registry.groups[i].cold = true;
		for (size_t j = 0; j < s->registry.groups[i].n; j++) {
			struct target *t = &s->registry.groups[i].targets[j];

			if (t->health.state == TARGET_DRAINING || t->health.state == TARGET_UNUSED)
				continue;
			target_health_init(&t->health, TARGET_USE_CHECKED, now_wall_usec);
			t->awaiting_first_result = true;
		}
	}
}

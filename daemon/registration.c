/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Targets that come and go at run time: register, deregister, drain, undrain. Idempotent, persisted, at once. */

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/names.h"
#include "daemon/persist.h"

static json_t *refusal(const char *group, const char *target, const char *why)
{
	return json_pack("{s:o}", "error", json_sprintf("%s/%s: %s", group, target, why));
}

static bool is_configured(const struct manager *m, const struct target_group *g,
			  const struct addr *addr, uint16_t port)
{
	return names_has(m->names, (size_t)(g - m->registry.groups), addr, port);
}

static bool do_register(struct manager *m, struct target_group *g, struct target **t,
			const struct manager_target_request *q, const struct addr *addr,
			uint16_t port)
{
	usec_t now = manager_wall_usec(m);
	bool changed = false;
	struct target fresh;

	if (!*t) {
		target_init(&fresh, g, addr, port, now);
		fresh.origin = TARGET_FROM_REGISTER;
		if (registry_append(&m->registry, g, &fresh) < 0)
			return false;
		*t = &g->targets[g->n - 1];
		changed = true;
	} else if (registry_readmit(g, *t, now)) {
		/* One that the configuration has dropped would begin to drain again at the next reload. */
		if (!is_configured(m, g, addr, port))
			(*t)->origin = TARGET_FROM_REGISTER;
		changed = true;
	}
	if (q->weight >= 0 && (*t)->configured_weight != (uint32_t)q->weight) {
		(*t)->configured_weight = (uint32_t)q->weight;
		changed = true;
	}
	if (q->zone && strcmp((*t)->zone, q->zone) != 0) {
		memset((*t)->zone, 0, sizeof((*t)->zone));
		memcpy((*t)->zone, q->zone, strlen(q->zone));
		changed = true;
	}
	return changed;
}

static bool do_drain(struct target *t, bool drained)
{
	if (t->drained == drained)
		return false;
	t->drained = drained;
	return true;
}

static int parse_target(const struct target_group *g, const char *text, struct addr *ret_addr,
			uint16_t *ret_port)
{
	int r = addr_port_parse(text, ret_addr, ret_port);

	if (r < 0 || !addr_is_host(ret_addr))
		return -EINVAL;
	if (!*ret_port)
		*ret_port = g->conf->port;
	return 0;
}

/*
 * A target without a port is the one with the listener's, and the other way round. is_configured() and the state know it
 * as it was registered.
 */
static uint16_t port_as_registered(const struct manager *m, const struct target_group *g,
				   const struct addr *addr, uint16_t port)
{
	uint16_t sole = conf_group_listener_port(m->conf, (size_t)(g - m->registry.groups));
	uint16_t other = port ? 0 : sole;

	if (!sole || (port && port != sole) || registry_find_target(g, addr, port) ||
	    !registry_find_target(g, addr, other))
		return port;
	return other;
}

/* Why a target of this port could not work behind the listener: the rules of conf/validate-*.c. NULL: it can. */
static json_t *port_problem(const struct conf_listener *l, const struct conf_group *g,
			    uint16_t port)
{
	if (port && !conf_forwarding_translates_ports(g->forwarding) && !l->firewall_mark &&
	    port != conf_listener_single_port(l))
		return json_sprintf("%s cannot translate ports, so the port must be that of "
				    "[listener %s]; leave it out",
				    conf_forwarding_to_string(g->forwarding), l->name);
	if (!port && !g->check.port && conf_check_has_port(g->check.protocol) &&
	    !conf_listener_single_port(l))
		return json_sprintf("[listener %s] has no single port to probe: give one, or "
				    "health-check-port in the group",
				    l->name);
	return NULL;
}

static json_t *problem_of(const struct manager *m, const struct target_group *g,
			  const struct addr *addr, uint16_t port)
{
	bool crosses = conf_forwarding_is_tunnel(g->conf->forwarding);
	bool used = false, fits = false;

	for (size_t i = 0; i < m->conf->n_listeners; i++) {
		const struct conf_listener *l = &m->conf->listeners[i];
		json_t *problem;

		if (!conf_listener_forwards_to(l, (size_t)(g - m->registry.groups)))
			continue;
		used = true;
		fits = fits || crosses || l->family == addr->family;
		problem = port_problem(l, g->conf, port);
		if (problem)
			return problem;
	}
	return !used || fits ? NULL
			     : json_sprintf("no listener of the group is %s; only ipip, gue and "
					    "gre cross address families",
					    addr->family == AF_INET ? "IPv4" : "IPv6");
}

static int check_request(const struct manager *m, enum manager_target_verb verb,
			 const struct manager_target_request *q, struct target_group **ret_group,
			 struct addr *ret_addr, uint16_t *ret_port, json_t **ret_report)
{
	struct target_group *g = registry_find_group(&m->registry, q->group);
	const struct target *t;
	json_t *problem;

	if (!g) {
		*ret_report = refusal(q->group, q->target, "no such target group");
		return -ENOENT;
	}
	if (parse_target(g, q->target, ret_addr, ret_port) < 0) {
		*ret_report = refusal(q->group, q->target,
				      "not a target: give ADDRESS or ADDRESS:PORT ([IPv6]:PORT)");
		return -EINVAL;
	}
	if (q->weight > CONF_TARGET_WEIGHT_MAX) {
		*ret_report = refusal(q->group, q->target, "weight must be 0 to 65535");
		return -EINVAL;
	}
	if (q->zone && strlen(q->zone) >= CONF_ZONE_MAX) {
		*ret_report = refusal(q->group, q->target, "the zone's name is too long");
		return -EINVAL;
	}
	*ret_port = port_as_registered(m, g, ret_addr, *ret_port);
	t = registry_find_target(g, ret_addr, *ret_port);
	if (q->zone && t && is_configured(m, g, ret_addr, *ret_port) &&
	    strcmp(t->zone, q->zone) != 0) {
		*ret_report = refusal(q->group, q->target,
				      "the configuration names this target: change its zone there");
		return -EINVAL;
	}
	problem = verb == MANAGER_REGISTER ? problem_of(m, g, ret_addr, *ret_port) : NULL;
	if (problem) {
		*ret_report = refusal(q->group, q->target, json_string_value(problem));
		json_decref(problem);
		return -EINVAL;
	}
	*ret_group = g;
	return 0;
}

static bool act(struct manager *m, enum manager_target_verb verb, struct target_group *g,
		struct target **t, const struct manager_target_request *q, const struct addr *addr,
		uint16_t port)
{
	switch (verb) {
	case MANAGER_REGISTER:
		return do_register(m, g, t, q, addr, port);
	case MANAGER_DEREGISTER:
		return *t && registry_dismiss(g, *t, manager_wall_usec(m));
	case MANAGER_DRAIN:
		return *t && do_drain(*t, true);
	default:
		return *t && do_drain(*t, false);
	}
}

int manager_target(struct manager *m, enum manager_target_verb verb,
		   const struct manager_target_request *q, json_t **ret_report)
{
	static const char *const done[] = {
		[MANAGER_REGISTER] = "registered",
		[MANAGER_DEREGISTER] = "deregistered",
		[MANAGER_DRAIN] = "drained",
		[MANAGER_UNDRAIN] = "no longer drained",
	};
	char name[ADDR_PORT_STR_MAX], object[CONF_NAME_MAX + 1 + ADDR_PORT_STR_MAX];
	struct target_group *g;
	struct target *t;
	struct addr addr;
	uint16_t port;
	bool changed;
	int r;

	r = check_request(m, verb, q, &g, &addr, &port, ret_report);
	if (r < 0)
		return r;
	addr_port_format(&addr, port, name);
	t = registry_find_target(g, &addr, port);
	if (!t && (verb == MANAGER_DRAIN || verb == MANAGER_UNDRAIN)) {
		*ret_report = refusal(q->group, name, "no such target");
		return -ENOENT;
	}
	changed = act(m, verb, g, &t, q, &addr, port);
	if (verb == MANAGER_REGISTER && !t) {
		*ret_report = refusal(q->group, name, "out of memory");
		return -ENOMEM;
	}
	if (changed) {
		registry_touch(g);
		(void)snprintf(object, sizeof(object), "%s/%s", g->name, name);
		manager_event(m, LOG_NOTICE, "target", object, "%s by request", done[verb]);
		manager_apply_within(m, 0);
		r = manager_sync_probes(m);
		if (r == 0)
			r = persist_now(m);
		if (r < 0) {
			*ret_report = refusal(
				q->group, name,
				"done, but the state could not be saved: a restart forgets it");
			return r;
		}
	}
	*ret_report = json_pack("{s:s,s:s,s:b,s:s,s:s}", "target", name, "group", g->name,
				"changed", changed, "state",
				t ? target_state_to_string(t->health.state) : "unused", "message",
				changed ? done[verb] : "nothing to do");
	return 0;
}

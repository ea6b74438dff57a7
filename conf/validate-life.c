/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"

/* Schedulers that know of a weight only whether it is 0, or to which it says something else than a share. */
static bool takes_shares(const struct conf_algorithm *a)
{
	static const char *const without[] = { "rr", "lc", "dh", "fo", "ovf" };

	for (size_t i = 0; i < ARRAY_SIZE(without); i++)
		if (strcmp(a->scheduler, without[i]) == 0)
			return false;
	return true;
}

static bool keeps_order(const struct conf_algorithm *a)
{
	return strcmp(a->scheduler, "mh") == 0 || strcmp(a->scheduler, "sh") == 0 ||
	       strcmp(a->scheduler, "dh") == 0;
}

static void no_effect(const struct parse *p, const struct parse_section *s, const char *key,
		      const char *why)
{
	diag_add(p->diags, DIAG_WARNING, s->origin.path, parse_line_of(s, key),
		 "%s has no effect %s", key, why);
}

static void check_ramps(const struct parse *p, const struct parse_section *s, struct conf_group *g)
{
	if (takes_shares(&g->algorithm))
		return;
	if (g->slow_start_usec)
		no_effect(p, s, "slow-start",
			  "with this algorithm: it does not go by weights; round-robin and "
			  "least-connections do");
	if (g->anomaly_mitigation)
		no_effect(p, s, "anomaly-mitigation",
			  "with this algorithm: it does not go by weights; round-robin and "
			  "least-connections do");
	g->slow_start_usec = 0;
	g->anomaly_mitigation = false;
}

static void check_endings(const struct parse *p, const struct parse_section *s,
			  const struct conf_group *g)
{
	static const char *const keys[] = { "unhealthy-connection-termination",
					    "target-failover-on-unhealthy" };
	const bool on[] = { g->unhealthy_termination, g->failover_on_unhealthy };

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (on[i] && parse_is_set(s, keys[i]) && keeps_order(&g->algorithm))
			no_effect(p, s, keys[i],
				  "with flow-hash, source-ip-hash, mh, sh and dh: the target gets "
				  "weight 0, and its connections go on");
	if (g->unhealthy_draining_usec && (g->unhealthy_termination || g->failover_on_unhealthy))
		no_effect(p, s, "unhealthy-draining-interval",
			  g->failover_on_unhealthy
				  ? "with target-failover-on-unhealthy = rebalance"
				  : "without unhealthy-connection-termination = no");
}

static void check_zones(const struct parse *p, const struct parse_section *s,
			const struct conf_group *g)
{
	const struct conf_global *global = &p->conf->global;
	bool cross = g->cross_zone == CONF_TRI_INHERIT ? global->cross_zone
						       : g->cross_zone == CONF_TRI_TRUE;

	if (g->cross_zone == CONF_TRI_FALSE && !*global->zone)
		diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "cross-zone"),
			 "cross-zone = no needs zone in [ipvsd]: which targets are near?");
	if (cross || !*global->zone || g->n_targets == 0 || g->discovery)
		return;
	for (size_t i = 0; i < g->n_targets; i++) {
		const char *zone = g->targets[i].zone;

		if (!*zone || strcmp(zone, "all") == 0 || strcmp(zone, global->zone) == 0)
			return;
	}
	diag_add(p->diags, DIAG_WARNING, s->origin.path, s->origin.line,
		 "[target-group %s] has no target in zone %s, and cross-zone is no: this gateway "
		 "has nowhere to send its traffic",
		 g->name, global->zone);
}

void validate_life(struct parse *p, const struct parse_section *s)
{
	struct conf_group *g = &p->conf->groups[s->index];

	check_ramps(p, s, g);
	check_endings(p, s, g);
	check_zones(p, s, g);
}

void validate_zones(struct parse *p, const struct parse_section *s)
{
	const struct conf_global *g = &p->conf->global;

	if (*g->zone)
		return;
	if (!g->cross_zone)
		diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "cross-zone"),
			 "cross-zone = no needs zone: which targets are near?");
	if (g->routing_policy != CONF_ROUTING_ANY_ZONE)
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 parse_line_of(s, "client-routing-policy"),
			 "client-routing-policy needs zone: which targets are near?");
}

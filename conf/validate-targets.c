/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Rules about targets and the names that give them: conf/validate-rules.h. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"
#include "conf/value.h"

enum {
	MH_TABLE = 4093, /* kernel: CONFIG_IP_VS_MH_TAB_INDEX 12, Debian's */
	TARGET_TEXT_MAX = CONF_HOST_MAX + sizeof(":65535"),
};

struct placed {
	const struct conf_target *target;
	uint16_t port; /* or the default */
};

static int place_cmp(const struct placed *x, const struct placed *y)
{
	const char *a = x->target->host, *b = y->target->host;
	int c = a && b ? strcasecmp(a, b) : !!a - !!b;

	if (!c)
		c = addr_cmp(&x->target->addr, &y->target->addr);
	return c ? c : x->port - y->port;
}

static int placed_cmp(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int c = place_cmp(x, y);

	return c ? c : (x->target > y->target) - (x->target < y->target);
}

/* port: of those that have none. */
static struct placed target_placed(const struct conf_group *g, uint16_t port, size_t i)
{
	const struct conf_target *t = &g->targets[i];

	return (struct placed){ t, t->port ? t->port : port };
}

/* Targets that were written down in ascending order, as most are, cannot be repeated. */
static bool targets_ascend(const struct conf_group *g, uint16_t port)
{
	for (size_t i = 1; i < g->n_targets; i++) {
		const struct placed a = target_placed(g, port, i - 1),
				    b = target_placed(g, port, i);

		if (place_cmp(&a, &b) >= 0)
			return false;
	}
	return true;
}

static const char *target_format(const struct conf_target *t, uint16_t port,
				 char buf[static TARGET_TEXT_MAX])
{
	if (t->host)
		(void)snprintf(buf, TARGET_TEXT_MAX, port ? "%s:%u" : "%s", t->host, port);
	else if (port)
		addr_port_format(&t->addr, port, buf);
	else
		addr_format(&t->addr, buf);
	return buf;
}

static int check_repeated(struct diag_list *diags, const struct conf_group *g, uint16_t port,
			  const char *why)
{
	_cleanup_free_ struct placed *sorted = NULL;
	char text[TARGET_TEXT_MAX];

	if (targets_ascend(g, port))
		return 0;
	sorted = calloc(g->n_targets + 1, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < g->n_targets; i++)
		sorted[i] = target_placed(g, port, i);
	qsort(sorted, g->n_targets, sizeof(*sorted), placed_cmp);
	for (size_t i = 1; i < g->n_targets; i++) {
		const struct conf_target *a = sorted[i - 1].target, *b = sorted[i].target;

		if (place_cmp(&sorted[i - 1], &sorted[i]) == 0)
			diag_add(diags, DIAG_ERROR, b->origin.path, b->origin.line,
				 "targets: %s was given already at %s:%u%s",
				 target_format(b, sorted[i].port, text), a->origin.path,
				 a->origin.line, why);
	}
	return 0;
}

int validate_targets(struct diag_list *diags, const struct conf_group *g)
{
	if (strcmp(g->algorithm.scheduler, "mh") == 0 && g->n_targets > MH_TABLE) {
		const struct conf_target *last = &g->targets[g->n_targets - 1];

		diag_add(diags, DIAG_ERROR, last->origin.path, last->origin.line,
			 "targets: the kernel's mh takes %d at most, but [target-group %s] has %zu",
			 MH_TABLE, g->name, g->n_targets);
	}
	return check_repeated(diags, g, g->port, "");
}

int validate_listener_ports(struct diag_list *diags, const struct conf *c, size_t group,
			    const struct conf_group *g)
{
	bool without = false, with = false;
	uint16_t port;

	for (size_t i = 0; i < g->n_targets; i++)
		*(g->targets[i].port ? &with : &without) = true;
	if (g->port || !with || !without)
		return 0;
	port = conf_group_listener_port(c, group);
	return port ? check_repeated(diags, g, port, ": one without a port has the listener's") : 0;
}

void validate_target_ports(struct diag_list *diags, const struct conf_listener *l,
			   const struct conf_group *g)
{
	uint16_t port = conf_listener_single_port(l);
	char text[TARGET_TEXT_MAX];

	if (conf_forwarding_translates_ports(g->forwarding) || l->firewall_mark)
		return;
	for (size_t i = 0; i < g->n_targets; i++) {
		const struct conf_target *t = &g->targets[i];
		uint16_t own = t->port ? t->port : g->port;

		if (own == 0 || own == port)
			continue;
		diag_add(diags, DIAG_ERROR, t->origin.path, t->origin.line,
			 "targets: %s: %s cannot translate ports, so the port must be that of "
			 "[listener %s]; leave it out",
			 target_format(t, own, text), conf_forwarding_to_string(g->forwarding),
			 l->name);
	}
}

void validate_dns(const struct parse *p, const struct parse_section *s)
{
	const struct conf_global *g = &p->conf->global;
	unsigned line = parse_line_of(s, "dns-server");

	for (size_t i = 0; i < g->n_dns_servers; i++) {
		struct addr addr;
		uint16_t port;

		if (addr_port_parse(g->dns_servers[i], &addr, &port) < 0 || !addr_is_host(&addr))
			diag_add(p->diags, DIAG_ERROR, s->origin.path, line,
				 "dns-server: \"%s\" is not ADDRESS or ADDRESS:PORT",
				 g->dns_servers[i]);
	}
	if (g->dns_min_ttl_usec > g->dns_max_ttl_usec) {
		char min[VALUE_DURATION_STR_MAX], max[VALUE_DURATION_STR_MAX];

		line = parse_line_of(s, "dns-min-ttl");
		diag_add(p->diags, DIAG_ERROR, s->origin.path,
			 line ? line : parse_line_of(s, "dns-max-ttl"),
			 "dns-min-ttl: %s is longer than dns-max-ttl, which is %s",
			 value_format_duration(g->dns_min_ttl_usec, min),
			 value_format_duration(g->dns_max_ttl_usec, max));
	}
}

/* _SERVICE._PROTOCOL.NAME, RFC 2782. */
static bool is_service(const char *name)
{
	size_t total = strlen(name);

	for (int i = 0; i < 2; i++) {
		size_t len = strcspn(name, ".");

		if (name[0] != '_' || len < 2 || !name[len])
			return false;
		name += len + 1;
	}
	return total <= CONF_HOST_MAX && value_is_host(name);
}

void validate_discovery(const struct parse *p, const struct parse_section *s)
{
	const struct conf_group *g = &p->conf->groups[s->index];
	const char *name;

	if (!parse_is_set(s, "discovery"))
		return;
	name = g->discovery + strlen(CONF_DISCOVERY_DNS);
	if (strncmp(g->discovery, CONF_DISCOVERY_DNS, strlen(CONF_DISCOVERY_DNS)) != 0 ||
	    !(conf_name_is_service(name) ? is_service(name) : value_is_host(name)))
		diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "discovery"),
			 "discovery: \"%s\" is neither dns:NAME nor dns:_SERVICE._PROTOCOL.NAME",
			 g->discovery);
}

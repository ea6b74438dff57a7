/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-rules.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"

void fastpath_rules_deinit(struct fastpath_rules *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->entries[i].rules);
	free(r->entries);
	*r = FASTPATH_RULES_INIT;
}

static int rule_cmp(const void *a, const void *b)
{
	const struct private_rule *x = a, *y = b;

	if (x->protocol != y->protocol)
		return x->protocol - y->protocol;
	if (x->port_low != y->port_low)
		return x->port_low - y->port_low;
	if (x->port_high != y->port_high)
		return x->port_high - y->port_high;
	if (x->peer.len != y->peer.len)
		return x->peer.len - y->peer.len;
	return addr_cmp(&x->peer.addr, &y->peer.addr);
}

static int entry_cmp(const void *a, const void *b)
{
	const struct fastpath_rules_entry *x = a, *y = b;

	return ipvs_service_key_cmp(&x->key, &y->key);
}

/* Port 0 is a service to every port. */
static bool fits(const struct conf_rule *rule, const struct fastpath_rules_entry *e)
{
	return (rule->any_protocol || rule->protocol == e->key.protocol) &&
	       rule->peer.addr.family == e->key.family &&
	       (e->key.port == 0 ||
		(rule->ports.low <= e->port_high && rule->ports.high >= e->key.port));
}

static size_t collect(const struct conf *conf, const struct conf_listener *l,
		      const struct fastpath_rules_entry *e, struct private_rule *ret)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_security_groups; i++) {
		const struct conf_security_group *g = &conf->security_groups[l->security_groups[i]];

		for (size_t k = 0; k < g->n_ingress; k++) {
			const struct conf_rule *rule = &g->ingress[k];

			if (!fits(rule, e))
				continue;
			if (ret)
				ret[n] = (struct private_rule){
					.protocol = rule->any_protocol ? 0 : rule->protocol,
					.port_low = rule->ports.low,
					.port_high = rule->ports.high,
					.peer = rule->peer,
				};
			n++;
		}
	}
	return n;
}

static int fill(const struct conf *conf, const struct conf_listener *l,
		struct fastpath_rules_entry *e)
{
	size_t out = 0;

	e->restricted = l->n_security_groups > 0;
	if (!e->restricted)
		return 0;
	e->n = collect(conf, l, e, NULL);
	e->rules = calloc(e->n + 1, sizeof(*e->rules));
	if (!e->rules)
		return -ENOMEM;
	(void)collect(conf, l, e, e->rules);
	qsort(e->rules, e->n, sizeof(*e->rules), rule_cmp);
	for (size_t i = 1; i < e->n; i++)
		if (rule_cmp(&e->rules[out], &e->rules[i]) != 0)
			e->rules[++out] = e->rules[i];
	e->n = e->n ? out + 1 : 0;
	return 0;
}

static void sort(struct fastpath_rules *r)
{
	qsort(r->entries, r->n, sizeof(*r->entries), entry_cmp);
}

int fastpath_rules_compute(const struct conf *conf, struct fastpath_rules *ret)
{
	static const uint8_t protocols[_CONF_PROTOCOL_MAX][2] = {
		[CONF_PROTOCOL_TCP] = { IPPROTO_TCP },
		[CONF_PROTOCOL_UDP] = { IPPROTO_UDP },
		[CONF_PROTOCOL_TCP_UDP] = { IPPROTO_TCP, IPPROTO_UDP },
		[CONF_PROTOCOL_SCTP] = { IPPROTO_SCTP },
	};
	_cleanup_(fastpath_rules_deinit) struct fastpath_rules r = FASTPATH_RULES_INIT;

	r.entries = calloc(conf->n_listeners * 2 + 1, sizeof(*r.entries));
	if (!r.entries)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		for (size_t k = 0; k < 2 && protocols[l->protocol][k] && !l->firewall_mark; k++) {
			struct fastpath_rules_entry *e = &r.entries[r.n++];

			*e = (struct fastpath_rules_entry){
				.listener = l->name,
				.key = { .family = l->family,
					 .protocol = protocols[l->protocol][k],
					 .addr = l->address,
					 .port = l->ports.low },
				.port_high = l->ports.high,
			};
			if (fill(conf, l, e) < 0)
				return -ENOMEM;
		}
	}
	sort(&r);
	*ret = r;
	r = FASTPATH_RULES_INIT;
	return 0;
}

void fastpath_rules_take(struct fastpath_rules *r, struct fastpath_rules *next)
{
	fastpath_rules_deinit(r);
	*r = *next;
	for (size_t i = 0; i < r->n; i++) {
		r->entries[i].listener = NULL;
		r->entries[i].fresh = false;
	}
	*next = FASTPATH_RULES_INIT;
}

static bool same_rules(const struct fastpath_rules_entry *a, const struct fastpath_rules_entry *b)
{
	if (a->port_high != b->port_high || a->restricted != b->restricted || a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (rule_cmp(&a->rules[i], &b->rules[i]) != 0)
			return false;
	return true;
}

bool fastpath_rules_has(const struct fastpath_rules *had, const struct fastpath_rules_entry *e)
{
	const struct fastpath_rules_entry *was =
		had->n && !e->fresh ? bsearch(e, had->entries, had->n, sizeof(*e), entry_cmp)
				    : NULL;

	return was && same_rules(was, e);
}

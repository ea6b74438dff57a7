/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/answer-conn.h"
#include "dpdk-fastpath/answer-internal.h"
#include "dpdk-fastpath/rules.h"
#include "dpdk-fastpath/tables.h"

static int set_locals(const struct answer_request *q)
{
	_cleanup_free_ struct addr *addrs = calloc(PRIVATE_LOCALS_MAX, sizeof(*addrs));
	size_t n;
	int r;

	if (!addrs)
		return -ENOMEM;
	r = private_parse_locals(q->nlh, addrs, PRIVATE_LOCALS_MAX, &n);
	if (r == 0)
		r = tables_set_locals(q->answer->config.tables, addrs, n);
	if (r < 0)
		return r;
	q->answer->changes++;
	q->answer->to_publish = true;
	return 0;
}

static void free_rules(void *rules)
{
	rules_free(rules);
}

DEFINE_CLEANUP(struct rules_view *, rules_free)

static int rules_from(const struct private_rule *from, size_t n, struct rules_view **ret)
{
	_cleanup_free_ struct rule *rules = calloc(n + 1, sizeof(*rules));

	if (!rules)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		rules[i] = (struct rule){ .protocol = from[i].protocol,
					  .port_min = from[i].port_low,
					  .port_max = from[i].port_high,
					  .source = from[i].peer };
	return rules_new(rules, n, ret);
}

static int set_rules(const struct answer_request *q)
{
	_cleanup_free_ struct private_rule *rules = calloc(PRIVATE_RULES_MAX, sizeof(*rules));
	_cleanup_(rules_free_p) struct rules_view *view = NULL;
	struct ipvs_service s;
	bool restricted;
	size_t n;
	int r = rules ? codec_parse_service(q->nlh, &s) : -ENOMEM;

	if (r == 0)
		r = private_parse_rules(q->nlh, rules, PRIVATE_RULES_MAX, &n, &restricted);
	if (r == 0 && restricted)
		r = rules_from(rules, n, &view);
	if (r == 0)
		r = tables_set_rules(q->answer->config.tables, &s.key, view, free_rules);
	if (r < 0)
		return r;
	view = NULL; /* the tables' now */
	q->answer->to_publish = true;
	return 0;
}

static int set_options(const struct answer_request *q)
{
	struct snapshot_options options;
	struct private_options o;
	int r = private_parse_options(q->nlh, &o);

	if (r < 0)
		return r;
	options = (struct snapshot_options){
		.expire_nodest_conn = o.expire_nodest_conn,
		.expire_quiescent_template = o.expire_quiescent_template,
		.sloppy_tcp = o.sloppy_tcp,
		.sloppy_sctp = o.sloppy_sctp,
		.nat_icmp_send = o.nat_icmp_send,
		.conn_reuse_mode = o.conn_reuse_mode,
		.reset_on_expiry = o.reset_on_expiry,
		.stateless_when_full = o.stateless_when_full,
	};
	r = tables_set_options(q->answer->config.tables, &options);
	q->answer->to_publish |= r == 0;
	return r;
}

static int get_options(const struct answer_request *q)
{
	const struct snapshot_options *o = tables_options(q->answer->config.tables);
	const struct private_options options = {
		.expire_nodest_conn = o->expire_nodest_conn,
		.expire_quiescent_template = o->expire_quiescent_template,
		.sloppy_tcp = o->sloppy_tcp,
		.sloppy_sctp = o->sloppy_sctp,
		.nat_icmp_send = o->nat_icmp_send,
		.conn_reuse_mode = o->conn_reuse_mode,
		.reset_on_expiry = o->reset_on_expiry,
		.stateless_when_full = o->stateless_when_full,
	};
	struct codec_header h = answer_header(q, 0);
	uint8_t *room;
	int r = answer_reserve(q->out, &room);

	return r < 0 ? r
		     : answer_append(q->out,
				     private_options_reply(room, ANSWER_MESSAGE_MAX, &h, &options));
}

static int set_last_weight(const struct answer_request *q)
{
	struct ipvs_service s;
	struct ipvs_dest d;
	uint32_t weight;
	int r = codec_parse_service(q->nlh, &s);

	if (r == 0)
		r = codec_parse_dest(q->nlh, s.key.family, &d);
	if (r == 0)
		r = private_parse_last_weight(q->nlh, &weight);
	if (r == 0)
		r = tables_set_last_weight(q->answer->config.tables, &s.key, &d.addr, d.port,
					   weight);
	q->answer->to_publish |= r == 0;
	return r;
}

static enum private_outcome outcome_of(int r)
{
	switch (r) {
	case 0:
		return PRIVATE_CONN_DONE;
	case -ENOENT:
	case -ESRCH:
		return PRIVATE_CONN_NO_DEST;
	case -EEXIST:
		return PRIVATE_CONN_CONFLICT;
	case -EADDRNOTAVAIL:
		return PRIVATE_CONN_NO_LOCAL;
	case -ENOSPC:
		return PRIVATE_CONN_FULL;
	case -EINVAL:
	case -EBADMSG:
		return PRIVATE_CONN_INVALID;
	default:
		return PRIVATE_CONN_FAILED;
	}
}

static void import(struct answer *a, unsigned n, struct private_result *result)
{
	if (n == 0)
		return;
	a->config.ops->import_conns(a->config.context, a->conns, n, a->conn_rets);
	for (unsigned i = 0; i < n; i++)
		result->counts[outcome_of(a->conn_rets[i])]++;
}

static int new_conns(const struct answer_request *q)
{
	struct answer *a = q->answer;
	struct private_result result = { 0 };
	struct codec_header h = answer_header(q, 0);
	struct private_conn c;
	size_t cursor = 0;
	unsigned n = 0;
	uint8_t *room;
	int r = answer_reserve(q->out, &room);

	if (r < 0)
		return r;
	if (!a->config.ops->import_conns)
		return -EOPNOTSUPP;
	/* Their destinations may have come with the same datagram. */
	answer_publish(a);
	while ((r = private_next_conn(q->nlh, &cursor, &c)) != 0) {
		if (r > 0)
			r = answer_conn_from_private(&c, &a->conns[n]);
		if (r < 0) {
			result.counts[outcome_of(r)]++;
			continue;
		}
		if (++n == ANSWER_IMPORT_AT_ONCE) {
			import(a, n, &result);
			n = 0;
		}
	}
	import(a, n, &result);
	return answer_append(q->out, private_result_reply(room, ANSWER_MESSAGE_MAX, &h, &result));
}

/* Those beyond what the message holds are left out: there are fewer workers and ports than that. */
static int fill_status(const struct answer_config *c, struct private_status *s)
{
	int r = c->ops->status(c->context, s);

	s->n_workers = 0;
	s->n_ports = 0;
	while (r == 0 && c->ops->worker && s->n_workers < PRIVATE_WORKERS_MAX &&
	       c->ops->worker(c->context, (unsigned)s->n_workers, &s->workers[s->n_workers],
			      NULL) == 0)
		s->n_workers++;
	while (r == 0 && c->ops->port && s->n_ports < PRIVATE_PORTS_MAX &&
	       c->ops->port(c->context, (unsigned)s->n_ports, &s->ports[s->n_ports], NULL) == 0)
		s->n_ports++;
	return r;
}

static int get_status(const struct answer_request *q)
{
	struct codec_header h = answer_header(q, 0);
	struct private_status s = { 0 };
	uint8_t *room;
	int r = answer_reserve(q->out, &room);

	if (r == 0 && !q->answer->config.ops->status)
		r = -EOPNOTSUPP;
	if (r == 0)
		r = fill_status(&q->answer->config, &s);
	return r < 0 ? r
		     : answer_append(q->out,
				     private_status_reply(room, ANSWER_MESSAGE_MAX, &h, &s));
}

static int attach_ports(const struct answer_request *q)
{
	const struct answer_config *c = &q->answer->config;

	answer_publish(q->answer);
	return c->ops->attach_ports ? c->ops->attach_ports(c->context) : -EOPNOTSUPP;
}

static int hold_routes(const struct answer_request *q, bool hold)
{
	const struct answer_config *c = &q->answer->config;

	if (!c->ops->hold_routes)
		return -EOPNOTSUPP;
	answer_publish(q->answer);
	c->ops->hold_routes(c->context, hold);
	return 0;
}

int answer_private(const struct answer_request *q)
{
	switch (q->command) {
	case PRIVATE_CMD_SET_LOCALS:
		return set_locals(q);
	case PRIVATE_CMD_SET_RULES:
		return set_rules(q);
	case PRIVATE_CMD_SET_OPTIONS:
		return set_options(q);
	case PRIVATE_CMD_GET_OPTIONS:
		return get_options(q);
	case PRIVATE_CMD_SET_LAST_WEIGHT:
		return set_last_weight(q);
	case PRIVATE_CMD_NEW_CONNS:
		return new_conns(q);
	case PRIVATE_CMD_GET_STATUS:
		return get_status(q);
	case PRIVATE_CMD_ATTACH_PORTS:
		return attach_ports(q);
	case PRIVATE_CMD_HOLD_ROUTES:
	case PRIVATE_CMD_FOLLOW_ROUTES:
		return hold_routes(q, q->command == PRIVATE_CMD_HOLD_ROUTES);
	default:
		return -EOPNOTSUPP;
	}
}

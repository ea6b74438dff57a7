/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/private.h"

#include "base/cleanup.h"
#include "ipvs/codec-message.h"
#include "ipvs/private-attr.h"

static void put_u64(struct message *m, uint16_t type, uint64_t value)
{
	message_put(m, type, &value, sizeof(value));
}

/* The length tells the family. */
static void put_exact_addr(struct message *m, uint16_t type, const struct addr *a)
{
	message_put(m, type, a->bytes, addr_len_bytes(a));
}

static int locals_message(void *buf, size_t size, const struct codec_header *h,
			  const struct addr *addrs, size_t n)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_SET_LOCALS);

	for (size_t i = 0; i < n; i++)
		put_exact_addr(&m, PRIVATE_ATTR_LOCAL, &addrs[i]);
	return message_end(&m);
}

static struct codec_header as_request(const struct codec_header *h)
{
	struct codec_header request = *h;

	request.flags |= NLM_F_REQUEST;
	return request;
}

int private_locals_request(void *buf, size_t size, const struct codec_header *h,
			   const struct addr *addrs, size_t n)
{
	struct codec_header request = as_request(h);

	return locals_message(buf, size, &request, addrs, n);
}

int private_locals_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct addr *addrs, size_t n)
{
	return locals_message(buf, size, h, addrs, n);
}

static void put_rule(struct message *m, const struct private_rule *r)
{
	uint8_t *nest = message_nest_begin(m, PRIVATE_ATTR_RULE);

	message_put_u8(m, PRIVATE_RULE_PROTOCOL, r->protocol);
	message_put_u16(m, PRIVATE_RULE_PORT_LOW, htons(r->port_low));
	message_put_u16(m, PRIVATE_RULE_PORT_HIGH, htons(r->port_high));
	put_exact_addr(m, PRIVATE_RULE_PEER, &r->peer.addr);
	message_put_u8(m, PRIVATE_RULE_PEER_BITS, r->peer.len);
	message_nest_end(m, nest);
}

int private_rules_request(void *buf, size_t size, const struct codec_header *h,
			  const struct ipvs_service_key *key, const struct private_rule *rules,
			  size_t n)
{
	struct message m = message_begin_request(buf, size, h, PRIVATE_CMD_SET_RULES);

	codec_put_service(&m, key);
	message_put_u8(&m, PRIVATE_ATTR_RESTRICTED, rules != NULL);
	for (size_t i = 0; rules && i < n; i++)
		put_rule(&m, &rules[i]);
	return message_end(&m);
}

static int options_message(void *buf, size_t size, const struct codec_header *h,
			   const struct private_options *o)
{
	const uint8_t values[] = {
		[PRIVATE_OPTION_EXPIRE_NODEST_CONN] = o->expire_nodest_conn,
		[PRIVATE_OPTION_EXPIRE_QUIESCENT_TEMPLATE] = o->expire_quiescent_template,
		[PRIVATE_OPTION_SLOPPY_TCP] = o->sloppy_tcp,
		[PRIVATE_OPTION_SLOPPY_SCTP] = o->sloppy_sctp,
		[PRIVATE_OPTION_NAT_ICMP_SEND] = o->nat_icmp_send,
		[PRIVATE_OPTION_RESET_ON_EXPIRY] = o->reset_on_expiry,
		[PRIVATE_OPTION_STATELESS_WHEN_FULL] = o->stateless_when_full,
		[PRIVATE_OPTION_CONN_REUSE_MODE] = o->conn_reuse_mode,
	};
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_SET_OPTIONS);
	uint8_t *nest = message_nest_begin(&m, PRIVATE_ATTR_OPTIONS);

	for (int i = 1; i <= PRIVATE_OPTION_MAX; i++)
		message_put_u8(&m, (uint16_t)i, values[i]);
	message_nest_end(&m, nest);
	return message_end(&m);
}

int private_options_request(void *buf, size_t size, const struct codec_header *h,
			    const struct private_options *o)
{
	struct codec_header request = as_request(h);

	return options_message(buf, size, &request, o);
}

int private_options_reply(void *buf, size_t size, const struct codec_header *h,
			  const struct private_options *o)
{
	return options_message(buf, size, h, o);
}

int private_last_weight_request(void *buf, size_t size, const struct codec_header *h,
				const struct ipvs_service_key *key, const struct ipvs_dest *d,
				uint32_t last_weight)
{
	struct message m = message_begin_request(buf, size, h, PRIVATE_CMD_SET_LAST_WEIGHT);

	codec_put_service(&m, key);
	codec_put_dest(&m, PRIVATE_CMD_SET_LAST_WEIGHT, d, false);
	message_put_u32(&m, PRIVATE_ATTR_LAST_WEIGHT, last_weight);
	return message_end(&m);
}

/* -EMSGSIZE leaves the message as it was, for another one to begin. */
static int put_conn(struct message *m, const struct private_conn *c)
{
	const uint16_t family = c->record.client.family;
	const bool is_mixed = c->record.dest.family != family;
	struct message before = *m;
	struct connrec one_family = c->record;
	uint8_t record[CONNREC_BYTES_MAX];
	uint8_t *nest = message_nest_begin(m, PRIVATE_ATTR_CONN);
	int n;

	if (is_mixed)
		one_family.dest = (struct addr){ .family = family };
	n = connrec_encode(record, sizeof(record), &one_family);
	if (n < 0)
		return n;
	message_put(m, PRIVATE_CONN_ATTR_RECORD, record, (size_t)n);
	message_put_u32(m, PRIVATE_CONN_ATTR_REMAINING, c->remaining_sec);
	if (c->local.family != AF_UNSPEC) {
		put_exact_addr(m, PRIVATE_CONN_ATTR_LOCAL, &c->local);
		message_put_u16(m, PRIVATE_CONN_ATTR_LOCAL_PORT, htons(c->local_port));
	}
	if (is_mixed)
		put_exact_addr(m, PRIVATE_CONN_ATTR_DEST, &c->record.dest);
	message_nest_end(m, nest);
	if (!m->full)
		return 0;
	*m = before;
	return -EMSGSIZE;
}

int private_conns_message(void *buf, size_t size, const struct codec_header *h,
			  const struct private_conn *conns, size_t n, size_t *ret_taken)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_NEW_CONNS);
	size_t taken = 0;
	int r = m.full ? -EMSGSIZE : 0;

	while (r == 0 && taken < n) {
		r = put_conn(&m, &conns[taken]);
		taken += r == 0;
	}
	if (r < 0 && (r != -EMSGSIZE || taken == 0))
		return r;
	*ret_taken = taken;
	return message_end(&m);
}

int private_result_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_result *r)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_CONNS_RESULT);
	uint8_t *nest = message_nest_begin(&m, PRIVATE_ATTR_RESULT);

	for (int i = 0; i < _PRIVATE_OUTCOME_MAX; i++)
		message_put_u32(&m, (uint16_t)(1 + i), r->counts[i]);
	message_nest_end(&m, nest);
	return message_end(&m);
}

static void put_counters(struct message *m, uint16_t type, const struct private_counters *c)
{
	for (size_t i = 0; c && i < c->n; i++) {
		uint8_t *nest = message_nest_begin(m, type);

		message_put_string(m, PRIVATE_COUNTER_NAME, c->at[i].name);
		put_u64(m, PRIVATE_COUNTER_VALUE, c->at[i].value);
		message_nest_end(m, nest);
	}
}

static void put_worker(struct message *m, const struct private_worker *w,
		       const struct private_counters *c)
{
	uint8_t *nest = message_nest_begin(m, PRIVATE_ATTR_WORKER);

	message_put_u32(m, PRIVATE_WORKER_INDEX, w->index);
	message_put_u32(m, PRIVATE_WORKER_LCORE, w->lcore);
	put_u64(m, PRIVATE_WORKER_LATE_USEC, w->late_usec);
	put_counters(m, PRIVATE_WORKER_COUNTER, c);
	message_nest_end(m, nest);
}

int private_worker_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_worker *w, const struct private_counters *c)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_NEW_WORKER);

	put_worker(&m, w, c);
	return message_end(&m);
}

static void put_port(struct message *m, const struct private_port *p,
		     const struct private_counters *c)
{
	uint8_t *nest = message_nest_begin(m, PRIVATE_ATTR_PORT);

	message_put_u32(m, PRIVATE_PORT_INDEX, p->index);
	message_put_string(m, PRIVATE_PORT_NAME, p->name);
	message_put_string(m, PRIVATE_PORT_DRIVER, p->driver);
	message_put(m, PRIVATE_PORT_MAC, p->mac, sizeof(p->mac));
	message_put_u8(m, PRIVATE_PORT_LINK_UP, p->link_up);
	message_put_u32(m, PRIVATE_PORT_SPEED, p->speed_mbps);
	message_put_u16(m, PRIVATE_PORT_MTU, p->mtu);
	put_counters(m, PRIVATE_PORT_COUNTER, c);
	message_nest_end(m, nest);
}

int private_port_reply(void *buf, size_t size, const struct codec_header *h,
		       const struct private_port *p, const struct private_counters *c)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_NEW_PORT);

	put_port(&m, p, c);
	return message_end(&m);
}

int private_status_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_status *s)
{
	struct message m = message_begin(buf, size, h, PRIVATE_CMD_SET_STATUS);

	message_put_u32(&m, PRIVATE_ATTR_PID, s->pid);
	put_u64(&m, PRIVATE_ATTR_UPTIME_USEC, s->uptime_usec);
	for (size_t i = 0; i < MIN(s->n_workers, (size_t)PRIVATE_WORKERS_MAX); i++)
		put_worker(&m, &s->workers[i], NULL);
	for (size_t i = 0; i < MIN(s->n_ports, (size_t)PRIVATE_PORTS_MAX); i++)
		put_port(&m, &s->ports[i], NULL);
	return message_end(&m);
}

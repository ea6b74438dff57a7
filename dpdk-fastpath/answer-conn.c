/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/answer-conn.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/conn-state.h"
#include "dpdk-fastpath/director.h"
#include "ipvs/private.h"

enum {
	FLAGS_CARRIED = FLOW_FWD_MASK | FLOW_NOOUTPUT | FLOW_INACTIVE | FLOW_TEMPLATE,
	TEMPLATE_STATE_MAX = 1, /* IP_VS_CTPL_S_ASSURED */
};

_Static_assert((int)FLOW_FWD_MASK == CONNREC_FWD_MASK && (int)FLOW_NOOUTPUT == CONNREC_NOOUTPUT &&
		       (int)FLOW_INACTIVE == CONNREC_INACTIVE &&
		       (int)FLOW_TEMPLATE == CONNREC_TEMPLATE,
	       "flags travel as they are");

static struct addr addr_from(uint16_t family, const uint8_t bytes[16])
{
	struct addr a = { .family = family };

	memcpy(a.bytes, bytes, addr_len_bytes(&a));
	return a;
}

void answer_conn_to_private(const struct director_conn *c, struct private_conn *ret)
{
	uint16_t family = c->key.family;

	*ret = (struct private_conn){
		.record = { .protocol = c->key.protocol,
			    .state = c->state,
			    .flags = c->flags & FLAGS_CARRIED,
			    .client_port = ntohs(c->key.src_port_be),
			    .virtual_port = ntohs(c->key.dst_port_be),
			    .dest_port = ntohs(c->dest_port_be),
			    .timeout_sec = c->timeout_sec,
			    .client = addr_from(family, c->key.src),
			    .virtual = addr_from(family, c->key.dst),
			    .dest = addr_from(c->dest_family ? c->dest_family : family, c->dest) },
		.remaining_sec = c->remaining_sec,
	};
	if ((c->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT && !(c->flags & FLOW_TEMPLATE)) {
		ret->local = addr_from(family, c->local);
		ret->local_port = ntohs(c->local_port_be);
	}
}

/* ip_vs_proc_sync_conn(): the state must be one of the protocol's. */
static bool state_known(const struct connrec *r)
{
	if (r->flags & CONNREC_TEMPLATE)
		return r->state <= TEMPLATE_STATE_MAX;
	switch (r->protocol) {
	case IPPROTO_TCP:
		return r->state < _CONN_TCP_STATE_MAX;
	case IPPROTO_UDP:
		return r->state == CONN_UDP_NORMAL;
	case IPPROTO_SCTP:
		return r->state < _CONN_SCTP_STATE_MAX;
	default:
		return false;
	}
}

static bool seq_shifts(const struct connrec_seq *s)
{
	return s->delta != 0 || s->previous_delta != 0;
}

int answer_conn_from_private(const struct private_conn *c, struct director_conn *ret)
{
	const struct connrec *r = &c->record;
	bool template = r->flags & CONNREC_TEMPLATE;
	bool full_nat = (r->flags & CONNREC_FWD_MASK) == IPVS_FORWARD_FULL_NAT && !template;

	if (r->fwmark)
		return -ENOENT;
	if (!state_known(r) || (r->flags & (CONNREC_NO_CPORT | CONNREC_ONE_PACKET)) ||
	    seq_shifts(&r->in_seq) || seq_shifts(&r->out_seq) ||
	    full_nat != (c->local.family != AF_UNSPEC) || (full_nat && c->local_port == 0) ||
	    (r->flags & CONNREC_FWD_MASK) > IPVS_FORWARD_FULL_NAT)
		return -EINVAL;
	*ret = (struct director_conn){
		.key = { .src_port_be = htons(r->client_port),
			 .dst_port_be = htons(r->virtual_port),
			 .protocol = r->protocol,
			 .family = (uint8_t)r->client.family },
		.dest_family = (uint8_t)r->dest.family,
		.dest_port_be = htons(r->dest_port),
		.local_port_be = htons(c->local_port),
		.flags = (uint16_t)(r->flags & FLAGS_CARRIED),
		.state = (uint8_t)r->state,
		.timeout_sec = r->timeout_sec,
		.remaining_sec = c->remaining_sec,
	};
	memcpy(ret->key.src, r->client.bytes, sizeof(ret->key.src));
	memcpy(ret->key.dst, r->virtual.bytes, sizeof(ret->key.dst));
	memcpy(ret->dest, r->dest.bytes, sizeof(ret->dest));
	memcpy(ret->local, c->local.bytes, sizeof(ret->local));
	return 0;
}

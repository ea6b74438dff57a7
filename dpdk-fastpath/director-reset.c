/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * snapshot_options.reset_on_expiry: the first packet that either side sends after the destination is gone ends the
 * connection for both. A reset must have the number that its receiver expects (RFC 5961, 3.2), and no record keeps
 * numbers: the packet has them for both sides.
 */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>

#include "dpdk-fastpath/rewrite.h"
#include "dpdk-fastpath/unaligned.h"

enum {
	EMIT_HEADROOM = PACKET_VLAN_LEN,
	EMIT_MAX = 128,
	TCP_SEQ = 4,
	TCP_ACK = 8,
};

/* Of the packet's sequence number: what the side that it was sent to expects next. */
static void fill_key(const struct director_pass *pass, const struct flow *f, bool is_answer,
		     struct flow_key *ret)
{
	struct flow_key k;

	if (is_answer) {
		flow_forward_key(pass->d->flows, f, &k);
		flow_key_reverse(&k, ret);
	} else if (director_is_nat(f->flags)) {
		flow_reverse_key(pass->d->flows, f, &k);
		flow_key_reverse(&k, ret);
	} else {
		flow_forward_key(pass->d->flows, f, ret);
	}
}

static bool fill_way(const struct director_pass *pass, const struct flow *f, bool is_answer,
		     struct director_reset *r)
{
	const struct dest_view *dest;
	const struct nexthop *n;

	if (is_answer) {
		n = &pass->d->peers.at[f->peer].nexthop;
	} else {
		dest = snapshot_dest(pass->s, f->endpoint);
		/* Into a tunnel we send none: the destination notices by itself. */
		if (!dest || dest->nexthop == 0 ||
		    (f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_TUNNEL)
			return false;
		n = &pass->s->nexthops[dest->nexthop];
	}
	r->port = n->port_index;
	r->vlan_tci = n->vlan_tci;
	return director_nexthop_mac(n, r->dst_mac);
}

static void queue_reset(const struct director_pass *pass, const struct packet *p,
			const struct flow *f, bool is_answer)
{
	struct director *d = pass->d;
	struct director_reset *r = &d->resets[d->resets_head % DIRECTOR_RESETS_MAX];

	if (d->resets_head - d->resets_tail == DIRECTOR_RESETS_MAX ||
	    !fill_way(pass, f, is_answer, r))
		return;
	fill_key(pass, f, is_answer, &r->key);
	r->seq = unaligned_read_be32(p->data + p->l4_off + TCP_SEQ);
	r->ack = unaligned_read_be32(p->data + p->l4_off + TCP_ACK);
	d->resets_head++;
}

void director_reset(const struct director_pass *pass, struct director_frame *frame, uint32_t index,
		    bool is_answer)
{
	queue_reset(pass, &frame->packet, flow_at(pass->d->flows, index), is_answer);
	director_remove(pass, index);
	if (icmp_make_tcp_reset(&frame->packet) == 0)
		director_sent(pass, frame, frame->port, COUNTER_ICMP_SENT);
	else
		director_drop(pass, frame, COUNTER_DROP_NO_DEST);
}

static unsigned write_reset(const struct director *d, const struct director_reset *r, uint8_t *data,
			    uint16_t *ret_port)
{
	uint8_t buffer[EMIT_HEADROOM + EMIT_MAX];
	struct packet p = { .headroom_bytes = EMIT_HEADROOM };
	uint32_t len_bytes;

	icmp_write_tcp_reset(buffer + EMIT_HEADROOM, d->config.port_macs[r->port], r->dst_mac,
			     &r->key, r->seq, r->ack, &len_bytes);
	packet_parse(buffer + EMIT_HEADROOM, len_bytes, len_bytes, true, &p);
	if (rewrite_ethernet(&p, d->config.port_macs[r->port], r->dst_mac, r->vlan_tci) < 0)
		return 0;
	memcpy(data, p.data, p.len_bytes);
	*ret_port = r->port;
	return p.len_bytes;
}

unsigned director_emit(struct director *d, const struct snapshot *s, uint8_t *data,
		       uint16_t *ret_port)
{
	(void)s;
	if (d->resets_tail == d->resets_head)
		return 0;
	return write_reset(d, &d->resets[d->resets_tail++ % DIRECTOR_RESETS_MAX], data, ret_port);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ICMP errors about packets of connections, as ip_vs_in_icmp() and ip_vs_out_icmp() with their IPv6 kin; echo requests
 * to a virtual address; errors to destinations whose connections are not known. An error about a packet in one of our tunnels goes to the kernel, which keeps the path's MTU.
 */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rewrite.h"

enum {
	SCTP_CHUNK_ABORT = 6,
};

/* ip_vs_checksum_complete(), for IPv4 as the kernel; what lies in further segments cannot be seen. */
bool director_has_bad_checksum(const struct packet *p)
{
	uint32_t bytes = p->len_bytes - p->l4_off;

	if (p->key.family != AF_INET || p->len_bytes > p->linear_bytes)
		return false;
	return rewrite_checksum_fold(rewrite_checksum_add(0, p->data + p->l4_off, bytes)) != 0;
}

/* From the client's side, about an answer of ours: the destination is to see it as about its own packet. */
static void translate_towards_dest(const struct director_pass *pass, struct packet *p,
				   struct packet *embedded, const struct flow *f)
{
	struct flow_key outer = p->key, inner = embedded->key;

	memcpy(inner.src, pass->s->endpoints[f->endpoint].dest, sizeof(inner.src));
	inner.src_port_be = f->dest_port_be;
	memcpy(outer.dst, inner.src, sizeof(outer.dst));
	if ((f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT) {
		memcpy(inner.dst, pass->s->locals[f->local].addr, sizeof(inner.dst));
		inner.dst_port_be = f->local_port_be;
		memcpy(outer.src, inner.dst, sizeof(outer.src));
	}
	rewrite_icmp_error(p, embedded, &outer, &inner);
}

/* From the destination's side, about a request: the client is to see it as from the service, about its own packet. */
static void translate_towards_client(const struct director_pass *pass, struct packet *p,
				     struct packet *embedded, const struct flow *f)
{
	struct flow_key outer = p->key, inner = embedded->key;

	memcpy(inner.src, f->client, sizeof(inner.src));
	inner.src_port_be = f->client_port_be;
	memcpy(inner.dst, pass->s->endpoints[f->endpoint].virtual, sizeof(inner.dst));
	inner.dst_port_be = f->virtual_port_be;
	memcpy(outer.src, inner.dst, sizeof(outer.src));
	memcpy(outer.dst, inner.src, sizeof(outer.dst));
	rewrite_icmp_error(p, embedded, &outer, &inner);
}

static void towards_dest(const struct director_pass *pass, struct director_frame *frame,
			 struct packet *embedded, const struct flow *f)
{
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);

	if (!dest) {
		director_drop(pass, frame, COUNTER_DROP_NO_DEST);
		return;
	}
	if (!dest->deleted)
		director_count_in(pass, dest, &frame->packet);
	if (director_is_nat(f->flags))
		translate_towards_dest(pass, &frame->packet, embedded, f);
	director_send_request(pass, frame, f, dest);
}

static void towards_client(const struct director_pass *pass, struct director_frame *frame,
			   struct packet *embedded, const struct flow *f)
{
	if (f->peer == PEERS_NONE) {
		director_except(pass, frame);
		return;
	}
	if (!director_may_send_answer(pass, frame, f))
		return;
	director_count_out(pass, snapshot_dest(pass->s, f->endpoint), &frame->packet);
	translate_towards_client(pass, &frame->packet, embedded, f);
	director_send_answer(pass, frame, f);
}

void director_on_icmp_error(const struct director_pass *pass, struct director_frame *frame)
{
	struct director *d = pass->d;
	struct packet embedded;
	const struct flow *f;
	struct flow_key k;
	flow_ref ref;

	packet_parse_embedded(&frame->packet, &embedded);
	flow_key_reverse(&embedded.key, &k);
	ref = embedded.kind == PACKET_FLOW ? flow_lookup(d->flows, &k) : 0;
	if (ref == 0 && director_on_tunnel_error(pass, frame))
		return;
	if (embedded.kind != PACKET_FLOW) {
		director_except(pass, frame);
		return;
	}
	if (ref == 0) {
		unsigned owner = pass->owned ? d->config.worker : snapshot_owner(pass->s, &k);

		if (owner != d->config.worker)
			director_hand_over(pass, frame, owner);
		else
			director_except(pass, frame);
		return;
	}
	if (director_has_bad_checksum(&frame->packet)) {
		director_drop(pass, frame, COUNTER_DROP_BAD);
		return;
	}
	f = flow_at(d->flows, FLOW_REF_INDEX(ref));
	if (FLOW_REF_REVERSE(ref))
		towards_client(pass, frame, &embedded, f);
	else
		towards_dest(pass, frame, &embedded, f);
}

/* ip_vs_has_real_service(): does the packet come from a destination of nat? */
static const struct dest_view *find_sender(const struct director_pass *pass,
					   const struct flow_key *k)
{
	for (uint32_t id = 1; id < pass->s->dest_ids_end; id++) {
		const struct dest_view *dest = snapshot_dest(pass->s, id);

		if (dest && !dest->deleted && dest->forward == IPVS_FORWARD_MASQ &&
		    dest->port_be == k->src_port_be && dest->protocol == k->protocol &&
		    dest->family == k->family &&
		    memcmp(dest->addr, k->src, sizeof(dest->addr)) == 0)
			return dest;
	}
	return NULL;
}

/* With nat_icmp_send a destination learns that its connection is not known. */
void director_on_stranger(const struct director_pass *pass, struct director_frame *frame)
{
	const struct packet *p = &frame->packet;
	const struct dest_view *sender = NULL;
	uint8_t from[16];

	if (pass->s->options.nat_icmp_send && !(p->tcp_flags & PACKET_TCP_RST) &&
	    p->sctp_chunk != SCTP_CHUNK_ABORT &&
	    director_take(pass, &pass->d->strangers, DIRECTOR_STRANGERS_PER_SEC))
		sender = find_sender(pass, &p->key);
	if (sender && director_source(&pass->s->nexthops[sender->nexthop], sender->family, from))
		director_error(pass, frame, ICMP_ERROR_PORT_UNREACHABLE, 0, from);
	else
		director_except(pass, frame);
}

void director_on_echo(const struct director_pass *pass, struct director_frame *frame)
{
	struct packet *p = &frame->packet;

	if (!p->is_fragment && snapshot_has_address(pass->s, p->key.family, p->key.dst) &&
	    icmp_make_echo_reply(p) == 0)
		director_sent(pass, frame, frame->port, COUNTER_ICMP_REPLIED);
	else
		director_except(pass, frame);
}

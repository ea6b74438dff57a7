/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of connections that exist: the second half of ip_vs_in_hook(), and ip_vs_out_hook(). */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>

#include "dpdk-fastpath/rewrite-hop.h"
#include "dpdk-fastpath/rewrite.h"

enum {
	SCTP_CHUNK_INIT = 1,
};

/* is_new_conn() */
static bool is_new(const struct packet *p)
{
	return p->tcp_flags & PACKET_TCP_SYN || p->sctp_chunk == SCTP_CHUNK_INIT;
}

/* is_new_conn_expected() */
static bool is_new_expected(const struct flow *f, unsigned reuse_mode)
{
	if (f->control != FLOW_NONE)
		return false;
	if (f->protocol == IPPROTO_SCTP)
		return f->state == CONN_SCTP_CLOSED;
	return f->state == CONN_TCP_TIME_WAIT || f->state == CONN_TCP_CLOSE ||
	       ((reuse_mode & 2) && f->state == CONN_TCP_FIN_WAIT && (f->flags & FLOW_NOOUTPUT));
}

/* Does the packet begin anew what the record has ended, or what is to leave its destination? */
static bool begins_anew(const struct director_pass *pass, const struct flow *f,
			const struct dest_view *dest)
{
	const struct snapshot_options *o = &pass->s->options;

	if (o->expire_nodest_conn && dest && dest->weight == 0)
		return true;
	return o->conn_reuse_mode != 0 && is_new_expected(f, o->conn_reuse_mode);
}

/* The state that the packet leads to, and its timeout. */
static inline __attribute__((always_inline)) void advance(const struct director_pass *pass,
							  struct flow *f, uint32_t index,
							  const struct packet *p, bool is_answer)
{
	struct flow_table *flows = pass->d->flows;
	enum conn_direction direction = is_answer		   ? CONN_OUTPUT
					: f->flags & FLOW_NOOUTPUT ? CONN_INPUT_ONLY
								   : CONN_INPUT;
	uint8_t state = conn_state_next(f->protocol, f->state, direction, p);

	/* udp_state_transition() */
	if (is_answer && f->control != FLOW_NONE && f->protocol == IPPROTO_UDP)
		director_assure_template(flows, f);
	if (state != f->state)
		director_set_state(pass, index, state);
	flow_touch(flows, index, pass->now,
		   conn_state_timeout(&pass->s->timeouts, f->protocol, f->state));
}

/* The kernel looks at whole datagrams: a later fragment leads nowhere. */
static void advance_by(const struct director_pass *pass, struct flow *f, uint32_t index,
		       const struct packet *p, bool is_answer)
{
	if (p->kind == PACKET_FLOW)
		advance(pass, f, index, p, is_answer);
	else
		flow_touch(pass->d->flows, index, pass->now,
			   conn_state_timeout(&pass->s->timeouts, f->protocol, f->state));
}

/* The client's frames may begin to come from another router. */
static void follow_peer(struct peers *peers, struct flow *f, const struct director_frame *frame)
{
	uint16_t peer;

	if (f->peer != PEERS_NONE && peers_is(peers, f->peer, frame))
		return;
	peer = peers_get(peers, frame);
	if (peer == PEERS_NONE)
		return;
	peers_put(peers, f->peer);
	f->peer = peer;
}

static bool is_to_be_reset(const struct director_pass *pass, const struct flow *f,
			   const struct packet *p)
{
	return pass->s->options.reset_on_expiry && f->protocol == IPPROTO_TCP &&
	       f->state == CONN_TCP_ESTABLISHED && p->kind == PACKET_FLOW && !p->is_fragment;
}

/*
 * The packet begins a connection in the place of this one, which counts at its destination until the new one has got
 * its own: the kernel leaves it to its timer.
 */
static __attribute__((noinline)) void replace(const struct director_pass *pass,
					      struct director_frame *frame, uint32_t index)
{
	pass->d->leaving = index;
	director_on_miss(pass, frame, NULL);
	director_remove_leaving(pass);
}

/* The connection's destination has been deleted. */
static __attribute__((noinline)) void on_dest_gone(const struct director_pass *pass,
						   struct director_frame *frame, uint32_t index)
{
	struct flow *f = flow_at(pass->d->flows, index);

	if (is_to_be_reset(pass, f, &frame->packet)) {
		director_reset(pass, frame, index, false);
	} else if (pass->s->options.expire_nodest_conn) {
		replace(pass, frame, index);
	} else {
		/* The destination may come back: the timer is not started anew. */
		director_drop(pass, frame, COUNTER_DROP_NO_DEST);
	}
}

void director_on_request(const struct director_pass *pass, struct director_frame *frame,
			 uint32_t index)
{
	struct flow *f = flow_at(pass->d->flows, index);
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);
	const struct packet *p = &frame->packet;

	if (is_new(p) && begins_anew(pass, f, dest)) {
		replace(pass, frame, index);
		return;
	}
	if (!dest || dest->deleted) {
		on_dest_gone(pass, frame, index);
		return;
	}
	director_count_in(pass, dest, p);
	advance_by(pass, f, index, p, false);
	follow_peer(&pass->d->peers, f, frame);
	director_send_request(pass, frame, f, dest);
}

void director_on_answer(const struct director_pass *pass, struct director_frame *frame,
			uint32_t index)
{
	struct flow *f = flow_at(pass->d->flows, index);
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);

	if ((!dest || dest->deleted) && is_to_be_reset(pass, f, &frame->packet)) {
		director_reset(pass, frame, index, true);
		return;
	}
	/* Of a connection from another plane, whose client has not spoken yet: that plane knows the way. */
	if (f->peer == PEERS_NONE) {
		director_except(pass, frame);
		return;
	}
	if (!director_may_send_answer(pass, frame, f))
		return;
	director_count_out(pass, dest, &frame->packet);
	advance_by(pass, f, index, &frame->packet, true);
	director_send_answer(pass, frame, f);
}

/*
 * Nearly all: the destination is there, TTL, MTU, mode and tag ask for nothing, the way is that of the packet before.
 * False: nothing was done.
 */
static inline __attribute__((always_inline)) bool pass_on(const struct director_pass *pass,
							  struct director_frame *frame,
							  uint32_t index, const bool is_answer)
{
	enum {
		MODES = 1 << IPVS_FORWARD_MASQ | 1 << IPVS_FORWARD_ROUTE |
			1 << IPVS_FORWARD_FULL_NAT,
	};
	struct director *d = pass->d;
	struct packet *p = &frame->packet;
	struct flow *f = flow_at(d->flows, index);
	const uint16_t hop = snapshot_shortcut(pass->s, f->endpoint);
	const struct nexthop *n = is_answer ? &d->peers.at[f->peer].nexthop
					    : &pass->s->nexthops[hop];
	const uint64_t mac = nexthop_mac(n);
	const uint16_t mtu = is_answer ? d->config.port_mtus[n->port_index] : n->mtu;
	struct dest_traffic *t = &d->config.dest_counters[f->endpoint].traffic[is_answer];
	const uint32_t bytes = director_ip_bytes(p);

	/* The next hop 0 is never resolved. */
	if ((is_answer && hop == 0) || !nexthop_is_resolved(mac) || p->ttl <= 1 ||
	    (mtu != 0 && bytes > mtu) || is_new(p) || !director_is_of_modes(f->flags, MODES) ||
	    n->vlan_tci != 0 || p->l3_off != PACKET_ETHERNET_LEN ||
	    (!is_answer && !peers_is(&d->peers, f->peer, frame)))
		return false;
	COUNTER_ADD(t->packets, 1);
	COUNTER_ADD(t->bytes, bytes);
	advance(pass, f, index, p, is_answer);
	if (director_is_nat(f->flags)) {
		struct flow_side to = flow_side(d->flows, f, !is_answer);

		(void)rewrite_hop(p, to.dst, to.src, to.ports << 16 | to.ports >> 16);
	} else {
		rewrite_ttl(p);
	}
	rewrite_macs(p, d->config.port_macs[n->port_index], mac);
	director_sent(pass, frame, n->port_index,
		      is_answer ? COUNTER_FORWARDED_OUT : COUNTER_FORWARDED_IN);
	return true;
}

static inline void on_flow(const struct director_pass *pass, struct director_frame *f, flow_ref ref,
			   struct director_attempt *attempt)
{
	struct director_attempt *expected = ref == 0 ? attempt : NULL;

	/* An earlier frame of the burst may have made or removed the connection. */
	if (ref == 0 ? pass->d->inserted : pass->d->removed)
		ref = flow_lookup(pass->d->flows, &f->packet.key);
	if (ref == 0) {
		director_on_miss(pass, f, expected);
	} else if (FLOW_REF_REVERSE(ref)) {
		if (!pass_on(pass, f, FLOW_REF_INDEX(ref), true))
			director_on_answer(pass, f, FLOW_REF_INDEX(ref));
	} else {
		if (!pass_on(pass, f, FLOW_REF_INDEX(ref), false))
			director_on_request(pass, f, FLOW_REF_INDEX(ref));
	}
}

void director_on_flows(const struct director_pass *pass, struct director_frame *frames,
		       const struct flow_key *const *keys, const flow_ref *refs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (__builtin_expect(keys[i] != NULL, true))
			on_flow(pass, &frames[i], refs[i], &pass->d->attempts[i]);
		else
			director_on_other(pass, &frames[i]);
}

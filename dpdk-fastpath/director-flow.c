/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Packets of connections that exist: the second half of ip_vs_in_hook(), and ip_vs_out_hook(). */
#include "dpdk-fastpath/director-internal.h"

#include <netinet/in.h>

enum {
	SCTP_CHUNK_INIT = 1,
};

/* is_new_conn() */
static bool is_new(const struct packet *p)
{
	if (p->kind != PACKET_FLOW)
		return false;
	if (p->key.protocol == IPPROTO_TCP)
		return p->tcp_flags & PACKET_TCP_SYN;
	return p->sctp_chunk == SCTP_CHUNK_INIT;
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
static void advance(const struct director_pass *pass, uint32_t index, const struct packet *p,
		    bool is_answer)
{
	struct director *d = pass->d;
	struct flow *f = flow_at(d->flows, index);
	enum conn_direction direction = CONN_INPUT;

	/* The kernel looks at whole datagrams: a later fragment leads nowhere. */
	if (p->kind == PACKET_FLOW) {
		uint8_t state;

		if (is_answer) {
			direction = CONN_OUTPUT;
			/* udp_state_transition() */
			if (f->control != FLOW_NONE && f->protocol == IPPROTO_UDP)
				flow_at(d->flows, f->control)->state |= DIRECTOR_TEMPLATE_ASSURED;
		} else if (f->flags & FLOW_NOOUTPUT) {
			direction = CONN_INPUT_ONLY;
		}
		state = conn_state_next(f->protocol, f->state, direction, p);
		if (state != f->state)
			director_set_state(pass, index, state);
	}
	flow_touch(d->flows, index, pass->now,
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
	director_on_miss(pass, frame);
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
	advance(pass, index, p, false);
	f->in_packets += f->in_packets != UINT32_MAX;
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
	advance(pass, index, &frame->packet, true);
	director_send_answer(pass, frame, f);
}

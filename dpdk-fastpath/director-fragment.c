/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fragments: the first decides, the later ones follow. See fragments.h for the way between workers. */
#include "dpdk-fastpath/director-internal.h"

/* As a packet that is not a fragment, but that it is not handed on. */
static void decide_as_flow(const struct director_pass *pass, struct director_frame *frame)
{
	struct director_pass here = *pass;
	flow_ref ref = flow_lookup(pass->d->flows, &frame->packet.key);

	here.owned = true;
	if (ref == 0)
		director_on_miss(&here, frame, NULL);
	else if (FLOW_REF_REVERSE(ref))
		director_on_answer(&here, frame, FLOW_REF_INDEX(ref));
	else
		director_on_request(&here, frame, FLOW_REF_INDEX(ref));
}

static struct fragment_decision decision_of(const struct director_pass *pass,
					    const struct packet *first,
					    const struct director_frame *frame)
{
	struct fragment_decision d = {
		.verdict = FRAGMENT_DROP,
		.reason = COUNTER_DROP_UNREPORTED,
		.src_port_be = first->key.src_port_be,
		.dst_port_be = first->key.dst_port_be,
	};

	switch (frame->action.verdict) {
	case DIRECTOR_EXCEPTION:
		d.verdict = FRAGMENT_EXCEPTION;
		break;
	case DIRECTOR_DROP:
		d.reason = frame->action.reason;
		break;
	default:
		if (flow_lookup(pass->d->flows, &first->key) != 0) {
			d.verdict = FRAGMENT_FLOW;
		} else if (pass->d->sent_stateless) {
			d.verdict = FRAGMENT_STATELESS;
			d.flow = pass->d->stateless;
		}
		/* else: an error was sent about it */
	}
	return d;
}

static void on_first(const struct director_pass *pass, struct director_frame *frame)
{
	const struct packet first = frame->packet;
	struct fragment_decision d;

	pass->d->sent_stateless = false;
	decide_as_flow(pass, frame);
	d = decision_of(pass, &first, frame);
	fragments_decide(pass->d->fragments, &first, pass->now, &d);
}

static void follow(const struct director_pass *pass, struct director_frame *frame,
		   const struct fragment_decision *decision)
{
	const struct fragment_decision d = *decision;
	const struct dest_view *dest;

	switch (d.verdict) {
	case FRAGMENT_FLOW:
		frame->packet.key.src_port_be = d.src_port_be;
		frame->packet.key.dst_port_be = d.dst_port_be;
		decide_as_flow(pass, frame);
		return;
	case FRAGMENT_STATELESS:
		dest = snapshot_dest(pass->s, d.flow.endpoint);
		if (!dest || dest->deleted) {
			director_drop(pass, frame, COUNTER_DROP_NO_DEST);
			return;
		}
		director_count_in(pass, dest, &frame->packet);
		director_send_request(pass, frame, &d.flow, dest);
		return;
	case FRAGMENT_EXCEPTION:
		director_except(pass, frame);
		return;
	case FRAGMENT_HANDOVER:
		director_hand_over(pass, frame, d.worker);
		return;
	default:
		director_drop(pass, frame, (enum counter)d.reason);
	}
}

static void on_later(const struct director_pass *pass, struct director_frame *frame, bool may_hold)
{
	struct fragments *fragments = pass->d->fragments;
	const struct fragment_decision *d = fragments_find(fragments, &frame->packet, pass->now);

	if (d) {
		follow(pass, frame, d);
	} else if (may_hold && fragments_hold(fragments, frame, pass->now)) {
		frame->action.verdict = DIRECTOR_HOLD;
		director_count(pass, COUNTER_HELD);
	} else {
		director_drop(pass, frame, COUNTER_DROP_FRAGMENT);
	}
}

void director_on_fragment(const struct director_pass *pass, struct director_frame *frame,
			  bool may_hold)
{
	struct director *d = pass->d;
	const struct packet *p = &frame->packet;
	unsigned me = d->config.worker, home = me, owner = me;

	if (d->config.n_workers > 1) {
		home = fragments_home(&p->key, d->config.n_workers);
		if (p->kind == PACKET_FLOW)
			owner = snapshot_owner(pass->s, &p->key);
	}
	if (home != me && !pass->owned) {
		director_hand_over(pass, frame, home);
	} else if (home == me && owner != me) {
		struct fragment_decision on = { .verdict = FRAGMENT_HANDOVER };

		on.worker = (uint16_t)owner;
		fragments_decide(d->fragments, p, pass->now, &on);
		director_hand_over(pass, frame, owner);
	} else if (p->kind == PACKET_FLOW) {
		on_first(pass, frame);
	} else {
		/* Away from home none waits: the home sends the first one before. */
		on_later(pass, frame, may_hold && home == me);
	}
}

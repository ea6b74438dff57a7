/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A packet that belongs to no connection: ip_vs_schedule(), ip_vs_conn_new(), ip_vs_leave(). */
#include "dpdk-fastpath/director-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "dpdk-fastpath/rules.h"

enum {
	PORT_FTP_DATA = 20,
};

static uint64_t next_random(struct director *d)
{
	uint64_t x = d->random += UINT64_C(0x9e3779b97f4a7c15);

	x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
	return x ^ x >> 31;
}

const struct dest_view *director_choose(const struct director_pass *pass,
					const struct service_view *service,
					const struct flow_key *k)
{
	struct director *d = pass->d;
	struct sched_input in = {
		.service = service,
		.key = k,
		.random = next_random(d),
		.cursor = &d->cursors[service->id],
		.load = director_load,
		.overloaded = director_overloaded,
		.context = d,
	};
	int place = service->sched ? sched_choose(&in) : -1;

	return place >= 0 ? service->dests[place] : NULL;
}

/* A destination for the packet, by the template or the scheduler. -ENOENT: none; -ENOSPC: no room for a template. */
static int find_dest(const struct director_pass *pass, const struct flow_key *k,
		     struct director_attempt *a)
{
	a->dest = NULL;
	a->template = FLOW_NONE;
	if (a->service->flags & IPVS_SVC_PERSISTENT)
		return director_use_template(pass, a->service, k, &a->template, &a->dest);
	/* Port 0 is for persistent services alone. */
	if (k->dst_port_be == a->service->port_be)
		a->dest = director_choose(pass, a->service, k);
	return a->dest ? 0 : -ENOENT;
}

static uint16_t dest_port_of(const struct director_attempt *a, const struct flow_key *k)
{
	bool own_port = k->dst_port_be == a->service->port_be;

	return own_port && a->dest->port_be != 0 ? a->dest->port_be : k->dst_port_be;
}

static void fill_flow(struct director_attempt *a, const struct packet *p)
{
	const struct flow_key *k = &p->key;
	struct flow *f = &a->flow;

	*f = (struct flow){
		.client_port_be = k->src_port_be,
		.virtual_port_be = k->dst_port_be,
		.dest_port_be = dest_port_of(a, k),
		.local_port_be = k->src_port_be,
		.endpoint = a->dest->id,
		.protocol = k->protocol,
		.control = a->template,
		.flags = director_flags(a->dest, k),
	};
	memcpy(f->client, k->src, sizeof(f->client));
	f->state = conn_state_next(k->protocol, 0,
				   f->flags & FLOW_NOOUTPUT ? CONN_INPUT_ONLY : CONN_INPUT, p);
	if (conn_state_is_active(k->protocol, f->state))
		f->flags &= (uint16_t)~FLOW_INACTIVE;
	if (conn_state_is_embryonic(k->protocol, f->state))
		f->flags |= FLOW_EMBRYONIC;
}

/* The plan may be of a guess, and mostly is of the right one. */
static void set_local_port(const struct director_pass *pass, struct director_attempt *a,
			   uint16_t local, uint16_t port_be)
{
	struct flow *f = &a->flow;

	if (a->is_planned && f->local == local && f->local_port_be == port_be)
		return;
	f->local = local;
	f->local_port_be = port_be;
	if (a->is_planned)
		flow_plan_answers(pass->d->flows, f, &a->plan);
	else
		flow_plan(pass->d->flows, f, &a->plan);
	a->is_planned = true;
}

static int insert_with_local_port(const struct director_pass *pass, struct director_attempt *a,
				  uint32_t timeout_ticks, uint32_t *ret)
{
	uint8_t family = a->flow.flags & FLOW_FAMILY_6 ? AF_INET6 : AF_INET;
	struct local_ports_walk walk;
	uint16_t local, port_be;

	local_ports_begin(pass->d->ports, pass->s, family, a->flow.endpoint, &walk);
	while (local_ports_next(&walk, &local, &port_be)) {
		int r;

		set_local_port(pass, a, local, port_be);
		r = director_insert_new(pass, &a->flow, &a->plan, timeout_ticks, ret);
		if (r != -EEXIST)
			return r;
	}
	return -EADDRNOTAVAIL;
}

/*
 * With nat two services may lead the same client's port to the same socket of a destination. The kernel keeps both
 * records and finds one of them for answers; here the newer one takes the place of one that is not active.
 */
static int insert_in_place(const struct director_pass *pass, const struct flow *f,
			   uint32_t timeout_ticks, uint32_t *ret)
{
	struct flow_table *flows = pass->d->flows;
	struct flow_key k;
	flow_ref other;

	flow_reverse_key(flows, f, &k);
	other = flow_lookup(flows, &k);
	if (other == 0 || !(flow_at(flows, FLOW_REF_INDEX(other))->flags & FLOW_INACTIVE))
		return -EEXIST;
	director_remove(pass, FLOW_REF_INDEX(other));
	return director_insert(pass, f, timeout_ticks, ret);
}

static int insert(const struct director_pass *pass, struct director_attempt *a, uint32_t *ret)
{
	const struct flow *f = &a->flow;
	uint32_t timeout = conn_state_timeout(&pass->s->timeouts, f->protocol, f->state);
	unsigned forward = f->flags & FLOW_FWD_MASK;
	int r;

	if (forward == IPVS_FORWARD_FULL_NAT)
		return insert_with_local_port(pass, a, timeout, ret);
	if (!a->is_planned)
		flow_plan(pass->d->flows, f, &a->plan);
	r = director_insert_new(pass, f, &a->plan, timeout, ret);
	if (r == -EEXIST && forward == IPVS_FORWARD_MASQ)
		r = insert_in_place(pass, f, timeout, ret);
	return r;
}

static void send_without_record(const struct director_pass *pass, struct director_frame *frame,
				const struct director_attempt *a)
{
	pass->d->stateless = a->flow;
	pass->d->sent_stateless = true;
	director_count_in(pass, a->dest, &frame->packet);
	director_send_request(pass, frame, &a->flow, a->dest);
}

/* Would every packet of a connection, alone, come to the same destination? */
static bool chooses_by_packet(const struct service_view *service)
{
	enum sched_kind kind = service->sched ? sched_view_kind(service->sched) : SCHED_KIND_NONE;

	return kind == SCHED_KIND_MH || kind == SCHED_KIND_SH;
}

static bool is_stateless(const struct director_pass *pass, const struct service_view *service)
{
	return pass->s->options.stateless_when_full && chooses_by_packet(service);
}

static void on_no_record(const struct director_pass *pass, struct director_frame *frame,
			 const struct director_attempt *a, int error)
{
	struct director *d = pass->d;

	if (error == -EADDRNOTAVAIL) {
		director_drop(pass, frame, COUNTER_DROP_PORTS);
		return;
	}
	if (error == -ENOSPC && is_stateless(pass, a->service) && !director_is_nat(a->flow.flags)) {
		d->was_full = true;
		d->full_until = pass->now + pass->s->timeouts.tcp[CONN_TCP_ESTABLISHED];
		send_without_record(pass, frame, a);
		return;
	}
	director_drop(pass, frame, COUNTER_DROP_FULL);
}

static void count_conn(const struct director_pass *pass, const struct director_attempt *a)
{
	COUNTER_ADD(pass->d->config.dest_counters[a->dest->id].conns, 1);
}

static void connect_to(const struct director_pass *pass, struct director_frame *frame,
		       struct director_attempt *a)
{
	struct director *d = pass->d;
	uint32_t index;
	int r;

	director_remove_leaving(pass);
	/* Answers of full NAT cannot be led back without a record. */
	if ((a->service->flags & IPVS_SVC_ONEPACKET) && a->flow.protocol == IPPROTO_UDP &&
	    a->dest->forward != IPVS_FORWARD_FULL_NAT) {
		a->flow.flags |= FLOW_ONE_PACKET;
		count_conn(pass, a);
		send_without_record(pass, frame, a);
		return;
	}
	a->flow.peer = peers_get(&d->peers, frame);
	r = insert(pass, a, &index);
	if (r < 0) {
		peers_put(&d->peers, a->flow.peer);
		a->flow.peer = PEERS_NONE;
		on_no_record(pass, frame, a, r);
		return;
	}
	count_conn(pass, a);
	director_count_in(pass, a->dest, &frame->packet);
	director_send_request(pass, frame, flow_at(d->flows, index), a->dest);
}

static bool may_start(const struct director_pass *pass, const struct packet *p)
{
	const struct snapshot_options *o = &pass->s->options;

	return conn_state_may_start(p, p->key.protocol == IPPROTO_SCTP ? o->sloppy_sctp
								       : o->sloppy_tcp);
}

/* May a packet be one of a connection that was sent without a record? */
static bool may_go_on(const struct director_pass *pass, const struct service_view *service)
{
	const struct director *d = pass->d;

	return d->was_full && (int32_t)(d->full_until - pass->now) > 0 &&
	       is_stateless(pass, service);
}

/* What was decided before the burst's first connection was made holds until a destination becomes overloaded, or free. */
static bool is_decided(const struct director_pass *pass, const struct director_attempt *a)
{
	return a->dest && a->overloads == pass->d->overloads;
}

/* -ENOENT: no destination; -ENOSPC: no room for a template. */
static int decide(const struct director_pass *pass, const struct packet *p,
		  struct director_attempt *a)
{
	int r = find_dest(pass, &p->key, a);

	if (r < 0)
		return r;
	fill_flow(a, p);
	a->is_planned = false;
	return 0;
}

static void schedule(const struct director_pass *pass, struct director_frame *frame,
		     struct director_attempt *a)
{
	int r = is_decided(pass, a) ? 0 : decide(pass, &frame->packet, a);

	if (r == -ENOENT) {
		director_error(pass, frame, ICMP_ERROR_PORT_UNREACHABLE, 0, frame->packet.key.dst);
		return;
	}
	if (r < 0) {
		director_drop(pass, frame, COUNTER_DROP_FULL);
		return;
	}
	/* With nat all connections have records: this packet is of none. */
	if (director_is_nat(a->dest->forward) && !may_start(pass, &frame->packet)) {
		director_except(pass, frame);
		return;
	}
	connect_to(pass, frame, a);
	if (a->template != FLOW_NONE)
		director_touch_template(pass, a->service, a->template);
}

void director_expect(const struct director_pass *pass, const struct packet *p,
		     struct director_attempt *ret)
{
	const struct director *d = pass->d;
	const struct service_view *service = snapshot_find_service(pass->s, &p->key);
	struct sched_input in = {
		.service = service,
		.key = &p->key,
		.load = director_load,
		.overloaded = director_overloaded,
		.context = d,
	};
	int place;

	ret->service = service;
	ret->dest = NULL;
	if (!service || !chooses_by_packet(service) || p->key.dst_port_be != service->port_be ||
	    (service->flags & IPVS_SVC_PERSISTENT) || !may_start(pass, p))
		return;
	place = sched_choose(&in);
	if (place < 0)
		return;
	ret->dest = service->dests[place];
	ret->overloads = d->overloads;
	ret->template = FLOW_NONE;
	fill_flow(ret, p);
	if (ret->dest->forward == IPVS_FORWARD_FULL_NAT)
		(void)local_ports_guess(d->ports, pass->s, p->key.family, ret->dest->id,
					&ret->flow.local, &ret->flow.local_port_be);
	flow_plan(d->flows, &ret->flow, &ret->plan);
	ret->is_planned = true;
	__builtin_prefetch(&d->config.dest_counters[ret->dest->id], 1);
}

/*
 * A packet of a connection that is not here, though we are the owner: the worker that owned it before the service's
 * owners changed may still have it, and keeps it on its destination. (UDP has no packets that cannot begin a connection:
 * it is scheduled anew, as a client of a persistent service that has no template.)
 */
static bool hand_back(const struct director_pass *pass, struct director_frame *frame)
{
	const struct flow_key *k = &frame->packet.key;
	const unsigned self = pass->d->config.worker;
	unsigned former;

	if (!pass->s->by_address || pass->d->config.n_workers <= 1)
		return false;
	former = snapshot_former_owner(pass->s, k);
	if (former == self || snapshot_owner(pass->s, k) != self)
		return false;
	director_hand_over(pass, frame, former);
	return true;
}

void director_on_miss(const struct director_pass *pass, struct director_frame *frame,
		      struct director_attempt *expected)
{
	const struct packet *p = &frame->packet;
	struct director_attempt here, *a = expected ? expected : &here;

	if (p->kind != PACKET_FLOW) {
		director_drop(pass, frame, COUNTER_DROP_FRAGMENT);
		return;
	}
	if (!pass->owned && pass->d->config.n_workers > 1) {
		unsigned owner = snapshot_owner(pass->s, &p->key);

		if (owner != pass->d->config.worker) {
			director_hand_over(pass, frame, owner);
			return;
		}
	}
	if (!expected) {
		here.service = snapshot_find_service(pass->s, &p->key);
		here.dest = NULL;
	}
	if (!a->service) {
		if (!hand_back(pass, frame))
			director_on_stranger(pass, frame);
		return;
	}
	/* The kernel answers with a reset, or knows the connection. */
	if (p->key.src_port_be == htons(PORT_FTP_DATA) ||
	    (!may_start(pass, p) && !may_go_on(pass, a->service))) {
		if (!hand_back(pass, frame))
			director_except(pass, frame);
		return;
	}
	if (!rules_allow(a->service->rules, &p->key)) {
		director_drop(pass, frame, COUNTER_DROP_RULES);
		return;
	}
	schedule(pass, frame, a);
}

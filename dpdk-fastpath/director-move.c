/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections out of and into the table, for another plane or host. */
#include "dpdk-fastpath/director-internal.h"

#include <errno.h>
#include <netinet/in.h>
#include <sys/socket.h>

enum {
	/* Flags that mean nothing elsewhere. */
	PRIVATE_FLAGS = FLOW_FAMILY_6 | FLOW_EMBRYONIC,
};

static uint32_t ticks_of(const struct director *d, uint32_t sec)
{
	uint64_t ticks = (uint64_t)sec * 1000 / d->tick_msec;

	return ticks < INT32_MAX ? (uint32_t)ticks : INT32_MAX;
}

/* Rounded up: what has not run out has a second left. */
static uint32_t sec_of(const struct director *d, uint32_t ticks)
{
	return (uint32_t)(((uint64_t)ticks * d->tick_msec + 999) / 1000);
}

static uint32_t template_timeout(const struct director_pass *pass, const struct flow *f)
{
	const struct service_view *service;
	struct flow_key k;

	if (f->state & DIRECTOR_TEMPLATE_RETAINED)
		return ticks_of(pass->d, DIRECTOR_RETAIN_SEC);
	flow_forward_key(pass->d->flows, f, &k);
	service = snapshot_find_service(pass->s, &k);
	return service ? service->timeout_ticks : flow_remaining(f, pass->now);
}

static void export_one(const struct director_pass *pass, const struct flow *f,
		       struct director_conn *ret)
{
	const struct dest_view *dest = snapshot_dest(pass->s, f->endpoint);
	const struct director *d = pass->d;
	bool is_template = f->flags & FLOW_TEMPLATE;

	*ret = (struct director_conn){
		.dest_family = dest ? dest->family : 0,
		.dest_port_be = f->dest_port_be,
		.flags = (uint16_t)(f->flags & ~PRIVATE_FLAGS),
		.state = is_template ? f->state & DIRECTOR_TEMPLATE_ASSURED : f->state,
		.timeout_sec = sec_of(d, is_template ? template_timeout(pass, f)
						     : conn_state_timeout(&pass->s->timeouts,
									  f->protocol, f->state)),
		.remaining_sec = sec_of(d, flow_remaining(f, pass->now)),
	};
	flow_forward_key(d->flows, f, &ret->key);
	memcpy(ret->dest, pass->s->endpoints[f->endpoint].dest, sizeof(ret->dest));
	if ((f->flags & FLOW_FWD_MASK) == IPVS_FORWARD_FULL_NAT) {
		memcpy(ret->local, pass->s->locals[f->local].addr, sizeof(ret->local));
		ret->local_port_be = f->local_port_be;
	}
}

unsigned director_export(struct director *d, const struct snapshot *s, uint32_t now_tick,
			 uint32_t *cursor, struct director_conn *ret, unsigned n)
{
	const struct director_pass pass = { d, s, now_tick, true };
	unsigned n_exported = 0;

	while (n_exported < n) {
		uint32_t index = flow_next(d->flows, cursor);

		if (index == FLOW_NONE)
			break;
		export_one(&pass, flow_at(d->flows, index), &ret[n_exported++]);
	}
	return n_exported;
}

/* ip_vs_find_dest(): with the port, else as a destination of every port. */
static const struct dest_view *find_dest(const struct director_pass *pass,
					 const struct director_conn *c)
{
	const struct service_view *service = snapshot_find_service(pass->s, &c->key);
	const uint8_t family = c->dest_family ? c->dest_family : c->key.family;
	const struct dest_view *any_port = NULL;

	if (!service)
		return NULL;
	for (size_t i = 0; i < service->n_dests; i++) {
		const struct dest_view *dest = service->dests[i];

		if (dest->family != family || memcmp(dest->addr, c->dest, sizeof(dest->addr)) != 0)
			continue;
		if (dest->port_be == c->dest_port_be)
			return dest;
		if (dest->port_be == 0)
			any_port = dest;
	}
	return any_port;
}

/* The index of the source address, or -1. */
static int find_local(const struct snapshot *s, const struct director_conn *c)
{
	bool v6 = c->key.family == AF_INET6;
	unsigned first = v6 ? s->local6_first : s->local4_first;
	unsigned n = v6 ? s->n_local6 : s->n_local4;

	for (unsigned i = first; i < first + n; i++)
		if (memcmp(s->locals[i].addr, c->local, sizeof(c->local)) == 0)
			return (int)i;
	return -1;
}

static uint32_t find_record(const struct director_pass *pass, const struct director_conn *c)
{
	if (c->flags & FLOW_TEMPLATE)
		return flow_lookup_template(pass->d->flows, &c->key);
	return FLOW_REF_INDEX(flow_lookup(pass->d->flows, &c->key));
}

static int refresh(const struct director_pass *pass, const struct director_conn *c,
		   const struct dest_view *dest, uint32_t index)
{
	struct flow *f = flow_at(pass->d->flows, index);

	if (f->endpoint != dest->id || f->dest_port_be != c->dest_port_be)
		return -EEXIST;
	if (c->flags & FLOW_TEMPLATE)
		f->state |= c->state & DIRECTOR_TEMPLATE_ASSURED;
	else
		director_set_state(pass, index, c->state);
	flow_touch(pass->d->flows, index, pass->now, ticks_of(pass->d, c->remaining_sec));
	return 0;
}

/* States are indices of the timeouts' tables. */
static bool is_valid(const struct director_conn *c)
{
	if (c->flags & FLOW_TEMPLATE)
		return true;
	switch (c->key.protocol) {
	case IPPROTO_TCP:
		return c->state < _CONN_TCP_STATE_MAX;
	case IPPROTO_SCTP:
		return c->state < _CONN_SCTP_STATE_MAX;
	default:
		return c->state == CONN_UDP_NORMAL;
	}
}

/* Flags as ip_vs_bind_dest() makes them of a synchronised connection: the mode is the destination's. */
static uint16_t flags_of(const struct director_conn *c, const struct dest_view *dest)
{
	uint16_t flags = dest->forward;

	flags |= c->flags & FLOW_TEMPLATE;
	flags |= c->key.family == AF_INET6 ? FLOW_FAMILY_6 : 0;
	if (!director_is_nat(dest->forward))
		flags |= FLOW_NOOUTPUT;
	if (c->flags & FLOW_TEMPLATE)
		return flags | FLOW_INACTIVE;
	if (!conn_state_is_active(c->key.protocol, c->state))
		flags |= FLOW_INACTIVE;
	if (conn_state_is_embryonic(c->key.protocol, c->state))
		flags |= FLOW_EMBRYONIC;
	return flags;
}

int director_import(struct director *d, const struct snapshot *s, uint32_t now_tick,
		    const struct director_conn *c)
{
	const struct director_pass pass = { d, s, now_tick, true };
	const struct dest_view *dest;
	struct flow f = {
		.client_port_be = c->key.src_port_be,
		.virtual_port_be = c->key.dst_port_be,
		.dest_port_be = c->dest_port_be,
		.protocol = c->key.protocol,
		.state = c->flags & FLOW_TEMPLATE ? c->state & DIRECTOR_TEMPLATE_ASSURED : c->state,
	};
	uint32_t index;
	int local;

	if (!is_valid(c))
		return -EINVAL;
	dest = find_dest(&pass, c);
	if (!dest)
		return -ENOENT;
	index = find_record(&pass, c);
	if (index != FLOW_NONE)
		return refresh(&pass, c, dest, index);
	memcpy(f.client, c->key.src, sizeof(f.client));
	f.endpoint = dest->id;
	f.flags = flags_of(c, dest);
	if (dest->forward == IPVS_FORWARD_FULL_NAT && !(c->flags & FLOW_TEMPLATE)) {
		local = find_local(s, c);
		if (local < 0)
			return -EADDRNOTAVAIL;
		f.local = (uint16_t)local;
		f.local_port_be = c->local_port_be;
	}
	return director_insert(&pass, &f, ticks_of(d, c->remaining_sec), &index);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Persistence: ip_vs_sched_persist() and ip_vs_check_template(). */
#include "dpdk-fastpath/director-internal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <sys/socket.h>

enum {
	PORT_FTP = 21,
};

uint16_t director_flags(const struct dest_view *dest, const struct flow_key *k)
{
	unsigned flags = dest->forward | FLOW_INACTIVE;

	if (!director_is_nat(dest->forward))
		flags |= FLOW_NOOUTPUT;
	if (k->family == AF_INET6)
		flags |= FLOW_FAMILY_6;
	return (uint16_t)flags;
}

static bool is_usable(const struct director_pass *pass, const struct dest_view *dest)
{
	return dest && !dest->deleted &&
	       !(pass->s->options.expire_quiescent_template && dest->weight == 0);
}

static int new_template(const struct director_pass *pass, const struct service_view *service,
			const struct dest_view *dest, const struct flow_key *k,
			uint16_t dest_port_be, uint32_t *ret)
{
	struct flow f = {
		.virtual_port_be = k->dst_port_be,
		.dest_port_be = dest_port_be,
		.endpoint = dest->id,
		.protocol = k->protocol,
		.flags = FLOW_TEMPLATE | director_flags(dest, k),
	};

	memcpy(f.client, k->src, sizeof(f.client));
	return director_insert(pass, &f, service->timeout_ticks, ret);
}

/* ip_vs_check_template() makes it invalid: it is of no use any more, also should its destination come back. */
static void forget(const struct director_pass *pass, uint32_t index)
{
	if (index != FLOW_NONE && flow_at(pass->d->flows, index)->controlled == 0)
		director_remove(pass, index);
}

/*
 * A template's virtual port is 0 where the service has all ports, so that a client has one destination for all of
 * them; and for FTP.
 */
int director_use_template(const struct director_pass *pass, const struct service_view *service,
			  const struct flow_key *k, uint32_t *ret,
			  const struct dest_view **ret_dest)
{
	bool own_port = k->dst_port_be == service->port_be && k->dst_port_be != htons(PORT_FTP);
	struct flow_table *flows = pass->d->flows;
	struct flow_key key = *k;
	const struct dest_view *dest;
	uint16_t dest_port_be;
	uint32_t index;
	int r = 0;

	for (unsigned i = 0; i < sizeof(key.src); i++)
		key.src[i] &= service->netmask[i];
	key.src_port_be = 0;
	key.dst_port_be = own_port ? k->dst_port_be : 0;
	index = flow_lookup_template(flows, &key);
	dest = index != FLOW_NONE ? snapshot_dest(pass->s, flow_at(flows, index)->endpoint) : NULL;
	if (!is_usable(pass, dest)) {
		dest = director_choose(pass, service, k);
		if (!dest) {
			forget(pass, index);
			return -ENOENT;
		}
		dest_port_be = own_port ? dest->port_be : 0;
		if (index == FLOW_NONE)
			r = new_template(pass, service, dest, &key, dest_port_be, &index);
		else
			director_bind_template(pass, index, dest, dest_port_be);
	}
	if (r < 0)
		return r;
	*ret = index;
	*ret_dest = dest;
	return 0;
}

void director_touch_template(const struct director_pass *pass, const struct service_view *service,
			     uint32_t index)
{
	bool retained = flow_at(pass->d->flows, index)->state & DIRECTOR_TEMPLATE_RETAINED;

	flow_touch(pass->d->flows, index, pass->now,
		   retained ? DIRECTOR_RETAIN_SEC * 1000 / pass->d->tick_msec
			    : service->timeout_ticks);
}

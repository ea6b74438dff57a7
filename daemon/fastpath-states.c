/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-states.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "ipvs/channel-unix.h"

enum {
	/* net/ip_vs.h: IP_VS_TCP_S_SYN_RECV, _TIME_WAIT, _CLOSE */
	TCP_SYN_RECV = 3,
	TCP_TIME_WAIT = 5,
	TCP_CLOSE = 6,
};

void fastpath_states_deinit(struct fastpath_states *c)
{
	free(c->items);
	*c = FASTPATH_STATES_INIT;
}

int fastpath_states_add(struct fastpath_states *c, const struct connrec *r)
{
	bool closed = r->state == TCP_TIME_WAIT || r->state == TCP_CLOSE;
	bool half_open = r->state == TCP_SYN_RECV;

	if (r->protocol != IPPROTO_TCP || (r->flags & CONNREC_TEMPLATE) || (!closed && !half_open))
		return 0;
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		struct fastpath_states_dest *grown =
			reallocarray(c->items, room, sizeof(*c->items));

		if (!grown)
			return -ENOMEM;
		c->items = grown;
		c->room = room;
	}
	c->items[c->n++] =
		(struct fastpath_states_dest){ r->dest, r->dest_port, closed, half_open };
	return 0;
}

static int dest_cmp(const void *a, const void *b)
{
	const struct fastpath_states_dest *x = a, *y = b;
	int r = addr_cmp(&x->addr, &y->addr);

	return r ? r : x->port - y->port;
}

void fastpath_states_finish(struct fastpath_states *c)
{
	size_t n = 0;

	if (c->n)
		qsort(c->items, c->n, sizeof(*c->items), dest_cmp);
	for (size_t i = 0; i < c->n; i++) {
		if (n > 0 && dest_cmp(&c->items[n - 1], &c->items[i]) == 0) {
			c->items[n - 1].closed += c->items[i].closed;
			c->items[n - 1].half_open += c->items[i].half_open;
		} else {
			c->items[n++] = c->items[i];
		}
	}
	c->n = n;
}

static int on_conn(void *userdata, const struct private_conn *conn)
{
	return fastpath_states_add(userdata, &conn->record);
}

int fastpath_states_read(struct channel *channel, struct fastpath_states *ret)
{
	struct fastpath_states c = FASTPATH_STATES_INIT;
	int r = channel_dump_conns(channel, on_conn, &c);

	if (r < 0)
		fastpath_states_deinit(&c);
	else
		fastpath_states_finish(&c);
	*ret = c;
	return r;
}

static struct fastpath_states_dest sum(const struct fastpath_states *c, const struct addr *addr,
				       uint16_t port)
{
	struct fastpath_states_dest total = { .port = port };

	for (size_t i = 0; i < c->n; i++) {
		if ((port && c->items[i].port != port) || !addr_eq(&c->items[i].addr, addr))
			continue;
		total.closed += c->items[i].closed;
		total.half_open += c->items[i].half_open;
	}
	return total;
}

uint64_t fastpath_states_closed(const struct fastpath_states *c, const struct addr *addr,
				uint16_t port)
{
	return sum(c, addr, port).closed;
}

uint64_t fastpath_states_half_open(const struct fastpath_states *c, const struct addr *addr,
				   uint16_t port)
{
	return sum(c, addr, port).half_open;
}

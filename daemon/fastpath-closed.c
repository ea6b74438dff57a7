/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-closed.h"

#include <errno.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "ipvs/channel-unix.h"

enum {
	/* net/ip_vs.h: IP_VS_TCP_S_TIME_WAIT, IP_VS_TCP_S_CLOSE */
	TCP_TIME_WAIT = 5,
	TCP_CLOSE = 6,
};

void fastpath_closed_deinit(struct fastpath_closed *c)
{
	free(c->items);
	*c = FASTPATH_CLOSED_INIT;
}

int fastpath_closed_add(struct fastpath_closed *c, const struct connrec *r)
{
	if (r->protocol != IPPROTO_TCP || (r->flags & CONNREC_TEMPLATE) ||
	    (r->state != TCP_TIME_WAIT && r->state != TCP_CLOSE))
		return 0;
	if (c->n == c->room) {
		size_t room = c->room ? 2 * c->room : 64;
		struct fastpath_closed_dest *grown =
			reallocarray(c->items, room, sizeof(*c->items));

		if (!grown)
			return -ENOMEM;
		c->items = grown;
		c->room = room;
	}
	c->items[c->n++] = (struct fastpath_closed_dest){ r->dest, r->dest_port, 1 };
	return 0;
}

static int dest_cmp(const void *a, const void *b)
{
	const struct fastpath_closed_dest *x = a, *y = b;
	int r = addr_cmp(&x->addr, &y->addr);

	return r ? r : x->port - y->port;
}

void fastpath_closed_finish(struct fastpath_closed *c)
{
	size_t n = 0;

	if (c->n)
		qsort(c->items, c->n, sizeof(*c->items), dest_cmp);
	for (size_t i = 0; i < c->n; i++) {
		if (n > 0 && dest_cmp(&c->items[n - 1], &c->items[i]) == 0)
			c->items[n - 1].n += c->items[i].n;
		else
			c->items[n++] = c->items[i];
	}
	c->n = n;
}

static int on_conn(void *userdata, const struct private_conn *conn)
{
	return fastpath_closed_add(userdata, &conn->record);
}

int fastpath_closed_read(struct channel *channel, struct fastpath_closed *ret)
{
	struct fastpath_closed c = FASTPATH_CLOSED_INIT;
	int r = channel_dump_conns(channel, on_conn, &c);

	if (r < 0)
		fastpath_closed_deinit(&c);
	else
		fastpath_closed_finish(&c);
	*ret = c;
	return r;
}

uint64_t fastpath_closed_count(const struct fastpath_closed *c, const struct addr *addr,
			       uint16_t port)
{
	uint64_t n = 0;

	for (size_t i = 0; i < c->n; i++)
		if ((!port || c->items[i].port == port) && addr_eq(&c->items[i].addr, addr))
			n += c->items[i].n;
	return n;
}

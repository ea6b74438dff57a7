/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the two engines of connector.h share. Each embeds the structures here as its own first member. */

#include <sys/socket.h>

#include "health/connector.h"

struct connector_socket {
	int fd;			       /* owned */
	struct connection *connection; /* borrowed; NULL = nobody's */
	struct socket_pool *pool;      /* borrowed; NULL = it is not used again */
	struct connector_socket *next; /* idle one; owned */
};

struct socket_pool {
	struct connector_socket *idle; /* owned */
	unsigned n;
};

struct connector {
	const struct connector_engine *engine;
	struct socket_pool pool4, pool6;
};

struct connector_engine {
	size_t socket_size;
	int (*new)(sd_event *event, struct connector **ret);
	/* No connection is open: ends what is under way all the same. */
	void (*settle)(struct connector *k);
	/* All but the pools, which are empty. */
	void (*free)(struct connector *k);
	/* A new socket: non-blocking, not connected. Negative errno. */
	int (*adopt)(struct connector *k, struct connector_socket *s);
	/* Undoes adopt: then it is closed and freed. */
	void (*forget)(struct connector *k, struct connector_socket *s);
	/* c is connected with its socket, which is idle. As connection_open(). */
	int (*start)(struct connection *c, const struct sockaddr *to, socklen_t len);
	/* c is closed: takes its socket over, for the pool if it may, or frees it. */
	void (*release)(struct connection *c, struct connector_socket *s);
	void (*rest)(struct connector *k, usec_t usec);
};

extern const struct connector_engine connector_epoll, connector_ring;

/* May the socket of this connection, which is over, be used again? */
bool connector_may_reuse(const struct connection *c, const struct connector_socket *s);

/* It is reset and idle. */
void connector_put(struct connector_socket *s);

/* Ends its connection by a reset. */
void connector_socket_free(struct connector *k, struct connector_socket *s);

/* connect(2) to this resets. */
extern const struct sockaddr connector_nowhere;

/* Until nothing is there to read. True = c is open still. */
bool connection_read(struct connection *c);

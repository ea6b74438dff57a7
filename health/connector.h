/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * TCP connections of probes that speak first, by the thousand: one epoll set for all, one event source for the set,
 * and sockets that are used again.
 *
 * A socket without source address, interface and mark goes back to a pool: connect(AF_UNSPEC) ends its connection as a
 * close by reset does, but keeps the socket, its options and its place in the epoll set. That is two thirds of the
 * system calls of a probe. Its next connection has a port of its own and none of the data of the last one. A socket whose
 * connection failed is not used again: after a failed next hop some never told of their next connection.
 *
 * The ACK that ends the handshake is held back (TCP_DEFER_ACCEPT on this side: tcp_rcv_synsent_state_process() in
 * net/ipv4/tcp_input.c) for up to 200 ms: the request carries it, or the reset takes its place, so that a server is not
 * woken for a connection that is gone. A server that speaks first would wait for it: such probes open their own socket.
 */

#include <systemd/sd-event.h>

#include "health/probe.h"

struct connector;

/* Embedded by its owner; zero-initialised = closed. */
struct connection {
	struct connector_socket *socket; /* borrowed while open */
	bool connected; /* connection_error() has said so; until the next one is opened */
	struct connector *connector; /* borrowed */
	/* events: EPOLLIN, EPOLLOUT, EPOLLERR, EPOLLHUP; edges, and a hint only: the socket says what is true. */
	void (*on_event)(struct connection *c, uint32_t events);
};

int connector_new(sd_event *event, struct connector **ret);

/* No connection may be open. NULL is fine. */
void connector_free(struct connector *k);

/* c->on_event is set. 0: connecting, an event follows. Otherwise the errno that connect() or the socket's set-up gave. */
int connection_open(struct connection *c, struct connector *k, const struct probe_spec *spec);

/* A closed one is fine. */
void connection_close(struct connection *c);

/* Of an open one. Borrowed. */
int connection_fd(const struct connection *c);

/* What the socket says of its connection, once an event came: 0 = connected, -EAGAIN = not yet, or negative errno. */
int connection_error(struct connection *c, uint32_t events);

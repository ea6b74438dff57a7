/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * TCP connections of probes that speak first, by the thousand: each connects, sends what it has to say and takes what
 * comes back. By io_uring where the kernel has what it takes (6.1, and no policy against it): then a whole check is one
 * chain of requests, hundreds of which take one system call. By epoll elsewhere. What targets see is the same.
 *
 * Connections that want no answer are for epoll alone: on 6.12 a ring has told of one that was not there, of a target that
 * answers a tunnel by an ICMP error. An answer cannot be there without a connection.
 *
 * A socket without source address, interface and mark goes back to a pool: connect(AF_UNSPEC) ends its connection as a
 * close by reset does, but keeps the socket and its options. Its next connection has a port of its own and none of the
 * data of the last one. A socket whose connection failed is not used again: after a failed next hop some never told of
 * their next connection.
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
	/* Set by its owner before it is opened. The request is borrowed while it is open. */
	const char *request; /* sent as soon as the connection is made */
	size_t request_size;
	bool wants_answer; /* else the connection, or the request sent, is all */

	/* A part of the answer. True = more may come. False = the callback has closed c. */
	bool (*on_bytes)(struct connection *c, const char *bytes, size_t size);
	/* It is all that is wanted, or the server closed (0); or an errno. The callback closes c. */
	void (*on_end)(struct connection *c, int error);

	/* What became of it, also once it is closed: until the next one is opened. */
	bool connected;
	size_t sent; /* bytes of the request; all of them when the server takes no more */

	struct connector_socket *socket; /* borrowed while open */
	struct connector *connector;	 /* borrowed */
};

enum connector_kind {
	CONNECTOR_ANY, /* where it is by io_uring, connections that want no answer get -EOPNOTSUPP */
	CONNECTOR_EPOLL,
};

int connector_new(sd_event *event, enum connector_kind kind, struct connector **ret);

/* No connection may be open. NULL is fine. */
void connector_free(struct connector *k);

/*
 * Lets so much time pass, so that what comes in a crowd is taken in a crowd: to be called before the loop waits. Ends
 * early when all that is in flight has come.
 */
void connector_rest(struct connector *k, usec_t usec);

/* 0: connecting, a callback follows. A positive errno is connect()'s, a negative one that of the socket's set-up. */
int connection_open(struct connection *c, struct connector *k, const struct probe_spec *spec);

/* A closed one is fine. */
void connection_close(struct connection *c);

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One epoll set for all sockets, one event source for the set. Sockets that are used again keep their place in it. */

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "health/connector-internal.h"

enum {
	EVENTS_PER_CALL = 256,
	CALLS_PER_DISPATCH = 8, /* then the loop's other sources get their turn */
};

struct epoll_connector {
	struct connector base;
	int epoll_fd;		 /* owned */
	sd_event_source *source; /* owned */
	bool released;		 /* a socket, in this round of events */
};

static struct epoll_connector *engine_of(struct connector *k)
{
	return (struct epoll_connector *)k;
}

/* What the socket says of its connection, once an event came: 0 = connected, -EAGAIN = not yet, or negative errno. */
static int connection_error(const struct connection *c, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (!(events & (EPOLLERR | EPOLLHUP)))
		return events & EPOLLOUT ? 0 : -EAGAIN;
	if (getsockopt(c->socket->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? -error : -EAGAIN;
}

/* What is left of the request. 0, also when the socket takes no more now; negative errno. */
static int send_request(struct connection *c)
{
	ssize_t n;

	if (c->sent == c->request_size)
		return 0;
	n = send(c->socket->fd, c->request + c->sent, c->request_size - c->sent, MSG_NOSIGNAL);
	if (n >= 0)
		c->sent += (size_t)n;
	else if (c->wants_answer && (errno == EPIPE || errno == ECONNRESET))
		/* A server may answer and close before it has read all: what it said counts. */
		c->sent = c->request_size;
	else if (errno != EAGAIN)
		return -errno;
	return 0;
}

/* Edges, and a hint only: the socket says what is true. */
static void on_events(struct connection *c, uint32_t events)
{
	int r = 0;

	if (!c->connected) {
		r = connection_error(c, events);
		if (r == -EAGAIN)
			return;
		c->connected = r == 0;
	}
	if (r == 0)
		r = send_request(c);
	if (r < 0 || (!c->wants_answer && c->sent == c->request_size))
		c->on_end(c, -r);
	else if (c->wants_answer && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)))
		(void)connection_read(c);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct epoll_connector *k = userdata;
	struct epoll_event events[EVENTS_PER_CALL];
	int n = EVENTS_PER_CALL;

	(void)source;
	(void)revents;
	k->released = false;
	/* The end of a connection makes an event too, and taking it now is cheaper than another wake-up. */
	for (unsigned i = 0; i < CALLS_PER_DISPATCH && (k->released || n == EVENTS_PER_CALL); i++) {
		k->released = false;
		n = epoll_wait(fd, events, EVENTS_PER_CALL, 0);
		for (int j = 0; j < n; j++) {
			const struct connector_socket *s = events[j].data.ptr;

			if (s->connection)
				on_events(s->connection, events[j].events);
		}
	}
	return 0;
}

static void epoll_settle(struct connector *k)
{
	(void)k; /* what is released is idle or closed */
}

static void epoll_free(struct connector *base)
{
	struct epoll_connector *k = engine_of(base);

	sd_event_source_disable_unref(k->source);
	cleanup_close(&k->epoll_fd);
	free(k);
}

static int epoll_new(sd_event *event, struct connector **ret)
{
	struct epoll_connector *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->base.engine = &connector_epoll;
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = k->epoll_fd < 0 ? -errno
			    : sd_event_add_io(event, &k->source, k->epoll_fd, EPOLLIN, on_ready, k);
	/* What came in is read before a deadline that passed meanwhile is judged. */
	if (r >= 0)
		r = sd_event_source_set_priority(k->source, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r < 0) {
		epoll_free(&k->base);
		return r;
	}
	*ret = &k->base;
	return 0;
}

static int epoll_adopt(struct connector *k, struct connector_socket *s)
{
	struct epoll_event wanted = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };

	return epoll_ctl(engine_of(k)->epoll_fd, EPOLL_CTL_ADD, s->fd, &wanted) < 0 ? -errno : 0;
}

static void epoll_forget(struct connector *k, struct connector_socket *s)
{
	(void)k;
	(void)s; /* its end takes it out of the set */
}

static int epoll_start(struct connection *c, const struct sockaddr *to, socklen_t len)
{
	return connect(c->socket->fd, to, len) < 0 && errno != EINPROGRESS ? errno : 0;
}

static void epoll_release(struct connection *c, struct connector_socket *s)
{
	engine_of(c->connector)->released = true;
	if (connector_may_reuse(c, s) &&
	    connect(s->fd, &connector_nowhere, sizeof(connector_nowhere)) == 0)
		connector_put(s);
	else
		connector_socket_free(c->connector, s);
}

static void epoll_rest(struct connector *k, usec_t usec)
{
	(void)k;
	(void)poll(NULL, 0, (int)(usec / USEC_PER_MSEC));
}

const struct connector_engine connector_epoll = {
	.socket_size = sizeof(struct connector_socket),
	.new = epoll_new,
	.settle = epoll_settle,
	.free = epoll_free,
	.adopt = epoll_adopt,
	.forget = epoll_forget,
	.start = epoll_start,
	.release = epoll_release,
	.rest = epoll_rest,
};

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/connector.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"

enum {
	EVENTS_PER_CALL = 256,
	CALLS_PER_DISPATCH = 8, /* then the loop's other sources get their turn */
	IDLE_MAX = 1024,	/* of a pool; not all that an outage had in flight */
};

struct connector_socket {
	int fd;			       /* owned */
	struct connection *connection; /* borrowed; NULL = idle */
	struct socket_pool *pool;      /* borrowed; NULL = it is not used again */
	struct connector_socket *next; /* idle one; owned */
};

struct socket_pool {
	struct connector_socket *idle; /* owned */
	unsigned n;
};

struct connector {
	int epoll_fd;		 /* owned */
	sd_event_source *source; /* owned */
	struct socket_pool pool4, pool6;
	bool released; /* a socket, in this round of events */
};

static int on_ready(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct connector *k = userdata;
	struct epoll_event events[EVENTS_PER_CALL];
	int n = EVENTS_PER_CALL;

	(void)s;
	(void)revents;
	k->released = false;
	/* The end of a connection makes an event too, and taking it now is cheaper than another wake-up. */
	for (unsigned i = 0; i < CALLS_PER_DISPATCH && (k->released || n == EVENTS_PER_CALL); i++) {
		k->released = false;
		n = epoll_wait(fd, events, EVENTS_PER_CALL, 0);
		for (int j = 0; j < n; j++) {
			const struct connector_socket *socket = events[j].data.ptr;

			if (socket->connection)
				socket->connection->on_event(socket->connection, events[j].events);
		}
	}
	return 0;
}

int connector_new(sd_event *event, struct connector **ret)
{
	struct connector *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return -ENOMEM;
	k->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	r = k->epoll_fd < 0 ? -errno
			    : sd_event_add_io(event, &k->source, k->epoll_fd, EPOLLIN, on_ready, k);
	/* What came in is read before a deadline that passed meanwhile is judged. */
	if (r >= 0)
		r = sd_event_source_set_priority(k->source, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r < 0) {
		connector_free(k);
		return r;
	}
	*ret = k;
	return 0;
}

static void socket_free(struct connector_socket *s)
{
	if (!s)
		return;
	cleanup_close(&s->fd);
	free(s);
}

DEFINE_CLEANUP(struct connector_socket *, socket_free)

static void pool_deinit(struct socket_pool *pool)
{
	while (pool->idle) {
		struct connector_socket *s = pool->idle;

		pool->idle = s->next;
		socket_free(s);
	}
}

void connector_free(struct connector *k)
{
	if (!k)
		return;
	pool_deinit(&k->pool4);
	pool_deinit(&k->pool6);
	sd_event_source_disable_unref(k->source);
	cleanup_close(&k->epoll_fd);
	free(k);
}

/* NULL and errno. pool: where it goes when it is idle; NULL = nowhere. */
static struct connector_socket *socket_new(struct connector *k, const struct probe_spec *spec,
					   struct socket_pool *pool)
{
	_cleanup_(socket_free_p) struct connector_socket *s = calloc(1, sizeof(*s));
	struct epoll_event wanted = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = s };
	int seconds = 1;

	if (!s)
		return NULL;
	s->pool = pool;
	s->fd = probe_socket_open(spec);
	if (s->fd < 0) {
		errno = -s->fd;
		return NULL;
	}
	/* Ignoring a failure: the probe works with the ACK as well. */
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
	if (epoll_ctl(k->epoll_fd, EPOLL_CTL_ADD, s->fd, &wanted) < 0)
		return NULL; /* the cleanup keeps errno */
	return take_ptr(s);
}

/* A socket of its own kind is not used again. */
static bool is_ordinary(const struct probe_spec *spec)
{
	return spec->source.family == AF_UNSPEC && !spec->interface[0] && !spec->firewall_mark;
}

int connection_open(struct connection *c, struct connector *k, const struct probe_spec *spec)
{
	struct socket_pool *pool = spec->addr.family == AF_INET6 ? &k->pool6 : &k->pool4;
	bool ordinary = is_ordinary(spec);
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&spec->addr, spec->port, &ss);
	struct connector_socket *s;
	int r;

	if (ordinary && pool->idle) {
		s = pool->idle;
		pool->idle = s->next;
		pool->n--;
	} else {
		s = socket_new(k, spec, ordinary ? pool : NULL);
		if (!s)
			return -errno;
	}
	s->connection = c;
	c->socket = s;
	c->connected = false;
	c->connector = k;
	if (connect(s->fd, (struct sockaddr *)&ss, len) == 0 || errno == EINPROGRESS)
		return 0;
	r = -errno;
	connection_close(c);
	return r;
}

void connection_close(struct connection *c)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };
	struct connector_socket *s = take_ptr(c->socket);

	if (!s)
		return;
	c->connector->released = true;
	s->connection = NULL;
	if (!s->pool || !c->connected || s->pool->n >= IDLE_MAX ||
	    connect(s->fd, &nowhere, sizeof(nowhere)) < 0) {
		socket_free(s);
		return;
	}
	s->next = s->pool->idle;
	s->pool->idle = s;
	s->pool->n++;
}

int connection_fd(const struct connection *c)
{
	return c->socket->fd;
}

int connection_error(struct connection *c, uint32_t events)
{
	socklen_t len = sizeof(int);
	int error = 0;

	if (!(events & (EPOLLERR | EPOLLHUP))) {
		c->connected = events & EPOLLOUT;
		return c->connected ? 0 : -EAGAIN;
	}
	if (getsockopt(c->socket->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	return error ? -error : -EAGAIN;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/connector.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/connector-internal.h"

enum {
	READ_MAX = 8192,
	IDLE_MAX = 1024, /* of a pool; not all that an outage had in flight */
};

/* Every kernel has it, and it has nothing to set up for a connection of one segment; BBR would even pace that one. */
static const char congestion[] = "reno";

const struct sockaddr connector_nowhere = { .sa_family = AF_UNSPEC };

int connector_new(sd_event *event, enum connector_kind kind, struct connector **ret)
{
	if (kind != CONNECTOR_EPOLL) {
		int r = connector_ring.new(event, ret);

		if (r >= 0)
			return r;
		log_debug("no io_uring (%s): connections by epoll", strerror(-r));
	}
	return connector_epoll.new(event, ret);
}

void connector_socket_free(struct connector *k, struct connector_socket *s)
{
	k->engine->forget(k, s);
	cleanup_close(&s->fd);
	free(s);
}

static void pool_deinit(struct connector *k, struct socket_pool *pool)
{
	while (pool->idle) {
		struct connector_socket *s = pool->idle;

		pool->idle = s->next;
		connector_socket_free(k, s);
	}
}

void connector_free(struct connector *k)
{
	if (!k)
		return;
	k->engine->settle(k);
	pool_deinit(k, &k->pool4);
	pool_deinit(k, &k->pool6);
	k->engine->free(k);
}

void connector_rest(struct connector *k, usec_t usec)
{
	k->engine->rest(k, usec);
}

/* NULL and errno. pool: where it goes when it is idle; NULL = nowhere. */
static struct connector_socket *socket_new(struct connector *k, const struct probe_spec *spec,
					   struct socket_pool *pool)
{
	struct connector_socket *s = calloc(1, k->engine->socket_size);
	int seconds = 1, r;

	if (!s)
		return NULL;
	s->pool = pool;
	s->fd = probe_socket_open(spec);
	r = s->fd < 0 ? s->fd : k->engine->adopt(k, s);
	if (r < 0) {
		connector_socket_free(k, s);
		errno = -r;
		return NULL;
	}
	/* Ignoring failures: the probe works with the ACK as well, and with any control of congestion. */
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds));
	(void)setsockopt(s->fd, IPPROTO_TCP, TCP_CONGESTION, congestion, sizeof(congestion) - 1);
	return s;
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
	c->sent = 0;
	c->connector = k;
	r = k->engine->start(c, (struct sockaddr *)&ss, len);
	if (r != 0)
		connection_close(c);
	return r;
}

void connection_close(struct connection *c)
{
	struct connector_socket *s = take_ptr(c->socket);

	if (!s)
		return;
	s->connection = NULL;
	c->connector->engine->release(c, s);
}

bool connector_may_reuse(const struct connection *c, const struct connector_socket *s)
{
	return s->pool && c->connected && s->pool->n < IDLE_MAX;
}

void connector_put(struct connector_socket *s)
{
	s->next = s->pool->idle;
	s->pool->idle = s;
	s->pool->n++;
}

bool connection_read(struct connection *c)
{
	char bytes[READ_MAX];
	ssize_t n;

	do {
		n = recv(c->socket->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
		if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR)) {
			c->on_end(c, n < 0 ? errno : 0);
			return false;
		}
	} while (n > 0 && c->on_bytes(c, bytes, (size_t)n));
	return n < 0;
}

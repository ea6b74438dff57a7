/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/scripted-server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/addr.h"
#include "base/cleanup.h"

#define DRIP_USEC (50 * USEC_PER_MSEC)

static void fill_backlog(struct scripted_server *s, const struct sockaddr *sa, socklen_t len)
{
	for (size_t i = 0; i < ARRAY_SIZE(s->fillers); i++) {
		s->fillers[i] = socket(sa->sa_family, SOCK_STREAM | SOCK_NONBLOCK, 0);
		assert(s->fillers[i] >= 0);
		(void)connect(s->fillers[i], sa, len);
	}
}

void scripted_server_init(struct scripted_server *s, int family, enum server_script script,
			  const char *answer)
{
	struct sockaddr_storage ss;
	struct addr loopback;
	socklen_t len;
	int r;

	memset(s, 0, sizeof(*s));
	s->script = script;
	s->answer = answer ? answer : "";
	for (size_t i = 0; i < ARRAY_SIZE(s->fillers); i++)
		s->fillers[i] = -1;
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		s->connections[i].fd = -1;
	r = addr_parse(family == AF_INET6 ? "::1" : "127.0.0.1", &loopback);
	assert(r == 0);
	len = addr_to_sockaddr(&loopback, 0, &ss);
	s->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert(s->fd >= 0);
	r = bind(s->fd, (struct sockaddr *)&ss, len);
	assert(r == 0);
	r = listen(s->fd, script == SERVER_FULL_BACKLOG ? 0 : 128);
	assert(r == 0);
	r = getsockname(s->fd, (struct sockaddr *)&ss, &len);
	assert(r == 0);
	s->port = ntohs(family == AF_INET6 ? ((struct sockaddr_in6 *)&ss)->sin6_port
					   : ((struct sockaddr_in *)&ss)->sin_port);
	if (script == SERVER_FULL_BACKLOG)
		fill_backlog(s, (struct sockaddr *)&ss, len);
}

static void close_connection(struct server_connection *c)
{
	cleanup_close(&c->fd);
	c->fd = -1;
}

void scripted_server_deinit(struct scripted_server *s)
{
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		close_connection(&s->connections[i]);
	for (size_t i = 0; i < ARRAY_SIZE(s->fillers); i++)
		cleanup_close(&s->fillers[i]);
	cleanup_close(&s->fd);
	s->fd = -1;
}

static bool has_request(const struct server_connection *c)
{
	return memmem(c->request, c->request_len, "\r\n\r\n", 4) != NULL;
}

static bool wants_to_write(const struct scripted_server *s, const struct server_connection *c)
{
	return has_request(c) && s->script == SERVER_ENDLESS;
}

size_t scripted_server_poll_set(const struct scripted_server *s, struct pollfd *fds)
{
	size_t n = 0;

	if (s->fd >= 0 && s->script != SERVER_FULL_BACKLOG)
		fds[n++] = (struct pollfd){ .fd = s->fd, .events = POLLIN };
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		const struct server_connection *c = &s->connections[i];

		if (c->fd >= 0)
			fds[n++] = (struct pollfd){ .fd = c->fd,
						    .events = wants_to_write(s, c)
								      ? POLLIN | POLLOUT
								      : POLLIN };
	}
	return n;
}

static void accept_all(struct scripted_server *s)
{
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++) {
		struct server_connection *c = &s->connections[i];

		if (c->fd >= 0)
			continue;
		*c = (struct server_connection){
			.fd = accept4(s->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC),
		};
		if (c->fd < 0)
			return;
		s->accepted++;
	}
}

static void reset_connection(struct server_connection *c)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_connection(c);
}

/* Cyclic after the answer where there is a filler. Returns what is next to send. */
static const char *next_bytes(const struct scripted_server *s, const struct server_connection *c)
{
	size_t len = strlen(s->answer);

	if (c->sent_bytes < len)
		return s->answer + c->sent_bytes;
	return s->filler + (c->sent_bytes - len) % strlen(s->filler);
}

static void send_some(struct scripted_server *s, struct server_connection *c, size_t max_bytes)
{
	const char *text = next_bytes(s, c);
	ssize_t n = send(c->fd, text, MIN(strlen(text), max_bytes), MSG_NOSIGNAL);

	if (n > 0)
		c->sent_bytes += (size_t)n;
	else if (n < 0 && errno != EAGAIN)
		close_connection(c);
}

static void answer(struct scripted_server *s, struct server_connection *c, usec_t now_usec)
{
	size_t len = strlen(s->answer);

	switch (s->script) {
	case SERVER_RESET:
		reset_connection(c);
		break;
	case SERVER_ANSWER:
	case SERVER_ANSWER_STAY:
		if (c->sent_bytes < len)
			send_some(s, c, len);
		if (c->sent_bytes == len && s->script == SERVER_ANSWER)
			close_connection(c);
		break;
	case SERVER_DRIP:
		if (c->sent_bytes < len && now_usec >= c->next_drip_usec) {
			send_some(s, c, 1);
			c->next_drip_usec = now_usec + DRIP_USEC;
		}
		break;
	case SERVER_ENDLESS:
		for (unsigned i = 0; i < 64 && c->fd >= 0; i++)
			send_some(s, c, SIZE_MAX);
		break;
	default:
		break;
	}
}

static void serve(struct scripted_server *s, struct server_connection *c, usec_t now_usec)
{
	ssize_t n = recv(c->fd, c->request + c->request_len,
			 sizeof(c->request) - 1 - c->request_len, MSG_DONTWAIT);

	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close_connection(c);
		return;
	}
	if (n > 0)
		c->request_len += (size_t)n;
	if (!has_request(c))
		return;
	memcpy(s->last_request, c->request, sizeof(s->last_request));
	answer(s, c, now_usec);
}

void scripted_server_step(struct scripted_server *s, usec_t now_usec)
{
	if (s->fd >= 0 && s->script != SERVER_FULL_BACKLOG)
		accept_all(s);
	for (size_t i = 0; i < SERVER_CONNECTIONS_MAX; i++)
		if (s->connections[i].fd >= 0)
			serve(s, &s->connections[i], now_usec);
}

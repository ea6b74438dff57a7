/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/scripted-server.h"

#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdio.h>
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
	s->answer_size = strlen(s->answer);
	s->request_end = "\r\n\r\n";
	s->request_end_size = strlen(s->request_end);
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
	SSL_free(c->ssl);
	c->ssl = NULL;
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

static bool has_request(const struct scripted_server *s, const struct server_connection *c)
{
	return c->request_len > 0 &&
	       memmem(c->request, c->request_len, s->request_end, s->request_end_size) != NULL;
}

static bool wants_to_write(const struct scripted_server *s, const struct server_connection *c)
{
	return has_request(s, c) && s->script == SERVER_ENDLESS;
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

static void reset_connection(struct server_connection *c)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };

	(void)setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset));
	close_connection(c);
}

static void greet(struct scripted_server *s, struct server_connection *c)
{
	int one = 1;

	/* Of the drip each byte is to be a segment. */
	(void)setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	if (s->script == SERVER_RESET_EARLY) {
		reset_connection(c);
	} else if (s->script == SERVER_CLOSE_EARLY) {
		close_connection(c);
	} else if (s->tls) {
		c->ssl = SSL_new(s->tls);
		assert(c->ssl && SSL_set_fd(c->ssl, c->fd) == 1);
		(void)SSL_set_mode(c->ssl, SSL_MODE_ENABLE_PARTIAL_WRITE |
						   SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
		SSL_set_accept_state(c->ssl);
	}
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
		greet(s, c);
	}
}

/* Cyclic after the answer where there is a filler. Returns what is next to send. */
static const char *next_bytes(const struct scripted_server *s, const struct server_connection *c,
			      size_t *ret_size)
{
	size_t offset;

	if (c->sent_bytes < s->answer_size) {
		*ret_size = s->answer_size - c->sent_bytes;
		return s->answer + c->sent_bytes;
	}
	offset = (c->sent_bytes - s->answer_size) % strlen(s->filler);
	*ret_size = strlen(s->filler) - offset;
	return s->filler + offset;
}

/* As send() and recv(), whatever is below. */
static ssize_t connection_send(struct server_connection *c, const void *bytes, size_t size)
{
	int n;

	if (!c->ssl)
		return send(c->fd, bytes, size, MSG_NOSIGNAL);
	ERR_clear_error();
	n = SSL_write(c->ssl, bytes, (int)size);
	errno = SSL_get_error(c->ssl, n) == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
	return n > 0 ? n : -1;
}

static ssize_t connection_recv(struct server_connection *c, void *bytes, size_t size)
{
	int n, error;

	if (!c->ssl)
		return recv(c->fd, bytes, size, MSG_DONTWAIT);
	ERR_clear_error();
	n = SSL_read(c->ssl, bytes, (int)size);
	error = SSL_get_error(c->ssl, n);
	errno = error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE ? EAGAIN : EPIPE;
	return n > 0 ? n : error == SSL_ERROR_ZERO_RETURN ? 0 : -1;
}

static void send_some(struct scripted_server *s, struct server_connection *c, size_t max_bytes)
{
	size_t size;
	const char *bytes = next_bytes(s, c, &size);
	ssize_t n = connection_send(c, bytes, MIN(size, max_bytes));

	if (n > 0)
		c->sent_bytes += (size_t)n;
	else if (n < 0 && errno != EAGAIN)
		close_connection(c);
}

static void end_answer(struct scripted_server *s, struct server_connection *c)
{
	if (s->script == SERVER_ANSWER_RESET) {
		reset_connection(c);
	} else if (s->script == SERVER_ANSWER_HALF) {
		(void)shutdown(c->fd, SHUT_WR);
	} else if (s->script == SERVER_ANSWER) {
		if (c->ssl)
			(void)SSL_shutdown(c->ssl);
		close_connection(c);
	}
}

static void answer(struct scripted_server *s, struct server_connection *c, usec_t now_usec)
{
	size_t len = s->answer_size;

	switch (s->script) {
	case SERVER_RESET:
		reset_connection(c);
		break;
	case SERVER_ANSWER:
	case SERVER_ANSWER_STAY:
	case SERVER_ANSWER_HALF:
	case SERVER_ANSWER_RESET:
		if (c->sent_bytes < len)
			send_some(s, c, len);
		if (c->sent_bytes == len)
			end_answer(s, c);
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

static void note_handshake(struct scripted_server *s, struct server_connection *c)
{
	const char *name;

	if (!c->ssl || c->shaken || !SSL_is_init_finished(c->ssl))
		return;
	c->shaken = true;
	s->resumed += SSL_session_reused(c->ssl) == 1;
	name = SSL_get_servername(c->ssl, TLSEXT_NAMETYPE_host_name);
	(void)snprintf(s->server_name, sizeof(s->server_name), "%s", name ? name : "");
}

static void serve(struct scripted_server *s, struct server_connection *c, usec_t now_usec)
{
	ssize_t n = connection_recv(c, c->request + c->request_len,
				    sizeof(c->request) - 1 - c->request_len);

	note_handshake(s, c);
	if (n == 0 || (n < 0 && errno != EAGAIN)) {
		close_connection(c);
		return;
	}
	if (n > 0)
		c->request_len += (size_t)n;
	if (!has_request(s, c))
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

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * lab-server NAME HTTP-PORT ECHO-PORT: a server whose faults are switched by the test (serverpage.h).
 *
 *   GET /              200, "X-Target: NAME", body "NAME\n"
 *   GET /healthz       the same, counted as a probe
 *   GET /slow?bytes=N&rate=R   N bytes at R bytes a second
 *
 * Every HTTP answer closes the connection. The echo port gives back what it gets, in every mode.
 */

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/lab/serverpage.h"

enum {
	CONNECTIONS_MAX = 4096,
	REQUEST_MAX_BYTES = 2048,
	SLOW_TICK_MSEC = 20,
	CHUNK_BYTES = 65536,
};

enum role {
	ROLE_FREE,
	ROLE_REQUEST,
	ROLE_SLOW,
	ROLE_SILENT,
	ROLE_ECHO,
};

struct connection {
	enum role role;
	size_t n_in;
	char in[REQUEST_MAX_BYTES]; /* the request, or bytes to give back */
	uint64_t left_bytes, rate;
	usec_t slow_since_usec;
	uint64_t sent_bytes;
};

static struct connection connections[CONNECTIONS_MAX]; /* by descriptor */
static struct server_page *page;
static const char *name;
static int epoll_fd, http_fd = -1, echo_fd = -1;
static size_t n_slow;

static void die(const char *what)
{
	perror(what);
	exit(1);
}

static void watch(int fd, uint32_t events)
{
	struct epoll_event e = { .events = events, .data.fd = fd };

	if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &e) < 0 &&
	    (errno != EEXIST || epoll_ctl(epoll_fd, EPOLL_CTL_MOD, fd, &e) < 0))
		die("epoll_ctl");
}

static int listen_on(uint16_t port)
{
	struct sockaddr_in6 sin6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	int one = 1, zero = 0;
	int fd = socket(AF_INET6, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof(zero)) < 0 ||
	    bind(fd, (struct sockaddr *)&sin6, sizeof(sin6)) < 0 || listen(fd, 4096) < 0)
		die("listen");
	watch(fd, EPOLLIN);
	return fd;
}

static void record_probe(uint32_t status)
{
	uint64_t n = atomic_load(&page->n_probes);

	page->probes[n % SERVER_PROBES_MAX] =
		(struct server_probe){ .at_usec = clock_monotonic_usec(), .status = status };
	atomic_store(&page->n_probes, n + 1);
}

static void drop(int fd, bool reset)
{
	struct linger now = { .l_onoff = 1 };

	if (reset)
		(void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	if (connections[fd].role == ROLE_SLOW)
		n_slow--;
	connections[fd].role = ROLE_FREE;
	(void)close(fd);
}

static void answer(int fd, uint32_t status)
{
	char text[512];
	int n = snprintf(text, sizeof(text),
			 "HTTP/1.1 %u X\r\nX-Target: %s\r\nContent-Length: %zu\r\n"
			 "Content-Type: text/plain\r\nConnection: close\r\n\r\n%s\n",
			 status, name, strlen(name) + 1, name);

	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
	drop(fd, false);
}

static void start_slow(int fd, const char *query)
{
	struct connection *c = &connections[fd];
	char text[512];
	int n;

	if (sscanf(query, "bytes=%lu&rate=%lu", &c->left_bytes, &c->rate) != 2) {
		answer(fd, 400);
		return;
	}
	n = snprintf(text, sizeof(text),
		     "HTTP/1.1 200 OK\r\nX-Target: %s\r\nContent-Length: %lu\r\nConnection: "
		     "close\r\n\r\n",
		     name, c->left_bytes);
	(void)!send(fd, text, (size_t)n, MSG_NOSIGNAL);
	c->role = ROLE_SLOW;
	c->slow_since_usec = clock_monotonic_usec();
	c->sent_bytes = 0;
	n_slow++;
}

static void on_request(int fd)
{
	struct connection *c = &connections[fd];
	uint32_t status = atomic_load(&page->status);
	bool probe = strncmp(c->in, "GET /healthz", 12) == 0;

	atomic_fetch_add(&page->requests, 1);
	if (probe && atomic_load(&page->health_status) != 0)
		status = atomic_load(&page->health_status);
	if (atomic_load(&page->mode) == SERVER_HANG) {
		if (probe)
			record_probe(0);
		c->role = ROLE_SILENT;
		return;
	}
	if (probe)
		record_probe(status);
	if (strncmp(c->in, "GET /slow?", 10) == 0)
		start_slow(fd, c->in + 10);
	else
		answer(fd, status);
}

static void on_readable(int fd)
{
	struct connection *c = &connections[fd];
	ssize_t n = recv(fd, c->in + c->n_in, sizeof(c->in) - 1 - c->n_in, MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		if (c->role == ROLE_REQUEST && c->n_in == 0)
			record_probe(0);
		drop(fd, false);
		return;
	}
	c->n_in += (size_t)n;
	c->in[c->n_in] = '\0';
	if (c->role == ROLE_ECHO) {
		/* At most one small message is under way: it fits into the socket's buffer. */
		if (send(fd, c->in, c->n_in, MSG_NOSIGNAL) != (ssize_t)c->n_in)
			drop(fd, true);
		c->n_in = 0;
	} else if (c->role == ROLE_REQUEST && strstr(c->in, "\r\n\r\n")) {
		on_request(fd);
	} else if (c->role == ROLE_SILENT || c->role == ROLE_SLOW) {
		c->n_in = 0;
	} else if (c->n_in == sizeof(c->in) - 1) {
		drop(fd, true);
	}
}

static void on_listener(int listener)
{
	for (;;) {
		int one = 1, fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (fd < 0)
			return;
		if (fd >= CONNECTIONS_MAX) {
			(void)close(fd);
			continue;
		}
		connections[fd].n_in = 0;
		connections[fd].role = listener == echo_fd ? ROLE_ECHO : ROLE_REQUEST;
		atomic_fetch_add(listener == echo_fd ? &page->echo_connections : &page->connections,
				 1);
		if (listener == http_fd && atomic_load(&page->mode) == SERVER_RESET) {
			record_probe(0);
			drop(fd, true);
			continue;
		}
		(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		watch(fd, EPOLLIN);
	}
}

static void feed_slow(void)
{
	static const char chunk[CHUNK_BYTES];
	usec_t now = clock_monotonic_usec();

	for (int fd = 0; n_slow > 0 && fd < CONNECTIONS_MAX; fd++) {
		struct connection *c = &connections[fd];
		uint64_t due, n;
		ssize_t sent;

		if (c->role != ROLE_SLOW)
			continue;
		due = (now - c->slow_since_usec) * c->rate / USEC_PER_SEC;
		n = due > c->sent_bytes ? due - c->sent_bytes : 0;
		n = MIN(MIN(n, c->left_bytes), (uint64_t)CHUNK_BYTES);
		sent = n > 0 ? send(fd, chunk, n, MSG_NOSIGNAL | MSG_DONTWAIT) : 0;
		if (sent < 0 && errno != EAGAIN) {
			drop(fd, true);
		} else if (sent > 0) {
			c->sent_bytes += (uint64_t)sent;
			c->left_bytes -= (uint64_t)sent;
			if (c->left_bytes == 0)
				drop(fd, false);
		}
	}
}

static void take_orders(uint16_t http_port, uint16_t echo_port)
{
	uint32_t generation = atomic_load(&page->generation);
	bool refuse = atomic_load(&page->mode) == SERVER_REFUSE;

	if (refuse) {
		cleanup_close(&http_fd);
		cleanup_close(&echo_fd);
		http_fd = echo_fd = -1;
	} else if (http_fd < 0) {
		http_fd = listen_on(http_port);
		echo_fd = listen_on(echo_port);
	}
	atomic_store(&page->applied, generation);
}

int main(int argc, char **argv)
{
	uint16_t http_port, echo_port;

	if (argc != 4)
		return 2;
	name = argv[1];
	http_port = (uint16_t)atoi(argv[2]);
	echo_port = (uint16_t)atoi(argv[3]);
	page = mmap(NULL, sizeof(*page), PROT_READ | PROT_WRITE, MAP_SHARED, SERVER_PAGE_FD, 0);
	if (page == MAP_FAILED)
		die("mmap");
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
	watch(SERVER_EVENT_FD, EPOLLIN);
	take_orders(http_port, echo_port);
	for (;;) {
		struct epoll_event events[64];
		int n = epoll_wait(epoll_fd, events, ARRAY_SIZE(events),
				   n_slow > 0 ? SLOW_TICK_MSEC : -1);

		for (int i = 0; i < n; i++) {
			int fd = events[i].data.fd;
			uint64_t count;

			if (fd == SERVER_EVENT_FD) {
				(void)!read(fd, &count, sizeof(count));
				take_orders(http_port, echo_port);
			} else if (fd == http_fd || fd == echo_fd) {
				on_listener(fd);
			} else if (connections[fd].role != ROLE_FREE) {
				on_readable(fd);
			}
		}
		if (n_slow > 0)
			feed_slow();
	}
}

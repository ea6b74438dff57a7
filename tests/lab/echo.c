/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "tests/lab/lab.h"
#include "tests/lab/loadgen.h"

enum {
	TICK_MSEC = 5,
	CONNECT_TIMEOUT_SEC = 5,
	LAST_ECHO_TIMEOUT_SEC = 5,
};

struct member {
	int fd;		 /* owned; -1 = broken */
	uint64_t number; /* of the last message */
	size_t n_back;	 /* bytes of its echo so far */
	bool waiting;
	usec_t sent_usec;
};

struct lab_echo {
	struct lab_echo_spec spec;
	pthread_t thread;
	_Atomic bool stop;
	struct member *members; /* owned */
	struct pollfd *polls;	/* owned */
	struct lab_echo_result result;
};

static void break_member(struct lab_echo *e, struct member *m, const char *why)
{
	(void)fprintf(stderr, "lab: echo connection %zd broke after %lu messages: %s\n",
		      m - e->members, (unsigned long)m->number, why);
	(void)close(m->fd);
	m->fd = -1;
	m->waiting = false;
	e->result.broken++;
}

static void send_next(struct lab_echo *e, struct member *m, usec_t now)
{
	m->number++;
	m->n_back = 0;
	m->sent_usec = now;
	m->waiting = true;
	if (send(m->fd, &m->number, sizeof(m->number), MSG_NOSIGNAL) != (ssize_t)sizeof(m->number))
		break_member(e, m, strerror(errno));
}

static void receive(struct lab_echo *e, struct member *m)
{
	uint64_t back = 0;
	/* Peeked until whole, so that the number can be compared in one piece. */
	ssize_t n = recv(m->fd, &back, sizeof(back), MSG_PEEK | MSG_DONTWAIT);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n <= 0) {
		break_member(e, m, n < 0 ? strerror(errno) : "closed by the other side");
		return;
	}
	if (n < (ssize_t)sizeof(back))
		return;
	(void)!recv(m->fd, &back, sizeof(back), MSG_DONTWAIT);
	if (!m->waiting || back != m->number) {
		break_member(e, m, "wrong bytes");
		return;
	}
	m->waiting = false;
	e->result.messages++;
	e->result.longest_gap_usec =
		MAX(e->result.longest_gap_usec, clock_monotonic_usec() - m->sent_usec);
}

static bool any_waiting(const struct lab_echo *e)
{
	for (unsigned i = 0; i < e->spec.connections; i++)
		if (e->members[i].waiting)
			return true;
	return false;
}

static void *echo_main(void *userdata)
{
	struct lab_echo *e = userdata;
	usec_t stopped = 0;

	for (;;) {
		usec_t now = clock_monotonic_usec();

		if (atomic_load(&e->stop) && stopped == 0)
			stopped = now;
		if (stopped != 0 &&
		    (!any_waiting(e) || now - stopped > LAST_ECHO_TIMEOUT_SEC * USEC_PER_SEC))
			break;
		for (unsigned i = 0; i < e->spec.connections; i++) {
			struct member *m = &e->members[i];

			if (stopped == 0 && m->fd >= 0 && !m->waiting &&
			    now - m->sent_usec >= e->spec.interval_usec)
				send_next(e, m, now);
			e->polls[i] = (struct pollfd){ .fd = m->fd, .events = POLLIN };
		}
		(void)poll(e->polls, e->spec.connections, TICK_MSEC);
		for (unsigned i = 0; i < e->spec.connections; i++)
			if (e->polls[i].fd >= 0 && e->polls[i].revents != 0)
				receive(e, &e->members[i]);
	}
	for (unsigned i = 0; i < e->spec.connections; i++)
		if (e->members[i].waiting)
			break_member(e, &e->members[i], "no echo");
	return NULL;
}

static int connect_member(const struct lab_echo_spec *spec, struct member *m)
{
	struct timeval timeout = { .tv_sec = CONNECT_TIMEOUT_SEC };
	struct sockaddr_storage ss;
	socklen_t len = lab_sockaddr(spec->address, spec->port, &ss);
	int one = 1;

	m->fd = lab_socket(spec->from, ss.ss_family, SOCK_STREAM, 0);
	if (m->fd < 0)
		return m->fd;
	(void)setsockopt(m->fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout));
	(void)setsockopt(m->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return connect(m->fd, (struct sockaddr *)&ss, len) < 0 ? -errno : 0;
}

static void echo_free(struct lab_echo *e)
{
	for (unsigned i = 0; e->members && i < e->spec.connections; i++)
		cleanup_close(&e->members[i].fd);
	free(e->members);
	free(e->polls);
	free(e);
}

int lab_echo_start(const struct lab_echo_spec *spec, struct lab_echo **ret)
{
	struct lab_echo *e = calloc(1, sizeof(*e));
	int r = 0;

	if (!e)
		return lab_fail(ENOMEM, "lab_echo_start");
	e->spec = *spec;
	e->members = calloc(spec->connections, sizeof(*e->members));
	e->polls = calloc(spec->connections, sizeof(*e->polls));
	if (!e->members || !e->polls)
		r = -ENOMEM;
	for (unsigned i = 0; e->members && i < spec->connections; i++)
		e->members[i].fd = -1;
	for (unsigned i = 0; r == 0 && i < spec->connections; i++)
		r = connect_member(spec, &e->members[i]);
	if (r == 0)
		r = -pthread_create(&e->thread, NULL, echo_main, e);
	if (r < 0) {
		echo_free(e);
		return lab_fail(-r, "echo connections to %s port %u", spec->address, spec->port);
	}
	e->result.connected = spec->connections;
	*ret = e;
	return 0;
}

struct lab_echo_result lab_echo_stop(struct lab_echo *e)
{
	struct lab_echo_result result;

	atomic_store(&e->stop, true);
	(void)pthread_join(e->thread, NULL);
	result = e->result;
	echo_free(e);
	return result;
}

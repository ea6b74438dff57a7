/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/exchange.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"

enum {
	DATAGRAM_MAX = 65535,
	DATAGRAMS_PER_WAKE = 16, /* a target that floods us is not to hold the loop */
};

enum probe_outcome exchange_cancel(struct exchange *x)
{
	x->source = sd_event_source_disable_unref(x->source);
	if (x->fd >= 0)
		(void)close(x->fd);
	x->fd = -1;
	free(x->answer);
	x->answer = NULL;
	return x->connected ? x->plan.at_timeout : PROBE_CONNECT_TIMEOUT;
}

static void finish(struct exchange *x, enum probe_outcome outcome, int32_t detail)
{
	(void)exchange_cancel(x);
	x->plan.done(x->plan.userdata, outcome, detail);
}

static void finish_errno(struct exchange *x, int error)
{
	finish(x, probe_outcome_from_errno(error), error);
}

static bool is_stream(const struct exchange *x)
{
	return x->plan.type == SOCK_STREAM;
}

static bool would_block(int error)
{
	return error == EAGAIN || error == EINTR;
}

static void listen_for(struct exchange *x, uint32_t events)
{
	(void)sd_event_source_set_io_events(x->source, events);
}

/* False when the exchange is over. */
static bool send_question(struct exchange *x)
{
	const struct exchange_plan *plan = &x->plan;

	while (x->n_sent < plan->question_size || !is_stream(x)) {
		ssize_t n = send(x->fd, (const char *)plan->question + x->n_sent,
				 plan->question_size - x->n_sent, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno == EAGAIN) {
			listen_for(x, EPOLLIN | EPOLLOUT);
			return true;
		}
		if (n < 0) {
			finish_errno(x, errno);
			return false;
		}
		x->n_sent += (size_t)n;
		if (!is_stream(x))
			break;
	}
	listen_for(x, EPOLLIN);
	return true;
}

/*
 * EREMOTEIO is what a ping socket makes of a redirect and of a source quench (ping_err() in net/ipv4/ping.c): words of
 * routers, which say nothing about the target. Until they are read epoll goes on telling of them.
 */
static void forget_errors(struct exchange *x, void *buffer, size_t size)
{
	for (unsigned i = 0; i < DATAGRAMS_PER_WAKE; i++)
		if (recv(x->fd, buffer, size, MSG_ERRQUEUE) < 0)
			return;
}

static void receive_datagrams(struct exchange *x)
{
	static uint8_t buffer[DATAGRAM_MAX]; /* of the one thread; only read within this call */
	struct exchange_verdict verdict;

	for (unsigned i = 0; i < DATAGRAMS_PER_WAKE; i++) {
		ssize_t n = recv(x->fd, buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EREMOTEIO) {
			forget_errors(x, buffer, sizeof(buffer));
			continue;
		}
		if (n < 0) {
			if (!would_block(errno))
				finish_errno(x, errno);
			return;
		}
		if (x->plan.judge(x->plan.context, buffer, (size_t)n, true, &verdict)) {
			finish(x, verdict.outcome, verdict.detail);
			return;
		}
	}
}

static void receive_stream(struct exchange *x)
{
	struct exchange_verdict verdict;
	ssize_t n;

	if (!x->answer)
		x->answer = malloc(x->plan.answer_max + 1);
	if (!x->answer) {
		finish(x, PROBE_INTERNAL_ERROR, ENOMEM);
		return;
	}
	n = recv(x->fd, x->answer + x->n_answer, x->plan.answer_max + 1 - x->n_answer, 0);
	if (n < 0) {
		if (!would_block(errno))
			finish_errno(x, errno);
		return;
	}
	x->n_answer += (size_t)n;
	if (x->plan.judge(x->plan.context, x->answer, MIN(x->n_answer, x->plan.answer_max), n == 0,
			  &verdict))
		finish(x, verdict.outcome, verdict.detail);
	else if (n == 0)
		finish(x, PROBE_RESET, 0);
	else if (x->n_answer > x->plan.answer_max)
		finish(x, PROBE_TOO_LARGE, 0);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct exchange *x = userdata;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)s;
	if (!x->connected) {
		if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
			error = errno;
		if (error) {
			finish_errno(x, error);
			return 0;
		}
		x->connected = true;
		(void)send_question(x);
		return 0;
	}
	if ((revents & EPOLLOUT) && !send_question(x))
		return 0;
	if (revents & ~(uint32_t)EPOLLOUT) {
		if (is_stream(x))
			receive_stream(x);
		else
			receive_datagrams(x);
	}
	return 0;
}

/* Without it the kernel keeps "host unreachable" from a socket that is not a stream (ip(7)). */
static int want_icmp_errors(int fd, uint16_t family)
{
	int one = 1, level = family == AF_INET6 ? IPPROTO_IPV6 : IPPROTO_IP;
	int option = family == AF_INET6 ? IPV6_RECVERR : IP_RECVERR;

	return setsockopt(fd, level, option, &one, sizeof(one)) < 0 ? -errno : 0;
}

static int open_socket(struct exchange *x)
{
	const struct probe_spec *spec = x->plan.spec;
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&spec->addr, spec->port, &ss);
	int r;

	x->fd = probe_socket_open_as(spec, x->plan.type, x->plan.protocol);
	if (x->fd < 0)
		return x->fd;
	if (!is_stream(x)) {
		r = want_icmp_errors(x->fd, spec->addr.family);
		if (r < 0)
			return r;
	}
	r = sd_event_add_io(x->event, &x->source, x->fd, is_stream(x) ? EPOLLOUT : EPOLLIN, on_io,
			    x);
	if (r < 0)
		return r;
	x->connected = connect(x->fd, (struct sockaddr *)&ss, len) == 0;
	return x->connected || errno == EINPROGRESS ? 0 : errno;
}

void exchange_start(struct exchange *x, sd_event *event, const struct exchange_plan *plan)
{
	int r;

	*x = (struct exchange){ .plan = *plan, .event = event, .fd = -1 };
	r = open_socket(x);
	if (r < 0)
		finish(x, probe_outcome_from_setup(-r), -r);
	else if (r > 0)
		finish_errno(x, r);
	else if (x->connected)
		(void)send_question(x);
}

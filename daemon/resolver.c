/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/dns-answer.h"
#include "daemon/libcares.h"
#include "daemon/resolver-protocol.h"
#include "health/sandbox.h"

enum {
	SOCKETS_MAX = 1024,
	TRIES = 2,
	CLASS_IN = 1,
	WEIGHT_DEFAULT = 100, /* conf: CONF_TARGET_WEIGHT_DEFAULT */
};

/* c-ares can wait without a deadline of its own, for a connection that is half open. */
#define TICK_MAX_USEC (5 * USEC_PER_SEC)

struct resolver {
	int fd;		 /* owned */
	sd_event *event; /* owned, as the sources */
	sd_event_source *io, *timer;
	ares_channel channel; /* owned */
	struct {
		ares_socket_t fd;
		sd_event_source *source; /* owned */
	} sockets[SOCKETS_MAX];
	size_t n_sockets;
	struct inquiry *finished; /* owned list: answers that the daemon's buffer had no room for */
};

/* One question of the daemon, until its last part is answered. */
struct inquiry {
	struct resolver *resolver; /* borrowed */
	struct resolver_question question;
	unsigned pending; /* callbacks to come, and whoever still adds some */
	struct resolver_header header;
	struct discovery_item *items; /* owned */
	bool all_weightless;
	struct inquiry *next;
};

/* The addresses of one SRV record's target. */
struct part {
	struct inquiry *inquiry; /* borrowed */
	uint16_t port, weight;
};

static void inquiry_free(struct inquiry *q)
{
	free(q->items);
	free(q);
}

/* False: the daemon does not read now. */
static bool send_answer(struct resolver *r, const struct inquiry *q)
{
	struct iovec iov[] = {
		{ (void *)&q->header, sizeof(q->header) },
		{ q->items, q->header.n * sizeof(*q->items) },
	};
	const struct msghdr message = { .msg_iov = iov, .msg_iovlen = ARRAY_SIZE(iov) };

	if (sendmsg(r->fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return true;
	if (errno == EAGAIN || errno == EINTR || errno == ENOBUFS)
		return false;
	(void)sd_event_exit(r->event,
			    errno == EPIPE || errno == ECONNRESET ? EXIT_SUCCESS : EXIT_FAILURE);
	return true;
}

static void flush(struct resolver *r)
{
	while (r->finished && send_answer(r, r->finished)) {
		struct inquiry *q = r->finished;

		r->finished = q->next;
		inquiry_free(q);
	}
	(void)sd_event_source_set_io_events(r->io, r->finished ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void fail(struct inquiry *q, enum discovery_status status)
{
	/* The first failure, or any at all before "no address", which only part of the answer said. */
	if (!discovery_status_is_failure((enum discovery_status)q->header.status))
		q->header.status = status;
}

static void release(struct inquiry *q)
{
	struct inquiry **last = &q->resolver->finished;

	if (--q->pending > 0)
		return;
	if (q->header.status != DISCOVERY_OK || !q->header.n) {
		if (q->header.status == DISCOVERY_OK)
			q->header.status = DISCOVERY_NO_ADDRESS;
		q->header.n = 0;
	}
	/* RFC 2782: weight 0 is "hardly ever" beside others, and nothing in particular where all have it. */
	for (uint32_t i = 0; q->question.service && i < q->header.n; i++)
		if (!q->items[i].weight)
			q->items[i].weight = q->all_weightless ? WEIGHT_DEFAULT : 1;
	while (*last)
		last = &(*last)->next;
	*last = q;
	flush(q->resolver);
}

static enum discovery_status status_of(int ares_status)
{
	switch (ares_status) {
	case ARES_SUCCESS:
		return DISCOVERY_OK;
	case ARES_ENODATA:
		return DISCOVERY_NO_ADDRESS;
	case ARES_ENOTFOUND:
	case ARES_EBADNAME:
		return DISCOVERY_NO_NAME;
	case ARES_ETIMEOUT:
		return DISCOVERY_TIMEOUT;
	case ARES_EREFUSED:
		return DISCOVERY_REFUSED;
	case ARES_ECONNREFUSED:
		return DISCOVERY_UNREACHABLE;
	case ARES_EBADRESP:
		return DISCOVERY_MALFORMED;
	default:
		return DISCOVERY_SERVER_FAILURE;
	}
}

static uint16_t address_type(const struct inquiry *q)
{
	return q->question.family == AF_INET ? DNS_TYPE_A : DNS_TYPE_AAAA;
}

static int add_items(struct inquiry *q, const struct dns_answer *a, uint16_t port, uint16_t weight)
{
	size_t n = MIN(a->n_addresses, (size_t)RESOLVER_ITEMS_MAX - q->header.n);
	struct discovery_item *grown = reallocarray(q->items, q->header.n + n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	q->items = grown;
	for (size_t i = 0; i < n; i++)
		grown[q->header.n++] = (struct discovery_item){ .addr = a->addresses[i],
								.port = port,
								.weight = weight };
	return 0;
}

/* 0: *ret is what the message says. Else the question's status has been set, if it is to be. */
static int read_message(struct inquiry *q, int ares_status, const uint8_t *message, int len,
			uint16_t type, struct dns_answer *ret)
{
	int r = -ENODATA;

	if (message && len > 0)
		r = dns_answer_parse(message, (size_t)len, type, ret);
	if (r == 0)
		q->header.ttl_sec = MIN(q->header.ttl_sec, ret->ttl_sec);
	if (ares_status != ARES_SUCCESS)
		return -ENODATA;
	if (r < 0)
		fail(q, r == -EBADMSG ? DISCOVERY_MALFORMED : DISCOVERY_SERVER_FAILURE);
	return r;
}

static void on_addresses(void *userdata, int status, int timeouts, unsigned char *message, int len)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	struct inquiry *q = userdata;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION) /* the end of the process */
		return;
	if (read_message(q, status, message, len, address_type(q), &a) == 0) {
		if (add_items(q, &a, 0, WEIGHT_DEFAULT) < 0)
			fail(q, DISCOVERY_SERVER_FAILURE);
	} else if (status != ARES_SUCCESS) {
		fail(q, status_of(status));
	}
	release(q);
}

static void on_part(void *userdata, int status, int timeouts, unsigned char *message, int len)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	_cleanup_free_ struct part *part = userdata;
	struct inquiry *q = part->inquiry;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION)
		return;
	if (read_message(q, status, message, len, address_type(q), &a) == 0) {
		if (add_items(q, &a, part->port, part->weight) < 0)
			fail(q, DISCOVERY_SERVER_FAILURE);
	} else if (discovery_status_is_failure(status_of(status))) {
		/* One that is not known now must not look like one that has left. */
		fail(q, status_of(status));
	}
	release(q);
}

/* An order that does not depend on that of the answer, which changes each time. */
static int service_cmp(const void *a, const void *b)
{
	const struct dns_service *x = a, *y = b;
	int c = strcasecmp(x->target, y->target);

	return c ? c : x->port - y->port;
}

static void on_services(void *userdata, int status, int timeouts, unsigned char *message, int len)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	struct inquiry *q = userdata;

	(void)timeouts;
	if (status == ARES_EDESTRUCTION)
		return;
	if (read_message(q, status, message, len, DNS_TYPE_SRV, &a) < 0 && status != ARES_SUCCESS)
		fail(q, status_of(status));
	/* No more than a name can give, and always the same ones. */
	if (a.n_services > DISCOVERY_ITEMS_MAX) {
		qsort(a.services, a.n_services, sizeof(*a.services), service_cmp);
		a.n_services = DISCOVERY_ITEMS_MAX;
	}
	q->all_weightless = true;
	for (size_t i = 0; i < a.n_services; i++) {
		struct part *part = malloc(sizeof(*part));

		if (!part) {
			fail(q, DISCOVERY_SERVER_FAILURE);
			break;
		}
		*part = (struct part){ q, a.services[i].port, a.services[i].weight };
		q->all_weightless = q->all_weightless && !part->weight;
		q->pending++;
		libcares.query(q->resolver->channel, a.services[i].target, CLASS_IN,
			       address_type(q), on_part, part);
	}
	release(q);
}

/* c-ares' next deadline. */
static void arm(struct resolver *r)
{
	struct timeval limit = { .tv_sec = TICK_MAX_USEC / USEC_PER_SEC }, tv;
	const struct timeval *wait = libcares.timeout(r->channel, &limit, &tv);

	(void)sd_event_source_set_time_relative(r->timer, (usec_t)wait->tv_sec * USEC_PER_SEC +
								  (usec_t)wait->tv_usec);
	(void)sd_event_source_set_enabled(r->timer, r->n_sockets ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct resolver *r = userdata;

	(void)s;
	(void)usec;
	libcares.process_fd(r->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
	arm(r);
	return 0;
}

static int on_socket(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct resolver *r = userdata;

	(void)s;
	libcares.process_fd(r->channel,
			    revents & (EPOLLIN | EPOLLHUP | EPOLLERR) ? fd : ARES_SOCKET_BAD,
			    revents & EPOLLOUT ? fd : ARES_SOCKET_BAD);
	arm(r);
	return 0;
}

static void on_socket_state(void *userdata, ares_socket_t fd, int readable, int writable)
{
	uint32_t events = (readable ? EPOLLIN : 0U) | (writable ? EPOLLOUT : 0U);
	struct resolver *r = userdata;
	size_t i = 0;

	while (i < r->n_sockets && r->sockets[i].fd != fd)
		i++;
	if (i == r->n_sockets) {
		sd_event_source *source;

		/* One that is not watched is a question that times out. */
		if (!events || i == SOCKETS_MAX ||
		    sd_event_add_io(r->event, &source, fd, events, on_socket, r) < 0)
			return;
		r->sockets[i].fd = fd;
		r->sockets[i].source = source;
		r->n_sockets++;
	} else if (!events) {
		sd_event_source_disable_unref(r->sockets[i].source);
		r->sockets[i] = r->sockets[--r->n_sockets];
	} else {
		(void)sd_event_source_set_io_events(r->sockets[i].source, events);
	}
}

static int ask(struct resolver *r, const struct resolver_question *question)
{
	struct inquiry *q = calloc(1, sizeof(*q));

	if (!q)
		return -ENOMEM;
	q->resolver = r;
	q->question = *question;
	q->pending = 1;
	q->header = (struct resolver_header){ .id = question->id,
					      .status = DISCOVERY_OK,
					      .ttl_sec = UINT32_MAX };
	if (question->service)
		libcares.query(r->channel, question->name, CLASS_IN, DNS_TYPE_SRV, on_services, q);
	else
		libcares.search(r->channel, question->name, CLASS_IN, address_type(q), on_addresses,
				q);
	return 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	char buffer[sizeof(struct resolver_question) + 1];
	struct resolver_question question;
	struct resolver *r = userdata;
	ssize_t n;

	(void)s;
	if (revents & EPOLLOUT)
		flush(r);
	n = recv(fd, buffer, sizeof(buffer), MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0)
		return sd_event_exit(r->event, EXIT_SUCCESS);
	if (resolver_question_parse(buffer, (size_t)n, &question) < 0 || ask(r, &question) < 0) {
		log_err("resolver: cannot take a question of %zd bytes from the daemon", n);
		return sd_event_exit(r->event, EXIT_FAILURE);
	}
	arm(r);
	return 0;
}

/* Reads /etc/resolv.conf, so it stands before the filter. */
static int start_ares(struct resolver *r, usec_t timeout_usec, const char *servers)
{
	char dns_only[] = "b"; /* not /etc/hosts */
	struct ares_options options = {
		.flags = ARES_FLAG_NOALIASES | ARES_FLAG_EDNS,
		.timeout = (int)(timeout_usec / USEC_PER_MSEC),
		.tries = TRIES,
		.lookups = dns_only,
		.sock_state_cb = on_socket_state,
		.sock_state_cb_data = r,
	};
	int e;

	if (libcares_load() < 0) {
		log_err("resolver: c-ares is not installed");
		return -ELIBACC;
	}
	e = libcares.library_init(ARES_LIB_INIT_ALL);
	if (e == ARES_SUCCESS)
		e = libcares.init_options(&r->channel, &options,
					  ARES_OPT_FLAGS | ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES |
						  ARES_OPT_LOOKUPS | ARES_OPT_SOCK_STATE_CB);
	if (e == ARES_SUCCESS && servers)
		e = libcares.set_servers_ports_csv(r->channel, servers);
	if (e == ARES_SUCCESS)
		return 0;
	log_err("resolver: c-ares: %s", libcares.strerror(e));
	return e == ARES_ENOMEM ? -ENOMEM : -EINVAL;
}

static int start(struct resolver *r, usec_t timeout_usec, const char *servers)
{
	int flags = fcntl(r->fd, F_GETFL), e;

	if (flags < 0 || fcntl(r->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	e = sd_event_new(&r->event);
	if (e >= 0)
		e = sd_event_add_io(r->event, &r->io, r->fd, EPOLLIN, on_io, r);
	/* With less accuracy sd-event would read the machine's boot id, which the filter does not allow. */
	if (e >= 0)
		e = sd_event_add_time_relative(r->event, &r->timer, CLOCK_MONOTONIC, 0, 1, on_timer,
					       r);
	if (e >= 0)
		e = sd_event_source_set_enabled(r->timer, SD_EVENT_OFF);
	return e < 0 ? e : start_ares(r, timeout_usec, servers);
}

int resolver_main(int fd, const char *user, usec_t timeout_usec, const char *servers)
{
	static struct resolver r;
	const char *step;
	int e;

	r.fd = fd;
	(void)signal(SIGPIPE, SIG_IGN);
	e = sandbox_drop(user, fd, SANDBOX_NO_CAPABILITY, &step);
	if (e >= 0) {
		step = "set up the event loop and c-ares";
		e = start(&r, timeout_usec, servers);
	}
	if (e >= 0)
		e = sandbox_filter(&step);
	if (e < 0) {
		log_err("resolver: cannot %s: %s", step, strerror(-e));
		return EXIT_FAILURE;
	}
	/* What is left at the end is the kernel's to free: the process has nothing else to do. */
	e = sd_event_loop(r.event);
	return e < 0 ? EXIT_FAILURE : e;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/resolver-link.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "daemon/child-process.h"
#include "daemon/resolver-protocol.h"

enum {
	SOCKET_BUFFER_BYTES = 1 << 20, /* several of the largest answers */
	ANSWERS_PER_WAKE = 32,
	/* Twice two attempts, the second with twice the time, at three servers; then some. */
	PATIENCE_TIMEOUTS = 40,
};

#define RESTART_MIN_USEC (200 * USEC_PER_MSEC)
#define RESTART_MAX_USEC (30 * USEC_PER_SEC)

struct resolver_link {
	sd_event *event; /* owned reference */
	struct resolver_handlers handlers;
	char *user, *servers; /* owned */
	usec_t timeout_usec;
	struct child_process process;
	sd_event_source *patience; /* owned */
	size_t n_owed;
	usec_t restart_at_usec, backoff_usec;
	uint64_t starts;
};

static void forget_process(struct resolver_link *l)
{
	child_process_drop(&l->process);
	l->n_owed = 0;
	(void)sd_event_source_set_enabled(l->patience, SD_EVENT_OFF);
}

static void lose_process(struct resolver_link *l, const char *why)
{
	char text[128];

	(void)snprintf(text, sizeof(text), "resolver %d %s: names keep their last answers",
		       l->process.pid, why);
	forget_process(l);
	l->restart_at_usec = clock_monotonic_usec() + l->backoff_usec;
	l->backoff_usec = MIN(l->backoff_usec * 2, RESTART_MAX_USEC);
	l->handlers.on_lost(text, l->handlers.userdata);
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct resolver_link *l = userdata;
	char why[CHILD_PROCESS_END_MAX];

	(void)s;
	if (l->process.fd >= 0)
		lose_process(l, child_process_describe_end(si, why));
	child_process_note_end(&l->process);
	return 0;
}

static void be_patient(struct resolver_link *l)
{
	(void)sd_event_source_set_time_relative(l->patience, l->timeout_usec * PATIENCE_TIMEOUTS);
	(void)sd_event_source_set_enabled(l->patience, l->n_owed ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

/* It has answered nothing at all for so long. */
static int on_impatience(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	lose_process(userdata, "does not answer");
	return 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	static union {
		struct discovery_item aligned;
		char bytes[RESOLVER_ANSWER_MAX_BYTES];
	} record;
	struct resolver_link *l = userdata;
	struct discovery_answer answer;
	uint32_t id;

	(void)s;
	(void)revents;
	for (int i = 0; i < ANSWERS_PER_WAKE && l->process.fd == fd; i++) {
		ssize_t n = recv(fd, &record, sizeof(record), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return 0;
		if (n <= 0) {
			lose_process(l, "closed its socket");
			return 0;
		}
		if ((size_t)n > sizeof(record) ||
		    resolver_answer_parse(&record, (size_t)n, &id, &answer) < 0 || !l->n_owed) {
			lose_process(l, "sent a malformed record");
			return 0;
		}
		l->n_owed--;
		l->backoff_usec = RESTART_MIN_USEC;
		be_patient(l);
		l->handlers.on_answer(id, &answer, l->handlers.userdata);
	}
	return 0;
}

static int start(struct resolver_link *l)
{
	char timeout[24];
	char *const argv[] = { (char *)"ipvsd", (char *)"resolver", l->user,
			       timeout,		l->servers,	    NULL };
	const struct child_process_plan plan = {
		.argv = argv,
		.its_bytes = SOCKET_BUFFER_BYTES,
		.on_io = on_io,
		.on_end = on_child,
		.userdata = l,
	};
	int r;

	(void)snprintf(timeout, sizeof(timeout), "%llu",
		       (unsigned long long)(l->timeout_usec / USEC_PER_MSEC));
	r = child_process_start(l->event, &plan, &l->process);
	l->starts += r == 0;
	return r;
}

int resolver_link_new(sd_event *event, const struct resolver_handlers *handlers,
		      struct resolver_link **ret)
{
	struct resolver_link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->event = sd_event_ref(event);
	l->handlers = *handlers;
	l->process = CHILD_PROCESS_INIT;
	l->backoff_usec = RESTART_MIN_USEC;
	r = sd_event_add_time_relative(event, &l->patience, CLOCK_MONOTONIC, 0, 0, on_impatience,
				       l);
	if (r >= 0)
		r = sd_event_source_set_enabled(l->patience, SD_EVENT_OFF);
	if (r < 0) {
		resolver_link_free(l);
		return r;
	}
	*ret = l;
	return 0;
}

void resolver_link_free(struct resolver_link *l)
{
	if (!l)
		return;
	child_process_deinit(&l->process);
	sd_event_source_disable_unref(l->patience);
	sd_event_unref(l->event);
	free(l->user);
	free(l->servers);
	free(l);
}

static bool text_eq(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

int resolver_link_configure(struct resolver_link *l, const struct resolver_settings *s,
			    bool *ret_changed)
{
	_cleanup_free_ char *user = strdup(s->user);
	_cleanup_free_ char *servers = s->servers ? strdup(s->servers) : NULL;

	if (!user || (s->servers && !servers))
		return -ENOMEM;
	*ret_changed = !text_eq(l->user, user) || !text_eq(l->servers, servers) ||
		       l->timeout_usec != s->timeout_usec;
	if (!*ret_changed)
		return 0;
	free(l->user);
	free(l->servers);
	l->user = take_ptr(user);
	l->servers = take_ptr(servers);
	l->timeout_usec = s->timeout_usec;
	resolver_link_stop(l);
	return 0;
}

void resolver_link_stop(struct resolver_link *l)
{
	forget_process(l);
	l->restart_at_usec = 0;
	l->backoff_usec = RESTART_MIN_USEC;
}

int resolver_link_ask(struct resolver_link *l, uint32_t id, const char *name, uint16_t family,
		      bool service)
{
	struct resolver_question q = { .id = id, .family = family, .service = service };
	int r;

	if (strlen(name) >= DISCOVERY_NAME_MAX)
		return -ENAMETOOLONG;
	strcpy(q.name, name);
	if (l->process.fd < 0) {
		if (l->process.pid > 0) /* the last one's end is awaited: there is one at a time */
			return -EAGAIN;
		if (clock_monotonic_usec() < l->restart_at_usec)
			return -EHOSTDOWN;
		r = start(l);
		if (r < 0) {
			l->restart_at_usec = clock_monotonic_usec() + l->backoff_usec;
			l->backoff_usec = MIN(l->backoff_usec * 2, RESTART_MAX_USEC);
			return r == -EAGAIN ? -ENOBUFS : r; /* no room for a process */
		}
	}
	if (send(l->process.fd, &q, sizeof(q), MSG_DONTWAIT | MSG_NOSIGNAL) < 0)
		return -EAGAIN; /* a closed socket is noticed by the loop */
	l->n_owed++;
	if (l->n_owed == 1)
		be_patient(l);
	return 0;
}

pid_t resolver_link_pid(const struct resolver_link *l)
{
	return l->process.fd >= 0 ? l->process.pid : 0;
}

uint64_t resolver_link_restarts(const struct resolver_link *l)
{
	return l->starts ? l->starts - 1 : 0;
}

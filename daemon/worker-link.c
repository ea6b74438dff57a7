/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/worker-link.h"

#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/child-process.h"

enum {
	SOCKET_BUFFER_BYTES = 4 << 20, /* a burst of results of ten thousand targets */
	DATAGRAMS_PER_WAKE = 16,       /* then the loop's other sources get their turn */
};

#define CHECK_USEC (500 * USEC_PER_MSEC)
#define RESTART_MIN_USEC (200 * USEC_PER_MSEC)
#define RESTART_MAX_USEC (10 * USEC_PER_SEC)
#define PATIENCE_MAX_USEC (60 * USEC_PER_SEC)

/* One specification and whether the worker has been told. */
struct held {
	uint64_t id; /* of probe, beside it, as is what follows: results touch nothing else */
	struct protocol_probe *probe; /* owned: a whole record, with its texts */
	uint32_t generation;
	bool probed; /* a result has come */
	bool unsent;
	bool remove; /* to be forgotten once the worker has been told */
};

struct worker_link {
	sd_event *event; /* owned reference */
	char *user;	 /* owned */
	enum worker_kind kind;
	unsigned number;
	struct worker_handlers handlers;
	struct held *held; /* owned; sorted by id */
	size_t n_held;
	size_t next_unsent; /* none before this one is unsent */
	struct worker_trust trust;
	struct child_process process;
	sd_event_source *timer; /* owned */
	usec_t started_usec, heartbeat_usec, restart_at_usec, backoff_usec;
	usec_t patience_usec; /* until the next heartbeat */
	uint64_t restarts;
	struct protocol_heartbeat last;
};

static int start_worker(struct worker_link *l);

static void back_off(struct worker_link *l)
{
	l->restart_at_usec = clock_monotonic_usec() + l->backoff_usec;
	l->backoff_usec = MIN(l->backoff_usec * 2, RESTART_MAX_USEC);
}

/* Ends the present process, if any; the next start is due after the back-off. */
static void drop_worker(struct worker_link *l, const char *why)
{
	char text[160];

	child_process_drop(&l->process);
	(void)snprintf(text, sizeof(text), "health worker %d %s: weights stay as they are",
		       l->process.pid, why);
	back_off(l);
	l->handlers.on_trouble(text, l->handlers.userdata);
}

static void watch_output(struct worker_link *l, bool wanted)
{
	(void)sd_event_source_set_io_events(l->process.io, wanted ? EPOLLIN | EPOLLOUT : EPOLLIN);
}

static void forget_removed(struct worker_link *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->n_held; i++)
		if (l->held[i].remove)
			free(l->held[i].probe);
		else
			l->held[n++] = l->held[i];
	l->n_held = n;
	l->next_unsent = n;
}

static ssize_t send_held(struct worker_link *l, const struct held *h)
{
	struct protocol_probe_del del = { .id = h->id };

	if (h->probed)
		h->probe->flags |= PROTOCOL_PROBE_HISTORY;
	if (!h->remove)
		return send(l->process.fd, h->probe, h->probe->header.size,
			    MSG_DONTWAIT | MSG_NOSIGNAL);
	protocol_init(&del.header, PROTOCOL_PROBE_DEL, sizeof(del));
	return send(l->process.fd, &del, sizeof(del), MSG_DONTWAIT | MSG_NOSIGNAL);
}

static int send_all_held(struct worker_link *l)
{
	for (; l->next_unsent < l->n_held; l->next_unsent++) {
		struct held *h = &l->held[l->next_unsent];

		if (h->unsent && send_held(l, h) < 0)
			return errno == ENOBUFS ? -EAGAIN : -errno;
		h->unsent = false;
	}
	forget_removed(l);
	return 0;
}

/* Sends as much as the socket takes; the rest when it is writable again. */
static void flush(struct worker_link *l)
{
	int r;

	if (l->process.fd < 0)
		return;
	r = worker_trust_send(&l->trust, l->process.fd);
	if (r == 0)
		r = send_all_held(l);
	if (r == 0)
		r = worker_trust_take_back(&l->trust, l->process.fd);
	if (r == 0 || r == -EAGAIN)
		watch_output(l, r < 0);
	else
		drop_worker(l, "closed its socket");
}

static struct held *find_held(const struct worker_link *l, uint64_t id)
{
	size_t low = 0, high = l->n_held;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (l->held[middle].id == id)
			return &l->held[middle];
		if (l->held[middle].id < id)
			low = middle + 1;
		else
			high = middle;
	}
	return NULL;
}

static void take_result(struct worker_link *l, const struct protocol_result *result)
{
	struct held *h = find_held(l, result->id);

	/* A result of a specification that has been replaced or removed meanwhile says nothing. */
	if (!h || h->remove || h->generation != result->generation)
		return;
	h->probed = true;
	l->handlers.on_result(l->number, result, l->handlers.userdata);
}

/* False when the worker has been dropped. */
static bool take_record(struct worker_link *l, const void *record, size_t size)
{
	struct protocol_result result;
	enum protocol_kind kind;
	int r = protocol_check(record, size, &kind);

	if (r < 0) {
		drop_worker(l, r == -EPROTONOSUPPORT ? "speaks another version"
						     : "sent a malformed record");
		return false;
	}
	switch (kind) {
	case PROTOCOL_RESULT:
		memcpy(&result, record, sizeof(result));
		take_result(l, &result);
		break;
	case PROTOCOL_HEARTBEAT:
		memcpy(&l->last, record, sizeof(l->last));
		l->heartbeat_usec = clock_monotonic_usec();
		l->backoff_usec = RESTART_MIN_USEC;
		l->patience_usec = WORKER_LATE_USEC;
		l->handlers.on_heartbeat(l->number, &l->last, l->handlers.userdata);
		break;
	case PROTOCOL_HELLO:
		break;
	default:
		drop_worker(l, "sent a record that only the daemon may send");
		return false;
	}
	return true;
}

/* Of results by the dozen each would wait for its target's memory: so all are told of before the first is taken. */
static void expect(const struct worker_link *l, const char *bytes, size_t size)
{
	size_t first;

	for (; size > 0 && l->handlers.on_expected; bytes += first, size -= first) {
		struct protocol_result result;

		first = protocol_first_size(bytes, size);
		if (first != sizeof(result))
			continue;
		memcpy(&result, bytes, sizeof(result));
		if (result.header.kind == PROTOCOL_RESULT)
			l->handlers.on_expected(result.id, l->handlers.userdata);
	}
}

/* False when the worker has been dropped. */
static bool take_datagram(struct worker_link *l, const char *bytes, size_t size)
{
	expect(l, bytes, size);
	while (size > 0) {
		size_t first = protocol_first_size(bytes, size);

		if (!take_record(l, bytes, first))
			return false;
		bytes += first;
		size -= first;
	}
	return true;
}

/* Up to `max` datagrams that wait in the socket. False when the worker has been dropped. */
static bool receive_datagrams(struct worker_link *l, int max)
{
	char datagram[PROTOCOL_DATAGRAM_MAX];

	for (int i = 0; i < max; i++) {
		ssize_t n =
			recv(l->process.fd, datagram, sizeof(datagram), MSG_DONTWAIT | MSG_TRUNC);

		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return true;
		if (n <= 0) {
			drop_worker(l, "closed its socket");
			return false;
		}
		if (n > (ssize_t)sizeof(datagram)) {
			drop_worker(l, "sent a malformed record");
			return false;
		}
		if (!take_datagram(l, datagram, (size_t)n))
			return false;
	}
	return true;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct worker_link *l = userdata;

	(void)s;
	(void)fd;
	if (receive_datagrams(l, DATAGRAMS_PER_WAKE) && (revents & EPOLLOUT))
		flush(l);
	return 0;
}

static int on_child(sd_event_source *s, const siginfo_t *si, void *userdata)
{
	struct worker_link *l = userdata;
	char why[CHILD_PROCESS_END_MAX];

	(void)s;
	if (l->process.fd >= 0)
		drop_worker(l, child_process_describe_end(si, why));
	child_process_note_end(&l->process);
	return 0;
}

/* Without descriptors, memory or processes it is tried again. */
static void try_to_start(struct worker_link *l)
{
	bool again = l->started_usec != 0;
	int r = start_worker(l);

	if (r < 0) {
		log_err("health worker: cannot start: %s", strerror(-r));
		back_off(l);
	} else {
		l->restarts += again;
	}
}

/* One that has not even started may need longer, on a host so busy: else there would never be one. */
static void drop_late(struct worker_link *l)
{
	char why[64];

	(void)snprintf(why, sizeof(why), "is late by more than %" PRIu64 " s",
		       l->patience_usec / USEC_PER_SEC);
	if (l->heartbeat_usec == l->started_usec)
		l->patience_usec = MIN(2 * l->patience_usec, PATIENCE_MAX_USEC);
	drop_worker(l, why);
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct worker_link *l = userdata;
	usec_t now = clock_monotonic_usec();

	(void)usec;
	/* It was perhaps this process that was late: what waits in the socket is read before judging. */
	if (l->process.fd >= 0 && !worker_link_on_time(l, now) && receive_datagrams(l, INT_MAX) &&
	    !worker_link_on_time(l, now))
		drop_late(l);
	if (l->process.fd < 0 && l->process.pid == 0 && now >= l->restart_at_usec)
		try_to_start(l);
	(void)sd_event_source_set_time(s, now + CHECK_USEC);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

static int greet(int fd)
{
	struct protocol_hello hello = { .pid = (uint32_t)getpid() };

	protocol_init(&hello.header, PROTOCOL_HELLO, sizeof(hello));
	return send(fd, &hello, sizeof(hello), MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static int start_worker(struct worker_link *l)
{
	char *const argv[] = { (char *)"ipvsd", (char *)"health-worker", l->user,
			       (char *)worker_kind_to_string(l->kind), NULL };
	const struct child_process_plan plan = {
		.argv = argv,
		.our_bytes = SOCKET_BUFFER_BYTES,
		.its_bytes = SOCKET_BUFFER_BYTES,
		.on_io = on_io,
		.on_end = on_child,
		.userdata = l,
	};
	int r;

	r = child_process_start(l->event, &plan, &l->process);
	if (r < 0)
		return r;
	r = greet(l->process.fd);
	if (r < 0) {
		child_process_drop(&l->process);
		return r;
	}
	l->started_usec = l->heartbeat_usec = clock_monotonic_usec();
	l->next_unsent = 0;
	forget_removed(l);
	worker_trust_restart(&l->trust);
	for (size_t i = 0; i < l->n_held; i++)
		l->held[i].unsent = true;
	l->next_unsent = 0;
	flush(l);
	return 0;
}

int worker_link_new(sd_event *event, const char *user, enum worker_kind kind, unsigned number,
		    const struct worker_handlers *handlers, struct worker_link **ret)
{
	struct worker_link *l = calloc(1, sizeof(*l));
	int r;

	if (!l)
		return -ENOMEM;
	l->event = sd_event_ref(event);
	l->user = strdup(user);
	l->kind = kind;
	l->number = number;
	l->handlers = *handlers;
	l->process = CHILD_PROCESS_INIT;
	l->backoff_usec = RESTART_MIN_USEC;
	l->patience_usec = WORKER_LATE_USEC;
	if (!l->user) {
		worker_link_free(l);
		return -ENOMEM;
	}
	r = sd_event_add_time_relative(event, &l->timer, CLOCK_MONOTONIC, CHECK_USEC, 0, on_timer,
				       l);
	if (r < 0) {
		worker_link_free(l);
		return r;
	}
	l->heartbeat_usec = clock_monotonic_usec();
	try_to_start(l);
	*ret = l;
	return 0;
}

void worker_link_free(struct worker_link *l)
{
	if (!l)
		return;
	sd_event_source_disable_unref(l->timer);
	child_process_deinit(&l->process);
	for (size_t i = 0; i < l->n_held; i++)
		free(l->held[i].probe);
	free(l->held);
	worker_trust_deinit(&l->trust);
	free(l->user);
	sd_event_unref(l->event);
	free(l);
}

static int held_cmp(const void *a, const void *b)
{
	const struct held *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Records have no padding, and what an address does not use is zero: health/protocol.h. */
static bool bytes_eq(const void *a, const void *b, size_t size)
{
	return memcmp(a, b, size) == 0;
}

/* PROTOCOL_PROBE_HISTORY speaks of the past, not of what to do. */
static bool probe_eq(const struct protocol_probe *a, const struct protocol_probe *b)
{
	struct protocol_probe x = *a, y = *b;

	x.flags &= ~(uint32_t)PROTOCOL_PROBE_HISTORY;
	y.flags &= ~(uint32_t)PROTOCOL_PROBE_HISTORY;
	return bytes_eq(&x, &y, sizeof(x)) && bytes_eq(a + 1, b + 1, a->header.size - sizeof(*a));
}

/* What the worker has of this probe, or is being sent; NULL when it must be told. */
static struct held *find_equal(const struct worker_link *l, const struct protocol_probe *p)
{
	struct held *known = find_held(l, p->id);

	return known && !known->remove && probe_eq(p, known->probe) ? known : NULL;
}

/* The usual reload changes no probe, and ten thousand of them are sorted for nothing. */
static bool is_in_sync(const struct worker_link *l, struct protocol_probe *const *probes, size_t n)
{
	if (n != l->n_held)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!find_equal(l, probes[i]))
			return false;
	return true;
}

int worker_link_sync(struct worker_link *l, const struct worker_task *task)
{
	struct protocol_probe **probes = task->probes;
	size_t n = task->n, n_merged = n;
	struct held *merged;

	if (is_in_sync(l, probes, n))
		return 0;
	merged = calloc(n + l->n_held + 1, sizeof(*merged));
	if (!merged ||
	    worker_trust_want(&l->trust, probes, n, task->authorities, task->n_authorities) < 0) {
		free(merged);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const struct held *known = find_equal(l, probes[i]);

		merged[i] = (struct held){ .id = probes[i]->id,
					   .generation = probes[i]->generation,
					   .unsent = true };
		if (known) {
			merged[i].unsent = known->unsent;
			merged[i].probed = known->probed;
			probes[i]->flags = known->probe->flags;
		}
		merged[i].probe = take_ptr(probes[i]);
	}
	qsort(merged, n, sizeof(*merged), held_cmp);
	for (size_t i = 0; i < l->n_held; i++) {
		struct held *old = &l->held[i];

		if (bsearch(old, merged, n, sizeof(*merged), held_cmp)) {
			free(old->probe);
			continue;
		}
		merged[n_merged] = *old;
		merged[n_merged].remove = merged[n_merged].unsent = true;
		n_merged++;
	}
	qsort(merged, n_merged, sizeof(*merged), held_cmp);
	free(l->held);
	l->held = merged;
	l->n_held = n_merged;
	l->next_unsent = 0;
	flush(l);
	return 0;
}

bool worker_link_probe_now(struct worker_link *l, uint64_t id)
{
	struct protocol_probe_now now = { .id = id };
	const struct held *h = find_held(l, id);

	if (!h || h->remove)
		return false;
	protocol_init(&now.header, PROTOCOL_PROBE_NOW, sizeof(now));
	/* A full socket or a dead worker: the schedule probes it soon enough. */
	if (l->process.fd >= 0)
		(void)send(l->process.fd, &now, sizeof(now), MSG_DONTWAIT | MSG_NOSIGNAL);
	return true;
}

bool worker_link_on_time(const struct worker_link *l, usec_t now_usec)
{
	return l->process.fd >= 0 && now_usec <= l->heartbeat_usec + l->patience_usec;
}

void worker_link_status(const struct worker_link *l, usec_t now_usec, struct worker_status *ret)
{
	*ret = (struct worker_status){
		.pid = l->process.pid,
		.alive = l->process.fd >= 0,
		.frozen = !worker_link_on_time(l, now_usec),
		.restarts = l->restarts,
		.heartbeat_age_usec = now_usec > l->heartbeat_usec ? now_usec - l->heartbeat_usec
								   : 0,
		.last = l->last,
	};
}

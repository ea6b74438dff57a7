/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/loadgen.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "tests/lab/lab.h"

enum {
	SLOTS = 4096,	       /* requests under way */
	RECORDS_MAX = 1 << 18, /* 20 minutes at 200 a second */
	TICK_MSEC = 2,
	DEFAULT_TIMEOUT_SEC = 2,
	PRINTED_MAX = 10,
};

struct slot {
	int fd; /* owned; -1 = free */
	bool connected;
	usec_t start_usec;
	size_t n_head;
	uint64_t total_bytes;
	char head[LAB_HEAD_MAX_BYTES];
};

struct lab_load {
	struct lab_load_spec spec;
	pthread_t thread;
	bool joined;
	_Atomic bool stop;
	int epoll_fd;	    /* owned */
	struct slot *slots; /* owned */
	size_t n_busy, next_slot;
	struct lab_reply *records; /* owned */
	_Atomic size_t n_records;
	char request[512];
	struct sockaddr_storage address;
	socklen_t address_len;
};

static void finish(struct lab_load *l, struct slot *s, enum lab_outcome outcome, int error)
{
	size_t n = atomic_load(&l->n_records);

	if (n < RECORDS_MAX) {
		struct lab_reply *r = &l->records[n];

		*r = (struct lab_reply){ .outcome = outcome, .error = error };
		r->start_usec = s->start_usec;
		r->end_usec = clock_monotonic_usec();
		if (outcome == LAB_ANSWERED)
			lab_reply_finish(r, s->head, s->n_head, s->total_bytes);
		atomic_store(&l->n_records, n + 1);
	}
	/* A child between fork and exec holds the socket open: close() alone would not end its events. */
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, s->fd, NULL);
	(void)close(s->fd);
	s->fd = -1;
	l->n_busy--;
}

static struct slot *free_slot(struct lab_load *l)
{
	for (size_t i = 0; i < SLOTS; i++) {
		struct slot *s = &l->slots[l->next_slot++ % SLOTS];

		if (s->fd < 0)
			return s;
	}
	return NULL;
}

static void start_request(struct lab_load *l)
{
	struct slot *s = free_slot(l);
	struct epoll_event e = { .events = EPOLLOUT, .data.ptr = s };

	if (!s)
		abort(); /* rate * timeout is above SLOTS: the test's own error */
	*s = (struct slot){ .start_usec = clock_monotonic_usec() };
	s->fd = socket(l->address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	l->n_busy++;
	if (s->fd < 0) {
		finish(l, s, LAB_REFUSED, errno);
		return;
	}
	if (connect(s->fd, (struct sockaddr *)&l->address, l->address_len) < 0 &&
	    errno != EINPROGRESS)
		finish(l, s, LAB_REFUSED, errno);
	else
		(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, s->fd, &e);
}

static void on_connected(struct lab_load *l, struct slot *s)
{
	struct epoll_event e = { .events = EPOLLIN, .data.ptr = s };
	socklen_t len = sizeof(int);
	int error = 0;

	(void)getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	if (error != 0) {
		finish(l, s, LAB_REFUSED, error);
		return;
	}
	s->connected = true;
	(void)!send(s->fd, l->request, strlen(l->request), MSG_NOSIGNAL);
	(void)epoll_ctl(l->epoll_fd, EPOLL_CTL_MOD, s->fd, &e);
}

static void on_answer(struct lab_load *l, struct slot *s)
{
	char rest[4096];
	bool in_head = s->n_head < sizeof(s->head);
	ssize_t n = in_head ? recv(s->fd, s->head + s->n_head, sizeof(s->head) - s->n_head, 0)
			    : recv(s->fd, rest, sizeof(rest), 0);

	if (n < 0 && errno == EAGAIN)
		return;
	if (n < 0) {
		finish(l, s, LAB_RESET, errno);
	} else if (n == 0) {
		finish(l, s, LAB_ANSWERED, 0);
	} else {
		s->n_head += in_head ? (size_t)n : 0;
		s->total_bytes += (uint64_t)n;
	}
}

static void expire(struct lab_load *l, usec_t now)
{
	for (size_t i = 0; i < SLOTS; i++)
		if (l->slots[i].fd >= 0 && now > l->slots[i].start_usec + l->spec.timeout_usec)
			finish(l, &l->slots[i], LAB_TIMED_OUT, ETIMEDOUT);
}

static void *load_main(void *userdata)
{
	struct lab_load *l = userdata;
	usec_t start = clock_monotonic_usec(), expired = start;
	uint64_t started = 0;
	int back = -1;

	if (lab_enter(l->spec.from, &back) < 0)
		abort();
	cleanup_close(&back); /* the thread ends there */
	while (!atomic_load(&l->stop) || l->n_busy > 0) {
		usec_t now = clock_monotonic_usec();
		uint64_t due = (now - start) * l->spec.rate / USEC_PER_SEC;
		struct epoll_event events[64];
		int n;

		for (; !atomic_load(&l->stop) && started < due; started++)
			start_request(l);
		n = epoll_wait(l->epoll_fd, events, ARRAY_SIZE(events), TICK_MSEC);
		for (int i = 0; i < n; i++) {
			struct slot *s = events[i].data.ptr;

			if (s->connected)
				on_answer(l, s);
			else
				on_connected(l, s);
		}
		if (now - expired > 20 * USEC_PER_MSEC) {
			expire(l, now);
			expired = now;
		}
	}
	return NULL;
}

int lab_load_start(const struct lab_load_spec *spec, struct lab_load **ret)
{
	struct lab_load *l = calloc(1, sizeof(*l));
	int r = 0;

	if (!l)
		return lab_fail(ENOMEM, "lab_load_start");
	l->spec = *spec;
	if (l->spec.timeout_usec == 0)
		l->spec.timeout_usec = DEFAULT_TIMEOUT_SEC * USEC_PER_SEC;
	l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	l->slots = calloc(SLOTS, sizeof(*l->slots));
	l->records = calloc(RECORDS_MAX, sizeof(*l->records));
	l->address_len = lab_sockaddr(spec->url.address, spec->url.port, &l->address);
	(void)snprintf(l->request, sizeof(l->request),
		       "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", spec->url.path,
		       spec->url.address);
	if (l->epoll_fd < 0 || !l->slots || !l->records || l->address_len == 0)
		r = EINVAL;
	for (size_t i = 0; r == 0 && i < SLOTS; i++)
		l->slots[i].fd = -1;
	if (r == 0)
		r = pthread_create(&l->thread, NULL, load_main, l);
	if (r != 0) {
		l->joined = true;
		lab_load_free(l);
		return lab_fail(r, "start the load");
	}
	*ret = l;
	return 0;
}

void lab_load_stop(struct lab_load *l)
{
	if (l->joined)
		return;
	atomic_store(&l->stop, true);
	(void)pthread_join(l->thread, NULL);
	l->joined = true;
}

void lab_load_free(struct lab_load *l)
{
	if (!l)
		return;
	lab_load_stop(l);
	cleanup_close(&l->epoll_fd);
	free(l->slots);
	free(l->records);
	free(l);
}

size_t lab_load_count(const struct lab_load *l)
{
	return atomic_load(&l->n_records);
}

const struct lab_reply *lab_load_at(const struct lab_load *l, size_t i)
{
	return &l->records[i];
}

struct lab_load_summary lab_load_summarize(const struct lab_load *l, usec_t from_usec,
					   usec_t to_usec)
{
	struct lab_load_summary sum = { .first_failure_usec = USEC_NEVER };

	for (size_t i = 0, n = lab_load_count(l); i < n; i++) {
		const struct lab_reply *r = &l->records[i];

		if (r->start_usec < from_usec || r->start_usec >= to_usec)
			continue;
		sum.requests++;
		sum.longest_usec = MAX(sum.longest_usec, r->end_usec - r->start_usec);
		if (r->outcome == LAB_ANSWERED && r->status == 200)
			continue;
		sum.failed++;
		sum.outcomes[r->outcome]++;
		sum.first_failure_usec = MIN(sum.first_failure_usec, r->start_usec);
		sum.last_failure_usec = MAX(sum.last_failure_usec, r->start_usec);
	}
	return sum;
}

size_t lab_load_failed_outside(const struct lab_load *l, usec_t from_usec, usec_t to_usec)
{
	size_t failed = 0;

	for (size_t i = 0, n = lab_load_count(l); i < n; i++) {
		const struct lab_reply *r = &l->records[i];

		if ((r->outcome == LAB_ANSWERED && r->status == 200) ||
		    (r->end_usec >= from_usec && r->start_usec < to_usec))
			continue;
		if (failed++ < PRINTED_MAX)
			(void)fprintf(
				stderr,
				"lab: request at %+ld us: %s, status %d, target %s, %s, %lu us\n",
				(long)(r->start_usec - from_usec),
				lab_outcome_to_string(r->outcome), r->status, r->target,
				strerror(r->error), (unsigned long)(r->end_usec - r->start_usec));
	}
	return failed;
}

void lab_load_print(const struct lab_load *l)
{
	size_t n = lab_load_count(l);
	usec_t start = n > 0 ? l->records[0].start_usec : 0;

	for (size_t i = 0; i < n;) {
		usec_t second = (l->records[i].end_usec - start) / USEC_PER_SEC;
		size_t outcomes[_LAB_OUTCOME_MAX] = { 0 };

		for (; i < n && (l->records[i].end_usec - start) / USEC_PER_SEC <= second; i++)
			outcomes[l->records[i].outcome]++;
		(void)fprintf(stderr, "lab: second %lu:", (unsigned long)second);
		for (size_t k = 0; k < _LAB_OUTCOME_MAX; k++)
			if (outcomes[k] > 0)
				(void)fprintf(stderr, " %zu %s", outcomes[k],
					      lab_outcome_to_string((enum lab_outcome)k));
		(void)fputc('\n', stderr);
	}
}

size_t lab_load_answered_by(const struct lab_load *l, const char *target, usec_t from_usec,
			    usec_t to_usec)
{
	size_t n = 0;

	for (size_t i = 0, count = lab_load_count(l); i < count; i++) {
		const struct lab_reply *r = &l->records[i];

		n += r->outcome == LAB_ANSWERED && r->start_usec >= from_usec &&
		     r->start_usec < to_usec && strcmp(r->target, target) == 0;
	}
	return n;
}

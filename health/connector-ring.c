/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * By io_uring: connect, send and receive are linked, and one completion comes of each
 * chain, whatever becomes of it: the steps before the last are silent while they succeed, and the one that fails
 * silences those after it (REQ_F_SKIP_LINK_CQES in the kernel's io_uring).
 *
 * The kernel reads and writes the memory of a chain until its completion has come, long after its owner may have lost
 * interest: so the request is copied, and a socket outlives its connection until then. Sockets block, or else a request
 * that has to wait would fail instead.
 *
 * What comes in is worked off by this process when it says so and while it rests (IORING_SETUP_DEFER_TASKRUN): a fifth
 * of the cost of a check. An eventfd tells that there is something; epoll on the ring itself misses wake-ups then, as
 * seen on 6.18.
 *
 * Sockets that were of use once have a place in the ring's own table of files (connector-places.h).
 */

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "health/connector-internal.h"
#include "health/connector-places.h"
#include "health/io-uring.h"

enum {
	SUBMISSIONS = 512,
	COMPLETIONS = 4096, /* the kernel keeps what is more */
	BUFFER_SIZE =
		1024, /* silent targets by the thousand have one each; most answers end in it */
	CHAIN_MAX = 3,
	SETTLE_TRIES = 100,
	SILENT = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS, /* of all steps but the last */
};

#define SETTLE_WAIT_USEC (10 * USEC_PER_MSEC)

enum step {
	STEP_QUIET, /* nobody waits for it */
	STEP_CONNECT,
	STEP_SEND,
	STEP_RECEIVE,
	STEP_CANCEL,
	STEP_ENTER, /* these two are of a place, not of a socket */
	STEP_LEAVE,
	STEP_MASK = 7,
};

struct ring_connector {
	struct connector base;
	struct io_uring ring;
	bool has_ring;
	int event_fd;		 /* owned */
	sd_event_source *source; /* owned */
	unsigned busy;		 /* sockets with a chain */
	unsigned given_up;	 /* sockets that wait for completions, and nobody for them */
	struct place_table places;
};

struct ring_socket {
	struct connector_socket base;
	bool busy;	     /* a completion of its chain will come */
	bool cancelled;	     /* and one of the request to end that */
	bool reusable;	     /* once its connection, which nobody waits for, is over */
	struct place *place; /* NULL = none: it is named by descriptor */
	struct sockaddr_storage to;
	char *buffer; /* owned: the request, then the first part of the answer */
	size_t buffer_size;
};

static struct ring_connector *engine_of(struct connector *k)
{
	return (struct ring_connector *)k;
}

static struct ring_socket *socket_of(struct connector_socket *s)
{
	return (struct ring_socket *)s;
}

/* A chain is not parted by a submission. */
static bool has_room(struct ring_connector *k, unsigned n)
{
	if (io_uring_sq_space_left(&k->ring) < n)
		(void)liburing.submit(&k->ring);
	return io_uring_sq_space_left(&k->ring) >= n;
}

/* of: who is told, with the step. flags: IOSQE_* */
static void mark(struct io_uring_sqe *sqe, const void *of, enum step step, unsigned flags)
{
	sqe->flags |= (uint8_t)flags;
	sqe->user_data = step == STEP_QUIET ? 0 : (uintptr_t)of | step;
}

/* A request on this socket. */
static void queue_step(const struct ring_connector *k, struct io_uring_sqe *sqe,
		       const struct ring_socket *s, enum step step, unsigned flags)
{
	mark(sqe, s, step, flags);
	place_use(&k->places, s->place, sqe);
}

static void enter_place(struct ring_connector *k, struct ring_socket *s)
{
	struct io_uring_sqe *sqe;

	if (s->place || !k->places.free || !has_room(k, 1))
		return;
	sqe = io_uring_get_sqe(&k->ring);
	s->place = place_enter(&k->places, s->base.fd, sqe);
	mark(sqe, s->place, STEP_ENTER, 0);
}

/* The table holds the socket open for as long as older requests take (on 6.1): so its connection ends here. */
static void leave_place(struct ring_connector *k, struct ring_socket *s)
{
	struct place *p = take_ptr(s->place);
	struct io_uring_sqe *sqe;

	if (!p)
		return;
	(void)connect(s->base.fd, &connector_nowhere, sizeof(connector_nowhere));
	sqe = has_room(k, 1) ? io_uring_get_sqe(&k->ring) : NULL;
	place_leave(&k->places, p, sqe);
	if (sqe)
		mark(sqe, p, STEP_LEAVE, 0);
}

static void queue_reset(struct ring_connector *k, struct ring_socket *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&k->ring);

	io_uring_prep_connect(sqe, s->base.fd, &connector_nowhere, sizeof(connector_nowhere));
	queue_step(k, sqe, s, STEP_QUIET, IOSQE_CQE_SKIP_SUCCESS);
}

/* What more comes, after what did not fill the answer. */
static void queue_receive(struct ring_connector *k, struct ring_socket *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&k->ring);

	io_uring_prep_recv(sqe, s->base.fd, s->buffer, s->buffer_size, 0);
	sqe->ioprio |= IORING_RECVSEND_POLL_FIRST; /* no answer is there yet */
	queue_step(k, sqe, s, STEP_RECEIVE, 0);
	s->busy = true;
	k->busy++;
}

static void queue_send(struct ring_connector *k, struct ring_socket *s, size_t size)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&k->ring);

	io_uring_prep_send(sqe, s->base.fd, s->buffer, size, MSG_NOSIGNAL | MSG_WAITALL);
	queue_step(k, sqe, s, STEP_SEND, SILENT);
}

/*
 * step: the one that is thought to wait, which the kernel finds at once; STEP_QUIET = any, for which it looks at all that
 * wait. What it does not find, or has just in hand, is asked for again when the answer to this has come.
 */
static void queue_cancel(struct ring_connector *k, struct ring_socket *s, enum step step)
{
	struct io_uring_sqe *sqe;

	if (!has_room(k, 1)) {
		(void)shutdown(s->base.fd, SHUT_RDWR); /* then the chain ends, too */
		return;
	}
	sqe = io_uring_get_sqe(&k->ring);
	if (step == STEP_QUIET)
		io_uring_prep_cancel_fd(sqe, s->base.fd, 0);
	else
		io_uring_prep_cancel64(sqe, (uintptr_t)s | step, 0);
	mark(sqe, s, STEP_CANCEL, 0);
	s->cancelled = true;
}

/* Its connection is over, and none of its requests is under way. */
static void retire(struct ring_connector *k, struct ring_socket *s)
{
	if (s->reusable && has_room(k, 1)) {
		queue_reset(k, s);
		enter_place(k, s);
		connector_put(&s->base);
	} else {
		connector_socket_free(&k->base, &s->base);
	}
}

/* Nobody waits for its chain any more. step: as for queue_cancel(). */
static void give_up(struct ring_connector *k, struct ring_socket *s, enum step step)
{
	if (s->busy && !s->cancelled) {
		queue_cancel(k, s, step);
	} else if (!s->busy && !s->cancelled) {
		k->given_up--;
		retire(k, s);
	}
}

static void take_answer(struct ring_connector *k, struct ring_socket *s, size_t size)
{
	struct connection *c = s->base.connection;

	if (!c->on_bytes(c, s->buffer, size) || !connection_read(c))
		return;
	if (has_room(k, 1))
		queue_receive(k, s);
	else
		c->on_end(c, ENOBUFS);
}

/* The end of a chain. result: what the system call would return, or negative errno. */
static void on_chain(struct ring_connector *k, struct ring_socket *s, enum step step, int result)
{
	struct connection *c = s->base.connection;

	c->connected = step != STEP_CONNECT;
	if (step == STEP_RECEIVE)
		c->sent = c->request_size;
	if (step == STEP_SEND && (result == -EPIPE || result == -ECONNRESET)) {
		/* A server may answer and close before it has read all: what it said counts. */
		c->sent = c->request_size;
		if (connection_read(c))
			c->on_end(c, -result);
	} else if (step == STEP_RECEIVE && result > 0) {
		take_answer(k, s, (size_t)result);
	} else {
		c->on_end(c, -result);
	}
}

static void on_socket(struct ring_connector *k, struct ring_socket *s, enum step step, int result)
{
	if (step == STEP_CANCEL) {
		s->cancelled = false;
	} else {
		s->busy = false;
		k->busy--;
	}
	if (s->base.connection)
		on_chain(k, s, step, result);
	else
		give_up(k, s, STEP_QUIET);
}

static void on_completion(struct ring_connector *k, uint64_t user_data, int result)
{
	void *of = (void *)(uintptr_t)(user_data & ~(uint64_t)STEP_MASK);
	enum step step = user_data & STEP_MASK;

	if (step == STEP_ENTER)
		place_entered(of, result);
	else if (step == STEP_LEAVE)
		place_left(&k->places, of, result);
	else if (step != STEP_QUIET)
		on_socket(k, of, step, result);
}

static void take_completions(struct ring_connector *k)
{
	unsigned n = io_uring_cq_ready(&k->ring), head;
	struct io_uring_cqe *cqe;

	io_uring_for_each_cqe(&k->ring, head, cqe)
	{
		uint64_t user_data = cqe->user_data;
		int result = cqe->res;

		/* Those that come meanwhile are left: the loop's other sources get their turn. */
		if (n-- == 0)
			break;
		io_uring_cq_advance(&k->ring, 1);
		on_completion(k, user_data, result);
	}
}

/* Until so many completions are there, or the time is over. Submits what is queued. */
static void wait_for(struct ring_connector *k, unsigned n, usec_t usec)
{
	struct __kernel_timespec timeout = { .tv_nsec = (long long)usec * 1000 };
	struct io_uring_cqe *cqe;

	(void)liburing.submit_and_wait_timeout(&k->ring, &cqe, n, &timeout, NULL);
}

static int on_ready(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct ring_connector *k = userdata;
	eventfd_t n;

	(void)source;
	(void)revents;
	(void)eventfd_read(fd, &n);
	/* For what is asked for, not for what comes, the kernel works off all that has come in. */
	wait_for(k, COMPLETIONS, 0);
	take_completions(k);
	if (io_uring_cq_ready(&k->ring) > 0 || io_uring_cq_has_overflow(&k->ring))
		(void)eventfd_write(fd, 1);
	return 0;
}

/* Before the loop waits. What the kernel does not take now is tried again then. */
static int on_prepare(sd_event_source *source, void *userdata)
{
	struct ring_connector *k = userdata;

	(void)source;
	if (io_uring_sq_ready(&k->ring) > 0)
		(void)liburing.submit(&k->ring);
	return 0;
}

static void ring_rest(struct connector *base, usec_t usec)
{
	struct ring_connector *k = engine_of(base);

	if (k->busy > 0)
		wait_for(k, MIN(k->busy, (unsigned)COMPLETIONS), usec);
	else
		(void)poll(NULL, 0, (int)(usec / USEC_PER_MSEC));
}

/* Sockets that were given up go to the pools or are freed. */
static void ring_settle(struct connector *base)
{
	struct ring_connector *k = engine_of(base);

	for (unsigned i = 0; k->given_up > 0 && i < SETTLE_TRIES; i++) {
		wait_for(k, 1, SETTLE_WAIT_USEC);
		take_completions(k);
	}
}

static void ring_free(struct connector *base)
{
	struct ring_connector *k = engine_of(base);

	sd_event_source_disable_unref(k->source);
	if (k->has_ring)
		liburing.queue_exit(&k->ring);
	cleanup_close(&k->event_fd);
	free(k);
}

/* Nothing but this can be asked of the ring: system calls that a filter does not see. */
static int restrict_ring(const struct io_uring *ring)
{
	static const struct io_uring_restriction rules[] = {
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_CONNECT },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_SEND },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_RECV },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_ASYNC_CANCEL },
		{ .opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_FILES_UPDATE },
		{ .opcode = IORING_RESTRICTION_SQE_FLAGS_ALLOWED,
		  .sqe_flags = IOSQE_IO_LINK | IOSQE_CQE_SKIP_SUCCESS | IOSQE_FIXED_FILE },
	};

	/* Functions of liburing for both are declared in its 2.3, and not in the library. */
	if (syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, rules,
		    ARRAY_SIZE(rules)) < 0 ||
	    syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) <
		    0)
		return -errno;
	return 0;
}

static int ring_new(sd_event *event, struct connector **ret)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_CQSIZE | IORING_SETUP_R_DISABLED |
			 IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = COMPLETIONS,
	};
	struct ring_connector *k;
	int r = liburing_load();

	if (r < 0)
		return r;
	k = calloc(1, sizeof(*k));
	if (!k)
		return -ENOMEM;
	k->base.engine = &connector_ring;
	places_init(&k->places);
	r = liburing.queue_init_params(SUBMISSIONS, &k->ring, &params);
	k->has_ring = r >= 0;
	k->event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (r >= 0)
		r = k->event_fd < 0 ? -errno : liburing.register_eventfd(&k->ring, k->event_fd);
	if (r >= 0)
		r = liburing.register_files_sparse(&k->ring, PLACES);
	if (r >= 0)
		r = restrict_ring(&k->ring);
	if (r >= 0)
		r = sd_event_add_io(event, &k->source, k->event_fd, EPOLLIN, on_ready, k);
	/* What came in is read before a deadline that passed meanwhile is judged. */
	if (r >= 0)
		r = sd_event_source_set_priority(k->source, SD_EVENT_PRIORITY_NORMAL - 1);
	if (r >= 0)
		r = sd_event_source_set_prepare(k->source, on_prepare);
	if (r < 0) {
		ring_free(&k->base);
		return r;
	}
	*ret = &k->base;
	return 0;
}

static int ring_adopt(struct connector *k, struct connector_socket *s)
{
	int flags = fcntl(s->fd, F_GETFL);

	(void)k;
	return flags < 0 || fcntl(s->fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ? -errno : 0;
}

static void ring_forget(struct connector *k, struct connector_socket *s)
{
	leave_place(engine_of(k), socket_of(s));
	free(socket_of(s)->buffer);
}

/* With what is to be sent in it. */
static int fill_buffer(struct ring_socket *s, const struct connection *c)
{
	size_t size = MAX(c->request_size, (size_t)BUFFER_SIZE);

	if (s->buffer_size < size) {
		char *buffer = realloc(s->buffer, size);

		if (!buffer)
			return -ENOMEM;
		s->buffer = buffer;
		s->buffer_size = size;
	}
	if (c->request_size > 0)
		memcpy(s->buffer, c->request, c->request_size);
	return 0;
}

static int ring_start(struct connection *c, const struct sockaddr *to, socklen_t len)
{
	struct ring_connector *k = engine_of(c->connector);
	struct ring_socket *s = socket_of(c->socket);
	struct io_uring_sqe *sqe;
	int r = c->wants_answer ? fill_buffer(s, c) : -EOPNOTSUPP;

	if (r < 0)
		return r;
	if (!has_room(k, CHAIN_MAX))
		return -ENOBUFS;
	memcpy(&s->to, to, len);
	sqe = io_uring_get_sqe(&k->ring);
	io_uring_prep_connect(sqe, s->base.fd, (struct sockaddr *)&s->to, len);
	queue_step(k, sqe, s, STEP_CONNECT, SILENT);
	if (c->request_size > 0)
		queue_send(k, s, c->request_size);
	queue_receive(k, s);
	return 0;
}

/* Of a chain that is under way. */
static bool is_connected(const struct connector_socket *s)
{
	struct tcp_info info;
	socklen_t len = sizeof(info);

	return getsockopt(s->fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 &&
	       info.tcpi_state != TCP_SYN_SENT && info.tcpi_state != TCP_CLOSE;
}

static void ring_release(struct connection *c, struct connector_socket *base)
{
	struct ring_connector *k = engine_of(c->connector);
	struct ring_socket *s = socket_of(base);

	if (s->busy)
		c->connected = c->connected || is_connected(base);
	s->reusable = connector_may_reuse(c, base);
	if (s->busy) {
		k->given_up++;
		give_up(k, s, c->connected ? STEP_RECEIVE : STEP_CONNECT);
	} else {
		retire(k, s);
	}
}

const struct connector_engine connector_ring = {
	.socket_size = sizeof(struct ring_socket),
	.new = ring_new,
	.settle = ring_settle,
	.free = ring_free,
	.adopt = ring_adopt,
	.forget = ring_forget,
	.start = ring_start,
	.release = ring_release,
	.rest = ring_rest,
};

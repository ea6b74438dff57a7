/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/worker.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/prober.h"
#include "health/protocol.h"
#include "health/sandbox.h"

enum {
	QUEUE_MAX = 32768,	   /* results kept while the daemon does not read */
	RECORDS_PER_DISPATCH = 64, /* a flood of specifications does not delay probes */
};

/*
 * Good news wait for more of them, so that ten thousand targets do not wake the daemon two thousand times a second:
 * what they can bring about, weight for a target, waits longer there. The first good result of a target waits for this
 * time; those that follow for a tenth of their interval, or for the next heartbeat. Everything else goes out at once.
 */
#define GOOD_NEWS_USEC (50 * USEC_PER_MSEC)

/*
 * Before it waits for more this process lets so much time pass, so that what comes in a crowd is taken in a crowd: a
 * wake-up costs as much as a check. Durations are as exact as that.
 */
#define REST_USEC (2 * USEC_PER_MSEC)

/* At most one line about probes that could not be made in this time. */
#define COMPLAINT_USEC (30 * USEC_PER_SEC)

struct worker {
	int fd; /* owned */
	enum worker_kind kind;
	bool greeted;
	sd_event *event;		 /* owned */
	sd_event_source *io, *heartbeat; /* owned */
	sd_event_source *flush;		 /* owned; enabled while results wait for it */
	struct prober *prober;		 /* owned */
	struct protocol_result *queue;	 /* owned ring of QUEUE_MAX */
	size_t queue_head, queue_len;
	uint64_t dropped;
	bool blocked;	   /* the daemon's buffer is full: the socket tells when it is not */
	usec_t flush_usec; /* when the queue is sent at the latest; USEC_NEVER = nothing is in it */
	usec_t heartbeat_usec; /* due */
	usec_t complained_usec;
};

static const char *const kind_names[_WORKER_KIND_MAX] = {
	[WORKER_NETWORK] = "network",
	[WORKER_MARK] = "mark",
	[WORKER_EXEC] = "exec",
};

const char *worker_kind_to_string(enum worker_kind k)
{
	assert(k < _WORKER_KIND_MAX);
	return kind_names[k];
}

int worker_kind_from_string(const char *s, enum worker_kind *ret)
{
	for (enum worker_kind k = 0; k < _WORKER_KIND_MAX; k++) {
		if (!strcmp(kind_names[k], s)) {
			*ret = k;
			return 0;
		}
	}
	return -EINVAL;
}

enum worker_kind worker_kind_of(const struct protocol_probe *p)
{
	if (p->check == PROTOCOL_CHECK_EXEC)
		return WORKER_EXEC;
	return p->firewall_mark ? WORKER_MARK : WORKER_NETWORK;
}

static void worker_deinit(struct worker *w)
{
	prober_free(w->prober);
	sd_event_source_disable_unref(w->io);
	sd_event_source_disable_unref(w->heartbeat);
	sd_event_source_disable_unref(w->flush);
	sd_event_unref(w->event);
	free(w->queue);
	cleanup_close(&w->fd);
}

/* 1 = sent, 0 = the daemon's buffer is full or the daemon is gone (then the loop ends). */
static int send_record(struct worker *w, const void *record, size_t size)
{
	ssize_t n = send(w->fd, record, size, MSG_DONTWAIT | MSG_NOSIGNAL);

	if (n == (ssize_t)size)
		return 1;
	if (n < 0 && (errno == EAGAIN || errno == EINTR || errno == ENOBUFS))
		return 0;
	if (n < 0 && (errno == EPIPE || errno == ECONNRESET)) {
		(void)sd_event_exit(w->event, EXIT_SUCCESS);
		return 0;
	}
	log_err("health worker: cannot send to the daemon: %s", strerror(n < 0 ? errno : EMSGSIZE));
	(void)sd_event_exit(w->event, EXIT_FAILURE);
	return 0;
}

static void watch_for(struct worker *w, uint32_t events)
{
	(void)sd_event_source_set_io_events(w->io, events);
}

/* As much as the socket takes, many results to a datagram; the rest when it is writable again. */
static void flush_queue(struct worker *w)
{
	size_t n;

	w->flush_usec = USEC_NEVER;
	while (w->queue_len > 0) {
		n = MIN(MIN(w->queue_len, QUEUE_MAX - w->queue_head), (size_t)PROTOCOL_RESULTS_MAX);
		if (!send_record(w, &w->queue[w->queue_head], n * sizeof(w->queue[0]))) {
			w->blocked = true;
			watch_for(w, EPOLLIN | EPOLLOUT);
			return;
		}
		w->queue_head = (w->queue_head + n) % QUEUE_MAX;
		w->queue_len -= n;
	}
	if (w->blocked)
		watch_for(w, EPOLLIN);
	w->blocked = false;
}

static int on_flush(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct worker *w = userdata;

	(void)s;
	(void)usec;
	if (!w->blocked)
		flush_queue(w);
	return 0;
}

static void enqueue(struct worker *w, const struct protocol_result *result)
{
	if (w->queue_len == QUEUE_MAX) {
		if (w->dropped == 0)
			log_warning("health worker: the daemon does not read: dropping the oldest "
				    "of %d results",
				    QUEUE_MAX);
		w->queue_head = (w->queue_head + 1) % QUEUE_MAX;
		w->queue_len--;
		w->dropped++;
	}
	w->queue[(w->queue_head + w->queue_len) % QUEUE_MAX] = *result;
	w->queue_len++;
}

/* Within that time, with what comes until then. */
static void flush_within(struct worker *w, usec_t usec)
{
	usec_t at = usec ? clock_monotonic_usec() + usec : 0;

	if (w->blocked || w->flush_usec <= at)
		return;
	w->flush_usec = at;
	(void)sd_event_source_set_time(w->flush, at);
	(void)sd_event_source_set_enabled(w->flush, SD_EVENT_ONESHOT);
}

static const char *remedy(const struct probe_spec *spec, int error)
{
	if (error == EPERM && spec->firewall_mark)
		return " (a firewall mark needs CAP_NET_RAW: under systemd, the drop-in "
		       "probe-marks.conf)";
	if (error == EKEYREJECTED)
		return " (OpenSSL does not take a certificate in its health-check-ca-file)";
	if (error == ENOKEY)
		return " (no file with the system's authorities: name one by "
		       "health-check-ca-file)";
	return "";
}

/* A target that cannot be probed keeps its state, so the operator must hear of it; one line for a crowd of them. */
static void complain(struct worker *w, const struct probe_spec *spec, int error)
{
	usec_t now_usec = clock_monotonic_usec();
	char where[ADDR_PORT_STR_MAX];

	if (w->complained_usec && now_usec - w->complained_usec < COMPLAINT_USEC)
		return;
	w->complained_usec = now_usec;
	log_err("health worker: cannot probe %s: %s%s",
		addr_port_format(&spec->addr, spec->port, where), strerror(error),
		remedy(spec, error));
}

static bool is_good_news(const struct protocol_result *result)
{
	return result->outcome == PROBE_OK && result->weight_percent < 0 &&
	       result->agent_state == PROBE_ADVICE_NONE;
}

static void on_result(void *userdata, const struct probe_spec *spec,
		      const struct protocol_result *result, bool again)
{
	struct worker *w = userdata;
	usec_t wait_usec = 0;

	if (result->outcome == PROBE_INTERNAL_ERROR)
		complain(w, spec, result->detail);
	if (is_good_news(result))
		wait_usec = again ? spec->interval_usec / 10 : GOOD_NEWS_USEC;
	enqueue(w, result);
	flush_within(w, wait_usec);
}

static int on_heartbeat(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct worker *w = userdata;
	usec_t now_usec = clock_monotonic_usec();
	struct prober_stats stats;
	struct protocol_heartbeat beat;

	(void)usec;
	prober_read_stats(w->prober, &stats);
	beat = (struct protocol_heartbeat){
		.now_usec = now_usec,
		.probes_started = stats.started,
		.max_lateness_usec = stats.max_lateness_usec,
		.probes = stats.probes,
		.in_flight = stats.in_flight,
		.probes_skipped = stats.skipped,
		.results_dropped = w->dropped,
		.probes_waiting = stats.waiting,
		.probes_left_out = stats.left_out,
	};
	protocol_init(&beat.header, PROTOCOL_HEARTBEAT, sizeof(beat));
	if (!w->blocked)
		flush_queue(w);
	if (send_record(w, &beat, sizeof(beat)))
		prober_reset_lateness(w->prober);
	/* Fixed rate; beats that this process slept through are not made up for. */
	w->heartbeat_usec += PROTOCOL_HEARTBEAT_USEC;
	if (w->heartbeat_usec <= now_usec)
		w->heartbeat_usec = now_usec + PROTOCOL_HEARTBEAT_USEC;
	(void)sd_event_source_set_time(s, w->heartbeat_usec);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

union record {
	struct protocol_header header;
	struct protocol_probe_record probe;
	struct protocol_probe_del del;
	struct protocol_probe_now now;
	struct protocol_authority_record authority;
	struct protocol_authorities_del authorities_del;
};

static int take_authority(struct worker *w, const struct protocol_authority_record *record)
{
	if (w->kind == WORKER_EXEC)
		return -EPROTO;
	return prober_add_authority(w->prober, record->authority.authorities, record->certificate,
				    record->authority.header.size - sizeof(record->authority));
}

static int take_record(struct worker *w, const union record *record, enum protocol_kind kind)
{
	if (!w->greeted && kind != PROTOCOL_HELLO)
		return -EPROTO;
	switch (kind) {
	case PROTOCOL_HELLO:
		w->greeted = true;
		return 0;
	case PROTOCOL_PROBE_SET:
		/* What comes from targets is never read where programs are started, and the other way round. */
		if ((worker_kind_of(&record->probe.probe) == WORKER_EXEC) !=
		    (w->kind == WORKER_EXEC))
			return -EPROTO;
		return prober_set(w->prober, &record->probe.probe);
	case PROTOCOL_PROBE_DEL:
		prober_del(w->prober, record->del.id);
		return 0;
	case PROTOCOL_PROBE_NOW:
		prober_now(w->prober, record->now.id);
		return 0;
	case PROTOCOL_AUTHORITY:
		return take_authority(w, &record->authority);
	case PROTOCOL_AUTHORITIES_DEL:
		prober_del_authorities(w->prober, record->authorities_del.authorities);
		return 0;
	default: /* a kind that only the worker sends */
		return -EPROTO;
	}
}

/* 1 = a record was taken, 0 = none is there, or the loop ends. */
static int receive_record(struct worker *w)
{
	union record record;
	enum protocol_kind kind = _PROTOCOL_KIND_MAX;
	/* MSG_TRUNC: the true size of what is larger still. */
	ssize_t n = recv(w->fd, &record, sizeof(record), MSG_DONTWAIT | MSG_TRUNC);
	int r;

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n == 0 || (n < 0 && errno == ECONNRESET)) {
		(void)sd_event_exit(w->event, EXIT_SUCCESS);
		return 0;
	}
	if (n < 0)
		r = -errno;
	else if ((size_t)n > sizeof(record))
		r = -EMSGSIZE;
	else
		r = protocol_check(&record, (size_t)n, &kind);
	if (r >= 0)
		r = take_record(w, &record, kind);
	if (r >= 0)
		return 1;
	log_err("health worker: bad record of %zd bytes from the daemon: %s", n, strerror(-r));
	(void)sd_event_exit(w->event, EXIT_FAILURE);
	return 0;
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct worker *w = userdata;

	(void)s;
	(void)fd;
	if (revents & EPOLLOUT)
		flush_queue(w);
	if (revents & (EPOLLIN | EPOLLHUP | EPOLLERR))
		for (unsigned i = 0; i < RECORDS_PER_DISPATCH && receive_record(w); i++)
			;
	return 0;
}

static int check_socket(int fd)
{
	int type = 0, flags;
	socklen_t len = sizeof(type);

	if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
		return -errno;
	if (type != SOCK_SEQPACKET)
		return -EPROTOTYPE;
	flags = fcntl(fd, F_GETFL);
	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

static int worker_init(struct worker *w)
{
	int r;

	w->queue = calloc(QUEUE_MAX, sizeof(w->queue[0]));
	if (!w->queue)
		return -ENOMEM;
	r = sd_event_new(&w->event);
	if (r < 0)
		return r;
	r = prober_new(w->event, on_result, w, &w->prober);
	if (r >= 0 && w->kind == WORKER_EXEC)
		r = prober_allow_programs(w->prober);
	if (r < 0)
		return r;
	r = sd_event_add_io(w->event, &w->io, w->fd, EPOLLIN, on_io, w);
	if (r < 0)
		return r;
	w->flush_usec = USEC_NEVER;
	r = sd_event_add_time(w->event, &w->flush, CLOCK_MONOTONIC, USEC_NEVER, 1, on_flush, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->flush, SD_EVENT_OFF);
	if (r < 0)
		return r;
	w->heartbeat_usec = clock_monotonic_usec() + PROTOCOL_HEARTBEAT_USEC;
	r = sd_event_add_time(w->event, &w->heartbeat, CLOCK_MONOTONIC, w->heartbeat_usec, 1,
			      on_heartbeat, w);
	if (r < 0)
		return r;
	/* Before probes and specifications: a busy worker is not a dead one. */
	return sd_event_source_set_priority(w->heartbeat, SD_EVENT_PRIORITY_IMPORTANT);
}

static int worker_run(struct worker *w)
{
	struct protocol_hello hello = { .pid = (uint32_t)getpid() };
	int r = 0, status = EXIT_FAILURE;

	protocol_init(&hello.header, PROTOCOL_HELLO, sizeof(hello));
	if (!send_record(w, &hello, sizeof(hello)))
		(void)sd_event_exit(w->event, EXIT_FAILURE);
	while (r >= 0 && sd_event_get_state(w->event) != SD_EVENT_FINISHED) {
		r = sd_event_prepare(w->event);
		if (r == 0) {
			prober_rest(w->prober, REST_USEC);
			r = sd_event_wait(w->event, UINT64_MAX);
		}
		if (r > 0)
			r = sd_event_dispatch(w->event);
	}
	if (r >= 0)
		r = sd_event_get_exit_code(w->event, &status);
	return r < 0 ? r : status;
}

static void worker_cleanup(struct worker *w)
{
	worker_deinit(w);
}

int worker_main(int fd, const char *user, enum worker_kind kind)
{
	_cleanup_(worker_cleanup) struct worker w = { .fd = fd, .kind = kind };
	const char *step = "use the daemon's socket";
	int r;

	(void)signal(SIGPIPE, SIG_IGN);
	r = check_socket(fd);
	if (r >= 0)
		r = sandbox_drop(user, fd,
				 kind == WORKER_MARK ? SANDBOX_KEEP_NET_RAW : SANDBOX_NO_CAPABILITY,
				 &step);
	if (r >= 0) {
		step = "set up the event loop";
		r = worker_init(&w);
	}
	if (r >= 0 && kind != WORKER_EXEC)
		r = sandbox_filter(&step);
	if (r < 0) {
		log_err("health worker (%s): cannot %s: %s", worker_kind_to_string(kind), step,
			strerror(-r));
		return EXIT_FAILURE;
	}
	r = worker_run(&w);
	if (r < 0) {
		log_err("health worker: event loop failed: %s", strerror(-r));
		return EXIT_FAILURE;
	}
	return r;
}

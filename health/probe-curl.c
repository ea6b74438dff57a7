/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-curl.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"
#include "base/libcurl.h"
#include "health/probe-curl-attempt.h"
#include "health/tls-store.h"

struct probe_curl_engine {
	sd_event *event;	/* owned reference */
	sd_event_source *timer; /* owned */
	CURLM *multi;		/* owned */
	CURLSH *no_sessions;	/* owned; what those share that resume none */
	struct probe_curl *idle;
};

static void make_idle(struct probe_curl *p)
{
	p->connected = sd_event_source_disable_unref(p->connected);
	if (p->in_multi)
		(void)libcurl.multi_remove_handle(p->engine->multi, p->easy);
	p->in_multi = false;
	/* Its owner may free the cache before the handle is used again. */
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SHARE, NULL);
	cleanup_close(&p->fd);
	p->fd = -1;
	libcurl.slist_free_all(take_ptr(p->headers));
	libcurl.slist_free_all(take_ptr(p->connect));
	free(take_ptr(p->body));
	p->next_idle = p->engine->idle;
	p->engine->idle = p;
}

static void finish(struct probe_curl *p, enum probe_outcome outcome, int32_t detail)
{
	probe_done_t done = p->done;
	void *userdata = p->userdata;

	make_idle(p);
	done(userdata, outcome, detail);
}

static void collect_finished(struct probe_curl_engine *e)
{
	CURLMsg *message;
	int left;

	while ((message = libcurl.multi_info_read(e->multi, &left))) {
		struct probe_curl *p = NULL;
		enum probe_outcome outcome;
		int32_t detail;

		if (message->msg != CURLMSG_DONE)
			continue;
		(void)libcurl.easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &p);
		outcome = probe_curl_judge(p, message->data.result, &detail);
		finish(p, outcome, detail);
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct probe_curl_engine *e = userdata;
	int mask = 0, running;

	(void)s;
	if (revents & EPOLLIN)
		mask |= CURL_CSELECT_IN;
	if (revents & EPOLLOUT)
		mask |= CURL_CSELECT_OUT;
	if (revents & (EPOLLERR | EPOLLHUP))
		mask |= CURL_CSELECT_ERR;
	(void)libcurl.multi_socket_action(e->multi, fd, mask, &running);
	collect_finished(e);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct probe_curl_engine *e = userdata;
	int running;

	(void)s;
	(void)usec;
	(void)libcurl.multi_socket_action(e->multi, CURL_SOCKET_TIMEOUT, 0, &running);
	collect_finished(e);
	return 0;
}

/* libcurl wants `fd` watched for `what`; it keeps our event source as the socket's pointer. */
static int on_curl_socket(CURL *easy, curl_socket_t fd, int what, void *userdata, void *socket_data)
{
	struct probe_curl_engine *e = userdata;
	sd_event_source *source = socket_data;
	uint32_t events = 0;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		(void)libcurl.multi_assign(e->multi, fd, NULL);
		sd_event_source_disable_unref(source);
		return 0;
	}
	if (what & CURL_POLL_IN)
		events |= EPOLLIN;
	if (what & CURL_POLL_OUT)
		events |= EPOLLOUT;
	if (source)
		return sd_event_source_set_io_events(source, events) < 0 ? -1 : 0;
	if (sd_event_add_io(e->event, &source, fd, events, on_io, e) < 0)
		return -1;
	(void)libcurl.multi_assign(e->multi, fd, source);
	return 0;
}

static int on_curl_timer(CURLM *multi, long timeout_msec, void *userdata)
{
	struct probe_curl_engine *e = userdata;
	int r;

	(void)multi;
	if (timeout_msec < 0)
		return sd_event_source_set_enabled(e->timer, SD_EVENT_OFF) < 0 ? -1 : 0;
	r = sd_event_source_set_time(
		e->timer, timeout_msec == 0
				  ? 0
				  : clock_monotonic_usec() + (usec_t)timeout_msec * USEC_PER_MSEC);
	if (r >= 0)
		r = sd_event_source_set_enabled(e->timer, SD_EVENT_ONESHOT);
	return r < 0 ? -1 : 0;
}

int probe_curl_engine_new(sd_event *event, struct probe_curl_engine **ret)
{
	struct probe_curl_engine *e;
	int r;

	r = libcurl_load(true);
	if (r < 0)
		return r;
	tls_store_prepare();
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->event = sd_event_ref(event);
	e->multi = libcurl.multi_init();
	e->no_sessions = probe_curl_share_new();
	r = e->multi && e->no_sessions ? sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC,
							   USEC_NEVER, 1, on_timer, e)
				       : -ENOMEM;
	if (r >= 0)
		r = sd_event_source_set_enabled(e->timer, SD_EVENT_OFF);
	if (r < 0) {
		probe_curl_engine_free(e);
		return r;
	}
	(void)libcurl.multi_setopt(e->multi, CURLMOPT_SOCKETFUNCTION, on_curl_socket);
	(void)libcurl.multi_setopt(e->multi, CURLMOPT_SOCKETDATA, e);
	(void)libcurl.multi_setopt(e->multi, CURLMOPT_TIMERFUNCTION, on_curl_timer);
	(void)libcurl.multi_setopt(e->multi, CURLMOPT_TIMERDATA, e);
	*ret = e;
	return 0;
}

void probe_curl_engine_free(struct probe_curl_engine *e)
{
	if (!e)
		return;
	while (e->idle) {
		struct probe_curl *p = e->idle;

		e->idle = p->next_idle;
		libcurl.easy_cleanup(p->easy);
		free(p);
	}
	(void)libcurl.multi_cleanup(e->multi);
	(void)libcurl.share_cleanup(e->no_sessions);
	sd_event_source_disable_unref(e->timer);
	sd_event_unref(e->event);
	free(e);
}

void probe_curl_memory_deinit(struct probe_curl_memory *memory)
{
	if (memory->sessions)
		(void)libcurl.share_cleanup(memory->sessions);
	memory->sessions = NULL;
}

/* Easy handles are expensive to make and are used again, with the constant options still set. */
static struct probe_curl *take_idle(struct probe_curl_engine *e)
{
	struct probe_curl *p = e->idle;

	if (p) {
		e->idle = p->next_idle;
		return p;
	}
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->engine = e;
	p->no_sessions = e->no_sessions;
	p->fd = -1;
	p->easy = libcurl.easy_init();
	if (p->easy && probe_curl_set_constants(p) == CURLE_OK)
		return p;
	libcurl.easy_cleanup(p->easy);
	free(p);
	return NULL;
}

/* The connection is there: the rest is libcurl's. */
static void hand_over(struct probe_curl *p)
{
	int r = 0;

	if (p->spec->flags & PROTOCOL_PROBE_PROXY_V2)
		r = probe_socket_send_proxy_header(p->fd);
	if (r < 0) {
		finish(p, probe_outcome_from_errno(-r), -r);
		return;
	}
	if (libcurl.multi_add_handle(p->engine->multi, p->easy) == CURLM_OK)
		p->in_multi = true;
	else
		finish(p, PROBE_INTERNAL_ERROR, ENOMEM);
}

static int on_connected(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct probe_curl *p = userdata;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)s;
	(void)revents;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	p->connected = sd_event_source_disable_unref(p->connected);
	if (error)
		finish(p, probe_outcome_from_errno(error), error);
	else
		hand_over(p);
	return 0;
}

/* By ourselves, so that the PROXY header can go out before TLS, and that each error has its number. */
static int begin_connect(struct probe_curl *p)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&p->spec->addr, p->spec->port, &ss);

	p->fd = probe_socket_open(p->spec);
	if (p->fd < 0) {
		int error = -p->fd;

		finish(p, probe_outcome_from_setup(error), error);
		return 0;
	}
	if (connect(p->fd, (struct sockaddr *)&ss, len) < 0 && errno != EINPROGRESS) {
		int error = errno;

		finish(p, probe_outcome_from_errno(error), error);
		return 0;
	}
	return sd_event_add_io(p->engine->event, &p->connected, p->fd, EPOLLOUT, on_connected, p);
}

int probe_curl_start(struct probe_curl_engine *e, const struct probe_spec *spec,
		     struct probe_curl_memory *memory, probe_done_t done, void *userdata,
		     struct probe_curl **ret)
{
	struct probe_curl *p = take_idle(e);
	int r = -ENOMEM;

	if (!p)
		return r;
	p->spec = spec;
	p->memory = memory;
	p->done = done;
	p->userdata = userdata;
	p->peer_closed = p->has_header = false;
	p->header_bytes = p->body_bytes = p->body_capacity = 0;
	p->grpc_status = p->socket = -1;
	p->refusal = PROBE_CURL_NOT_REFUSED;
	p->error[0] = '\0';
	*ret = p;
	if (probe_curl_set_request(p) == CURLE_OK)
		r = begin_connect(p);
	if (r < 0)
		make_idle(p);
	return r;
}

enum probe_outcome probe_curl_cancel(struct probe_curl *p)
{
	enum probe_outcome outcome = probe_curl_judge_deadline(p);

	make_idle(p);
	return outcome;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-curl.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>

#include "base/cleanup.h"
#include "base/libcurl.h"

struct probe_curl {
	struct probe_curl_engine *engine; /* borrowed */
	struct probe_curl *next_idle;
	CURL *easy;		       /* owned */
	struct curl_slist *headers;    /* owned */
	const struct probe_spec *spec; /* borrowed */
	probe_done_t done;
	void *userdata; /* borrowed */
	size_t header_bytes, body_bytes;
	bool has_header;  /* the final answer's is complete */
	int socket_errno; /* our own socket calls failed */
};

struct probe_curl_engine {
	sd_event *event;	/* owned reference */
	sd_event_source *timer; /* owned */
	CURLM *multi;		/* owned */
	struct probe_curl *idle;
};

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose,
				    struct curl_sockaddr *address)
{
	struct probe_curl *p = userdata;
	int fd;

	(void)purpose;
	(void)address; /* it was parsed from what the specification says */
	fd = probe_socket_open(p->spec);
	if (fd >= 0)
		return fd;
	p->socket_errno = -fd;
	return CURL_SOCKET_BAD;
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
	struct probe_curl *p = userdata;
	long status = 0;

	p->header_bytes += size * n;
	if (data[0] == '\r' || data[0] == '\n') {
		(void)libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
		p->has_header = status >= 200;
	}
	return p->header_bytes > PROBE_CURL_HEADER_MAX ? 0 : size * n;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct probe_curl *p = userdata;

	(void)data;
	p->body_bytes += size * n;
	return p->body_bytes > PROBE_CURL_BODY_MAX ? 0 : size * n;
}

static bool status_matches(const struct probe_spec *spec, long status)
{
	for (size_t i = 0; i < spec->n_matcher; i++)
		if (status >= spec->matcher[i].low && status <= spec->matcher[i].high)
			return true;
	return false;
}

static enum probe_outcome judge_status(struct probe_curl *p, int32_t *ret_detail)
{
	long status = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	*ret_detail = (int32_t)status;
	return status_matches(p->spec, status) ? PROBE_OK : PROBE_WRONG_STATUS;
}

static bool is_connected(struct probe_curl *p)
{
	curl_off_t connect_usec = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_CONNECT_TIME_T, &connect_usec);
	return connect_usec > 0;
}

static enum probe_outcome judge_deadline(struct probe_curl *p)
{
	if (!is_connected(p))
		return PROBE_CONNECT_TIMEOUT;
	return p->has_header ? PROBE_BODY_TIMEOUT : PROBE_HEADER_TIMEOUT;
}

static enum probe_outcome judge_connect(struct probe_curl *p, long error, int32_t *ret_detail)
{
	if (p->socket_errno)
		error = p->socket_errno;
	*ret_detail = (int32_t)error;
	if (p->socket_errno || error == 0)
		return PROBE_INTERNAL_ERROR;
	return probe_outcome_from_errno((int)error);
}

static enum probe_outcome judge(struct probe_curl *p, CURLcode code, int32_t *ret_detail)
{
	long error = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_OS_ERRNO, &error);
	*ret_detail = 0;
	switch (code) {
	case CURLE_OK:
		return judge_status(p, ret_detail);
	case CURLE_WRITE_ERROR: /* our callbacks refused more */
		if (p->header_bytes > PROBE_CURL_HEADER_MAX)
			return PROBE_BAD_RESPONSE;
		return judge_status(p, ret_detail);
	case CURLE_COULDNT_CONNECT:
		return judge_connect(p, error, ret_detail);
	case CURLE_OPERATION_TIMEDOUT:
		return judge_deadline(p);
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_SEND_ERROR:
		return PROBE_RESET;
	case CURLE_RECV_ERROR: /* a failed read, or bad chunked framing */
		*ret_detail = (int32_t)error;
		return error ? PROBE_RESET : PROBE_BAD_RESPONSE;
	case CURLE_OUT_OF_MEMORY:
		*ret_detail = ENOMEM;
		return PROBE_INTERNAL_ERROR;
	case CURLE_FAILED_INIT:
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		*ret_detail = EINVAL;
		return PROBE_INTERNAL_ERROR;
	default:
		return PROBE_BAD_RESPONSE;
	}
}

static void make_idle(struct probe_curl *p)
{
	(void)libcurl.multi_remove_handle(p->engine->multi, p->easy);
	libcurl.slist_free_all(p->headers);
	p->headers = NULL;
	p->next_idle = p->engine->idle;
	p->engine->idle = p;
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
		outcome = judge(p, message->data.result, &detail);
		make_idle(p);
		p->done(p->userdata, outcome, detail);
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

	r = libcurl_load();
	if (r < 0)
		return r;
	e = calloc(1, sizeof(*e));
	if (!e)
		return -ENOMEM;
	e->event = sd_event_ref(event);
	e->multi = libcurl.multi_init();
	r = e->multi ? sd_event_add_time(event, &e->timer, CLOCK_MONOTONIC, USEC_NEVER, 1, on_timer,
					 e)
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
	sd_event_source_disable_unref(e->timer);
	sd_event_unref(e->event);
	free(e);
}

/* The options that no specification changes. */
static CURLcode set_constant_options(struct probe_curl *p)
{
	static const struct {
		CURLoption option;
		long value;
	} longs[] = {
		{ CURLOPT_HTTPGET, 1 },	       { CURLOPT_HTTP_VERSION, CURL_HTTP_VERSION_1_1 },
		{ CURLOPT_HTTP09_ALLOWED, 0 }, { CURLOPT_FRESH_CONNECT, 1 },
		{ CURLOPT_FORBID_REUSE, 1 },   { CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_NOSIGNAL, 1 },       { CURLOPT_NETRC, CURL_NETRC_IGNORED },
		{ CURLOPT_BUFFERSIZE, 4096 },  { CURLOPT_DNS_CACHE_TIMEOUT, 0 },
		{ CURLOPT_TCP_KEEPALIVE, 0 },
	};
	CURLcode code = CURLE_OK;

	for (size_t i = 0; i < ARRAY_SIZE(longs) && code == CURLE_OK; i++)
		code = libcurl.easy_setopt(p->easy, longs[i].option, longs[i].value);
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_PROXY, "");
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_PROTOCOLS_STR, "http");
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_USERAGENT, "ipvsd/" IPVSD_VERSION);
	if (code != CURLE_OK)
		return code;
	(void)libcurl.easy_setopt(p->easy, CURLOPT_PRIVATE, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_OPENSOCKETDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_HEADERDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
	return CURLE_OK;
}

/* Easy handles are expensive to make and are used again, with the options above still set. */
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
	p->easy = libcurl.easy_init();
	if (p->easy && set_constant_options(p) == CURLE_OK)
		return p;
	libcurl.easy_cleanup(p->easy);
	free(p);
	return NULL;
}

static CURLcode set_request(struct probe_curl *p)
{
	const struct probe_spec *spec = p->spec;
	char where[ADDR_PORT_STR_MAX], url[ADDR_PORT_STR_MAX + 16];
	char host[PROTOCOL_HOST_MAX + 16];
	struct curl_slist *more;
	CURLcode code;

	(void)addr_port_format(&spec->addr, spec->port, where);
	(void)snprintf(url, sizeof(url), "http://%s/", where);
	(void)snprintf(host, sizeof(host), "Host: %s",
		       spec->text_size[PROTOCOL_TEXT_HOST] ? spec->text[PROTOCOL_TEXT_HOST]
							   : where);
	p->headers = libcurl.slist_append(NULL, host);
	more = libcurl.slist_append(p->headers, "Connection: close");
	if (!p->headers || !more)
		return CURLE_OUT_OF_MEMORY;
	code = libcurl.easy_setopt(p->easy, CURLOPT_URL, url);
	/* The path goes out as it was written, unnormalised. */
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_REQUEST_TARGET,
					   spec->text[PROTOCOL_TEXT_PATH]);
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers);
	if (code == CURLE_OK) /* a second line of defence behind the prober's deadline */
		code = libcurl.easy_setopt(p->easy, CURLOPT_CONNECTTIMEOUT_MS,
					   (long)(spec->timeout_usec / USEC_PER_MSEC) + 1000);
	return code;
}

int probe_curl_start(struct probe_curl_engine *e, const struct probe_spec *spec, probe_done_t done,
		     void *userdata, struct probe_curl **ret)
{
	struct probe_curl *p = take_idle(e);

	if (!p)
		return -ENOMEM;
	p->spec = spec;
	p->done = done;
	p->userdata = userdata;
	p->header_bytes = 0;
	p->body_bytes = 0;
	p->has_header = false;
	p->socket_errno = 0;
	if (set_request(p) != CURLE_OK || libcurl.multi_add_handle(e->multi, p->easy) != CURLM_OK) {
		make_idle(p);
		return -ENOMEM;
	}
	*ret = p;
	return 0;
}

enum probe_outcome probe_curl_cancel(struct probe_curl *p)
{
	enum probe_outcome outcome = judge_deadline(p);

	make_idle(p);
	return outcome;
}

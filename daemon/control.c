/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * libmicrohttpd without threads: its epoll descriptor and its timeout are sources of the manager's loop, and
 * MHD_run() does what is due. A request that waits for events is suspended and resumed, which calls on_request()
 * once more for it.
 */

#include "daemon/control.h"

#include <errno.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/number.h"
#include "conf/value.h"
#include "daemon/control-request.h"
#include "daemon/control-socket.h"
#include "daemon/inspect.h"
#include "daemon/libmicrohttpd.h"
#include "daemon/manager.h"

enum {
	CONNECTIONS_MAX = 256,
	CONNECTION_MEMORY = 32 * 1024, /* headers and MHD's own buffers */
	INACTIVITY_SECONDS = 10,
	WAITERS_MAX = 64,	   /* for events */
	DISCARD_MAX = 1024 * 1024, /* of a body that is too large, before the connection is cut */
	TRIM_MIN = 256 * 1024,	   /* an answer whose making may have grown the heap */
};

struct exchange {
	LIST_ENTRY(exchange) waiting;	   /* linked while suspended */
	struct MHD_Connection *connection; /* borrowed */
	bool suspended;
	usec_t deadline_usec; /* monotonic; of the wait for events; 0 = none yet */
	enum control_peer peer;
	char *body; /* owned */
	size_t body_len;
};

LIST_HEAD(exchange_list, exchange);

struct control {
	struct manager *manager; /* borrowed */
	struct control_socket socket;
	struct MHD_Daemon *http; /* owned, as all below */
	sd_event_source *io_source, *timer_source;
	struct exchange_list waiting;
	unsigned n_waiting;
	bool stopping;
};

/*
 * The C library keeps what was freed in the middle of its heap, so that one question about ten thousand targets would
 * make this process larger for good.
 */
static void free_answer(void *text)
{
	size_t size = malloc_usable_size(text);

	free(text);
	if (size > TRIM_MIN)
		(void)malloc_trim(0);
}

/* Takes over text. */
static enum MHD_Result respond_text(struct MHD_Connection *connection, unsigned status, char *text,
				    size_t len)
{
	struct MHD_Response *response;
	enum MHD_Result ret;

	response = libmicrohttpd.create_response_from_buffer_with_free_callback(len, text,
										free_answer);
	if (!response) {
		free(text);
		return MHD_NO;
	}
	(void)libmicrohttpd.add_response_header(response, "Content-Type", "application/json");
	ret = libmicrohttpd.queue_response(connection, status, response);
	libmicrohttpd.destroy_response(response);
	return ret;
}

static enum MHD_Result respond(struct MHD_Connection *connection, unsigned status,
			       const json_t *report)
{
	char *text = json_dumps(report, JSON_COMPACT | JSON_PRESERVE_ORDER);
	size_t len;

	if (!text)
		return MHD_NO;
	/* A final newline in the place of the NUL: for people with curl. */
	len = strlen(text);
	text[len] = '\n';
	return respond_text(connection, status, text, len + 1);
}

static enum MHD_Result respond_error(struct MHD_Connection *connection,
				     const struct control_error *e)
{
	json_t *report = json_pack("{s:s}", "error", e->text);
	enum MHD_Result ret;

	if (!report)
		return MHD_NO;
	ret = respond(connection, e->status, report);
	json_decref(report);
	return ret;
}

static unsigned http_status(int error, const json_t *report)
{
	switch (error) {
	case 0:
		return 200;
	case -ENOENT:
		return 404;
	case -EEXIST:
	case -EBUSY:
		return 409;
	case -EINVAL:
		return json_object_get(report, "diagnostics") ? 422 : 400;
	default:
		return 500;
	}
}

static int run_target_verb(struct manager *m, const struct control_request *r, json_t **ret_report)
{
	static const enum manager_target_verb verbs[_CONTROL_VERB_MAX] = {
		[CONTROL_REGISTER] = MANAGER_REGISTER,
		[CONTROL_DEREGISTER] = MANAGER_DEREGISTER,
		[CONTROL_DRAIN] = MANAGER_DRAIN,
		[CONTROL_UNDRAIN] = MANAGER_UNDRAIN,
	};
	struct manager_target_request request = {
		.group = r->group,
		.target = r->target,
		.zone = r->zone,
		.weight = r->weight,
	};

	return manager_target(m, verbs[r->verb], &request, ret_report);
}

static int run_events(struct manager *m, const struct control_request *r, json_t **ret_report)
{
	const struct event_filter filter = {
		.after = r->after,
		.since_wall_usec = r->since_usec,
		.group = r->group,
		.target = r->target,
	};

	return manager_events(m, &filter, ret_report);
}

static int run_request(struct manager *m, const struct control_request *r, json_t **ret_report)
{
	switch (r->verb) {
	case CONTROL_VERSION:
		*ret_report = json_pack("{s:s}", "version", IPVSD_VERSION);
		return *ret_report ? 0 : -ENOMEM;
	case CONTROL_EVENTS:
		return run_events(m, r, ret_report);
	case CONTROL_EXPLAIN:
		return inspect_explain(m, r->group, r->target, ret_report);
	case CONTROL_HISTORY:
		return inspect_history(m, r->group, r->target, ret_report);
	case CONTROL_RELOAD:
		return manager_reload(m, ret_report);
	case CONTROL_PLAN:
		return manager_plan(m, r->config, ret_report);
	case CONTROL_REGISTER:
	case CONTROL_DEREGISTER:
	case CONTROL_DRAIN:
	case CONTROL_UNDRAIN:
		return run_target_verb(m, r, ret_report);
	case CONTROL_FASTPATH:
		return manager_fastpath_status(m, ret_report);
	case CONTROL_FASTPATH_ON:
	case CONTROL_FASTPATH_OFF:
		return manager_fastpath_order(m, r->verb == CONTROL_FASTPATH_ON, r->force,
					      ret_report);
	case CONTROL_STATUS: /* answer_text() */
	case CONTROL_DESCRIBE:
	case _CONTROL_VERB_MAX:
		break;
	}
	return -EINVAL;
}

static void resume(struct control *c, struct exchange *x)
{
	LIST_REMOVE(x, waiting);
	x->suspended = false;
	c->n_waiting--;
	libmicrohttpd.resume_connection(x->connection);
}

/* Whoever went away while waiting is not noticed until its wait ends: too many must not lock out the others. */
static void end_longest_wait(struct control *c)
{
	struct exchange *x, *oldest = NULL;

	LIST_FOREACH(x, &c->waiting, waiting)
	oldest = x; /* the newest stand first */
	if (oldest) {
		oldest->deadline_usec = 1;
		resume(c, oldest);
	}
}

/* Waits when the client asked for it, knows all that there is, and has not waited long enough. */
static bool wait_for_events(struct control *c, struct exchange *x, const struct control_request *r)
{
	usec_t now = clock_monotonic_usec();

	if (r->verb != CONTROL_EVENTS || r->wait_seconds == 0 || c->stopping ||
	    r->after != c->manager->events.last)
		return false;
	if (x->deadline_usec == 0)
		x->deadline_usec = now + r->wait_seconds * USEC_PER_SEC;
	if (now >= x->deadline_usec)
		return false;

	if (c->n_waiting >= WAITERS_MAX)
		end_longest_wait(c);
	x->suspended = true;
	c->n_waiting++;
	LIST_INSERT_HEAD(&c->waiting, x, waiting);
	libmicrohttpd.suspend_connection(x->connection);
	return true;
}

static enum MHD_Result answer_out_of_memory(struct exchange *x)
{
	return respond_error(x->connection,
			     &(struct control_error){ .status = 500, .text = "out of memory" });
}

/* What may be about ten thousand targets. */
static enum MHD_Result answer_text(struct control *c, struct exchange *x,
				   const struct control_request *r)
{
	char *text;
	size_t len;
	int error = r->verb == CONTROL_STATUS
			    ? manager_status(c->manager, &text, &len)
			    : inspect_describe(c->manager, r->group, r->targets, &text, &len);

	if (error == -ENOMEM)
		return answer_out_of_memory(x);
	return respond_text(x->connection, http_status(error, NULL), text, len);
}

static enum MHD_Result answer(struct control *c, struct exchange *x,
			      const struct control_request *r)
{
	json_t *report = NULL;
	enum MHD_Result ret;
	int error;

	if (r->config && x->peer != CONTROL_PEER_ROOT)
		return respond_error(x->connection,
				     &(struct control_error){
					     .status = 403,
					     .text = "a plan of another file is for root only" });
	if (wait_for_events(c, x, r))
		return MHD_YES;

	if (r->verb == CONTROL_STATUS || r->verb == CONTROL_DESCRIBE)
		return answer_text(c, x, r);
	error = run_request(c->manager, r, &report);
	if (!report)
		return answer_out_of_memory(x);
	ret = respond(x->connection, http_status(error, report), report);
	json_decref(report);
	return ret;
}

struct query {
	struct control_parameter items[CONTROL_QUERY_MAX + 1];
	size_t n;
	bool has_nul;
};

static enum MHD_Result on_parameter(void *userdata, enum MHD_ValueKind kind, const char *name,
				    size_t name_size, const char *value, size_t value_size)
{
	struct query *q = userdata;

	(void)kind;
	if (strlen(name) != name_size || (value && strlen(value) != value_size))
		q->has_nul = true;
	if (q->n < ARRAY_SIZE(q->items))
		q->items[q->n++] = (struct control_parameter){ name, value };
	return MHD_YES;
}

static enum MHD_Result on_whole_request(struct control *c, struct exchange *x, const char *method,
					const char *path)
{
	_cleanup_(control_request_deinit) struct control_request r = CONTROL_REQUEST_INIT;
	struct control_error e = { .status = 400, .text = "a parameter has a NUL byte" };
	struct query q = { .n = 0 };

	(void)libmicrohttpd.get_connection_values_n(x->connection, MHD_GET_ARGUMENT_KIND,
						    on_parameter, &q);
	if (q.has_nul)
		return respond_error(x->connection, &e);
	if (control_request_parse(method, path, q.items, q.n, x->body, x->body_len, &r, &e) < 0)
		return respond_error(x->connection, &e);
	return answer(c, x, &r);
}

/* Headers are in, the body is not: the last moment to refuse before reading it. */
static enum MHD_Result on_headers(struct control *c, struct MHD_Connection *connection,
				  const char *method, const char *path, struct exchange **ret)
{
	const union MHD_ConnectionInfo *info =
		libmicrohttpd.get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
	const char *length = libmicrohttpd.lookup_connection_value(connection, MHD_HEADER_KIND,
								   "Content-Length");
	struct control_error e = {
		.status = 403, .text = "permission denied: be root or a member of group ipvsd"
	};
	enum control_verb verb;
	struct exchange *x;
	uint64_t len;

	x = calloc(1, sizeof(*x));
	if (!x)
		return MHD_NO;
	*ret = x;
	x->connection = connection;
	x->peer = info ? control_socket_peer(&c->socket, info->connect_fd) : CONTROL_PEER_DENIED;
	if (x->peer == CONTROL_PEER_DENIED)
		return respond_error(connection, &e);
	if (control_request_route(method, path, &verb, &e) < 0)
		return respond_error(connection, &e);
	/*
	 * A client that is still sending when the connection closes may not see the answer, so what is moderately
	 * too large is read and refused then.
	 */
	if (length && number_parse(length, DISCARD_MAX, &len) < 0)
		return respond_error(connection,
				     &(struct control_error){ .status = 413,
							      .text = "the body is too large" });
	return MHD_YES;
}

/* A body over the limit is counted, not kept; the parser refuses it by its length. */
static enum MHD_Result on_body(struct exchange *x, const char *data, size_t len)
{
	if (x->body_len + len > DISCARD_MAX)
		return MHD_NO;
	if (x->body_len + len <= CONTROL_BODY_MAX) {
		char *grown = realloc(x->body, x->body_len + len);

		if (!grown)
			return MHD_NO;
		x->body = grown;
		memcpy(x->body + x->body_len, data, len);
	}
	x->body_len += len;
	return MHD_YES;
}

static enum MHD_Result on_request(void *userdata, struct MHD_Connection *connection,
				  const char *path, const char *method, const char *version,
				  const char *upload, size_t *upload_len, void **state)
{
	struct control *c = userdata;
	struct exchange *x = *state;
	size_t len = *upload_len;

	(void)version;
	if (!x)
		return on_headers(c, connection, method, path, (struct exchange **)state);
	if (len > 0) {
		*upload_len = 0;
		return on_body(x, upload, len);
	}
	return on_whole_request(c, x, method, path);
}

static void on_completed(void *userdata, struct MHD_Connection *connection, void **state,
			 enum MHD_RequestTerminationCode why)
{
	struct exchange *x = *state;
	struct control *c = userdata;

	(void)connection;
	(void)why;
	if (!x)
		return;
	if (x->suspended) {
		LIST_REMOVE(x, waiting);
		c->n_waiting--;
	}
	free(x->body);
	free(x);
	*state = NULL;
}

__attribute__((format(printf, 2, 0))) static void on_http_log(void *userdata, const char *format,
							      va_list args)
{
	char text[256];

	(void)userdata;
	(void)vsnprintf(text, sizeof(text), format, args);
	text[strcspn(text, "\n")] = '\0';
	/* What MHD reports are the clients' faults: nothing that the operator must act on. */
	log_debug("control socket: %s", text);
}

static void set_timer(struct control *c, usec_t due)
{
	int ret = due == USEC_NEVER ? 0 : sd_event_source_set_time(c->timer_source, due);

	if (ret >= 0)
		ret = sd_event_source_set_enabled(
			c->timer_source, due == USEC_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
	if (ret < 0)
		log_err("control socket: cannot set its timer: %s", strerror(-ret));
}

static void rearm(struct control *c)
{
	usec_t due = USEC_NEVER;
	MHD_UNSIGNED_LONG_LONG timeout_msec;
	struct exchange *x;

	if (libmicrohttpd.get_timeout(c->http, &timeout_msec) == MHD_YES)
		due = clock_monotonic_usec() + (usec_t)timeout_msec * USEC_PER_MSEC;
	LIST_FOREACH(x, &c->waiting, waiting)
	due = MIN(due, x->deadline_usec);
	set_timer(c, due);
}

static void run_http(struct control *c)
{
	if (libmicrohttpd.run(c->http) != MHD_YES)
		log_warning("control socket: the HTTP server failed to run; ignoring");
	rearm(c);
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)s;
	(void)fd;
	(void)revents;
	run_http(userdata);
	return 0;
}

static int on_timer(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct control *c = userdata;
	struct exchange *x, *next;

	(void)s;
	for (x = LIST_FIRST(&c->waiting); x; x = next) {
		next = LIST_NEXT(x, waiting);
		if (x->deadline_usec <= usec)
			resume(c, x);
	}
	run_http(c);
	return 0;
}

static int start_http(struct control *c)
{
	int r = libmicrohttpd_load();

	if (r < 0) {
		log_err("control socket: cannot load libmicrohttpd: install the package "
			"libmicrohttpd12");
		return r;
	}
	c->http = libmicrohttpd.start_daemon(
		MHD_USE_EPOLL | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG, 0, NULL, NULL,
		on_request, c, MHD_OPTION_EXTERNAL_LOGGER, on_http_log, c, MHD_OPTION_LISTEN_SOCKET,
		c->socket.fd, MHD_OPTION_NOTIFY_COMPLETED, on_completed, c,
		MHD_OPTION_CONNECTION_LIMIT, (unsigned)CONNECTIONS_MAX,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY,
		MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)INACTIVITY_SECONDS,
		MHD_OPTION_STRICT_FOR_CLIENT, 1, MHD_OPTION_END);
	if (!c->http) {
		log_err("control socket: the HTTP server does not start");
		return -EIO;
	}
	return 0;
}

static int add_sources(struct control *c, sd_event *event)
{
	const union MHD_DaemonInfo *info =
		libmicrohttpd.get_daemon_info(c->http, MHD_DAEMON_INFO_EPOLL_FD);
	int ret;

	if (!info)
		return -EIO;
	ret = sd_event_add_io(event, &c->io_source, info->epoll_fd, EPOLLIN, on_io, c);
	if (ret < 0)
		return ret;
	ret = sd_event_add_time(event, &c->timer_source, CLOCK_MONOTONIC, 0, USEC_PER_MSEC,
				on_timer, c);
	if (ret < 0)
		return ret;
	(void)sd_event_source_set_description(c->io_source, "control-socket");
	(void)sd_event_source_set_description(c->timer_source, "control-socket-timer");
	return 0;
}

DEFINE_CLEANUP(struct control *, control_free)

int control_new(struct manager *m, const char *path, struct control **ret)
{
	_cleanup_(control_free_p) struct control *c = calloc(1, sizeof(*c));
	int error;

	if (!c)
		return -ENOMEM;
	c->manager = m;
	c->socket = CONTROL_SOCKET_INIT;
	LIST_INIT(&c->waiting);

	error = control_socket_open(path, &c->socket);
	if (error < 0)
		return error;

	*ret = take_ptr(c);
	return 0;
}

int control_start(struct control *c)
{
	int r = start_http(c);

	if (r == 0)
		r = add_sources(c, c->manager->event);
	if (r == 0)
		control_socket_admit_group(&c->socket);
	return r;
}

void control_free(struct control *c)
{
	if (!c)
		return;
	c->stopping = true;
	if (c->http) {
		/* Waiting requests get their (empty) answer; MHD also insists that nothing is suspended. */
		while (!LIST_EMPTY(&c->waiting))
			resume(c, LIST_FIRST(&c->waiting));
		(void)libmicrohttpd.run(c->http);
		/* The listening socket is ours to close, after MHD has let go of it. */
		(void)libmicrohttpd.quiesce_daemon(c->http);
		libmicrohttpd.stop_daemon(c->http);
	}
	sd_event_source_disable_unref(c->io_source);
	sd_event_source_disable_unref(c->timer_source);
	control_socket_close(&c->socket);
	free(c);
}

const char *control_path(const struct control *c)
{
	return c->socket.path;
}

void control_notify_events(struct control *c)
{
	if (LIST_EMPTY(&c->waiting))
		return;
	while (!LIST_EMPTY(&c->waiting))
		resume(c, LIST_FIRST(&c->waiting));
	/* The next MHD_run() answers them; MHD 0.9.75's epoll descriptor does not become readable for it. */
	set_timer(c, 0);
}

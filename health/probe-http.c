/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"

enum {
	REQUEST_MAX = PROBE_PROXY_HEADER_LEN + PROTOCOL_PATH_MAX + PROTOCOL_HOST_MAX + 128,
};

static struct probe_http *probe_of(struct connection *c)
{
	return (struct probe_http *)((char *)c - offsetof(struct probe_http, connection));
}

static void finish(struct probe_http *p, enum probe_outcome outcome, int32_t detail)
{
	(void)probe_http_cancel(p);
	p->done(p->userdata, outcome, detail);
}

static int make_request(const struct probe_spec *spec, struct probe_http_request *ret)
{
	const char *host = spec->text[PROTOCOL_TEXT_HOST];
	char where[ADDR_PORT_STR_MAX], buf[REQUEST_MAX];
	char *end = buf, *bytes;
	size_t size;

	if (!*host)
		host = addr_port_format(&spec->addr, spec->port, where);
	/* Lengths are bounded by protocol_check(). */
	if (spec->flags & PROTOCOL_PROBE_PROXY_V2)
		end = mempcpy(end, probe_proxy_header, PROBE_PROXY_HEADER_LEN);
	end = stpcpy(end, "GET ");
	end = stpcpy(end, spec->text[PROTOCOL_TEXT_PATH]);
	end = stpcpy(end, " HTTP/1.1\r\nHost: ");
	end = stpcpy(end, host);
	end = stpcpy(end, "\r\nUser-Agent: ipvsd/" IPVSD_VERSION
			  "\r\nAccept: */*\r\nConnection: close\r\n\r\n");
	size = (size_t)(end - buf);
	bytes = malloc(size);
	if (!bytes)
		return -ENOMEM;
	*ret = (struct probe_http_request){ memcpy(bytes, buf, size), size };
	return 0;
}

void probe_http_request_deinit(struct probe_http_request *r)
{
	free(r->bytes);
	*r = (struct probe_http_request){ 0 };
}

static bool status_matches(const struct probe_spec *spec, unsigned status)
{
	for (size_t i = 0; i < spec->n_matcher; i++)
		if (status >= spec->matcher[i].low && status <= spec->matcher[i].high)
			return true;
	return false;
}

/* Does the body, or what we keep of it, hold what is expected? */
static void judge_body(struct probe_http *p, bool whole)
{
	int r = pattern_match(p->spec->text[PROTOCOL_TEXT_EXPECT],
			      p->spec->text_size[PROTOCOL_TEXT_EXPECT], p->answer.body,
			      p->answer.body_size);

	if (r < 0)
		finish(p, PROBE_INTERNAL_ERROR, -r);
	else if (r > 0)
		finish(p, PROBE_OK, p->answer.status);
	else
		finish(p, whole ? PROBE_WRONG_BODY : PROBE_TOO_LARGE, 0);
}

/* The header is complete, and the body too where it is expected. */
static void judge(struct probe_http *p)
{
	if (!status_matches(p->spec, p->answer.status))
		finish(p, PROBE_WRONG_STATUS, p->answer.status);
	else if (p->answer.body)
		judge_body(p, true);
	else
		finish(p, PROBE_OK, p->answer.status);
}

static void judge_too_large(struct probe_http *p)
{
	if (p->answer.body_size == HTTP_ANSWER_BODY_MAX)
		judge_body(p, false);
	else
		finish(p, PROBE_TOO_LARGE, 0);
}

/* Without an error the server has closed: the answer is cut off, unless this is how its body ends. */
static void on_end(struct connection *c, int error)
{
	struct probe_http *p = probe_of(c);

	if (error != 0 && c->sent < c->request_size)
		finish(p, probe_outcome_from_errno(error), error);
	else if (error == 0 && http_answer_end(&p->answer) == HTTP_DONE)
		judge(p);
	else
		finish(p, PROBE_RESET, error);
}

/* Not before the first byte: silent targets by the thousand cost no memory. */
static bool expects_body(struct probe_http *p)
{
	if (p->answer.body || !p->spec->text_size[PROTOCOL_TEXT_EXPECT])
		return true;
	p->answer.body = malloc(HTTP_ANSWER_BODY_MAX);
	return p->answer.body != NULL;
}

static bool on_bytes(struct connection *c, const char *bytes, size_t size)
{
	struct probe_http *p = probe_of(c);

	if (!expects_body(p)) {
		finish(p, PROBE_INTERNAL_ERROR, ENOMEM);
		return false;
	}
	switch (http_answer_feed(&p->answer, bytes, size)) {
	case HTTP_MORE:
		if (!p->answer.has_header || status_matches(p->spec, p->answer.status))
			return true;
		judge(p);
		return false;
	case HTTP_DONE:
		judge(p);
		return false;
	case HTTP_TOO_LARGE:
		judge_too_large(p);
		return false;
	default:
		/* A wrong status says more, and is not to depend on whether the body came in the same segment. */
		if (p->answer.has_header && !status_matches(p->spec, p->answer.status))
			judge(p);
		else
			finish(p, PROBE_BAD_RESPONSE, 0);
		return false;
	}
}

void probe_http_start(struct probe_http *p, struct connector *connector,
		      const struct probe_spec *spec, struct probe_http_request *request,
		      probe_done_t done, void *userdata)
{
	int r = 0;

	*p = (struct probe_http){
		.connection = { .wants_answer = true, .on_bytes = on_bytes, .on_end = on_end },
		.spec = spec,
		.done = done,
		.userdata = userdata,
	};
	http_answer_init(&p->answer, NULL);
	if (!request->bytes)
		r = make_request(spec, request);
	if (r == 0) {
		p->connection.request = request->bytes;
		p->connection.request_size = request->size;
		r = connection_open(&p->connection, connector, spec);
	}
	if (r < 0)
		finish(p, probe_outcome_from_setup(-r), -r);
	else if (r > 0)
		finish(p, probe_outcome_from_errno(r), r);
}

enum probe_outcome probe_http_cancel(struct probe_http *p)
{
	connection_close(&p->connection);
	free(p->answer.body);
	p->answer.body = NULL;
	if (!p->connection.connected)
		return PROBE_CONNECT_TIMEOUT;
	return p->answer.has_header ? PROBE_BODY_TIMEOUT : PROBE_HEADER_TIMEOUT;
}

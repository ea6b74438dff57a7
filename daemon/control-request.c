/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/control-request.h"

#include <errno.h>
#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/value.h"
#include "daemon/table.h"

static const struct route {
	const char *path;
	const char *method;
	enum control_verb verb;
} routes[] = {
	{ "/v1/version", "GET", CONTROL_VERSION },
	{ "/v1/status", "GET", CONTROL_STATUS },
	{ "/v1/events", "GET", CONTROL_EVENTS },
	{ "/v1/describe-target-health", "GET", CONTROL_DESCRIBE },
	{ "/v1/explain", "GET", CONTROL_EXPLAIN },
	{ "/v1/history", "GET", CONTROL_HISTORY },
	{ "/v1/reload", "POST", CONTROL_RELOAD },
	{ "/v1/plan", "POST", CONTROL_PLAN },
	{ "/v1/register", "POST", CONTROL_REGISTER },
	{ "/v1/deregister", "POST", CONTROL_DEREGISTER },
	{ "/v1/drain", "POST", CONTROL_DRAIN },
	{ "/v1/undrain", "POST", CONTROL_UNDRAIN },
	{ "/v1/fastpath", "GET", CONTROL_FASTPATH },
	{ "/v1/fastpath/on", "POST", CONTROL_FASTPATH_ON },
	{ "/v1/fastpath/off", "POST", CONTROL_FASTPATH_OFF },
};

__attribute__((format(printf, 3, 4))) static int refuse(struct control_error *e, unsigned status,
							const char *format, ...)
{
	va_list args;

	e->status = status;
	va_start(args, format);
	/* A text cut at CONTROL_ERROR_MAX still names what is wrong. */
	(void)vsnprintf(e->text, sizeof(e->text), format, args);
	va_end(args);
	/* It may quote the client, and be cut within a character: ASCII is UTF-8, and moves no cursor. */
	for (char *c = e->text; *c; c++) {
		if (*c < ' ' || *c > '~')
			*c = '?';
	}
	return -EINVAL;
}

void control_request_deinit(struct control_request *r)
{
	free(r->config);
	free(r->group);
	free(r->target);
	free(r->zone);
	free(r->targets);
	*r = CONTROL_REQUEST_INIT;
}

int control_request_route(const char *method, const char *path, enum control_verb *ret,
			  struct control_error *ret_error)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		if (strcmp(path, routes[i].path) != 0)
			continue;
		if (strcmp(method, routes[i].method) != 0)
			return refuse(ret_error, 405, "%s is asked for with %s", routes[i].path,
				      routes[i].method);
		*ret = routes[i].verb;
		return 0;
	}
	return refuse(ret_error, 404, "no such path; see CONTROL API in ipvsd(8)");
}

/* What ends up in messages and is compared with names: printable ASCII, and blanks where they separate. */
static int take_text(const struct control_parameter *p, size_t max, bool blanks, char **ret,
		     struct control_error *e)
{
	size_t len = p->value ? strlen(p->value) : 0;

	if (len == 0 || len > max)
		return refuse(e, 400, "%s: not a text of 1 to %zu bytes", p->name, max);
	for (size_t i = 0; i < len; i++) {
		char c = p->value[i];

		if (c < ' ' || c > '~' || (c == ' ' && !blanks))
			return refuse(e, 400, "%s: has a byte that is not printable ASCII",
				      p->name);
	}
	*ret = strdup(p->value);
	return *ret ? 0 : refuse(e, 500, "out of memory");
}

static int parse_names_parameter(struct control_request *r, const struct control_parameter *p,
				 const char *known, struct control_error *e)
{
	if (!strcmp(p->name, "group"))
		return take_text(p, CONF_NAME_MAX, false, &r->group, e);
	if (!strcmp(p->name, "target") && r->verb != CONTROL_DESCRIBE)
		return take_text(p, CONF_NAME_MAX + 1 + CONF_HOST_MAX, false, &r->target, e);
	if (!strcmp(p->name, "targets") && r->verb == CONTROL_DESCRIBE)
		return take_text(p, CONTROL_TARGETS_MAX, true, &r->targets, e);
	return refuse(e, 400, "unknown parameter \"%s\"; known: %s", p->name, known);
}

static int parse_events_parameter(struct control_request *r, const struct control_parameter *p,
				  struct control_error *e)
{
	uint64_t wait;

	if (!strcmp(p->name, "after")) {
		if (!p->value || number_parse(p->value, INT64_MAX, &r->after) < 0)
			return refuse(e, 400, "after: not a sequence number");
		return 0;
	}
	if (!strcmp(p->name, "wait")) {
		if (!p->value || number_parse(p->value, CONTROL_WAIT_MAX_SECONDS, &wait) < 0)
			return refuse(e, 400, "wait: not a number of seconds from 0 to %d",
				      CONTROL_WAIT_MAX_SECONDS);
		r->wait_seconds = (unsigned)wait;
		return 0;
	}
	if (!strcmp(p->name, "since")) {
		if (!p->value || !table_parse_time(p->value, &r->since_usec))
			return refuse(e, 400,
				      "since: not a time such as 2026-11-22T10:00:00Z (UTC)");
		return 0;
	}
	return parse_names_parameter(r, p, "after, wait, since, group, target", e);
}

/* Of verbs that only look: what must be there? */
static int check_names(const struct control_request *r, struct control_error *e)
{
	if (r->verb == CONTROL_DESCRIBE && !r->group)
		return refuse(e, 400, "parameter \"group\" is missing");
	if (r->verb == CONTROL_EXPLAIN && !r->target)
		return refuse(e, 400, "parameter \"target\" is missing");
	if (r->verb == CONTROL_HISTORY && !r->target && !r->group)
		return refuse(e, 400, "parameter \"target\" or \"group\" is missing");
	return 0;
}

static int parse_plan_parameter(struct control_request *r, const struct control_parameter *p,
				struct control_error *e)
{
	if (strcmp(p->name, "config") != 0)
		return refuse(e, 400, "unknown parameter \"%s\"; known: config", p->name);
	/* The daemon's working directory is not the client's. */
	if (!p->value || p->value[0] != '/')
		return refuse(e, 400, "config: not an absolute path");
	free(r->config);
	r->config = strdup(p->value);
	return r->config ? 0 : refuse(e, 500, "out of memory");
}

static int parse_parameter(struct control_request *r, const struct control_parameter *p,
			   struct control_error *e)
{
	switch (r->verb) {
	case CONTROL_EVENTS:
		return parse_events_parameter(r, p, e);
	case CONTROL_DESCRIBE:
		return parse_names_parameter(r, p, "group, targets", e);
	case CONTROL_EXPLAIN:
	case CONTROL_HISTORY:
		return parse_names_parameter(r, p, "group, target", e);
	case CONTROL_PLAN:
		return parse_plan_parameter(r, p, e);
	default:
		return refuse(e, 400, "unknown parameter \"%s\"; this path takes none", p->name);
	}
}

static int parse_query(struct control_request *r, const struct control_parameter *query,
		       size_t n_query, struct control_error *e)
{
	int ret = 0;

	if (n_query > CONTROL_QUERY_MAX)
		return refuse(e, 400, "more than %d parameters", CONTROL_QUERY_MAX);
	for (size_t i = 0; i < n_query && ret == 0; i++) {
		for (size_t k = 0; k < i; k++) {
			if (!strcmp(query[i].name, query[k].name))
				return refuse(e, 400, "parameter \"%s\" is repeated",
					      query[i].name);
		}
		ret = parse_parameter(r, &query[i], e);
	}
	return ret ? ret : check_names(r, e);
}

static int take_string(const char *name, const json_t *value, size_t max, char **ret,
		       struct control_error *e)
{
	size_t len = json_string_length(value);

	if (!json_is_string(value))
		return refuse(e, 400, "\"%s\": not a string", name);
	if (len == 0 || len > max)
		return refuse(e, 400, "\"%s\": not a string of 1 to %zu bytes", name, max);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)json_string_value(value)[i];

		if (c <= ' ' || c >= 0x7f)
			return refuse(e, 400, "\"%s\": has a byte that is not printable ASCII",
				      name);
	}
	*ret = strdup(json_string_value(value));
	return *ret ? 0 : refuse(e, 500, "out of memory");
}

static int parse_member(struct control_request *r, const char *name, const json_t *value,
			struct control_error *e)
{
	bool registers = r->verb == CONTROL_REGISTER;

	if (!strcmp(name, "group"))
		return take_string(name, value, CONF_NAME_MAX, &r->group, e);
	if (!strcmp(name, "target"))
		return take_string(name, value, CONF_HOST_MAX, &r->target, e);
	if (registers && !strcmp(name, "zone"))
		return take_string(name, value, CONF_ZONE_MAX - 1, &r->zone, e);
	if (registers && !strcmp(name, "weight")) {
		json_int_t weight = json_integer_value(value);

		if (!json_is_integer(value) || weight < 0 || weight > CONF_TARGET_WEIGHT_MAX)
			return refuse(e, 400, "\"weight\": not an integer from 0 to %d",
				      CONF_TARGET_WEIGHT_MAX);
		r->weight = weight;
		return 0;
	}
	return refuse(e, 400, "unknown member \"%.40s\"; known: group, target%s", name,
		      registers ? ", weight, zone" : "");
}

static int parse_target_body(struct control_request *r, json_t *object, struct control_error *e)
{
	const char *name;
	json_t *value;
	int ret;

	json_object_foreach (object, name, value) {
		ret = parse_member(r, name, value, e);
		if (ret < 0)
			return ret;
	}
	if (!r->group)
		return refuse(e, 400, "member \"group\" is missing");
	if (!r->target)
		return refuse(e, 400, "member \"target\" is missing");
	return 0;
}

static int parse_fastpath_body(struct control_request *r, json_t *object, struct control_error *e)
{
	const char *name;
	json_t *value;

	json_object_foreach (object, name, value) {
		if (strcmp(name, "force") != 0)
			return refuse(e, 400, "unknown member \"%.40s\"; known: force", name);
		if (!json_is_boolean(value))
			return refuse(e, 400, "\"force\": not true or false");
		r->force = json_is_true(value);
	}
	return 0;
}

static int parse_body(struct control_request *r, const char *body, size_t body_len,
		      struct control_error *e)
{
	json_error_t error;
	json_t *root;
	int ret = 0;
	bool target_verb = r->verb >= CONTROL_REGISTER && r->verb <= CONTROL_UNDRAIN;

	if (body_len > CONTROL_BODY_MAX)
		return refuse(e, 413, "the body is larger than %d bytes", CONTROL_BODY_MAX);
	if (body_len == 0 && !target_verb)
		return 0;

	root = json_loadb(body ? body : "", body_len, JSON_REJECT_DUPLICATES, &error);
	if (!root)
		return refuse(e, 400, "the body is not JSON: line %d, column %d: %s", error.line,
			      error.column, error.text);
	if (!json_is_object(root))
		ret = refuse(e, 400, "the body is not a JSON object");
	else if (target_verb)
		ret = parse_target_body(r, root, e);
	else if (r->verb == CONTROL_FASTPATH_ON)
		ret = parse_fastpath_body(r, root, e);
	else if (json_object_size(root))
		ret = refuse(e, 400, "this path takes no body");
	json_decref(root);
	return ret;
}

int control_request_parse(const char *method, const char *path,
			  const struct control_parameter *query, size_t n_query, const char *body,
			  size_t body_len, struct control_request *ret,
			  struct control_error *ret_error)
{
	_cleanup_(control_request_deinit) struct control_request r = CONTROL_REQUEST_INIT;
	int error;

	error = control_request_route(method, path, &r.verb, ret_error);
	if (error == 0)
		error = parse_query(&r, query, n_query, ret_error);
	if (error == 0)
		error = parse_body(&r, body, body_len, ret_error);
	if (error < 0)
		return error;

	*ret = r;
	r = CONTROL_REQUEST_INIT;
	return 0;
}

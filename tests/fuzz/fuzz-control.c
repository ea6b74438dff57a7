/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A control request: "METHOD PATH [NAME[=VALUE]…]" on the first line, what follows it is the body. The bytes of a
 * body are as they came; method, path and parameters have no NUL, as MHD hands them over.
 */

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/control-request.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	PARAMETERS_MAX = CONTROL_QUERY_MAX + 2,
};

static size_t split_query(char *words, struct control_parameter *query)
{
	size_t n = 0;

	for (char *word = strtok(words, " "); word && n < PARAMETERS_MAX;
	     word = strtok(NULL, " ")) {
		char *equals = strchr(word, '=');

		if (equals)
			*equals++ = '\0';
		query[n++] = (struct control_parameter){ word, equals };
	}
	return n;
}

/* Whom it is about. */
static void check_target(const struct control_request *r)
{
	switch (r->verb) {
	case CONTROL_REGISTER:
	case CONTROL_DEREGISTER:
	case CONTROL_DRAIN:
	case CONTROL_UNDRAIN:
		assert(r->group && r->target);
		break;
	case CONTROL_DESCRIBE:
		assert(r->group && !r->target);
		break;
	case CONTROL_EXPLAIN:
		assert(r->target);
		break;
	case CONTROL_HISTORY:
		assert(r->group || r->target);
		break;
	case CONTROL_EVENTS:
		break;
	default:
		assert(!r->group && !r->target);
	}
}

/* What the manager relies on. */
static void check_promises(const struct control_request *r)
{
	check_target(r);
	assert(r->verb < _CONTROL_VERB_MAX && r->wait_seconds <= CONTROL_WAIT_MAX_SECONDS);
	assert(r->weight >= -1 && r->weight <= CONF_TARGET_WEIGHT_MAX);
	assert(!r->targets || r->verb == CONTROL_DESCRIBE);
	assert(!r->group || (*r->group && strlen(r->group) <= CONF_NAME_MAX));
	assert(!r->zone || (r->verb == CONTROL_REGISTER && strlen(r->zone) < CONF_ZONE_MAX));
	assert(!r->config || (r->verb == CONTROL_PLAN && r->config[0] == '/'));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(control_request_deinit) struct control_request r = CONTROL_REQUEST_INIT;
	struct control_parameter query[PARAMETERS_MAX];
	struct control_error e = { 0 };
	const uint8_t *newline = size ? memchr(data, '\n', size) : NULL;
	size_t head_len = newline ? (size_t)(newline - data) : size;
	const char *body = newline ? (const char *)newline + 1 : NULL;
	size_t body_len = newline ? size - head_len - 1 : 0;
	_cleanup_free_ char *head = strndup(size ? (const char *)data : "", head_len);
	char *path, *words;

	if (!head)
		return 0;
	path = strchr(head, ' ');
	if (!path)
		return 0;
	*path++ = '\0';
	words = path + strcspn(path, " ");
	if (*words)
		*words++ = '\0';

	if (control_request_parse(head, path, query, split_query(words, query), body, body_len, &r,
				  &e) == 0) {
		check_promises(&r);
		return 0;
	}
	assert(e.status >= 400 && e.status < 600 && *e.text);
	for (const char *c = e.text; *c; c++)
		assert(*c >= ' ' && *c <= '~');
	return 0;
}

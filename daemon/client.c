/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/client.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/libcurl.h"

enum {
	ANSWER_MAX = 64 * 1024 * 1024, /* ten thousand targets are about 6 MiB */
	CONNECT_SECONDS = 5,
};

typedef struct curl_slist *curl_list;

static void free_easy(CURL *curl)
{
	libcurl.easy_cleanup(curl);
}

static void free_list(curl_list list)
{
	libcurl.slist_free_all(list);
}

DEFINE_CLEANUP(CURL *, free_easy)
DEFINE_CLEANUP(curl_list, free_list)

struct answer {
	char *bytes; /* owned */
	size_t len, capacity;
};

static void answer_deinit(struct answer *a)
{
	free(a->bytes);
}

void client_reply_deinit(struct client_reply *r)
{
	json_decref(r->body);
	r->body = NULL;
}

static size_t on_bytes(char *bytes, size_t size, size_t n, void *userdata)
{
	struct answer *a = userdata;
	size_t len = size * n;

	if (len > ANSWER_MAX - a->len)
		return 0;
	if (a->len + len > a->capacity) {
		size_t capacity = MAX(a->capacity * 2, a->len + len);
		char *grown = realloc(a->bytes, capacity);

		if (!grown)
			return 0;
		a->bytes = grown;
		a->capacity = capacity;
	}
	memcpy(a->bytes + a->len, bytes, len);
	a->len += len;
	return len;
}

__attribute__((format(printf, 2, 3))) static void explain(char **ret_error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_error, format, args) < 0)
		*ret_error = NULL;
	va_end(args);
}

static int explain_failure(CURL *curl, CURLcode code, const char *socket, char **ret_error)
{
	long os_error = 0;

	(void)libcurl.easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_error);
	if (code == CURLE_OPERATION_TIMEDOUT) {
		explain(ret_error, "ipvsd does not answer on %s; see journalctl -u ipvsd", socket);
		return -ETIMEDOUT;
	}
	if (code == CURLE_COULDNT_CONNECT && os_error == ENOENT) {
		explain(ret_error,
			"ipvsd is not running: no socket at %s; start it with systemctl start "
			"ipvsd",
			socket);
		return -ENOENT;
	}
	if (code == CURLE_COULDNT_CONNECT && os_error == ECONNREFUSED) {
		explain(ret_error,
			"ipvsd is not running: nobody listens on %s; start it with systemctl start "
			"ipvsd",
			socket);
		return -ECONNREFUSED;
	}
	if (code == CURLE_COULDNT_CONNECT && (os_error == EACCES || os_error == EPERM)) {
		explain(ret_error, "permission denied on %s: be root or a member of group ipvsd",
			socket);
		return -EACCES;
	}
	explain(ret_error, "%s: %s%s%s", socket, libcurl.easy_strerror(code), os_error ? ": " : "",
		os_error ? strerror((int)os_error) : "");
	return -EIO;
}

static int prepare(CURL *curl, const char *socket, const char *url, const char *body,
		   const struct client_request *request, struct answer *answer)
{
	CURLcode codes[] = {
		libcurl.easy_setopt(curl, CURLOPT_UNIX_SOCKET_PATH, socket),
		libcurl.easy_setopt(curl, CURLOPT_URL, url),
		/* http_proxy in the environment is not for this socket. */
		libcurl.easy_setopt(curl, CURLOPT_PROXY, ""),
		libcurl.easy_setopt(curl, CURLOPT_NOSIGNAL, 1L),
		libcurl.easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, (long)CONNECT_SECONDS),
		libcurl.easy_setopt(curl, CURLOPT_TIMEOUT, request->timeout_seconds),
		libcurl.easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_bytes),
		libcurl.easy_setopt(curl, CURLOPT_WRITEDATA, answer),
		libcurl.easy_setopt(curl, CURLOPT_CUSTOMREQUEST, request->method),
		!strcmp(request->method, "POST")
			? libcurl.easy_setopt(curl, CURLOPT_POSTFIELDS, body ? body : "")
			: CURLE_OK,
	};

	for (size_t i = 0; i < ARRAY_SIZE(codes); i++) {
		if (codes[i] != CURLE_OK)
			return -EINVAL;
	}
	return 0;
}

static int read_answer(const struct answer *answer, const char *socket, json_t **ret,
		       char **ret_error)
{
	json_error_t error;
	json_t *body = json_loadb(answer->bytes ? answer->bytes : "", answer->len, 0, &error);

	if (!json_is_object(body)) {
		json_decref(body);
		explain(ret_error, "%s: the answer is not ipvsd's: %s", socket,
			body ? "not a JSON object" : error.text);
		return -EPROTO;
	}
	*ret = body;
	return 0;
}

int client_call(const char *socket, const struct client_request *request, struct client_reply *ret,
		char **ret_error)
{
	_cleanup_(free_easy_p) CURL *curl = NULL;
	_cleanup_(free_list_p) curl_list headers = NULL;
	_cleanup_(answer_deinit) struct answer answer = { 0 };
	_cleanup_free_ char *url = NULL, *body = NULL;
	struct client_reply reply = { 0 };
	CURLcode code;
	int error;

	*ret_error = NULL;
	error = libcurl_load(false);
	if (error == -ELIBACC)
		explain(ret_error, "cannot load libcurl: install the package libcurl4");
	if (error < 0)
		return error;
	curl = libcurl.easy_init();
	headers = libcurl.slist_append(NULL, "Content-Type: application/json");
	if (request->body)
		body = json_dumps(request->body, JSON_COMPACT);
	if (!curl || !headers || (request->body && !body) ||
	    asprintf(&url, "http://ipvsd%s", request->path) < 0)
		return -ENOMEM;
	error = prepare(curl, socket, url, body, request, &answer);
	if (error < 0) {
		explain(ret_error, "%s: not usable as the path of a socket", socket);
		return error;
	}
	(void)libcurl.easy_setopt(curl, CURLOPT_HTTPHEADER, headers);

	code = libcurl.easy_perform(curl);
	if (code != CURLE_OK)
		return explain_failure(curl, code, socket, ret_error);
	(void)libcurl.easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &reply.status);
	error = read_answer(&answer, socket, &reply.body, ret_error);
	if (error < 0)
		return error;
	*ret = reply;
	return 0;
}

char *client_escape(const char *text)
{
	char *escaped, *copy;

	if (libcurl_load(false) < 0)
		return NULL;
	escaped = libcurl.easy_escape(NULL, text, 0);
	copy = escaped ? strdup(escaped) : NULL;
	libcurl.free(escaped);
	return copy;
}

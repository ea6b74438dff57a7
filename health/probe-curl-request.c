/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "health/grpc-message.h"
#include "health/probe-curl-attempt.h"
#include "health/tls-store.h"

bool probe_curl_has_tls(const struct probe_spec *spec)
{
	return spec->check == PROTOCOL_CHECK_HTTPS || spec->check == PROTOCOL_CHECK_TLS ||
	       (spec->check == PROTOCOL_CHECK_GRPC && (spec->flags & PROTOCOL_PROBE_TLS));
}

bool probe_curl_is_health_check(const struct probe_spec *spec)
{
	return spec->check == PROTOCOL_CHECK_GRPC &&
	       strcmp(spec->text[PROTOCOL_TEXT_PATH], GRPC_HEALTH_CHECK) == 0;
}

static curl_socket_t on_open_socket(void *userdata, curlsocktype purpose,
				    struct curl_sockaddr *address)
{
	struct probe_curl *p = userdata;

	(void)purpose;
	(void)address; /* it was parsed from what the specification says */
	p->socket = p->fd;
	return take_fd(&p->fd);
}

/*
 * A gRPC server may answer and end the call as soon as it has the header of the request. libcurl 7.88 sends the message
 * after that, and where the call is over by then it loses the answer or waits for ever: so both leave in one segment.
 */
static void hold_back(struct probe_curl *p, int on)
{
	(void)setsockopt(p->socket, IPPROTO_TCP, TCP_CORK, &on, sizeof(on));
}

static int on_request(void *userdata, char *remote, char *local, int remote_port, int local_port)
{
	struct probe_curl *p = userdata;

	(void)remote;
	(void)local;
	(void)remote_port;
	(void)local_port;
	if (p->spec->check == PROTOCOL_CHECK_GRPC)
		hold_back(p, 1);
	return CURL_PREREQFUNC_OK;
}

static int on_progress(void *userdata, curl_off_t download, curl_off_t downloaded,
		       curl_off_t upload, curl_off_t uploaded)
{
	struct probe_curl *p = userdata;

	(void)download;
	(void)downloaded;
	if (p->socket >= 0 && upload > 0 && uploaded == upload) {
		hold_back(p, 0);
		p->socket = -1;
	}
	return 0;
}

static int on_socket_options(void *userdata, curl_socket_t fd, curlsocktype purpose)
{
	(void)userdata;
	(void)fd;
	(void)purpose;
	return CURL_SOCKOPT_ALREADY_CONNECTED;
}

static int on_close_socket(void *userdata, curl_socket_t fd)
{
	struct probe_curl *p = userdata;
	struct tcp_info info = { 0 };
	socklen_t len = sizeof(info);

	(void)getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len);
	p->socket = -1;
	p->peer_closed = info.tcpi_state != TCP_ESTABLISHED;
	return close(fd);
}

/* "grpc-status: 12": digits only, so that what is no number is no status. */
static void read_grpc_status(struct probe_curl *p, const char *line, size_t size)
{
	static const char name[] = "grpc-status:";
	size_t i = sizeof(name) - 1;
	int32_t status = 0;

	if (size <= i || strncasecmp(line, name, i) != 0)
		return;
	while (i < size && line[i] == ' ')
		i++;
	if (i == size || line[i] < '0' || line[i] > '9')
		return;
	for (; i < size && line[i] >= '0' && line[i] <= '9' && status < 1000; i++)
		status = status * 10 + (line[i] - '0');
	p->grpc_status = status;
}

/* A gRPC call is over with its status. What HTTP says but 200 is none. */
static bool is_grpc_over(struct probe_curl *p, const char *line, size_t size, long status)
{
	if (p->spec->check != PROTOCOL_CHECK_GRPC)
		return false;
	read_grpc_status(p, line, size);
	return p->grpc_status >= 0 || (p->has_header && status != 200);
}

static bool wants_body(const struct probe_spec *spec)
{
	return spec->text_size[PROTOCOL_TEXT_EXPECT] > 0 || probe_curl_is_health_check(spec);
}

/* Of http(s): a wrong status is wrong, and a right one right where nothing is expected of the body, whatever it brings. */
static bool is_decided(const struct probe_curl *p, long status)
{
	return p->spec->check != PROTOCOL_CHECK_GRPC && p->has_header &&
	       (!wants_body(p->spec) || !probe_curl_has_matched(p->spec, status));
}

static size_t on_header(char *data, size_t size, size_t n, void *userdata)
{
	struct probe_curl *p = userdata;
	long status = 0;

	p->header_bytes += size * n;
	(void)libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	if (data[0] == '\r' || data[0] == '\n')
		p->has_header = status >= 200;
	if (p->header_bytes > PROBE_CURL_HEADER_MAX)
		p->refusal = PROBE_CURL_HEADER_TOO_LARGE;
	else if (is_grpc_over(p, data, size * n, status) || is_decided(p, status))
		p->refusal = PROBE_CURL_ENOUGH;
	return p->refusal == PROBE_CURL_NOT_REFUSED ? size * n : 0;
}

static bool grow_body(struct probe_curl *p, size_t needed)
{
	size_t capacity = MAX(p->body_capacity, 1024U);
	char *body;

	if (needed <= p->body_capacity)
		return true;
	while (capacity < needed)
		capacity *= 2;
	body = realloc(p->body,
		       capacity + 1); /* sanitizers look for the end of an expression's text */
	if (!body)
		return false;
	p->body = body;
	p->body_capacity = capacity;
	return true;
}

static size_t on_body(char *data, size_t size, size_t n, void *userdata)
{
	struct probe_curl *p = userdata;
	size_t room = PROBE_CURL_BODY_MAX - p->body_bytes, taken = MIN(size * n, room);

	if (wants_body(p->spec)) {
		if (!grow_body(p, p->body_bytes + taken)) {
			p->refusal = PROBE_CURL_NO_MEMORY;
			return 0;
		}
		if (taken > 0)
			*(char *)mempcpy(p->body + p->body_bytes, data, taken) = '\0';
	}
	p->body_bytes += taken;
	if (taken == size * n)
		return taken;
	p->refusal = PROBE_CURL_BODY_TOO_LARGE;
	return 0;
}

CURLcode probe_curl_set_constants(struct probe_curl *p)
{
	static const struct {
		CURLoption option;
		long value;
	} longs[] = {
		{ CURLOPT_HTTP09_ALLOWED, 0 }, { CURLOPT_FRESH_CONNECT, 1 },
		{ CURLOPT_FORBID_REUSE, 1 },   { CURLOPT_FOLLOWLOCATION, 0 },
		{ CURLOPT_NOSIGNAL, 1 },       { CURLOPT_NETRC, CURL_NETRC_IGNORED },
		{ CURLOPT_BUFFERSIZE, 4096 },  { CURLOPT_DNS_CACHE_TIMEOUT, 0 },
		{ CURLOPT_TCP_KEEPALIVE, 0 },
	};
	static const struct {
		CURLoption option;
		const char *value;
	} texts[] = {
		{ CURLOPT_PROXY, "" },
		{ CURLOPT_PROTOCOLS_STR, "http,https" },
		{ CURLOPT_USERAGENT, "ipvsd/" IPVSD_VERSION },
		/* The sandbox has no files; see tls-store.h. */
		{ CURLOPT_CAINFO, NULL },
		{ CURLOPT_CAPATH, NULL },
	};
	CURLcode code = CURLE_OK;

	for (size_t i = 0; i < ARRAY_SIZE(longs) && code == CURLE_OK; i++)
		code = libcurl.easy_setopt(p->easy, longs[i].option, longs[i].value);
	for (size_t i = 0; i < ARRAY_SIZE(texts) && code == CURLE_OK; i++)
		code = libcurl.easy_setopt(p->easy, texts[i].option, texts[i].value);
	if (code != CURLE_OK)
		return code;
	/*
	 * Since 7.87 libcurl keeps the store that it finds in the first SSL_CTX, which is one of ours, and after our
	 * callback puts it into all others. An older one has neither that nor the option.
	 */
	(void)libcurl.easy_setopt(p->easy, CURLOPT_CA_CACHE_TIMEOUT, 0L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_PRIVATE, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_ERRORBUFFER, p->error);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_OPENSOCKETFUNCTION, on_open_socket);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_OPENSOCKETDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SOCKOPTFUNCTION, on_socket_options);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_PREREQFUNCTION, on_request);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_PREREQDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_XFERINFOFUNCTION, on_progress);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_XFERINFODATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_CLOSESOCKETFUNCTION, on_close_socket);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_CLOSESOCKETDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_HEADERFUNCTION, on_header);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_HEADERDATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_WRITEFUNCTION, on_body);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_WRITEDATA, p);
	return CURLE_OK;
}

/* Of the server in TLS, in `buf`: as configured, else the Host header's where that is a name. NULL: none. */
static const char *server_name(const struct probe_spec *spec,
			       char buf[static PROTOCOL_HOST_MAX + 1])
{
	const char *host = spec->text[PROTOCOL_TEXT_HOST];
	struct addr addr;
	uint16_t port;

	if (spec->text_size[PROTOCOL_TEXT_SERVER_NAME])
		return spec->text[PROTOCOL_TEXT_SERVER_NAME];
	if (!host[0] || addr_parse(host, &addr) == 0 || addr_port_parse(host, &addr, &port) == 0)
		return NULL;
	memcpy(buf, host, spec->text_size[PROTOCOL_TEXT_HOST] + 1);
	buf[strcspn(buf, ":")] = '\0';
	return buf;
}

/* The name stands in the URL, for TLS, and the address beside it: no name is ever looked up. */
static CURLcode set_place(struct probe_curl *p, const char *where)
{
	const struct probe_spec *spec = p->spec;
	bool tls = probe_curl_has_tls(spec);
	char url[PROTOCOL_HOST_MAX + 32], to[ADDR_PORT_STR_MAX + 4], buf[PROTOCOL_HOST_MAX + 1];
	const char *name = tls ? server_name(spec, buf) : NULL;
	CURLcode code;

	if (name)
		(void)snprintf(url, sizeof(url), "https://%s:%u/", name, spec->port);
	else
		(void)snprintf(url, sizeof(url), "%s://%s/", tls ? "https" : "http", where);
	(void)snprintf(to, sizeof(to), "::%s", where);
	if (name) {
		p->connect = libcurl.slist_append(NULL, to);
		if (!p->connect)
			return CURLE_OUT_OF_MEMORY;
	}
	code = libcurl.easy_setopt(p->easy, CURLOPT_CONNECT_TO, p->connect);
	return code == CURLE_OK ? libcurl.easy_setopt(p->easy, CURLOPT_URL, url) : code;
}

static CURLcode on_ssl_ctx(CURL *easy, void *ssl_ctx, void *userdata)
{
	struct probe_curl *p = userdata;
	int r = tls_store_use(p->spec->authorities, ssl_ctx);

	(void)easy;
	if (r == -ENOKEY)
		p->refusal = PROBE_CURL_NO_AUTHORITIES;
	else if (r == -EKEYREJECTED)
		p->refusal = PROBE_CURL_BAD_AUTHORITIES;
	else if (r < 0)
		p->refusal = PROBE_CURL_NO_MEMORY;
	return r < 0 ? CURLE_ABORTED_BY_CALLBACK : CURLE_OK;
}

CURLSH *probe_curl_share_new(void)
{
	CURLSH *share = libcurl.share_init();

	if (share)
		(void)libcurl.share_setopt(share, CURLSHOPT_SHARE, CURL_LOCK_DATA_SSL_SESSION);
	return share;
}

/* A cache for one target: libcurl's own are an easy handle's, or of eight sessions that are searched one by one. */
static CURLSH *target_sessions(struct probe_curl_memory *memory)
{
	if (!memory->sessions)
		memory->sessions = probe_curl_share_new();
	return memory->sessions;
}

static void set_tls(struct probe_curl *p)
{
	const struct probe_spec *spec = p->spec;
	bool verify = spec->flags & PROTOCOL_PROBE_VERIFY_CERTIFICATE;
	bool resume = probe_curl_has_tls(spec) && !verify;

	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_VERIFYPEER, verify ? 1L : 0L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_VERIFYHOST, verify ? 2L : 0L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_CTX_FUNCTION, verify ? on_ssl_ctx : NULL);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_CTX_DATA, p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_SESSIONID_CACHE, resume ? 1L : 0L);
	/* Without a share the handle would make a cache of its own, and forget it with the next share: 1.5 kB each time. */
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SHARE,
				  resume ? target_sessions(p->memory) : p->no_sessions);
	/* A protocol that we do not speak may be behind a bare handshake: none is offered. */
	(void)libcurl.easy_setopt(p->easy, CURLOPT_SSL_ENABLE_ALPN,
				  spec->check == PROTOCOL_CHECK_TLS ? 0L : 1L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_CONNECT_ONLY,
				  spec->check == PROTOCOL_CHECK_TLS ? 1L : 0L);
}

static long http_version(const struct probe_spec *spec)
{
	if (spec->check != PROTOCOL_CHECK_GRPC && !(spec->flags & PROTOCOL_PROBE_HTTP2))
		return CURL_HTTP_VERSION_1_1;
	return probe_curl_has_tls(spec) ? CURL_HTTP_VERSION_2TLS
					: CURL_HTTP_VERSION_2_PRIOR_KNOWLEDGE;
}

static bool add_header(struct probe_curl *p, const char *line)
{
	struct curl_slist *more = libcurl.slist_append(p->headers, line);

	if (more)
		p->headers = more;
	return more != NULL;
}

static CURLcode set_headers(struct probe_curl *p, const char *where)
{
	const struct probe_spec *spec = p->spec;
	char host[PROTOCOL_HOST_MAX + 16];
	bool ok;

	(void)snprintf(host, sizeof(host), "Host: %s",
		       spec->text_size[PROTOCOL_TEXT_HOST] ? spec->text[PROTOCOL_TEXT_HOST]
							   : where);
	ok = add_header(p, host);
	if (spec->check == PROTOCOL_CHECK_GRPC)
		ok = ok && add_header(p, "Content-Type: application/grpc") &&
		     add_header(p, "TE: trailers");
	else if (http_version(spec) == CURL_HTTP_VERSION_1_1)
		ok = ok && add_header(p, "Connection: close"); /* the server is not to wait */
	return ok ? libcurl.easy_setopt(p->easy, CURLOPT_HTTPHEADER, p->headers)
		  : CURLE_OUT_OF_MEMORY;
}

static CURLcode set_method(struct probe_curl *p)
{
	const struct probe_spec *spec = p->spec;
	size_t service = probe_curl_is_health_check(spec) ? spec->text_size[PROTOCOL_TEXT_SEND] : 0;
	char message[GRPC_REQUEST_MAX];
	size_t size;

	if (spec->check != PROTOCOL_CHECK_GRPC)
		return libcurl.easy_setopt(p->easy, CURLOPT_HTTPGET, 1L);
	size = grpc_request(spec->text[PROTOCOL_TEXT_SEND], service, message);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_POST, 1L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_POSTFIELDSIZE, (long)size);
	return libcurl.easy_setopt(p->easy, CURLOPT_COPYPOSTFIELDS, message);
}

CURLcode probe_curl_set_request(struct probe_curl *p)
{
	const struct probe_spec *spec = p->spec;
	bool has_request = spec->check != PROTOCOL_CHECK_TLS;
	char where[ADDR_PORT_STR_MAX];
	CURLcode code;

	(void)addr_port_format(&spec->addr, spec->port, where);
	set_tls(p);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_NOPROGRESS,
				  spec->check == PROTOCOL_CHECK_GRPC ? 0L : 1L);
	(void)libcurl.easy_setopt(p->easy, CURLOPT_HTTP_VERSION, http_version(spec));
	/* A second line of defence behind the prober's deadline. */
	(void)libcurl.easy_setopt(p->easy, CURLOPT_CONNECTTIMEOUT_MS,
				  (long)(spec->timeout_usec / USEC_PER_MSEC) + 1000);
	code = set_place(p, where);
	if (code == CURLE_OK)
		code = set_method(p);
	if (code == CURLE_OK && has_request)
		code = set_headers(p, where);
	/* The path goes out as it was written, unnormalised. */
	if (code == CURLE_OK)
		code = libcurl.easy_setopt(p->easy, CURLOPT_REQUEST_TARGET,
					   has_request ? spec->text[PROTOCOL_TEXT_PATH] : NULL);
	return code;
}

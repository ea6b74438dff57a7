/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/pattern.h"
#include "health/grpc-message.h"
#include "health/probe-curl-attempt.h"

enum {
	HTTP_OK = 200,
	WRONG_NAME = 62, /* X509_V_ERR_HOSTNAME_MISMATCH: libcurl looks at the name by itself */
};

bool probe_curl_has_matched(const struct probe_spec *spec, long status)
{
	for (size_t i = 0; i < spec->n_matcher; i++)
		if (status >= spec->matcher[i].low && status <= spec->matcher[i].high)
			return true;
	return false;
}

static bool has_info(struct probe_curl *p, CURLINFO time)
{
	curl_off_t usec = 0;

	(void)libcurl.easy_getinfo(p->easy, time, &usec);
	return usec > 0;
}

enum probe_outcome probe_curl_judge_deadline(struct probe_curl *p)
{
	if (!p->in_multi)
		return PROBE_CONNECT_TIMEOUT;
	if (probe_curl_has_tls(p->spec) && !has_info(p, CURLINFO_APPCONNECT_TIME_T))
		return PROBE_TLS_TIMEOUT;
	return p->has_header ? PROBE_BODY_TIMEOUT : PROBE_HEADER_TIMEOUT;
}

static enum probe_outcome judge_body(struct probe_curl *p, int32_t *ret_detail)
{
	const struct probe_spec *spec = p->spec;
	int r;

	if (spec->text_size[PROTOCOL_TEXT_EXPECT] == 0)
		return PROBE_OK;
	r = pattern_match(spec->text[PROTOCOL_TEXT_EXPECT], spec->text_size[PROTOCOL_TEXT_EXPECT],
			  p->body ? p->body : "", p->body_bytes);
	if (r > 0)
		return PROBE_OK;
	*ret_detail = -r;
	if (r < 0)
		return PROBE_INTERNAL_ERROR;
	return p->refusal == PROBE_CURL_BODY_TOO_LARGE ? PROBE_TOO_LARGE : PROBE_WRONG_BODY;
}

static enum probe_outcome judge_http(struct probe_curl *p, int32_t *ret_detail)
{
	long status = 0, version = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)libcurl.easy_getinfo(p->easy, CURLINFO_HTTP_VERSION, &version);
	if ((p->spec->flags & PROTOCOL_PROBE_HTTP2) && version < CURL_HTTP_VERSION_2)
		return PROBE_BAD_RESPONSE;
	*ret_detail = (int32_t)status;
	if (!probe_curl_has_matched(p->spec, status))
		return PROBE_WRONG_STATUS;
	return judge_body(p, ret_detail);
}

static enum probe_outcome judge_serving(struct probe_curl *p, int32_t *ret_detail)
{
	int32_t status;

	if (p->refusal == PROBE_CURL_BODY_TOO_LARGE)
		return PROBE_TOO_LARGE;
	if (grpc_response_parse(p->body ? p->body : "", p->body_bytes, &status) < 0)
		return PROBE_BAD_RESPONSE;
	*ret_detail = status == GRPC_SERVING ? 0 : status;
	return status == GRPC_SERVING ? PROBE_OK : PROBE_NOT_SERVING;
}

static enum probe_outcome judge_grpc(struct probe_curl *p, int32_t *ret_detail)
{
	long status = 0, version = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_RESPONSE_CODE, &status);
	(void)libcurl.easy_getinfo(p->easy, CURLINFO_HTTP_VERSION, &version);
	if (version < CURL_HTTP_VERSION_2)
		return PROBE_BAD_RESPONSE;
	if (status != HTTP_OK) {
		*ret_detail = (int32_t)status;
		return PROBE_WRONG_STATUS;
	}
	if (p->grpc_status < 0)
		return p->refusal == PROBE_CURL_BODY_TOO_LARGE ? PROBE_TOO_LARGE
							       : PROBE_BAD_RESPONSE;
	*ret_detail = p->grpc_status;
	if (!probe_curl_has_matched(p->spec, p->grpc_status))
		return PROBE_WRONG_STATUS;
	return probe_curl_is_health_check(p->spec) && p->grpc_status == 0
		       ? judge_serving(p, ret_detail)
		       : PROBE_OK;
}

static enum probe_outcome judge_answer(struct probe_curl *p, int32_t *ret_detail)
{
	switch (p->spec->check) {
	case PROTOCOL_CHECK_TLS:
		return PROBE_OK;
	case PROTOCOL_CHECK_GRPC:
		return judge_grpc(p, ret_detail);
	default:
		return judge_http(p, ret_detail);
	}
}

static enum probe_outcome judge_refusal(struct probe_curl *p, int32_t *ret_detail)
{
	switch (p->refusal) {
	case PROBE_CURL_ENOUGH:
	case PROBE_CURL_BODY_TOO_LARGE:
		return judge_answer(p, ret_detail);
	case PROBE_CURL_HEADER_TOO_LARGE:
		return PROBE_TOO_LARGE;
	case PROBE_CURL_NO_AUTHORITIES:
		*ret_detail = ENOKEY;
		return PROBE_INTERNAL_ERROR;
	case PROBE_CURL_BAD_AUTHORITIES:
		*ret_detail = EKEYREJECTED;
		return PROBE_INTERNAL_ERROR;
	default:
		*ret_detail = ENOMEM;
		return PROBE_INTERNAL_ERROR;
	}
}

/*
 * Did the connection end, or did it bring something wrong? libcurl has one code for both, and its errno is of any
 * earlier time: only its words tell.
 */
static bool is_broken(const struct probe_curl *p, int32_t *ret_detail)
{
	static const char *const words[] = {
		"Recv failure:",
		"Send failure:",
		"OpenSSL SSL_connect:", /* OpenSSL has no error but the connection's */
		"unexpected eof",
	};

	if (strstr(p->error, "onnection reset"))
		*ret_detail = ECONNRESET;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strstr(p->error, words[i]))
			return true;
	return false;
}

static enum probe_outcome judge_certificate(struct probe_curl *p, int32_t *ret_detail)
{
	long result = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_SSL_VERIFYRESULT, &result);
	*ret_detail = result > 1 ? (int32_t)result : WRONG_NAME;
	return PROBE_CERTIFICATE;
}

/* libcurl says so as well when one line of a header goes beyond its limit of 100 kB. */
static enum probe_outcome judge_out_of_memory(struct probe_curl *p, int32_t *ret_detail)
{
	long request_size = 0;

	(void)libcurl.easy_getinfo(p->easy, CURLINFO_REQUEST_SIZE, &request_size);
	if (request_size > 0 && !p->has_header)
		return PROBE_TOO_LARGE;
	*ret_detail = ENOMEM;
	return PROBE_INTERNAL_ERROR;
}

enum probe_outcome probe_curl_judge(struct probe_curl *p, CURLcode code, int32_t *ret_detail)
{
	*ret_detail = 0;
	if (p->refusal != PROBE_CURL_NOT_REFUSED)
		return judge_refusal(p, ret_detail);
	switch (code) {
	case CURLE_OK:
		return judge_answer(p, ret_detail);
	case CURLE_OPERATION_TIMEDOUT:
		return probe_curl_judge_deadline(p);
	case CURLE_GOT_NOTHING: /* or frames of HTTP/2 that are none */
		return p->peer_closed ? PROBE_RESET : PROBE_BAD_RESPONSE;
	case CURLE_PARTIAL_FILE:
		return PROBE_RESET;
	case CURLE_SEND_ERROR: /* also bad frames of HTTP/2, */
	case CURLE_RECV_ERROR: /* and bad chunked framing */
		return is_broken(p, ret_detail) ? PROBE_RESET : PROBE_BAD_RESPONSE;
	case CURLE_SSL_CONNECT_ERROR:
		return is_broken(p, ret_detail) ? PROBE_RESET : PROBE_TLS_ERROR;
	case CURLE_PEER_FAILED_VERIFICATION:
		return judge_certificate(p, ret_detail);
	case CURLE_OUT_OF_MEMORY:
		return judge_out_of_memory(p, ret_detail);
	case CURLE_COULDNT_CONNECT: /* it was connected, so libcurl found its end */
		return PROBE_RESET;
	case CURLE_FAILED_INIT:
	case CURLE_URL_MALFORMAT:
	case CURLE_BAD_FUNCTION_ARGUMENT:
		*ret_detail = EINVAL;
		return PROBE_INTERNAL_ERROR;
	default:
		return PROBE_BAD_RESPONSE;
	}
}

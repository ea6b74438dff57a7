/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/outcome.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "health/grpc-message.h"

enum probe_outcome probe_outcome_from_errno(int error)
{
	switch (error) {
	case 0:
		return PROBE_OK;
	case ECONNREFUSED:
		return PROBE_REFUSED;
	case ECONNRESET:
	case ECONNABORTED:
	case EPIPE:
		return PROBE_RESET;
	case ETIMEDOUT: /* the kernel gave up its SYN retries before our deadline */
		return PROBE_CONNECT_TIMEOUT;
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
	case EHOSTDOWN:
	case ENONET:
	case ENOPROTOOPT: /* ICMP protocol unreachable */
	case EPROTO:	  /* ICMP parameter problem */
	case EACCES:	  /* ICMP administratively prohibited, route of type prohibit */
	case EINVAL:	  /* route of type blackhole */
		return PROBE_UNREACHABLE;
	default:
		return PROBE_INTERNAL_ERROR;
	}
}

enum probe_outcome probe_outcome_from_setup(int error)
{
	switch (error) {
	case ENETUNREACH:
	case EHOSTUNREACH:
	case ENETDOWN:
		return PROBE_UNREACHABLE;
	default:
		return PROBE_INTERNAL_ERROR;
	}
}

bool probe_outcome_is_timeout(enum probe_outcome o)
{
	switch (o) {
	case PROBE_CONNECT_TIMEOUT:
	case PROBE_TIMEOUT:
	case PROBE_TLS_TIMEOUT:
	case PROBE_HEADER_TIMEOUT:
	case PROBE_BODY_TIMEOUT:
		return true;
	default:
		return false;
	}
}

const char *probe_outcome_to_string(enum probe_outcome o)
{
	static const char *const names[_PROBE_OUTCOME_MAX] = {
		[PROBE_OK] = "ok",
		[PROBE_REFUSED] = "refused",
		[PROBE_UNREACHABLE] = "unreachable",
		[PROBE_CONNECT_TIMEOUT] = "connect timed out",
		[PROBE_TIMEOUT] = "response timed out",
		[PROBE_RESET] = "connection closed early",
		[PROBE_BAD_RESPONSE] = "malformed response",
		[PROBE_WRONG_STATUS] = "wrong status",
		[PROBE_WRONG_BODY] = "wrong body",
		[PROBE_INTERNAL_ERROR] = "internal error",
		[PROBE_TLS_TIMEOUT] = "TLS handshake timed out",
		[PROBE_HEADER_TIMEOUT] = "response header timed out",
		[PROBE_BODY_TIMEOUT] = "response body timed out",
		[PROBE_TLS_ERROR] = "TLS handshake failed",
		[PROBE_CERTIFICATE] = "certificate not valid",
		[PROBE_RESOLVER] = "name not resolved",
		[PROBE_WRONG_ANSWER] = "wrong answer",
		[PROBE_NOT_SERVING] = "not serving",
		[PROBE_AGENT_DOWN] = "agent reports down",
		[PROBE_EXIT_STATUS] = "exit status",
		[PROBE_KILLED] = "killed by signal",
		[PROBE_TOO_LARGE] = "response too large",
		[PROBE_PASSIVE] = "connections get no answer",
	};

	assert(o < _PROBE_OUTCOME_MAX);
	return names[o];
}

/* libssl's X509_V_ERR_*: part of its interface, so the numbers stay. */
static const char *describe_certificate(int32_t error)
{
	switch (error) {
	case 9:
		return "not valid yet";
	case 10:
		return "expired";
	case 18:
	case 19:
		return "self-signed";
	case 2:
	case 20:
	case 21:
		return "issuer unknown";
	case 62:
		return "for another name";
	case 64:
		return "for another address";
	default:
		return "not valid";
	}
}

/* A response code of DNS: https://www.iana.org/assignments/dns-parameters */
static void describe_answer(const char *name, int32_t code, char buf[static PROBE_OUTCOME_TEXT_MAX])
{
	static const char *const codes[] = {
		NULL,	    "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP",  "REFUSED",
		"YXDOMAIN", "YXRRSET", "NXRRSET",  "NOTAUTH",  "NOTZONE",
	};

	if (code > 0 && (size_t)code < ARRAY_SIZE(codes))
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s (%s)", name, codes[code]);
	else
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s (code %d)", name, code);
}

const char *probe_outcome_describe(enum probe_outcome o, int32_t detail,
				   char buf[static PROBE_OUTCOME_TEXT_MAX])
{
	const char *name = probe_outcome_to_string(o), *error = strerrordesc_np(detail);

	if (o == PROBE_OK && detail)
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s (%d)", name, detail);
	else if (o == PROBE_WRONG_STATUS || o == PROBE_EXIT_STATUS || o == PROBE_KILLED)
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s %d", name, detail);
	else if (o == PROBE_WRONG_ANSWER && detail)
		describe_answer(name, detail, buf);
	else if (o == PROBE_NOT_SERVING && detail && detail != GRPC_NOT_SERVING)
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s (status %d)", name, detail);
	else if (o == PROBE_CERTIFICATE)
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "certificate %s",
			       describe_certificate(detail));
	else if ((o == PROBE_INTERNAL_ERROR || o == PROBE_UNREACHABLE) && detail)
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s: %s", name,
			       error ? error : "unknown");
	else
		(void)snprintf(buf, PROBE_OUTCOME_TEXT_MAX, "%s", name);
	return buf;
}

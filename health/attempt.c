/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/attempt.h"

#include <errno.h>

#include "health/probe-dns.h"
#include "health/probe-exec.h"
#include "health/probe-udp.h"

/* Plain HTTP/1.1 is this program's own affair; libcurl has the rest. */
static bool by_curl(const struct probe_spec *spec)
{
	return spec->flags & PROTOCOL_PROBE_HTTP2;
}

bool attempt_has_place(const struct attempt_engines *engines, const struct probe_spec *spec)
{
	return spec->check != PROTOCOL_CHECK_EXEC || !engines->exec ||
	       probe_exec_has_place(engines->exec);
}

int attempt_start(struct attempt *a, const struct attempt_engines *engines,
		  const struct probe_spec *spec, probe_advise_t advise, probe_done_t done,
		  void *userdata)
{
	switch (spec->check) {
	case PROTOCOL_CHECK_TCP:
		probe_tcp_start(&a->tcp, engines->handshakes, spec, done, userdata);
		return 0;
	case PROTOCOL_CHECK_HTTP:
		if (!by_curl(spec)) {
			probe_http_start(&a->http, engines->connector, spec, &a->http_request, done,
					 userdata);
			return 0;
		}
		return probe_curl_start(engines->curl, spec, &a->curl_memory, done, userdata,
					&a->curl);
	case PROTOCOL_CHECK_HTTPS:
	case PROTOCOL_CHECK_TLS:
	case PROTOCOL_CHECK_GRPC:
		return probe_curl_start(engines->curl, spec, &a->curl_memory, done, userdata,
					&a->curl);
	case PROTOCOL_CHECK_UDP:
		probe_udp_start(&a->udp, engines->event, spec, done, userdata);
		return 0;
	case PROTOCOL_CHECK_DNS:
		return probe_dns_start(engines->event, spec, done, userdata, &a->dns);
	case PROTOCOL_CHECK_ICMP:
		probe_icmp_start(&a->icmp, engines->event, spec, done, userdata);
		return 0;
	case PROTOCOL_CHECK_EXEC:
		if (!engines->exec)
			return -ENOTSUP;
		return probe_exec_start(engines->exec, spec, advise, done, userdata, &a->exec);
	case PROTOCOL_CHECK_AGENT:
		probe_agent_start(&a->agent, engines->event, spec, advise, done, userdata);
		return 0;
	default:
		return -ENOTSUP;
	}
}

enum probe_outcome attempt_cancel(struct attempt *a, const struct probe_spec *spec)
{
	switch (spec->check) {
	case PROTOCOL_CHECK_TCP:
		return probe_tcp_cancel(&a->tcp);
	case PROTOCOL_CHECK_HTTP:
		return by_curl(spec) ? probe_curl_cancel(a->curl) : probe_http_cancel(&a->http);
	case PROTOCOL_CHECK_HTTPS:
	case PROTOCOL_CHECK_TLS:
	case PROTOCOL_CHECK_GRPC:
		return probe_curl_cancel(a->curl);
	case PROTOCOL_CHECK_UDP:
		return exchange_cancel(&a->udp);
	case PROTOCOL_CHECK_DNS:
		return probe_dns_cancel(a->dns);
	case PROTOCOL_CHECK_ICMP:
		return probe_icmp_cancel(&a->icmp);
	case PROTOCOL_CHECK_EXEC:
		return probe_exec_cancel(a->exec);
	case PROTOCOL_CHECK_AGENT:
		return probe_agent_cancel(&a->agent);
	default:
		return PROBE_TIMEOUT; /* of what never started */
	}
}

void attempt_deinit(struct attempt *a)
{
	probe_curl_memory_deinit(&a->curl_memory);
	probe_http_request_deinit(&a->http_request);
}

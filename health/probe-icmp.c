/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-icmp.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <string.h>
#include <sys/random.h>

static bool judge(void *context, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_icmp *p = context;
	uint8_t wanted = p->request.type == ICMP_ECHO ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	struct icmp_echo reply;

	(void)end;
	if (n < sizeof(reply))
		return false;
	memcpy(&reply, bytes, sizeof(reply));
	if (reply.type != wanted || reply.nonce != p->request.nonce)
		return false;
	*ret = (struct exchange_verdict){ PROBE_OK, 0 };
	return true;
}

void probe_icmp_start(struct probe_icmp *p, sd_event *event, const struct probe_spec *spec,
		      probe_done_t done, void *userdata)
{
	const bool v6 = spec->addr.family == AF_INET6;
	const struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_DGRAM,
		.protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		.question = &p->request,
		.question_size = sizeof(p->request),
		.at_timeout = PROBE_TIMEOUT,
		.judge = judge,
		.context = p,
		.done = done,
		.userdata = userdata,
	};

	p->request =
		(struct icmp_echo){ .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, .sequence = 1 };
	/* Ignoring a failure, which only an early boot can bring: a nonce of 0 does as well. */
	(void)!getrandom(&p->request.nonce, sizeof(p->request.nonce), GRND_NONBLOCK);
	exchange_start(&p->exchange, event, &plan);
}

enum probe_outcome probe_icmp_cancel(struct probe_icmp *p)
{
	return exchange_cancel(&p->exchange);
}

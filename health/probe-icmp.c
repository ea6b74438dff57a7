/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-icmp.h"

#include <errno.h>
#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "health/exchange.h"

/* Both families' echo messages: RFC 792, RFC 4443 §4. The kernel fills in checksum and identifier. */
struct echo {
	uint8_t type, code;
	uint16_t checksum, identifier, sequence;
	uint64_t nonce; /* tells our answer from a stranger's */
};

struct probe_icmp {
	struct exchange exchange;
	struct echo request;
	probe_done_t done;
	void *userdata; /* borrowed */
};

static bool judge(void *userdata, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_icmp *p = userdata;
	uint8_t wanted = p->request.type == ICMP_ECHO ? ICMP_ECHOREPLY : ICMP6_ECHO_REPLY;
	struct echo reply;

	(void)end;
	if (n < sizeof(reply))
		return false;
	memcpy(&reply, bytes, sizeof(reply));
	if (reply.type != wanted || reply.nonce != p->request.nonce)
		return false;
	*ret = (struct exchange_verdict){ PROBE_OK, 0 };
	return true;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe_icmp *p = userdata;
	probe_done_t done = p->done;
	void *owner = p->userdata;

	free(p);
	done(owner, outcome, detail);
}

int probe_icmp_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		     void *userdata, struct probe_icmp **ret)
{
	struct probe_icmp *p = calloc(1, sizeof(*p));
	bool v6 = spec->addr.family == AF_INET6;
	struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_DGRAM,
		.protocol = v6 ? IPPROTO_ICMPV6 : IPPROTO_ICMP,
		.question_size = sizeof(struct echo),
		.at_timeout = PROBE_TIMEOUT,
		.judge = judge,
		.done = on_done,
		.userdata = p,
	};

	if (!p)
		return -ENOMEM;
	p->done = done;
	p->userdata = userdata;
	p->request = (struct echo){ .type = v6 ? ICMP6_ECHO_REQUEST : ICMP_ECHO, .sequence = 1 };
	/* Ignoring a failure, which only an early boot can bring: a nonce of 0 does as well. */
	(void)!getrandom(&p->request.nonce, sizeof(p->request.nonce), GRND_NONBLOCK);
	plan.question = &p->request;
	*ret = p;
	exchange_start(&p->exchange, event, &plan);
	return 0;
}

enum probe_outcome probe_icmp_cancel(struct probe_icmp *p)
{
	enum probe_outcome outcome = exchange_cancel(&p->exchange);

	free(p);
	return outcome;
}

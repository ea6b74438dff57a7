/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-dns.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "health/dns-message.h"
#include "health/exchange.h"

enum {
	LENGTH_SIZE = 2, /* before a message in a stream: RFC 1035 §4.2.2 */
};

struct probe_dns {
	struct exchange exchange;
	struct dns_check check;
	sd_event *event; /* borrowed */
	probe_done_t done;
	void *userdata; /* borrowed */
	uint16_t id;
	bool truncated; /* ask again by TCP */
	uint8_t query[LENGTH_SIZE + DNS_QUERY_MAX];
	size_t query_size; /* without the length before it */
};

static bool judge_message(struct probe_dns *p, const uint8_t *bytes, size_t n,
			  struct exchange_verdict *ret)
{
	struct dns_reply answer;

	switch (dns_reply_read(&p->check, p->id, bytes, n, &answer)) {
	case DNS_NOT_OURS:
		return false;
	case DNS_TRUNCATED:
		/* In a stream there is nowhere else to ask. */
		p->truncated = p->exchange.plan.type == SOCK_DGRAM;
		*ret = (struct exchange_verdict){ PROBE_BAD_RESPONSE, 0 };
		return true;
	case DNS_MALFORMED:
		*ret = (struct exchange_verdict){ PROBE_BAD_RESPONSE, 0 };
		return true;
	case DNS_ANSWERED:
		break;
	}
	*ret = (struct exchange_verdict){ PROBE_OK, 0 };
	if (answer.code != p->check.code ||
	    (p->check.addr.family != AF_UNSPEC && !answer.has_address))
		*ret = (struct exchange_verdict){ PROBE_WRONG_ANSWER, answer.code };
	return true;
}

static bool judge_datagram(void *context, const uint8_t *bytes, size_t n, bool end,
			   struct exchange_verdict *ret)
{
	(void)end;
	return judge_message(context, bytes, n, ret);
}

/* A connection carries one answer, so another one than ours is malformed. */
static bool judge_stream(void *context, const uint8_t *bytes, size_t n, bool end,
			 struct exchange_verdict *ret)
{
	size_t size;

	(void)end;
	if (n < LENGTH_SIZE)
		return false;
	size = (size_t)bytes[0] << 8 | bytes[1];
	if (n - LENGTH_SIZE < size)
		return false;
	if (!judge_message(context, bytes + LENGTH_SIZE, size, ret))
		*ret = (struct exchange_verdict){ PROBE_BAD_RESPONSE, 0 };
	return true;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail);

static void ask(struct probe_dns *p, bool by_stream)
{
	const struct exchange_plan plan = {
		.spec = p->exchange.plan.spec,
		.type = by_stream ? SOCK_STREAM : SOCK_DGRAM,
		.protocol = by_stream ? IPPROTO_TCP : IPPROTO_UDP,
		.question = by_stream ? p->query : p->query + LENGTH_SIZE,
		.question_size = p->query_size + (by_stream ? LENGTH_SIZE : 0),
		.answer_max = LENGTH_SIZE + UINT16_MAX,
		.at_timeout = PROBE_TIMEOUT,
		.judge = by_stream ? judge_stream : judge_datagram,
		.context = p,
		.done = on_done,
		.userdata = p,
	};

	exchange_start(&p->exchange, p->event, &plan);
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe_dns *p = userdata;
	probe_done_t done = p->done;
	void *owner = p->userdata;

	if (p->truncated) {
		p->truncated = false;
		ask(p, true);
		return;
	}
	free(p);
	done(owner, outcome, detail);
}

int probe_dns_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		    void *userdata, struct probe_dns **ret)
{
	struct probe_dns *p = calloc(1, sizeof(*p));
	const char *problem;
	int r;

	if (!p)
		return -ENOMEM;
	r = dns_check_parse(spec->text[PROTOCOL_TEXT_SEND], spec->text[PROTOCOL_TEXT_EXPECT],
			    &p->check, &problem);
	if (r < 0) {
		free(p);
		return r;
	}
	p->event = event;
	p->done = done;
	p->userdata = userdata;
	/* Ignoring a failure, which only an early boot can bring: an id of 0 is one. */
	(void)!getrandom(&p->id, sizeof(p->id), GRND_NONBLOCK);
	p->query_size = dns_query_make(&p->check, p->id, p->query + LENGTH_SIZE);
	p->query[0] = (uint8_t)(p->query_size >> 8);
	p->query[1] = (uint8_t)p->query_size;
	p->exchange.plan.spec = spec;
	*ret = p;
	ask(p, false);
	return 0;
}

enum probe_outcome probe_dns_cancel(struct probe_dns *p)
{
	enum probe_outcome outcome = exchange_cancel(&p->exchange);

	free(p);
	return outcome;
}

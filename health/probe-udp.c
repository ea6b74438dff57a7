/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-udp.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "base/pattern.h"
#include "health/exchange.h"

struct probe_udp {
	struct exchange exchange;
	probe_done_t done;
	void *userdata; /* borrowed */
};

static bool judge(void *userdata, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_udp *p = userdata;
	const struct probe_spec *spec = p->exchange.plan.spec;
	int r = pattern_match(spec->text[PROTOCOL_TEXT_EXPECT],
			      spec->text_size[PROTOCOL_TEXT_EXPECT], (const char *)bytes, n);

	(void)end;
	*ret = (struct exchange_verdict){ PROBE_OK, 0 };
	if (r < 0)
		*ret = (struct exchange_verdict){ PROBE_INTERNAL_ERROR, -r };
	else if (r == 0)
		ret->outcome = PROBE_WRONG_ANSWER;
	return true;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe_udp *p = userdata;
	probe_done_t done = p->done;
	void *owner = p->userdata;

	free(p);
	done(owner, outcome, detail);
}

int probe_udp_start(sd_event *event, const struct probe_spec *spec, probe_done_t done,
		    void *userdata, struct probe_udp **ret)
{
	struct probe_udp *p = calloc(1, sizeof(*p));
	const struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_DGRAM,
		.protocol = IPPROTO_UDP,
		.question = spec->text[PROTOCOL_TEXT_SEND],
		.question_size = spec->text_size[PROTOCOL_TEXT_SEND],
		.at_timeout = spec->text_size[PROTOCOL_TEXT_EXPECT] ? PROBE_TIMEOUT : PROBE_OK,
		.judge = judge,
		.done = on_done,
		.userdata = p,
	};

	if (!p)
		return -ENOMEM;
	p->done = done;
	p->userdata = userdata;
	*ret = p;
	exchange_start(&p->exchange, event, &plan);
	return 0;
}

enum probe_outcome probe_udp_cancel(struct probe_udp *p)
{
	enum probe_outcome outcome = exchange_cancel(&p->exchange);

	free(p);
	return outcome;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-agent.h"

#include <netinet/in.h>

#include "health/agent-line.h"

enum {
	LINE_MAX_BYTES = 1024,
};

/* The first CR or LF, or the end of what came with an end. */
static bool find_line(const char *text, size_t n, bool end, size_t *ret)
{
	for (size_t i = 0; i < n; i++) {
		if (text[i] == '\r' || text[i] == '\n') {
			*ret = i;
			return true;
		}
	}
	*ret = n;
	return end && n > 0;
}

static bool judge(void *context, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_agent *p = context;
	struct agent_report report;
	size_t size;

	if (!find_line((const char *)bytes, n, end, &size))
		return false;
	*ret = (struct exchange_verdict){ PROBE_BAD_RESPONSE, 0 };
	if (agent_line_parse((const char *)bytes, size, &report) < 0)
		return true;
	p->advise(p->exchange.plan.userdata, report.weight_percent, report.advice);
	ret->outcome = report.down ? PROBE_AGENT_DOWN : PROBE_OK;
	return true;
}

void probe_agent_start(struct probe_agent *p, sd_event *event, const struct probe_spec *spec,
		       probe_advise_t advise, probe_done_t done, void *userdata)
{
	const struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_STREAM,
		.protocol = IPPROTO_TCP,
		.question = spec->text[PROTOCOL_TEXT_SEND],
		.question_size = spec->text_size[PROTOCOL_TEXT_SEND],
		.answer_max = LINE_MAX_BYTES,
		.at_timeout = PROBE_TIMEOUT,
		.judge = judge,
		.context = p,
		.done = done,
		.userdata = userdata,
	};

	p->advise = advise;
	exchange_start(&p->exchange, event, &plan);
}

enum probe_outcome probe_agent_cancel(struct probe_agent *p)
{
	return exchange_cancel(&p->exchange);
}

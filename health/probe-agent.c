/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-agent.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "health/agent-line.h"
#include "health/exchange.h"

enum {
	LINE_MAX_BYTES = 1024,
};

struct probe_agent {
	struct exchange exchange;
	probe_advise_t advise;
	probe_done_t done;
	void *userdata; /* borrowed */
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

static bool judge(void *userdata, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_agent *p = userdata;
	struct agent_report report;
	size_t size;

	if (!find_line((const char *)bytes, n, end, &size))
		return false;
	*ret = (struct exchange_verdict){ PROBE_BAD_RESPONSE, 0 };
	if (agent_line_parse((const char *)bytes, size, &report) < 0)
		return true;
	p->advise(p->userdata, report.weight_percent, report.advice);
	ret->outcome = report.down ? PROBE_AGENT_DOWN : PROBE_OK;
	return true;
}

static void on_done(void *userdata, enum probe_outcome outcome, int32_t detail)
{
	struct probe_agent *p = userdata;
	probe_done_t done = p->done;
	void *owner = p->userdata;

	free(p);
	done(owner, outcome, detail);
}

int probe_agent_start(sd_event *event, const struct probe_spec *spec, probe_advise_t advise,
		      probe_done_t done, void *userdata, struct probe_agent **ret)
{
	struct probe_agent *p = calloc(1, sizeof(*p));
	const struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_STREAM,
		.protocol = IPPROTO_TCP,
		.question = spec->text[PROTOCOL_TEXT_SEND],
		.question_size = spec->text_size[PROTOCOL_TEXT_SEND],
		.answer_max = LINE_MAX_BYTES,
		.at_timeout = PROBE_TIMEOUT,
		.judge = judge,
		.done = on_done,
		.userdata = p,
	};

	if (!p)
		return -ENOMEM;
	p->advise = advise;
	p->done = done;
	p->userdata = userdata;
	*ret = p;
	exchange_start(&p->exchange, event, &plan);
	return 0;
}

enum probe_outcome probe_agent_cancel(struct probe_agent *p)
{
	enum probe_outcome outcome = exchange_cancel(&p->exchange);

	free(p);
	return outcome;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-udp.h"

#include <netinet/in.h>

#include "base/pattern.h"

static bool judge(void *context, const uint8_t *bytes, size_t n, bool end,
		  struct exchange_verdict *ret)
{
	const struct probe_spec *spec = context;
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

void probe_udp_start(struct exchange *x, sd_event *event, const struct probe_spec *spec,
		     probe_done_t done, void *userdata)
{
	const struct exchange_plan plan = {
		.spec = spec,
		.type = SOCK_DGRAM,
		.protocol = IPPROTO_UDP,
		.question = spec->text[PROTOCOL_TEXT_SEND],
		.question_size = spec->text_size[PROTOCOL_TEXT_SEND],
		.at_timeout = spec->text_size[PROTOCOL_TEXT_EXPECT] ? PROBE_TIMEOUT : PROBE_OK,
		.judge = judge,
		.context = (void *)spec, /* which judge() only reads */
		.done = done,
		.userdata = userdata,
	};

	exchange_start(x, event, &plan);
}

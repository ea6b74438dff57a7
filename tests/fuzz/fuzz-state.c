/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The state file: what is taken for state must survive being written and read again, and be usable for a start. */

#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "daemon/proc-conns.h"
#include "daemon/state.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A start with a configuration that has the group that the corpus names. */
static void start_from(const struct state *s)
{
	struct conf_group group = { .name = "blue",
				    .port = 80,
				    .in_use = true,
				    .check = { .protocol = CONF_CHECK_TCP,
					       .interval_usec = USEC_PER_SEC,
					       .timeout_usec = USEC_PER_SEC,
					       .healthy_threshold = 2,
					       .unhealthy_threshold = 2 } };
	struct conf_target target = { .addr = { .family = AF_INET }, .weight = 1 };
	const struct conf conf = { .groups = &group, .n_groups = 1 };
	struct registry r = REGISTRY_INIT;

	target.addr.bytes[0] = 10;
	group.targets = &target;
	group.n_targets = 1;
	assert(registry_build(&conf, &s->registry, USEC_PER_SEC, &r) == 0);
	assert(r.groups[0].n >= 1);
	registry_deinit(&r);
}

static void parse_as_line(const uint8_t *data, size_t size)
{
	struct proc_conn c;
	char line[256];

	size = size < sizeof(line) ? size : sizeof(line) - 1;
	memcpy(line, data, size);
	line[size] = '\0';
	(void)proc_conn_parse(line, &c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct state s = STATE_INIT, again = STATE_INIT;
	json_t *document;
	char *text;

	parse_as_line(data, size);
	if (state_parse((const char *)data, size, &s) < 0)
		return 0;
	start_from(&s);
	document = state_format(&s.registry, s.owned_services, s.n_owned_services, &s.linger,
				s.vips, s.saved_usec);
	assert(document);
	text = json_dumps(document, JSON_COMPACT | JSON_ENCODE_ANY);
	assert(text);
	assert(state_parse(text, strlen(text), &again) == 0);
	assert(again.n_skipped == 0 && again.linger.n == s.linger.n);
	assert(again.n_owned_services == s.n_owned_services);
	free(text);
	json_decref(document);
	state_deinit(&s);
	state_deinit(&again);
	return 0;
}

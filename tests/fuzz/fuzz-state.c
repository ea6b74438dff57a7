/* SPDX-License-Identifier: GPL-2.0-or-later */

/* All kinds of state files: what is taken for state must survive being written and read again, and be usable for a start. */

#include <assert.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf/conf.h"
#include "daemon/proc-conns.h"
#include "daemon/state.h"
#include "daemon/state-group.h"
#include "daemon/state-journal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A start with a configuration that has the group that the corpus names. */
static void start_from(const struct registry *old)
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
	assert(registry_build(&conf, old, USEC_PER_SEC, &r) == 0);
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

static void parse_as_group(const char *data, size_t size)
{
	struct state_group s = STATE_GROUP_INIT, again = STATE_GROUP_INIT;
	struct registry old = { .groups = &s.group, .n = 1 };
	size_t len;
	char *text;

	if (state_group_add(&s, data, size) < 0)
		return;
	assert(state_group_settle(&s) == 0);
	start_from(&old);
	assert(state_group_format(&s.group, s.saved_usec, &text, &len) == 0);
	assert(state_group_add(&again, text, len) == 0);
	assert(state_group_settle(&again) == 0);
	assert(again.n_skipped == 0 && again.group.n <= s.group.n);
	assert(state_group_hash(&again.group) == state_group_hash(&s.group));
	free(text);
	state_group_deinit(&again);
	state_group_forget_counters(&s.group);
	state_group_forget_verdicts(&s.group, USEC_PER_SEC);
	start_from(&old);
	state_group_deinit(&s);
}

/* A line is hardly ever hit upon with its sums, so that what follows them is sealed here. */
static void seal(char *text, size_t size, uint64_t base)
{
	enum { HASH = 17 };
	char digits[HASH];

	for (char *line = text, *end; (end = memchr(line, '\n', size)); line = end + 1) {
		size_t len = (size_t)(end - line);

		if (len >= 2 * HASH) {
			(void)snprintf(digits, HASH, "%016" PRIx64, base);
			memcpy(line + HASH, digits, HASH - 1);
			line[HASH - 1] = line[2 * HASH - 1] = ' ';
			(void)snprintf(digits, HASH, "%016" PRIx64,
				       state_hash_bytes(STATE_VERSION, line + HASH, len - HASH));
			memcpy(line, digits, HASH - 1);
		}
		size -= len + 1;
	}
}

static void parse_as_journal(const char *data, size_t size)
{
	static const char document[] =
		"{\"version\":1,\"saved\":1,\"group\":\"blue\",\"cold\":false,\"targets\":["
		"{\"target\":\"10.0.0.0:80\",\"state\":\"healthy\"},"
		"{\"target\":\"10.0.0.2:80\",\"at\":2,\"state\":\"healthy\"}]}";
	uint64_t base = state_journal_base(document, sizeof(document) - 1);

	for (int sealed = 0; sealed < 2; sealed++) {
		struct state_group s = STATE_GROUP_INIT;
		struct registry old = { .groups = &s.group, .n = 1 };
		char *text = malloc(size + 1);

		assert(text);
		memcpy(text, data, size);
		if (sealed)
			seal(text, size, base);
		assert(state_group_add(&s, document, sizeof(document) - 1) == 0);
		(void)state_journal_replay(text, size, base, &s);
		assert(state_group_settle(&s) == 0);
		assert(s.group.n >= 2); /* the document stays */
		for (size_t i = 1; i < s.group.n; i++)
			assert(s.at[i - 1] < s.at[i]);
		start_from(&old);
		state_group_deinit(&s);
		free(text);
	}
}

static void parse_as_global(const char *data, size_t size)
{
	struct state_global s = STATE_GLOBAL_INIT, again = STATE_GLOBAL_INIT;
	struct state_global_view v = { .linger = &s.linger };
	size_t len;
	char *text;

	if (state_global_parse(data, size, &s) < 0)
		return;
	v.owned_services = s.owned_services;
	v.n_owned_services = s.n_owned_services;
	v.vips = s.vips;
	v.stopped = s.stopped;
	assert(state_global_format(&v, s.saved_usec, &text, &len) == 0);
	assert(state_global_parse(text, len, &again) == 0);
	assert(again.n_skipped == 0 && again.linger.n == s.linger.n);
	assert(again.n_owned_services == s.n_owned_services && again.stopped == s.stopped);
	free(text);
	state_global_deinit(&s);
	state_global_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	parse_as_line(data, size);
	parse_as_group((const char *)data, size);
	parse_as_journal((const char *)data, size);
	parse_as_global((const char *)data, size);
	return 0;
}

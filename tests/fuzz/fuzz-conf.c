/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Configuration text to struct conf. The bytes after the first NUL are read as a targets-file of the first group, so
 * that both readers are reached.
 */

#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What the daemon relies on in a configuration without errors. */
static void check_promises(const struct conf *c)
{
	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		assert(l->family == AF_INET || l->family == AF_INET6);
		assert(l->firewall_mark || l->address.family == l->family);
		assert(l->ports.low <= l->ports.high && l->n_forwards > 0);
		for (size_t j = 0; j < l->n_forwards; j++)
			assert(strcmp(c->groups[l->forwards[j].group].name, l->forwards[j].name) ==
			       0);
	}
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_group *g = &c->groups[i];

		assert(g->check.timeout_usec <= g->check.interval_usec && g->check.timeout_usec);
		assert(g->check.protocol <= CONF_CHECK_HTTP && g->algorithm.scheduler[0]);
		for (size_t j = 0; j < g->n_targets; j++)
			assert(g->targets[j].host || addr_is_host(&g->targets[j].addr));
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p = { 0 };
	const char *text = (const char *)data;
	size_t len = size ? strnlen(text, size) : 0;

	if (parse_init(&p, &diags) < 0)
		return 0;
	if (parse_text(&p, "f", text, len) < 0)
		return 0;
	if (len < size && p.conf->n_groups &&
	    parse_targets(&p, 0, "t", text + len + 1, size - len - 1) < 0)
		return 0;
	if (validate(&p) < 0)
		return 0;
	diag_sort(&diags);
	for (size_t i = 0; i < diags.n; i++)
		assert(!strpbrk(diags.items[i].message, "\n\r\x1b"));
	if (!diag_has_errors(&diags))
		check_promises(p.conf);
	return 0;
}

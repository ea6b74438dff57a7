/* SPDX-License-Identifier: GPL-2.0-or-later */

/* A targets-file's text while the daemon runs: as a whole or not at all. */

#include <assert.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/targets-file.h"
#include "conf/validate.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
			   "[target-group g]\ntargets = 10.0.0.1:80 a.test\n";

static struct conf *make_conf(void)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p = { 0 };

	if (parse_init(&p, &diags) < 0 || parse_text(&p, "f", text, strlen(text)) < 0 ||
	    parse_targets(&p, 0, "t", "10.0.0.2:80\n", 12) < 0 || validate(&p) < 0 ||
	    diag_has_errors(&diags))
		abort();
	return parse_take(&p);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	static struct conf *conf;
	struct conf_target *targets = NULL;
	size_t n = 0;
	int r;

	if (!conf)
		conf = make_conf();
	r = targets_file_parse(conf, 0, "t", (const char *)data, size, &diags, &targets, &n);
	assert(conf->groups[0].n_targets == 3 && conf->groups[0].n_file_targets == 1);
	if (r < 0) {
		assert(r == -ENOMEM || diag_has_errors(&diags));
		return 0;
	}
	assert(n > 0 && !diag_has_errors(&diags));
	for (size_t i = 0; i < n; i++) {
		assert(targets[i].host || addr_is_host(&targets[i].addr));
		assert(!targets[i].host || strlen(targets[i].host) <= CONF_HOST_MAX);
		assert(targets[i].weight <= CONF_TARGET_WEIGHT_MAX && targets[i].origin.line);
	}
	targets_file_free(targets, n);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The saved list of a targets-file: any bytes as such a list, and any list that a file can have, saved and read. */

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
#include "daemon/targets-copy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char text[] = "[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
			   "[target-group g]\ntargets = 10.0.0.1:80\n";

static struct conf *make_conf(void)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p = { 0 };

	if (parse_init(&p, &diags) < 0 || parse_text(&p, "f", text, strlen(text)) < 0 ||
	    validate(&p) < 0 || diag_has_errors(&diags))
		abort();
	return parse_take(&p);
}

static void save_and_read(const struct conf *c, const struct conf_target *targets, size_t n)
{
	_cleanup_free_ char *copy = NULL;
	struct conf_target *again = NULL;
	size_t len = 0, n_again = 0;
	usec_t read_usec = 0;

	if (targets_copy_format("t", targets, n, 7, &copy, &len) < 0)
		abort();
	if (targets_copy_parse(c, 0, "t", copy, len, &again, &n_again, &read_usec) < 0)
		abort();
	assert(n_again == n && read_usec == 7);
	for (size_t i = 0; i < n; i++) {
		const struct conf_target *a = &targets[i], *b = &again[i];

		assert(!a->host == !b->host && (!a->host || strcmp(a->host, b->host) == 0));
		assert(addr_eq(&a->addr, &b->addr) && a->port == b->port);
		assert(a->weight == b->weight && strcmp(a->zone, b->zone) == 0);
	}
	targets_file_free(again, n_again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	static struct conf *conf;
	struct conf_target *targets = NULL;
	usec_t read_usec;
	size_t n = 0;

	if (!conf)
		conf = make_conf();
	if (targets_copy_parse(conf, 0, "t", (const char *)data, size, &targets, &n, &read_usec) ==
	    0) {
		assert(n > 0);
		targets_file_free(targets, n);
	}
	if (targets_file_parse(conf, 0, "t", (const char *)data, size, &diags, &targets, &n) == 0) {
		save_and_read(conf, targets, n);
		targets_file_free(targets, n);
	}
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/registry.h"
#include "tests/temporary.h"

/*
 * From the text of a configuration to specifications: a worker ends when it is sent one that it does not understand,
 * and its successors do, so whatever the configuration takes a worker must take.
 */

#define NOW (1000 * USEC_PER_SEC)
#define TEN(x) x x x x x x x x x x
#define LABEL TEN("abcdef") "."
#define NAME_250 LABEL LABEL LABEL LABEL "abcdef"
#define TEXT_1020 TEN(TEN("0123456789")) "01234567890123456789"

enum {
	TEXT_MAX = 16384,
};

static struct conf *load(const char *keys)
{
	char directory[TEMPORARY_MAX], path[TEMPORARY_MAX + 8];
	struct diag_list diags = { 0 };
	struct conf *conf = NULL;
	FILE *f;
	int r;

	assert_int_equal(temporary_make(directory), 0);
	(void)snprintf(path, sizeof(path), "%s/conf", directory);
	f = fopen(path, "we");
	assert_non_null(f);
	(void)fprintf(f,
		      "[listener four]\naddress = 192.0.2.1\nport = 80\nforward = a\n"
		      "[listener six]\naddress = 2001:db8::1\nport = 80\nforward = a\n"
		      "[target-group a]\ntargets = 10.0.0.1:80 [2001:db8:0:1::1]:80\n%s\n",
		      keys);
	assert_int_equal(fclose(f), 0);
	r = conf_load(path, &conf, &diags);
	assert_true(r == 0 || r == -EINVAL);
	diag_list_deinit(&diags);
	assert_int_equal(temporary_remove(directory), 0);
	return conf;
}

/* 0 = the configuration was not taken; else the number of targets, whose specifications the worker takes. */
static size_t check(const char *keys, struct protocol_probe_record *ret_records)
{
	struct registry none = REGISTRY_INIT, r = REGISTRY_INIT;
	struct conf *conf = load(keys);
	enum protocol_kind kind;
	size_t n = 0;

	if (!conf)
		return 0;
	assert_int_equal(registry_build(conf, &none, NOW, &r), 0);
	for (; n < r.groups[0].n; n++) {
		assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[n], &ret_records[n]));
		if (protocol_check(&ret_records[n], ret_records[n].probe.header.size, &kind) < 0)
			fail_msg("target %zu: %s", n, keys);
	}
	registry_deinit(&r);
	conf_free(conf);
	return n;
}

static void test_what_is_taken_is_taken(void **state)
{
	static const char *const keys[] = {
		"",
		"health-check-source = 10.0.0.9",
		"health-check-source = 2001:db8::9",
		"forwarding = ipip\nhealth-check-via-vip = yes\nhealth-check-source = 10.0.0.9",
		"health-check-interface = \xc3\xa4th0",
		"health-check-interface = eth0\xff",
		"health-check-interface = a\x01.2~",
		"health-check-protocol = http\nhealth-check-host = " NAME_250 ":65535",
		"health-check-protocol = https\nhealth-check-server-name = " NAME_250,
		"health-check-protocol = http\nhealth-check-host = [2001:db8::1]:65535",
		"health-check-protocol = http\nhealth-check-path = /" TEXT_1020,
		"health-check-protocol = http\nhealth-check-expect = \"\\x00\"",
		"health-check-protocol = udp\nhealth-check-send = \"" TEXT_1020 "\\xff\\x01\"",
		"health-check-protocol = dns\nhealth-check-send = . ANY",
		"health-check-protocol = grpc\nmatcher = 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,16",
		"health-check-protocol = exec\nhealth-check-command = /bin/true " TEXT_1020
			TEXT_1020,
		"health-check-interval = 100ms\nhealth-check-timeout = 50ms",
		"health-check-firewall-mark = 4294967295",
	};
	static struct protocol_probe_record records[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		size_t n = check(keys[i], records);

		assert_true(n == 0 || n == 2);
		if (i == 0)
			assert_int_equal(n, 2);
	}
}

/* A source address is of the probes of its family, and of no others. */
static void test_source(void **state)
{
	static struct protocol_probe_record records[2];
	char text[ADDR_STR_MAX];

	(void)state;
	assert_int_equal(check("health-check-source = 10.0.0.9", records), 2);
	assert_string_equal(addr_format(&records[0].probe.source, text), "10.0.0.9");
	assert_int_equal(records[1].probe.source.family, AF_UNSPEC);
	assert_int_equal(check("health-check-source = 2001:db8::9", records), 2);
	assert_int_equal(records[0].probe.source.family, AF_UNSPEC);
	assert_string_equal(addr_format(&records[1].probe.source, text), "2001:db8::9");
}

/* Bytes that a request line may not have are refused where they are written, whatever the sign of a char. */
static void test_path(void **state)
{
	static struct protocol_probe_record records[2];

	(void)state;
	assert_int_equal(
		check("health-check-protocol = http\nhealth-check-path = /\xc3\xa4", records), 0);
	assert_int_equal(check("health-check-protocol = http\nhealth-check-path = /~", records), 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_what_is_taken_is_taken),
		cmocka_unit_test(test_source),
		cmocka_unit_test(test_path),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

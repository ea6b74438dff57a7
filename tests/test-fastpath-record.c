/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the fast path took, in the state directory: there and back, and what is refused there. */

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/fastpath-record.h"
#include "daemon/interface-item.h"
#include "tests/temporary.h"

static char directory[TEMPORARY_MAX];

static int set_up(void **state)
{
	(void)state;
	return temporary_make(directory);
}

static int tear_down(void **state)
{
	(void)state;
	return temporary_remove(directory);
}

/* An address, as the kernel's message has it. */
static void make_item(struct interface_item *i)
{
	struct {
		struct nlmsghdr header;
		struct ifaddrmsg address;
		uint8_t attribute[8];
	} message = {
		.header = { .nlmsg_len = sizeof(message), .nlmsg_type = RTM_NEWADDR },
		.address = { .ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = 7 },
		.attribute = { 8, 0, IFA_LOCAL, 0, 10, 0, 0, 1 },
	};

	assert_int_equal(interface_item_init(i, &message.header), 0);
}

static void make_record(struct fastpath_record *r)
{
	*r = (struct fastpath_record){
		.phase = FASTPATH_CARRIES,
		.enabled = true,
		.wanted = true,
		.pid = 4711,
		.start_ticks = 123456789012ULL,
		.command = strdup("/usr/sbin/ipvsd-fastpath --port \"x\""),
		.ports = calloc(2, sizeof(*r->ports)),
		.n_ports = 2,
	};
	assert_int_equal(fastpath_port_parse("00:06.0", &r->ports[0].port), 0);
	(void)strcpy(r->ports[0].interface, "eth1");
	(void)strcpy(r->ports[0].exception, "ipvsd0");
	(void)strcpy(r->ports[0].driver, "ena");
	r->ports[0].state = (struct interface_state){
		.name = "eth1",
		.index = 7,
		.mtu = 9001,
		.up = true,
		.items = calloc(1, sizeof(struct interface_item)),
		.n = 1,
		.settings = json_pack("{s:s}", "ipv4/rp_filter", "2"),
	};
	make_item(&r->ports[0].state.items[0]);
	assert_int_equal(fastpath_port_parse("net_ring0", &r->ports[1].port), 0);
	(void)strcpy(r->ports[1].exception, "ipvsd1");
}

static void assert_same(const struct fastpath_record *a, const struct fastpath_record *b)
{
	json_t *x = fastpath_record_to_json(a), *y = fastpath_record_to_json(b);

	assert_non_null(x);
	assert_true(json_equal(x, y));
	json_decref(x);
	json_decref(y);
}

static void test_there_and_back(void **state)
{
	_cleanup_(fastpath_record_deinit) struct fastpath_record r = FASTPATH_RECORD_INIT;
	_cleanup_(fastpath_record_deinit) struct fastpath_record read = FASTPATH_RECORD_INIT;
	_cleanup_(fastpath_record_deinit) struct fastpath_record again = FASTPATH_RECORD_INIT;

	(void)state;
	assert_int_equal(fastpath_record_load(directory, &read), -ENOENT);
	make_record(&r);
	assert_int_equal(fastpath_record_save(&r, directory), 0);
	assert_int_equal(fastpath_record_load(directory, &read), 0);
	assert_same(&r, &read);
	assert_int_equal(read.phase, FASTPATH_CARRIES);
	assert_int_equal(read.ports[0].port.kind, FASTPATH_PORT_PCI);
	assert_string_equal(read.ports[0].port.spec, "0000:00:06.0");
	assert_int_equal(read.ports[0].state.mtu, 9001);
	assert_int_equal(read.ports[0].state.items[0].len_bytes,
			 r.ports[0].state.items[0].len_bytes);
	assert_memory_equal(read.ports[0].state.items[0].bytes, r.ports[0].state.items[0].bytes,
			    r.ports[0].state.items[0].len_bytes);
	assert_int_equal(read.ports[1].state.n, 0);
	/* A smaller one takes its place. */
	fastpath_record_clear(&r);
	r.phase = FASTPATH_IDLE;
	r.wanted = false;
	assert_int_equal(fastpath_record_save(&r, directory), 0);
	assert_int_equal(fastpath_record_load(directory, &again), 0);
	assert_same(&r, &again);
	assert_int_equal(fastpath_record_save(&r, "/nonexistent"), -ENOENT);
}

/* One member made wrong at a time. */
static void test_distrust(void **state)
{
	static const struct {
		const char *member, *value;
		bool of_port;
	} cases[] = {
		{ "version", "2", false },	  { "phase", "\"other\"", false },
		{ "pid", "-1", false },		  { "pid", "\"1\"", false },
		{ "start_ticks", "-1", false },	  { "enabled", "1", false },
		{ "ports", "{}", false },	  { "ports", "[1]", false },
		{ "port", "\"eth1\"", true },	  { "port", "1", true },
		{ "interface", "\"a/b\"", true }, { "interface", "\"sixteen-bytes-xx\"", true },
		{ "exception", "null", true },	  { "driver", "\"../../x\"", true },
		{ "state", "{}", true },
	};
	_cleanup_(fastpath_record_deinit) struct fastpath_record r = FASTPATH_RECORD_INIT;
	struct fastpath_record read = FASTPATH_RECORD_INIT;

	(void)state;
	make_record(&r);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		json_t *j = fastpath_record_to_json(&r), *at = j;
		json_t *value = json_loads(cases[i].value, JSON_DECODE_ANY, NULL);

		if (cases[i].of_port)
			at = json_array_get(json_object_get(j, "ports"), 0);
		assert_int_equal(json_object_set_new(at, cases[i].member, value), 0);
		if (fastpath_record_from_json(j, &read) != -EBADMSG)
			fail_msg("%s: %s", cases[i].member, cases[i].value);
		json_decref(j);
	}
}

/* Damaged: set aside, so that somebody can look at it, and not read again. */
static void test_damaged(void **state)
{
	struct fastpath_record read;
	char path[128];
	FILE *f;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/fastpath.json", directory);
	f = fopen(path, "we");
	assert_non_null(f);
	assert_true(fputs("{\"version\": 1, ", f) >= 0);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(fastpath_record_load(directory, &read), -EBADMSG);
	assert_int_equal(fastpath_record_load(directory, &read), -ENOENT);
	(void)strcat(path, ".damaged");
	assert_int_equal(access(path, F_OK), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_distrust, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_damaged, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From security groups to the rules of services: which rules, and who must be told. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate.h"
#include "daemon/fastpath-rules.h"

#define GROUPS "[target-group g]\ntargets = 10.0.0.1\nhealth-check-protocol = none\n"
#define LISTENER(name, rest) "[listener " name "]\naddress = 203.0.113.10\nforward = g\n" rest

DEFINE_CLEANUP(struct conf *, conf_free)

static struct conf *parse(const char *text)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p;

	assert_int_equal(parse_init(&p, &diags), 0);
	assert_int_equal(parse_text(&p, "t", text, strlen(text)), 0);
	assert_int_equal(validate(&p), 0);
	if (diag_has_errors(&diags))
		fail_msg("%s", diags.items[diags.n - 1].message);
	return parse_take(&p);
}

/* "tcp 80-80 open; udp 53-53: 17 0-65535 10.0.0.0/8, ..." */
static const char *compute(const char *text)
{
	_cleanup_(fastpath_rules_deinit) struct fastpath_rules r = FASTPATH_RULES_INIT;
	_cleanup_(conf_free_p) struct conf *conf = parse(text);
	static char out[1024];
	size_t n = 0;

	assert_int_equal(fastpath_rules_compute(conf, &r), 0);
	out[0] = '\0';
	for (size_t i = 0; i < r.n; i++) {
		const struct fastpath_rules_entry *e = &r.entries[i];
		char peer[ADDR_STR_MAX];

		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s%s/%u %u-%u%s", i ? "; " : "",
				      e->listener, e->key.protocol, e->key.port, e->port_high,
				      e->restricted ? ":" : " open");
		for (size_t k = 0; k < e->n; k++)
			n += (size_t)snprintf(out + n, sizeof(out) - n, " %u %u-%u %s/%u",
					      e->rules[k].protocol, e->rules[k].port_low,
					      e->rules[k].port_high,
					      addr_format(&e->rules[k].peer.addr, peer),
					      e->rules[k].peer.len);
	}
	return out;
}

static void test_compute(void **state)
{
	static const struct {
		const char *conf, *expected;
	} cases[] = {
		/* Nothing said: everybody. A group without rules: nobody. */
		{ LISTENER("a", "port = 80\n") GROUPS, "a/6 80-80 open" },
		{ LISTENER("a", "port = 80\nsecurity-groups = s\n") GROUPS "[security-group s]\n",
		  "a/6 80-80:" },
		/* By protocol, port of the listener and family; the rules of all groups, once. */
		{ LISTENER("a", "port = 80-90\nsecurity-groups = s t\n") GROUPS
		  "[security-group s]\ningress = tcp 80 from 10.0.0.0/8\n"
		  " udp 80 from 10.0.0.0/8\n tcp 79 from 10.0.0.0/8\n tcp 91 from 10.0.0.0/8\n"
		  " tcp 70-80 from ::/0\n icmp from 0.0.0.0/0\n"
		  "[security-group t]\ningress = tcp 80 from 10.0.0.0/8\n"
		  " all from 192.0.2.1\n tcp 90-99 from 10.1.0.0/16\n",
		  "a/6 80-90: 0 0-65535 192.0.2.1/32 6 80-80 10.0.0.0/8 6 90-99 10.1.0.0/16" },
		{ LISTENER("a", "port = 53\nprotocol = tcp-udp\nsecurity-groups = s\n") GROUPS
		  "[security-group s]\ningress = udp 53 from 10.0.0.0/8\n",
		  "a/6 53-53:; a/17 53-53: 17 53-53 10.0.0.0/8" },
		/* Every port: each rule may fit. */
		{ LISTENER("a", "port = all\nsecurity-groups = s\n") GROUPS
		  "stickiness = yes\n[security-group s]\ningress = tcp 22 from 10.0.0.0/8\n",
		  "a/6 0-0: 6 22-22 10.0.0.0/8" },
		/* The kernel's. */
		{ "[listener m]\nfirewall-mark = 1\nforward = g\nsecurity-groups = s\n" GROUPS
		  "[security-group s]\ningress = tcp from 10.0.0.0/8\n",
		  "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(compute(cases[i].conf), cases[i].expected);
}

/* Whether the second configuration has something to tell a process that was told the first. */
static bool must_tell(const char *before, const char *after, bool fresh)
{
	_cleanup_(fastpath_rules_deinit) struct fastpath_rules had = FASTPATH_RULES_INIT,
							       next = FASTPATH_RULES_INIT;
	_cleanup_(conf_free_p) struct conf *a = before ? parse(before) : NULL, *b = parse(after);
	struct fastpath_rules told = FASTPATH_RULES_INIT;

	if (a) {
		assert_int_equal(fastpath_rules_compute(a, &told), 0);
		fastpath_rules_take(&had, &told);
		assert_int_equal(told.n, 0);
	}
	assert_int_equal(fastpath_rules_compute(b, &next), 0);
	assert_int_equal(next.n, 1);
	next.entries[0].fresh = fresh;
	return !fastpath_rules_has(&had, &next.entries[0]);
}

static void test_changes(void **state)
{
#define ONE "[security-group s]\ningress = tcp 80 from 10.0.0.0/8\n"
#define WITH LISTENER("a", "port = 80\nsecurity-groups = s\n") GROUPS
	static const char open[] = LISTENER("a", "port = 80\n") GROUPS;
	static const char one[] = WITH ONE;
	static const char renamed[] = LISTENER("b", "port = 80\nsecurity-groups = s\n") GROUPS ONE;
	static const char two[] = WITH ONE " tcp 80 from 192.0.2.0/24\n";
	static const char other[] = WITH "[security-group s]\ningress = tcp 80 from 10.0.0.0/9\n";
	static const char wider[] = LISTENER("a", "port = 80-81\nsecurity-groups = s\n") GROUPS ONE;
	static const char nobody[] = WITH "[security-group s]\n";

	(void)state;
	assert_true(must_tell(NULL, open, false));
	assert_true(must_tell(NULL, one, false));
	assert_false(must_tell(open, open, false));
	assert_false(must_tell(one, one, false));
	assert_true(must_tell(one, one, true));
	assert_false(must_tell(one, renamed, false));
	assert_true(must_tell(one, two, false));
	assert_true(must_tell(two, one, false));
	assert_true(must_tell(one, other, false));
	assert_true(must_tell(one, wider, false));
	assert_true(must_tell(one, nobody, false));
	assert_true(must_tell(nobody, open, false));
	assert_true(must_tell(open, nobody, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_compute),
		cmocka_unit_test(test_changes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

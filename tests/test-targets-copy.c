/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The last good list of a targets-file: what was saved comes back, and nothing else does. */

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
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/targets-file.h"
#include "conf/validate.h"
#include "daemon/targets-copy.h"

#define PATH "/etc/ipvsd/a list.txt"
#define READ (1795345971839060ULL)

DEFINE_CLEANUP(struct conf *, conf_free)

static const char usual[] = "10.0.0.2\n"
			    "10.0.0.3:8080 weight=0 zone=a\n"
			    "[2001:db8::2]:81 weight=65535\n"
			    "2001:db8::3 zone=b-1\n"
			    "www.example.com www.example.com:81 weight=7 zone=c\n";

static struct conf *parse(const char *text)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p = { 0 };

	assert_int_equal(parse_init(&p, &diags), 0);
	assert_int_equal(parse_text(&p, "f", text, strlen(text)), 0);
	assert_int_equal(validate(&p), 0);
	assert_false(diag_has_errors(&diags));
	return parse_take(&p);
}

static struct conf *parse_usual(void)
{
	return parse("[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
		     "[target-group g]\ntargets = 10.0.0.1\n");
}

static char *make_copy(const struct conf *c, const char *lines, usec_t read_usec, size_t *ret_len)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf_target *targets;
	char *text = NULL;
	size_t n;

	assert_int_equal(targets_file_parse(c, 0, PATH, lines, strlen(lines), &diags, &targets, &n),
			 0);
	assert_int_equal(targets_copy_format(PATH, targets, n, read_usec, &text, ret_len), 0);
	assert_int_equal(strlen(text), *ret_len);
	targets_file_free(targets, n);
	return text;
}

static int parse_copy(const struct conf *c, const char *path, const char *text, size_t len)
{
	struct conf_target *targets;
	usec_t read_usec;
	size_t n;
	int r = targets_copy_parse(c, 0, path, text, len, &targets, &n, &read_usec);

	if (r == 0)
		targets_file_free(targets, n);
	return r;
}

static void test_round_trip(void **state)
{
	static const struct {
		const char *target, *zone;
		unsigned port, weight;
	} wanted[] = {
		{ "10.0.0.2", "", 0, 100 },	   { "10.0.0.3", "a", 8080, 0 },
		{ "2001:db8::2", "", 81, 65535 },  { "2001:db8::3", "b-1", 0, 100 },
		{ "www.example.com", "", 0, 100 }, { "www.example.com", "c", 81, 7 },
	};
	_cleanup_(conf_free_p) struct conf *c = parse_usual();
	_cleanup_free_ char *text = NULL;
	struct conf_target *targets;
	char address[ADDR_STR_MAX];
	size_t len, n;
	usec_t read_usec;

	(void)state;
	text = make_copy(c, usual, READ, &len);
	assert_int_equal(targets_copy_parse(c, 0, PATH, text, len, &targets, &n, &read_usec), 0);
	assert_int_equal(read_usec, READ);
	assert_int_equal(n, ARRAY_SIZE(wanted));
	for (size_t i = 0; i < n; i++) {
		const struct conf_target *t = &targets[i];

		assert_string_equal(t->host ? t->host : addr_format(&t->addr, address),
				    wanted[i].target);
		assert_string_equal(t->zone, wanted[i].zone);
		assert_int_equal(t->port, wanted[i].port);
		assert_int_equal(t->weight, wanted[i].weight);
	}
	targets_file_free(targets, n);
}

/* What a loss of power and a bad disk do: no shorter list passes for the whole one. */
static void test_damage(void **state)
{
	_cleanup_(conf_free_p) struct conf *c = parse_usual();
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)state;
	text = make_copy(c, usual, READ, &len);
	for (size_t i = 0; i < len; i++)
		assert_int_equal(parse_copy(c, PATH, text, i), -EBADMSG);
	for (size_t i = 0; i < len; i++) {
		text[i] ^= 1;
		assert_int_equal(parse_copy(c, PATH, text, len), -EBADMSG);
		text[i] ^= 1;
	}
	memset(text + len / 2, 0, len - len / 2);
	assert_int_equal(parse_copy(c, PATH, text, len), -EBADMSG);
}

static void test_another_place(void **state)
{
	_cleanup_(conf_free_p) struct conf *c = parse_usual(), *other = NULL;
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)state;
	text = make_copy(c, usual, READ, &len);
	assert_int_equal(parse_copy(c, PATH, text, len), 0);
	assert_int_equal(parse_copy(c, "/etc/ipvsd/a", text, len), -ESTALE);
	assert_int_equal(parse_copy(c, PATH "2", text, len), -ESTALE);
	/* The group has such a target of its own now. */
	other = parse("[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
		      "[target-group g]\ntargets = 10.0.0.3:8080\n");
	assert_int_equal(parse_copy(other, PATH, text, len), -EINVAL);
}

static void test_eq(void **state)
{
	static const struct {
		const char *lines;
		usec_t read_usec;
		bool eq;
	} cases[] = {
		{ "10.0.0.2\n10.0.0.3\n", READ, true },
		{ "10.0.0.2\n10.0.0.3\n", READ + 1, true },
		{ "10.0.0.2\n10.0.0.3\n", 1, true },
		{ "10.0.0.3\n10.0.0.2\n", READ, false },
		{ "10.0.0.2\n10.0.0.3 weight=1\n", READ, false },
		{ "10.0.0.2\n", READ, false },
	};
	_cleanup_(conf_free_p) struct conf *c = parse_usual();
	_cleanup_free_ char *text = NULL;
	size_t len;

	(void)state;
	text = make_copy(c, cases[0].lines, READ, &len);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *other = NULL;
		size_t len_other;

		other = make_copy(c, cases[i].lines, cases[i].read_usec, &len_other);
		assert_int_equal(targets_copy_eq(text, len, other, len_other), cases[i].eq);
	}
	assert_false(targets_copy_eq(text, len, text, len - 1)); /* damaged: to be written again */
	assert_false(targets_copy_eq(text, len, "", 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_damage),
		cmocka_unit_test(test_another_place),
		cmocka_unit_test(test_eq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

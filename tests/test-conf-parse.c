/* SPDX-License-Identifier: GPL-2.0-or-later */

/* From text to struct conf: values, order, places; and that nothing hangs on how inih was compiled. */

#include <errno.h>
#include <ini.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate.h"

struct result {
	struct conf *conf;
	struct diag_list diags;
};

static void result_deinit(struct result *r)
{
	conf_free(r->conf);
	diag_list_deinit(&r->diags);
}

#define _cleanup_result_ _cleanup_(result_deinit)

/* The text is copied to its exact size, so that the sanitizer sees a read past its end. */
static void parse_into(struct result *ret, const char *text, size_t len)
{
	_cleanup_(parse_deinit) struct parse p = { 0 };
	_cleanup_free_ char *exact = malloc(len ? len : 1);

	memcpy(exact, text, len);
	assert_int_equal(parse_init(&p, &ret->diags), 0);
	assert_int_equal(parse_text(&p, "f", exact, len), 0);
	assert_int_equal(validate(&p), 0);
	ret->conf = parse_take(&p);
}

static void assert_diags(const struct result *r, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	diag_print(&r->diags, DIAG_NOTE, f);
	assert_int_equal(fclose(f), 0);
	assert_string_equal(text, expected);
}

static const char whole[] = "[listener web]\n"
			    "address = 2001:db8::1\n"
			    "port = 8000-8010\n"
			    "protocol = tcp-udp\n"
			    "forward = blue:9\n"
			    "  green\n"
			    "[target-group green]\n"
			    "port = 81\n"
			    "targets =\n"
			    "\n"
			    "  ; the first\n"
			    "  [2001:db8::2]:80 weight=7 zone=a 2001:db8::3\n"
			    "  [2001:db8::2]:82\n"
			    "health-check-protocol = http\n"
			    "matcher = 200,301-302\n"
			    "health-check-interval = 1500ms\n"
			    "max-connections = 100\n"
			    "[target-group blue]\n"
			    "targets = [2001:db8::4]:80\n"
			    "[ipvsd]\n"
			    "vip-interface = dummy0\n"
			    "tcp-timeout = 350\n"
			    "log-level = debug\n";

static const char whole_diags[] = "";

static void check_whole(const struct conf *c)
{
	const struct conf_listener *l = conf_find_listener(c, "web");
	const struct conf_group *g = conf_find_group(c, "green");
	char text[ADDR_STR_MAX];

	assert_non_null(l);
	assert_string_equal(addr_format(&l->address, text), "2001:db8::1");
	assert_int_equal(l->family, AF_INET6);
	assert_int_equal(l->ports.low, 8000);
	assert_int_equal(l->ports.high, 8010);
	assert_int_equal(l->protocol, CONF_PROTOCOL_TCP_UDP);
	assert_string_equal(l->vip_interface, "dummy0");
	assert_int_equal(l->vip_prefix_len, 128);
	assert_int_equal(l->n_forwards, 2);
	assert_int_equal(l->forwards[0].weight, 9);
	assert_ptr_equal(&c->groups[l->forwards[0].group], conf_find_group(c, "blue"));
	assert_int_equal(l->forwards[1].weight, 1);
	assert_ptr_equal(&c->groups[l->forwards[1].group], g);
	assert_true(g->in_use);
	assert_int_equal(g->origin.line, 7);
	assert_int_equal(g->port, 81);
	assert_int_equal(g->n_targets, 3);
	assert_int_equal(g->targets[0].port, 80);
	assert_int_equal(g->targets[0].weight, 7);
	assert_string_equal(g->targets[0].zone, "a");
	assert_int_equal(g->targets[0].origin.line, 12);
	assert_int_equal(g->targets[1].port, 0);
	assert_int_equal(g->targets[1].weight, 100);
	assert_string_equal(g->targets[1].zone, "");
	assert_int_equal(g->targets[2].port, 82);
	assert_int_equal(g->targets[2].origin.line, 13);
	assert_int_equal(g->check.protocol, CONF_CHECK_HTTP);
	assert_int_equal(g->check.matcher.n, 2);
	assert_int_equal(g->check.matcher.ranges[1].high, 302);
	assert_int_equal(g->check.interval_usec, 1500000);
	assert_int_equal(g->check.timeout_usec, 1500000); /* 6 s, but not above the interval */
	assert_int_equal(g->max_connections, 100);
	assert_string_equal(c->global.vip_interface, "dummy0");
	assert_int_equal(c->global.tcp_timeout_usec, 350000000);
	assert_int_equal(c->global.log_level, 7);
}

static void test_whole(void **state)
{
	_cleanup_result_ struct result r = { 0 };

	(void)state;
	parse_into(&r, whole, strlen(whole));
	assert_diags(&r, whole_diags);
	check_whole(r.conf);
}

static void test_defaults(void **state)
{
	static const char text[] = "[target-group g]\n"
				   "[target-group h]\nhealth-check-protocol = http\n"
				   "[target-group i]\nhealth-check-protocol = grpc\n"
				   "[target-group k]\nhealth-check-protocol = https\n"
				   "[target-group l]\nhealth-check-protocol = grpc\n"
				   "health-check-path = /grpc.health.v1.Health/Check\n";
	_cleanup_result_ struct result r = { 0 };
	const struct conf_group *g, *h, *i, *k, *l;

	(void)state;
	parse_into(&r, text, strlen(text));
	assert_false(diag_has_errors(&r.diags));
	g = conf_find_group(r.conf, "g");
	h = conf_find_group(r.conf, "h");
	i = conf_find_group(r.conf, "i");
	k = conf_find_group(r.conf, "k");
	l = conf_find_group(r.conf, "l");
	assert_null(conf_find_group(r.conf, "j"));
	/* ELBv2's, as elbv2.md has them */
	assert_int_equal(g->check.protocol, CONF_CHECK_TCP);
	assert_int_equal(g->check.interval_usec, 30 * USEC_PER_SEC);
	assert_int_equal(g->check.timeout_usec, 10 * USEC_PER_SEC);
	assert_int_equal(h->check.timeout_usec, 6 * USEC_PER_SEC);
	assert_int_equal(g->check.healthy_threshold, 5);
	assert_int_equal(g->check.unhealthy_threshold, 2);
	assert_int_equal(h->check.matcher.ranges[0].low, 200);
	assert_int_equal(h->check.matcher.ranges[0].high, 399);
	assert_string_equal(h->check.path, "/");
	assert_string_equal(i->check.path, "/AWS.ALB/healthcheck");
	assert_int_equal(i->check.matcher.ranges[0].low, 12);
	assert_int_equal(i->check.matcher.ranges[0].high, 12);
	assert_int_equal(i->check.protocol, CONF_CHECK_GRPC);
	assert_int_equal(k->check.timeout_usec, 10 * USEC_PER_SEC);
	/* Not ELBv2's: who names gRPC's own method wants it to succeed. */
	assert_int_equal(l->check.matcher.ranges[0].low, 0);
	assert_int_equal(l->check.matcher.ranges[0].high, 0);
	assert_int_equal(g->deregistration_delay_usec, 300 * USEC_PER_SEC);
	assert_int_equal(g->minimum_healthy_routing.count, 1);
	assert_int_equal(g->minimum_healthy_routing.percent, 0);
	assert_int_equal(g->slow_start_usec, 0);
	assert_string_equal(g->algorithm.scheduler, "wlc");
	assert_int_equal(g->forwarding, CONF_FORWARDING_NAT);
	assert_string_equal(r.conf->global.control_socket, "/run/ipvsd/control.sock");
	assert_null(r.conf->fastpath.origin.path);
}

static void test_vip_interface_is_inherited(void **state)
{
	static const char text[] = "[listener a]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
				   "[listener b]\naddress = 192.0.2.2\nport = 80\nforward = g\n"
				   "vip-interface = none\n"
				   "[listener c]\naddress = 192.0.2.3\nport = 80\nforward = g\n"
				   "vip-interface = eth9\nvip-prefix-length = 24\n"
				   "[target-group g]\ntargets = 10.0.0.1:80\n"
				   "[ipvsd]\nvip-interface = eth0\n";
	_cleanup_result_ struct result r = { 0 };

	(void)state;
	parse_into(&r, text, strlen(text));
	assert_diags(&r, "");
	assert_string_equal(conf_find_listener(r.conf, "a")->vip_interface, "eth0");
	assert_int_equal(conf_find_listener(r.conf, "a")->vip_prefix_len, 32);
	assert_string_equal(conf_find_listener(r.conf, "b")->vip_interface, "");
	assert_string_equal(conf_find_listener(r.conf, "c")->vip_interface, "eth9");
	assert_int_equal(conf_find_listener(r.conf, "c")->vip_prefix_len, 24);
}

/* Whatever the library's settings are, also those that cannot be changed at run time on this system. */
static void test_inih_settings_do_not_matter(void **state)
{
	static char none[] = "", both[] = ";#";
	bool multiline = ini_allow_multiline, bom = ini_allow_bom, stack = ini_use_stack;
	bool inline_comments = ini_allow_inline_comments, stop = ini_stop_on_first_error;
	bool no_value = ini_allow_no_value, grow = ini_allow_realloc;
	char *start = ini_start_comment_prefixes, *prefixes = ini_inline_comment_prefixes;
	int max = ini_max_line, initial = ini_initial_alloc;

	(void)state;
	for (unsigned bits = 0; bits < 256; bits++) {
		_cleanup_result_ struct result r = { 0 };

		ini_allow_multiline = bits & 1;
		ini_allow_bom = bits & 2;
		ini_use_stack = bits & 4;
		ini_allow_inline_comments = bits & 8;
		ini_stop_on_first_error = bits & 16;
		ini_allow_no_value = bits & 32;
		ini_allow_realloc = bits & 64;
		ini_max_line = bits & 128 ? 80 : 200;
		ini_initial_alloc = 80;
		ini_start_comment_prefixes = bits & 1 ? none : both;
		ini_inline_comment_prefixes = bits & 2 ? none : both;
		parse_into(&r, whole, strlen(whole));
		assert_diags(&r, whole_diags);
		check_whole(r.conf);
	}
	ini_allow_multiline = multiline;
	ini_allow_bom = bom;
	ini_use_stack = stack;
	ini_allow_inline_comments = inline_comments;
	ini_stop_on_first_error = stop;
	ini_allow_no_value = no_value;
	ini_allow_realloc = grow;
	ini_start_comment_prefixes = start;
	ini_inline_comment_prefixes = prefixes;
	ini_max_line = max;
	ini_initial_alloc = initial;
}

/* The error stands on the line after a value of each length: inih counts a line that is cut as several. */
static void test_line_lengths(void **state)
{
	static const size_t lengths[] = { 1,   46,  47,	 48,  49,  50,	51,   62,   63,	  64,
					  65,  78,  79,	 80,  81,  127, 128,  196,  197,  198,
					  199, 200, 201, 202, 255, 256, 1023, 4096, 65536 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		_cleanup_result_ struct result r = { 0 };
		size_t len = lengths[i];
		_cleanup_free_ char *text = NULL, *fill = malloc(len + 1);

		memset(fill, 'x', len);
		fill[len] = '\0';
		assert_true(asprintf(&text, "[ipvsd]\n; %s\nzone = a ; %s\nstop = no\n", fill,
				     fill) > 0);
		parse_into(&r, text, strlen(text));
		assert_diags(
			&r,
			""
			"f:4: error: stop: \"no\" is not valid; accepted: keep, drain or flush\n");
	}
}

/* Each prefix of a file must parse without a fault; the sanitizer judges. */
static void test_truncated(void **state)
{
	(void)state;
	for (size_t len = 0; len < strlen(whole); len++) {
		_cleanup_result_ struct result r = { 0 };

		parse_into(&r, whole, len);
		assert_non_null(r.conf);
	}
}

/* A quadratic scan over targets or sections would take minutes here; the test runner's time limit judges. */
static void test_many(void **state)
{
	_cleanup_result_ struct result r = { 0 };
	_cleanup_free_ char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	(void)state;
	for (unsigned i = 0; i < 5000; i++)
		(void)fprintf(f,
			      "[listener l%u]\naddress = 10.%u.%u.1\nport = 80\nforward = g%u\n"
			      "[target-group g%u]\ntargets = 10.0.0.1:80\n",
			      i, i >> 8, i & 255, i, i);
	(void)fprintf(f, "[target-group big]\ntargets =\n");
	for (unsigned i = 0; i < 100000; i++)
		(void)fprintf(f, " 172.%u.%u.1:%u\n", i >> 14, i >> 6 & 255, 1000 + (i & 63));
	assert_int_equal(fclose(f), 0);
	parse_into(&r, text, size);
	assert_int_equal(r.conf->n_listeners, 5000);
	assert_int_equal(conf_find_group(r.conf, "big")->n_targets, 100000);
	assert_diags(
		&r,
		"f:30001: note: [target-group big] is not used: no listener forwards to it with a "
		"weight\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_vip_interface_is_inherited),
		cmocka_unit_test(test_inih_settings_do_not_matter),
		cmocka_unit_test(test_line_lengths),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_many),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/targets-file.h"
#include "conf/validate.h"
#include "daemon/discovery.h"
#include "daemon/roster.h"

DEFINE_CLEANUP(struct conf *, conf_free)

#define LISTENER "[listener l]\naddress = 192.0.2.1\nport = 80\nforward = g\n"
#define LISTENER81 "[listener m]\naddress = 192.0.2.1\nport = 81\nforward = g\n"
#define LISTENER6 "[listener m]\naddress = 2001:db8::f\nport = 80\nforward = g\n"

static struct conf *parse(const char *text, const char *file)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(parse_deinit) struct parse p = { 0 };

	assert_int_equal(parse_init(&p, &diags), 0);
	assert_int_equal(parse_text(&p, "f", text, strlen(text)), 0);
	if (file)
		assert_int_equal(parse_targets(&p, 0, "t", file, strlen(file)), 0);
	assert_int_equal(validate(&p), 0);
	if (diag_has_errors(&diags))
		diag_print(&diags, DIAG_ERROR, stderr);
	assert_false(diag_has_errors(&diags));
	return parse_take(&p);
}

/* "10.0.0.1:80 [2001:db8::1]" with port 0 where none is given. */
static struct discovery name_with(const char *name, uint16_t family, const char *list)
{
	struct discovery d = { .family = family, .service = conf_name_is_service(name) };
	struct discovery_item items[16];
	char copy[256], *save = NULL;
	size_t n = 0;

	strcpy(d.name, name);
	strcpy(copy, list);
	for (char *w = strtok_r(copy, " ", &save); w; w = strtok_r(NULL, " ", &save)) {
		items[n] = (struct discovery_item){ .weight = (uint16_t)(10 + n) };
		assert_int_equal(addr_port_parse(w, &items[n].addr, &items[n].port), 0);
		n++;
	}
	assert_int_equal(discovery_restore(&d, items, n, 60, 1), 0);
	return d;
}

/* "ADDRESS:PORT/WEIGHT ZONE" of each target, comma-separated. */
static void assert_roster(const struct conf *c, const struct roster_file *file,
			  struct discovery *names, size_t n_names, const char *expected)
{
	_cleanup_(roster_deinit) struct roster r = ROSTER_INIT;
	const struct roster_file none = { NULL, 0 };
	const struct discovery *sorted[8];
	char text[1024] = "", one[ADDR_PORT_STR_MAX];

	for (size_t i = 0; i < n_names; i++)
		sorted[i] = &names[i];
	assert_int_equal(roster_build(c, file ? file : &none, sorted, n_names, &r), 0);
	for (size_t i = 0; i < r.groups[0].n; i++) {
		const struct conf_target *t = &r.groups[0].targets[i];

		assert_null(t->host);
		(void)snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s/%u%s%s",
			       i ? ", " : "", addr_port_format(&t->addr, t->port, one), t->weight,
			       t->zone[0] ? " " : "", t->zone);
	}
	assert_string_equal(text, expected);
	for (size_t i = 0; i < n_names; i++)
		discovery_deinit(&names[i]);
}

static void test_names(void **state)
{
	_cleanup_(conf_free_p) struct conf *c = parse(
		LISTENER "[target-group g]\ntargets = 10.0.0.9:80 web.test:81 weight=3 zone=a\n"
			 "          other.test\n",
		NULL);
	struct discovery names[] = { name_with("other.test", AF_INET, ""),
				     name_with("WEB.test", AF_INET, "10.0.0.2 10.0.0.1") };

	(void)state;
	assert_roster(c, NULL, NULL, 0, "10.0.0.9:80/100");
	assert_roster(c, NULL, names, 2, "10.0.0.9:80/100, 10.0.0.1:81/3 a, 10.0.0.2:81/3 a");
}

static void test_families(void **state)
{
	_cleanup_(conf_free_p) struct conf *four =
		parse(LISTENER "[target-group g]\ntargets = web.test:80\n", NULL);
	_cleanup_(conf_free_p) struct conf *both =
		parse(LISTENER LISTENER6 "[target-group g]\ntargets = web.test:80\n", NULL);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct discovery names[] = { name_with("web.test", AF_INET, "10.0.0.1"),
					     name_with("web.test", AF_INET6, "2001:db8::1") };

		assert_roster(i ? both : four, NULL, names, 2,
			      i ? "10.0.0.1:80/100, [2001:db8::1]:80/100" : "10.0.0.1:80/100");
		assert_true(roster_families(i ? both : four, 0).ipv6 == (i == 1));
	}
}

static void test_services(void **state)
{
	_cleanup_(conf_free_p) struct conf *nat =
		parse(LISTENER "[target-group g]\ndiscovery = dns:_http._tcp.test\n", NULL);
	_cleanup_(conf_free_p) struct conf *direct = parse(
		LISTENER "[target-group g]\nforwarding = direct\ndiscovery = dns:_http._tcp.test\n",
		NULL);

	(void)state;
	for (int i = 0; i < 2; i++) {
		struct discovery name =
			name_with("_http._tcp.test", AF_INET, "10.0.0.1:81 10.0.0.2:82");

		/* No port is translated by direct: the listener's is what arrives. */
		assert_roster(i ? direct : nat, NULL, &name, 1,
			      i ? "10.0.0.1:0/10, 10.0.0.2:0/11"
				: "10.0.0.1:81/10, 10.0.0.2:82/11");
	}
}

/* The same host by address, by two names and by discovery: the first counts. */
static void test_repeated(void **state)
{
	_cleanup_(conf_free_p) struct conf *c =
		parse(LISTENER "[target-group g]\nport = 80\ndiscovery = dns:all.test\n"
			       "targets = 10.0.0.2 weight=2\n          a.test:80 weight=3\n",
		      "b.test weight=4\n10.0.0.4:80 weight=5\n");
	struct discovery names[] = {
		name_with("a.test", AF_INET, "10.0.0.2 10.0.0.3"),
		name_with("all.test", AF_INET, "10.0.0.1 10.0.0.2 10.0.0.3 10.0.0.4"),
		name_with("b.test", AF_INET, "10.0.0.3 10.0.0.4"),
	};

	(void)state;
	assert_roster(c, NULL, names, 3,
		      "10.0.0.2:0/2, 10.0.0.3:80/3, 10.0.0.4:0/4, 10.0.0.1:0/100");
}

/* A target without a port has that of the listeners, if that is one. */
static void test_repeated_by_listener(void **state)
{
	static const struct {
		const char *listeners, *expected;
	} cases[] = {
		{ LISTENER LISTENER6, "10.0.0.2:80/2, 10.0.0.2:81/100, 10.0.0.3:80/100" },
		{ LISTENER LISTENER81,
		  "10.0.0.2:80/2, 10.0.0.2:0/3, 10.0.0.2:81/100, 10.0.0.3:80/100" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *text = NULL;
		_cleanup_(conf_free_p) struct conf *c = NULL;
		struct discovery names[] = {
			name_with("_http._tcp.test", AF_INET,
				  "10.0.0.2:80 10.0.0.2:81 10.0.0.3:80"),
			name_with("a.test", AF_INET, "10.0.0.2"),
		};

		assert_true(asprintf(&text,
				     "%s[target-group g]\ndiscovery = dns:_http._tcp.test\n"
				     "health-check-port = 8080\n"
				     "targets = 10.0.0.2:80 weight=2\n a.test weight=3\n",
				     cases[i].listeners) > 0);
		c = parse(text, NULL);
		for (size_t k = 0; k < 3; k++)
			names[0].items[k].weight = 100;
		assert_roster(c, NULL, names, 2, cases[i].expected);
	}
}

static void test_file_at_run_time(void **state)
{
	_cleanup_(conf_free_p) struct conf *c = parse(
		LISTENER "[target-group g]\ntargets = 10.0.0.1:80\n", "10.0.0.2:80\n10.0.0.3:80\n");
	static const char text[] = "# a comment\n10.0.0.4:80 weight=7 zone=b\n\n";
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf_target *targets;
	struct roster_file file;
	size_t n;

	(void)state;
	assert_roster(c, NULL, NULL, 0, "10.0.0.1:80/100, 10.0.0.2:80/100, 10.0.0.3:80/100");
	assert_int_equal(targets_file_parse(c, 0, "t", text, strlen(text), &diags, &targets, &n),
			 0);
	file = (struct roster_file){ targets, n };
	assert_roster(c, &file, NULL, 0, "10.0.0.1:80/100, 10.0.0.4:80/7 b");
	targets_file_free(targets, n);
}

static void test_bad_files(void **state)
{
	static const struct {
		const char *text, *finding;
	} cases[] = {
		{ "", "no target in the file; an empty one is not believed" },
		{ "# nothing\n\n", "no target in the file; an empty one is not believed" },
		{ "10.0.0.4:80\n10.0.0.5:8o\n",
		  "targets: \"10.0.0.5:8o\" is not ADDRESS, ADDRESS:PORT, NAME or NAME:PORT" },
		{ "10.0.0.4:80\n\n10.0.0.4:80\n", "targets: 10.0.0.4:80 was given already at t:1" },
		{ "10.0.0.1:80\n", "targets: 10.0.0.1:80 was given already at f:6" },
		{ "10.0.0.1\n", "targets: 10.0.0.1:80 was given already at f:6: one without a port "
				"has the listener's" },
		{ "a.test:80 weight=3\nA.test:80\n",
		  "targets: A.test:80 was given already at t:1" },
		{ "10.0.0.4:80 weight=high\n", "targets: \"weight=high\": a weight is 0 to 65535" },
	};
	_cleanup_(conf_free_p) struct conf *c =
		parse(LISTENER "[target-group g]\ntargets = 10.0.0.1:80\n", "10.0.0.2:80\n");

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
		struct conf_target *targets;
		size_t n;

		assert_int_equal(targets_file_parse(c, 0, "t", cases[i].text, strlen(cases[i].text),
						    &diags, &targets, &n),
				 -EINVAL);
		assert_int_equal(diags.n_errors, 1);
		assert_string_equal(diags.items[0].message, cases[i].finding);
		assert_string_equal(diags.items[0].path, "t");
	}
}

/* A port that direct routing cannot translate is as wrong in the file as in the section. */
static void test_port_of_a_direct_target(void **state)
{
	_cleanup_(conf_free_p) struct conf *c =
		parse(LISTENER "[target-group g]\nforwarding = direct\ntargets = 10.0.0.1\n", NULL);
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf_target *targets;
	size_t n;

	(void)state;
	assert_int_equal(targets_file_parse(c, 0, "t", "10.0.0.2:81\n", 12, &diags, &targets, &n),
			 -EINVAL);
	assert_int_equal(diags.items[0].line, 1);
}

/* Such a file would take the last target from the listener: at run time as at a reload. */
static void test_no_fitting_target(void **state)
{
	_cleanup_(conf_free_p) struct conf *c =
		parse(LISTENER "[target-group g]\ntargets-file = t\n", "10.0.0.2:80\n");
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf_target *targets;
	size_t n;

	(void)state;
	assert_int_equal(targets_file_parse(c, 0, "t", "[2001:db8::1]:80\n", 17, &diags, &targets,
					    &n),
			 -EINVAL);
	assert_int_equal(diags.n, 1);
	assert_string_equal(diags.items[0].message,
			    "forward: [listener l] is IPv4, but target group \"g\" has no such "
			    "target; only ipip, gue and gre cross address families");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_families),
		cmocka_unit_test(test_services),
		cmocka_unit_test(test_repeated),
		cmocka_unit_test(test_repeated_by_listener),
		cmocka_unit_test(test_file_at_run_time),
		cmocka_unit_test(test_bad_files),
		cmocka_unit_test(test_port_of_a_direct_target),
		cmocka_unit_test(test_no_fitting_target),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

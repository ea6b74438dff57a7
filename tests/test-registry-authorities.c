/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/authorities.h"
#include "daemon/registry.h"
#include "daemon/roster.h"

/* The numbers that authorities have, from one configuration to the next. */

#define NOW (1000 * USEC_PER_SEC)

enum {
	N_GROUPS = 3,
};

/* A configuration of three groups with a target each. */
struct fixture {
	struct conf conf;
	struct conf_group groups[N_GROUPS];
	struct conf_target target;
};

/* Of one certificate, whose content is one byte. */
static struct authorities *make_authorities(char byte)
{
	const unsigned char der[] = { 0x30, 1, (unsigned char)byte };
	struct authorities *a = calloc(1, sizeof(*a) + sizeof(der));

	assert_non_null(a);
	a->refs = a->n = 1;
	a->size = sizeof(der);
	memcpy(a->der, der, sizeof(der));
	return a;
}

/* letters: what certificates each group has; '-' = none. */
static void fixture_init(struct fixture *f, const char *letters)
{
	*f = (struct fixture){ .conf = { .groups = f->groups, .n_groups = N_GROUPS } };
	assert_int_equal(addr_parse("10.0.0.1", &f->target.addr), 0);
	for (size_t i = 0; i < N_GROUPS; i++) {
		struct conf_group *g = &f->groups[i];

		g->name[0] = (char)('x' + i);
		g->port = 443;
		g->in_use = true;
		g->targets = &f->target;
		g->n_targets = 1;
		g->check.protocol = CONF_CHECK_TLS;
		g->check.interval_usec = g->check.timeout_usec = USEC_PER_SEC;
		g->check.healthy_threshold = g->check.unhealthy_threshold = 2;
		g->check.verify_certificate = true;
		if (letters[i] != '-')
			g->check.authorities = make_authorities(letters[i]);
	}
}

static void fixture_deinit(struct fixture *f)
{
	for (size_t i = 0; i < N_GROUPS; i++)
		authorities_unref(f->groups[i].check.authorities);
}

static struct protocol_probe_record probe_of(const struct registry *r, size_t group)
{
	struct protocol_probe_record p;
	enum protocol_kind kind;

	assert_true(registry_probe(&r->groups[group], &r->groups[group].targets[0], &p));
	assert_int_equal(protocol_check(&p, p.probe.header.size, &kind), 0);
	return p;
}

/* A number is for groups with the same ones, now or just before, and never comes back for others. */
static void test_numbers(void **state)
{
	static const struct {
		const char *groups;
		uint64_t numbers[N_GROUPS];
	} steps[] = {
		{ "-aa", { 0, 1, 1 } }, { "-aa", { 0, 1, 1 } }, { "aba", { 1, 2, 1 } },
		{ "b-c", { 2, 0, 3 } }, { "cba", { 3, 2, 4 } }, { "---", { 0, 0, 0 } },
		{ "-c-", { 0, 5, 0 } }, { "ccc", { 5, 5, 5 } },
	};
	struct registry old = REGISTRY_INIT, fresh;
	struct fixture fixtures[2];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct fixture *f = &fixtures[i % 2];

		fixture_init(f, steps[i].groups);
		assert_int_equal(registry_build(&f->conf, &old, NOW, &fresh), 0);
		registry_deinit(&old);
		if (i > 0)
			fixture_deinit(&fixtures[(i + 1) % 2]);
		old = fresh;
		for (size_t k = 0; k < N_GROUPS; k++)
			if (probe_of(&old, k).probe.authorities != steps[i].numbers[k])
				fail_msg("step %zu, group %zu: %lu", i, k,
					 (unsigned long)probe_of(&old, k).probe.authorities);
	}
	registry_deinit(&old);
	fixture_deinit(&fixtures[(ARRAY_SIZE(steps) - 1) % 2]);
}

/* A result by other certificates is of another specification; without verification they are nobody's. */
static void test_specifications(void **state)
{
	struct registry none = REGISTRY_INIT, a, b, c;
	struct fixture fixtures[3];

	(void)state;
	fixture_init(&fixtures[0], "a--");
	fixture_init(&fixtures[1], "a--");
	fixture_init(&fixtures[2], "b--");
	assert_int_equal(registry_build(&fixtures[0].conf, &none, NOW, &a), 0);
	assert_int_equal(registry_build(&fixtures[1].conf, &a, NOW, &b), 0);
	assert_int_equal(registry_build(&fixtures[2].conf, &b, NOW, &c), 0);
	assert_int_equal(probe_of(&a, 0).probe.generation, probe_of(&b, 0).probe.generation);
	assert_int_not_equal(probe_of(&b, 0).probe.generation, probe_of(&c, 0).probe.generation);
	assert_int_equal(probe_of(&b, 1).probe.generation, probe_of(&c, 1).probe.generation);
	fixtures[2].groups[0].check.verify_certificate = false;
	assert_int_equal(probe_of(&c, 0).probe.authorities, 0);
	registry_deinit(&a);
	registry_deinit(&b);
	registry_deinit(&c);
	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++)
		fixture_deinit(&fixtures[i]);
}

/*
 * A file that could not be read since the start: no probe, since the system's authorities are not what was asked for. What
 * a target was stays; when the file is good, or changes, the roster brings its authorities.
 */
static void test_lack(void **state)
{
	struct registry none = REGISTRY_INIT, lacking, mended, changed;
	struct protocol_probe_record p;
	struct fixture f;
	struct authorities *a = make_authorities('a'), *b = make_authorities('b');
	struct roster_group groups[N_GROUPS] = { 0 };
	const struct roster roster = { groups, N_GROUPS };
	struct target *t;

	(void)state;
	fixture_init(&f, "---");
	for (size_t i = 0; i < N_GROUPS; i++) {
		groups[i].targets = &f.target;
		groups[i].n = 1;
		f.groups[i].check.ca_file = (char *)"x.pem";
	}
	f.groups[2].check.protocol = CONF_CHECK_TCP; /* the key has no effect there */
	f.groups[1].check.verify_certificate = false;
	assert_int_equal(registry_build_from(&f.conf, &roster, &none, NOW, &lacking), 0);
	assert_false(registry_probe(&lacking.groups[0], &lacking.groups[0].targets[0], &p));
	assert_true(registry_probe(&lacking.groups[1], &lacking.groups[1].targets[0], &p));
	assert_true(registry_probe(&lacking.groups[2], &lacking.groups[2].targets[0], &p));
	t = &lacking.groups[0].targets[0];
	assert_int_equal(t->health.state, TARGET_INITIAL);
	t->health.state = TARGET_HEALTHY;
	groups[0].authorities = a;
	assert_int_equal(registry_build_from(&f.conf, &roster, &lacking, NOW, &mended), 0);
	assert_int_equal(probe_of(&mended, 0).probe.authorities, 1);
	assert_int_equal(mended.groups[0].targets[0].health.state, TARGET_HEALTHY);
	assert_ptr_equal(mended.groups[0].trusted, a);
	groups[0].authorities = b;
	authorities_unref(a); /* whoever read the file keeps the last good ones alone */
	assert_int_equal(registry_build_from(&f.conf, &roster, &mended, NOW, &changed), 0);
	assert_int_equal(probe_of(&changed, 0).probe.authorities, 2);
	authorities_unref(b);
	registry_deinit(&lacking);
	registry_deinit(&mended);
	registry_deinit(&changed);
	fixture_deinit(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_specifications),
		cmocka_unit_test(test_lack),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

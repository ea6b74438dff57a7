/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/linger.h"

#define NOW (1000 * USEC_PER_SEC)
#define DELAY (60 * USEC_PER_SEC)

static struct addr numbered(char digit)
{
	struct addr a;

	assert_int_equal(addr_parse("10.0.0.0", &a), 0);
	a.bytes[3] = (uint8_t)(digit - '0');
	return a;
}

/* One service whose list is e.g. "321"; a digit followed by '*' has a connection. */
static void ruleset_of(struct ipvs_ruleset *r, const char *list)
{
	const struct ipvs_service_key key = {
		.family = AF_INET, .protocol = IPPROTO_TCP, .port = 80, .addr = numbered('9')
	};
	struct ipvs_service *s;

	*r = IPVS_RULESET_INIT;
	s = ipvs_ruleset_append(r, &key);
	for (; *list; list++) {
		struct ipvs_dest d = { .addr = numbered(*list), .port = 8080, .weight = 5 };

		if (list[1] == '*') {
			d.active_conns = 1;
			list++;
		}
		assert_non_null(ipvs_service_append(s, &d));
	}
}

/* The list as digits, '0' behind those of weight 0. */
static const char *list_of(const struct ipvs_ruleset *r, char buf[static 64])
{
	char *p = buf;

	for (size_t i = 0; i < r->services[0].n_dests; i++) {
		*p++ = (char)('0' + r->services[0].dests[i].addr.bytes[3]);
		if (!r->services[0].dests[i].weight)
			*p++ = '0';
	}
	*p = '\0';
	return buf;
}

static void make_conf(struct conf *c, struct conf_group *g, struct conf_listener *l,
		      struct conf_forward *f)
{
	*g = (struct conf_group){ .deregistration_delay_usec = DELAY };
	*f = (struct conf_forward){ .group = 0 };
	*l = (struct conf_listener){ .address = numbered('9'),
				     .family = AF_INET,
				     .ports = { 80, 80 },
				     .forwards = f,
				     .n_forwards = 1 };
	*c = (struct conf){ .listeners = l, .n_listeners = 1, .groups = g, .n_groups = 1 };
}

static bool idle_without_active(const struct ipvs_dest *d, void *userdata)
{
	(void)userdata;
	return !d->active_conns;
}

static void test_note_and_merge(void **state)
{
	static const struct {
		const char *actual, *before, *after, *merged;
	} cases[] = {
		{ "3*2*1*", "321", "654",
		  "654302010" }, /* another group: all stay, behind the new ones */
		{ "3*21*", "321", "654", "6543010" }, /* 2 has no connection and goes at once */
		{ "3*2*1*", "321", "31", "3201" },    /* in its place */
		{ "3*2*1*", "321", "321", "321" },    /* nothing leaves */
		{ "3*2*1*", "21", "2", "210" },	      /* 3 was nobody's: drift, not a farewell */
		{ "1*", "1", "", "10" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ipvs_ruleset actual, before, after;
		_cleanup_(linger_set_deinit) struct linger_set s = LINGER_SET_INIT;
		struct conf_listener l;
		struct conf_forward f;
		struct conf_group g;
		struct conf c;
		char buf[64];

		make_conf(&c, &g, &l, &f);
		ruleset_of(&actual, cases[i].actual);
		ruleset_of(&before, cases[i].before);
		ruleset_of(&after, cases[i].after);
		assert_int_equal(linger_note(&s, &c, &actual, &before, &after, NOW), 0);
		assert_int_equal(linger_note(&s, &c, &actual, &before, &after, NOW), 0);
		assert_int_equal(linger_merge(&s, &actual, &after), 0);
		assert_string_equal(list_of(&after, buf), cases[i].merged);
		for (size_t j = 0; j < s.n; j++)
			assert_int_equal(s.items[j].deadline_usec, NOW + DELAY);
		ipvs_ruleset_deinit(&actual);
		ipvs_ruleset_deinit(&before);
		ipvs_ruleset_deinit(&after);
	}
}

static void test_end(void **state)
{
	struct ipvs_ruleset actual, later, before, after;
	struct linger_set s = LINGER_SET_INIT;
	struct conf_listener l;
	struct conf_forward f;
	struct conf_group g;
	struct conf c;

	(void)state;
	make_conf(&c, &g, &l, &f);
	ruleset_of(&actual, "3*2*1*");
	ruleset_of(&later, "3*21*");
	ruleset_of(&before, "321");
	ruleset_of(&after, "4");
	assert_int_equal(linger_note(&s, &c, &actual, &before, &after, NOW), 0);
	assert_int_equal(s.n, 3);
	assert_false(linger_finish(&s, &actual, idle_without_active, NULL, NOW));
	assert_true(linger_finish(&s, &later, idle_without_active, NULL, NOW));
	assert_int_equal(s.n, 2);
	/* One that comes back is no longer leaving. */
	assert_int_equal(linger_note(&s, &c, &later, &after, &before, NOW), 0);
	assert_int_equal(s.n, 0);
	assert_int_equal(linger_note(&s, &c, &actual, &before, &after, NOW), 0);
	assert_false(linger_finish(&s, &actual, idle_without_active, NULL, NOW + DELAY - 1));
	assert_true(linger_finish(&s, &actual, idle_without_active, NULL, NOW + DELAY));
	assert_int_equal(s.n, 0);
	linger_set_deinit(&s);
	ipvs_ruleset_deinit(&actual);
	ipvs_ruleset_deinit(&later);
	ipvs_ruleset_deinit(&before);
	ipvs_ruleset_deinit(&after);
}

/* Beyond the delay: until the connections end, or the target is back. */
static void test_keep(void **state)
{
	struct ipvs_ruleset actual, idle, desired, back;
	struct linger_set s = LINGER_SET_INIT;
	const struct addr one = numbered('1'), two = numbered('2');
	char buf[64];

	(void)state;
	ruleset_of(&actual, "321*");
	ruleset_of(&idle, "321");
	ruleset_of(&desired, "3");
	ruleset_of(&back, "31");
	assert_int_equal(linger_keep(&s, &actual.services[0], &two, 8080), 0); /* no connection */
	assert_int_equal(linger_keep(&s, &actual.services[0], &one, 80), 0);   /* another port */
	assert_int_equal(s.n, 0);
	assert_int_equal(linger_keep(&s, &actual.services[0], &one, 8080), 0);
	assert_int_equal(linger_keep(&s, &actual.services[0], &one, 8080), 0);
	assert_int_equal(s.n, 1);
	linger_shift(&s, 1000);
	assert_true(s.items[0].deadline_usec == LINGER_UNTIL_IDLE);
	linger_forget(&s, &desired);
	assert_int_equal(linger_merge(&s, &actual, &desired), 0);
	assert_string_equal(list_of(&desired, buf), "310");
	assert_false(linger_finish(&s, &actual, idle_without_active, NULL, NOW + 1000 * DELAY));
	assert_true(linger_finish(&s, &idle, idle_without_active, NULL, NOW));
	assert_int_equal(linger_keep(&s, &actual.services[0], &one, 8080), 0);
	linger_forget(&s, &back);
	assert_int_equal(s.n, 0);
	linger_set_deinit(&s);
	ipvs_ruleset_deinit(&actual);
	ipvs_ruleset_deinit(&idle);
	ipvs_ruleset_deinit(&desired);
	ipvs_ruleset_deinit(&back);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_note_and_merge),
		cmocka_unit_test(test_end),
		cmocka_unit_test(test_keep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

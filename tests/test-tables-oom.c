/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Every allocation of the tables fails once: the command or the publication answers -ENOMEM, succeeds when it is asked
 * again, and in the end all is as if nothing had happened.
 */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/failing-memory.h"
#include "tables-rig.h"

enum {
	SERVICES = 20, /* more than the first index holds */
};

static struct ipvs_service_key nth_key(unsigned i)
{
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);

	k.addr.bytes[2] = (uint8_t)i;
	return k;
}

static int new_service(struct tables_rig *g, unsigned i)
{
	struct ipvs_service_key k = nth_key(i);
	struct ipvs_service s = rig_service(&k, i % 2 ? "mh" : "wrr");

	return tables_service_new(g->tables, &s);
}

static int new_dest(struct tables_rig *g, unsigned i)
{
	struct ipvs_service_key k = nth_key(i);
	struct ipvs_dest d = rig_dest("10.1.0.1", (uint16_t)(8000 + i));

	return tables_dest_new(g->tables, &k, &d);
}

static int del_dest(struct tables_rig *g, unsigned i)
{
	struct ipvs_service_key k = nth_key(i);
	struct ipvs_dest d = rig_dest("10.1.0.1", (uint16_t)(8000 + i));

	return i % 3 ? 0 : tables_dest_del(g->tables, &k, &d.addr, d.port);
}

static int del_service(struct tables_rig *g, unsigned i)
{
	struct ipvs_service_key k = nth_key(i);

	return i % 5 ? 0 : tables_service_del(g->tables, &k);
}

static int set_locals(struct tables_rig *g, unsigned i)
{
	const struct addr locals[2] = { rig_dest("10.8.0.1", 1).addr, rig_dest("fd08::1", 1).addr };

	return i == 0 ? tables_set_locals(g->tables, locals, 2) : 0;
}

static int publish(struct tables_rig *g, unsigned i)
{
	(void)i;
	return tables_publish(g->tables);
}

/* Asks until it is done; false when it was the second failure, which must not be. */
static void persist(struct tables_rig *g, int (*step)(struct tables_rig *, unsigned), unsigned i)
{
	int r;

	failing_memory_suspend(false);
	r = step(g, i);
	if (r == -ENOMEM)
		r = step(g, i);
	failing_memory_suspend(true);
	assert_int_equal(r, 0);
}

static void run(struct tables_rig *g)
{
	int (*const steps[])(struct tables_rig *, unsigned) = { new_service, new_dest, publish,
								set_locals,  del_dest, del_service,
								publish };

	for (unsigned k = 0; k < ARRAY_SIZE(steps); k++)
		for (unsigned i = 0; i < (steps[k] == publish ? 1 : SERVICES); i++)
			persist(g, steps[k], i);
}

static void assert_complete(const struct tables_rig *g)
{
	const struct snapshot *s = tables_snapshot(g->tables);

	for (unsigned i = 0; i < SERVICES; i++) {
		struct ipvs_service_key k = nth_key(i);
		const struct service_view *v = rig_view(g, &k);

		assert_int_equal(v != NULL, i % 5 != 0);
		assert_int_equal(snapshot_has_address(s, AF_INET, k.addr.bytes), i % 5 != 0);
		if (v)
			assert_int_equal(v->n_dests, i % 3 != 0);
	}
	assert_int_equal(s->n_local4, 1);
	assert_int_equal(s->n_local6, 1);
}

static void test_every_allocation(void **state)
{
	size_t n = 0;
	bool reached = true;

	(void)state;
	for (; reached; n++) {
		struct tables_rig g;

		tables_rig_init(&g, 1);
		failing_memory_suspend(true); /* only the tables' own fail */
		failing_memory_arm(n);
		run(&g);
		reached = failing_memory_disarm();
		failing_memory_suspend(false);
		assert_complete(&g);
		tables_rig_deinit(&g);
	}
	assert_true(n > 6 * SERVICES);
}

static void ignore(void *context, void (*free_fn)(void *), void *object)
{
	(void)context;
	free_fn(object);
}

static void test_creation(void **state)
{
	struct dest_counters *counters = NULL;
	const struct tables_config c = {
		.n_workers = 1, .tick_msec = 100, .dest_counters = &counters, .retire = ignore
	};
	struct tables *t = NULL;
	int r = -ENOMEM;

	(void)state;
	for (size_t n = 0; r == -ENOMEM; n++) {
		failing_memory_arm(n);
		r = tables_new(&c, &t);
		(void)failing_memory_disarm();
		assert_int_equal(!t, r < 0);
		assert_in_range(n, 0, 100);
	}
	assert_int_equal(r, 0);
	tables_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_creation),
		cmocka_unit_test(test_every_allocation),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

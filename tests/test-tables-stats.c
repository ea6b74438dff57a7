/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Statistics of services and destinations, summed over workers; their rates. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <cmocka.h>

#include "tables-rig.h"

static int set_up(void **state)
{
	struct tables_rig *g = malloc(sizeof(*g));

	tables_rig_init(g, 2);
	*state = g;
	return 0;
}

static int tear_down(void **state)
{
	tables_rig_deinit(*state);
	free(*state);
	return 0;
}

static uint32_t only_id(const struct tables_rig *g, const struct ipvs_service_key *k)
{
	const struct service_view *v = rig_view(g, k);

	assert_int_equal(v->n_dests, 1);
	return v->dests[0]->id;
}

static void count(struct tables_rig *g, unsigned worker, uint32_t id, uint64_t n)
{
	struct dest_counters *c = &g->counters[worker][id];

	COUNTER_ADD(c->conns, n);
	COUNTER_ADD(c->traffic[DEST_IN].packets, 2 * n);
	COUNTER_ADD(c->traffic[DEST_OUT].packets, 3 * n);
	COUNTER_ADD(c->traffic[DEST_IN].bytes, 400 * n);
	COUNTER_ADD(c->traffic[DEST_OUT].bytes, 500 * n);
}

static void assert_stats(const struct ipvs_stats *s, uint64_t n)
{
	assert_int_equal(s->conns, n);
	assert_int_equal(s->in_packets, 2 * n);
	assert_int_equal(s->out_packets, 3 * n);
	assert_int_equal(s->in_bytes, 400 * n);
	assert_int_equal(s->out_bytes, 500 * n);
}

static void assert_counted(const struct tables_rig *g, const struct ipvs_service_key *k,
			   uint64_t of_service, uint64_t of_dest)
{
	struct ipvs_service s;
	struct ipvs_dest d;
	size_t cursor = 0;

	assert_int_equal(tables_get_service(g->tables, k, &s), 0);
	assert_stats(&s.stats, of_service);
	assert_true(tables_next_dest(g->tables, k, &cursor, &d));
	assert_stats(&d.stats, of_dest);
}

static void test_statistics(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct ipvs_dest d;
	size_t cursor = 0;
	uint32_t id;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	id = only_id(g, &k);
	count(g, 0, id, 10);
	count(g, 1, id, 5);
	assert_counted(g, &k, 15, 15);
	assert_int_equal(tables_zero(g->tables, &k), 0);
	count(g, 1, id, 2);
	assert_counted(g, &k, 2, 2);

	/* What moves in the trash counts for nobody; what a destination counted stays its service's. */
	rig_del_dest(g, &k, "10.1.0.1");
	count(g, 0, id, 1000);
	rig_add_dest(g, &k, "10.1.0.2");
	assert_counted(g, &k, 2, 0);
	rig_del_dest(g, &k, "10.1.0.2");
	rig_add_dest(g, &k, "10.1.0.1");
	count(g, 0, id, 1);
	assert_counted(g, &k, 3, 3);

	/* A service that was made anew begins at 0. */
	assert_int_equal(tables_service_del(g->tables, &k), 0);
	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	assert_counted(g, &k, 0, 0);
	g->counters[0][id].active = 3;
	g->counters[1][id].active = 4;
	g->counters[1][id].inactive = 5;
	g->counters[0][id].persistent = 6;
	assert_true(tables_next_dest(g->tables, &k, &cursor, &d));
	assert_int_equal(d.active_conns, 7);
	assert_int_equal(d.inactive_conns, 5);
	assert_int_equal(d.persistent_conns, 6);
	count(g, 0, id, 9);
	assert_int_equal(tables_zero(g->tables, NULL), 0);
	assert_counted(g, &k, 0, 0);
}

/* An id that is used again brings nothing along. */
static void test_statistics_of_reused_id(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	uint32_t id;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	id = only_id(g, &k);
	count(g, 0, id, 10);
	g->overloaded[id] = 1;
	rig_del_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	tables_rig_quiesce(g);
	tables_rig_sleep(g, 125);
	rig_add_dest(g, &k, "10.1.0.2");
	tables_rig_publish(g);
	assert_int_equal(only_id(g, &k), id);
	assert_int_equal(g->overloaded[id], 0);
	assert_counted(g, &k, 10, 0);
}

/* A steady load is told as it is; it fades by a quarter every 2 s (8 s on the whole). */
static void test_rates(void **state)
{
	struct tables_rig *g = *state;
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);
	struct ipvs_service s;
	struct ipvs_dest d;
	size_t cursor = 0;
	uint32_t id;

	rig_add_service(g, &k);
	rig_add_dest(g, &k, "10.1.0.1");
	tables_rig_publish(g);
	id = only_id(g, &k);
	tables_rig_sleep(g, 1); /* the estimator begins */
	for (unsigned sec = 0; sec < 80; sec++) {
		count(g, sec % 2, id, 1000);
		tables_rig_sleep(g, 1);
	}
	assert_int_equal(tables_get_service(g->tables, &k, &s), 0);
	assert_true(tables_next_dest(g->tables, &k, &cursor, &d));
	assert_in_range(s.stats.cps, 998, 1000);
	assert_in_range(s.stats.in_pps, 1998, 2000);
	assert_in_range(s.stats.out_pps, 2998, 3000);
	assert_in_range(s.stats.in_bps, 399990, 400000);
	assert_in_range(s.stats.out_bps, 499990, 500000);
	assert_memory_equal(&s.stats, &d.stats, sizeof(s.stats));
	tables_rig_sleep(g, 2);
	assert_int_equal(tables_get_service(g->tables, &k, &s), 0);
	assert_in_range(s.stats.cps, 748, 751);
	tables_rig_sleep(g, 200);
	assert_int_equal(tables_get_service(g->tables, &k, &s), 0);
	assert_int_equal(s.stats.in_bps, 0);
}

#define rig_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		rig_test(test_statistics),
		rig_test(test_statistics_of_reused_id),
		rig_test(test_rates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

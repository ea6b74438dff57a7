/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Workers read while the control side publishes: what they see is whole, and is not freed under them. Reclamation here
 * is the rule of QSBR in its plainest form; the sanitized builds (address, thread) see what breaks it.
 */

#include <arpa/inet.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tables-rig.h"

enum {
	READERS = 2,
	SERVICES = 40,
	DESTS = 8,
	CHANGES = 1500,
	WAITING_MAX = 1 << 16,
};

struct waiting {
	void (*free_fn)(void *);
	void *object;
	uint64_t token;
};

struct stage {
	struct tables *tables;
	struct dest_counters *counters;
	_Atomic uint64_t token;
	_Atomic uint64_t
		passed[READERS]; /* the newest token that the reader has seen between two bursts */
	atomic_bool stop;
	struct waiting *waiting; /* oldest first */
	size_t first, end;
};

struct reader {
	struct stage *stage;
	unsigned number;
	uint64_t views;
	pthread_t thread;
};

static void retire(void *context, void (*free_fn)(void *), void *object)
{
	struct stage *g = context;

	assert_true(g->end < WAITING_MAX);
	g->waiting[g->end++] =
		(struct waiting){ free_fn, object, atomic_fetch_add(&g->token, 1) + 1 };
}

static void reclaim(struct stage *g)
{
	uint64_t passed = UINT64_MAX;

	for (unsigned i = 0; i < READERS; i++)
		passed = MIN(passed, atomic_load(&g->passed[i]));
	while (g->first < g->end && g->waiting[g->first].token <= passed) {
		struct waiting *w = &g->waiting[g->first++];

		w->free_fn(w->object);
	}
	if (g->first == g->end)
		g->first = g->end = 0;
}

static struct ipvs_service_key nth_key(unsigned i)
{
	struct ipvs_service_key k = rig_key("10.9.0.1", IPPROTO_TCP, 80);

	k.addr.bytes[2] = (uint8_t)i;
	return k;
}

/* Every publication gives all destinations of a service one weight; a mixture would be two views in one. */
static void check_view(struct reader *r, const struct snapshot *s, const struct service_view *v)
{
	for (size_t i = 0; i < v->n_dests; i++) {
		const struct dest_view *d = v->dests[i];

		if (d->weight != v->dests[0]->weight || d->service_id != v->id || d->deleted ||
		    !snapshot_dest(s, d->id))
			abort();
	}
	r->views++;
}

static void *read_on(void *context)
{
	struct reader *r = context;
	struct stage *g = r->stage;

	while (!atomic_load(&g->stop)) {
		const struct snapshot *s = tables_snapshot(g->tables);

		for (unsigned i = 0; i < SERVICES; i++) {
			struct flow_key k = { .protocol = IPPROTO_TCP,
					      .family = AF_INET,
					      .dst = { 10, 9, (uint8_t)i, 1 },
					      .dst_port_be = htons(80) };
			const struct service_view *v = snapshot_find_service(s, &k);

			if (v)
				check_view(r, s, v);
			(void)snapshot_owner(s, &k);
		}
		atomic_store(&g->passed[r->number], atomic_load(&g->token));
	}
	return NULL;
}

static void change(struct stage *g, struct random *random, uint32_t weight)
{
	struct ipvs_service_key k = nth_key(random_below(random, SERVICES));
	struct ipvs_service s = rig_service(&k, weight % 2 ? "mh" : "rr");
	struct ipvs_dest d = rig_dest("10.1.0.1", 8080);

	if (random_below(random, 8) == 0)
		(void)tables_service_del(g->tables, &k);
	else
		(void)tables_service_new(g->tables, &s);
	d.weight = weight;
	for (unsigned i = 0; i < DESTS; i++) {
		d.addr.bytes[3] = (uint8_t)(1 + i);
		if (random_below(random, 4) == 0)
			(void)tables_dest_del(g->tables, &k, &d.addr, d.port);
		else if (tables_dest_new(g->tables, &k, &d) < 0)
			(void)tables_dest_set(g->tables, &k, &d);
	}
}

static void test_readers(void **state)
{
	static _Atomic uint8_t overloaded[SNAPSHOT_DESTS_MAX];
	struct stage g = { 0 };
	struct reader readers[READERS];
	struct random random = { .state = 41 };
	struct tables_config c = { .n_workers = 1,
				   .tick_msec = 100,
				   .dest_counters = &g.counters,
				   .overloaded = overloaded,
				   .retire = retire,
				   .context = &g };

	(void)state;
	g.counters = calloc(SNAPSHOT_DESTS_MAX, sizeof(*g.counters));
	g.waiting = calloc(WAITING_MAX, sizeof(*g.waiting));
	assert_int_equal(tables_new(&c, &g.tables), 0);
	for (unsigned i = 0; i < READERS; i++) {
		readers[i] = (struct reader){ .stage = &g, .number = i };
		assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
	}
	for (uint32_t i = 1; i <= CHANGES; i++) {
		change(&g, &random, i);
		assert_int_equal(tables_publish(g.tables), 0);
		(void)tables_tick(g.tables, (uint64_t)i * 1000 * 1000);
		reclaim(&g);
	}
	atomic_store(&g.stop, true);
	for (unsigned i = 0; i < READERS; i++) {
		assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
		assert_true(readers[i].views > 0);
		atomic_store(&g.passed[i], UINT64_MAX);
	}
	reclaim(&g);
	tables_free(g.tables);
	free(g.counters);
	free(g.waiting);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_readers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

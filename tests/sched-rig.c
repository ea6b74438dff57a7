/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "sched-rig.h"

#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

static struct sched_load rig_load(const void *context, uint32_t id)
{
	return ((const struct sched_rig *)context)->loads[id];
}

static bool rig_overloaded(const void *context, uint32_t id)
{
	return ((const struct sched_rig *)context)->overloaded[id];
}

int sched_rig_set_up(void **state)
{
	struct sched_rig *g = calloc(1, sizeof(*g));

	g->service =
		calloc(1, sizeof(*g->service) + SCHED_RIG_DESTS_MAX * sizeof(g->service->dests[0]));
	g->service->family = AF_INET;
	g->service->protocol = IPPROTO_TCP;
	*state = g;
	return 0;
}

int sched_rig_tear_down(void **state)
{
	struct sched_rig *g = *state;

	sched_view_free((struct sched_view *)g->service->sched);
	free(g->service);
	free(g);
	return 0;
}

void sched_rig_use(struct sched_rig *g, enum sched_kind kind)
{
	struct sched_view *v;

	sched_view_free((struct sched_view *)g->service->sched);
	g->service->sched = NULL;
	sched_changes_publish(&g->changes, g->service->generation + 1);
	assert_int_equal(sched_view_new(g->service, kind, &g->changes, &v), 0);
	assert_int_equal(sched_view_kind(v), kind);
	g->service->sched = v;
	g->service->generation++;
	g->kind = kind;
}

void sched_rig_add(struct sched_rig *g, uint32_t weight, uint32_t last_weight)
{
	size_t i = g->service->n_dests++;
	uint32_t addr = htonl(0x0a010000 + (uint32_t)i);

	g->dests[i] = (struct dest_view){ .id = (uint32_t)i + 1,
					  .weight = weight,
					  .last_weight = last_weight,
					  .port_be = htons((uint16_t)(8000 + i % 3)),
					  .family = AF_INET };
	memcpy(g->dests[i].addr, &addr, sizeof(addr));
	g->service->dests[i] = &g->dests[i];
}

struct flow_key sched_rig_client(struct random *r, uint8_t family)
{
	struct flow_key k = { .protocol = IPPROTO_TCP, .family = family };

	for (unsigned i = 0; i < (family == AF_INET ? 4 : 16); i++) {
		k.src[i] = (uint8_t)random_below(r, 256);
		k.dst[i] = (uint8_t)random_below(r, 256);
	}
	k.src_port_be = (uint16_t)random_below(r, 65536);
	k.dst_port_be = (uint16_t)random_below(r, 65536);
	return k;
}

int sched_rig_choose_key(struct sched_rig *g, const struct flow_key *k, bool inverse,
			 uint64_t random)
{
	const struct sched_input in = { .service = g->service,
					.key = k,
					.inverse = inverse,
					.random = random,
					.cursor = &g->cursor,
					.load = rig_load,
					.overloaded = rig_overloaded,
					.context = g };

	return sched_choose(&in);
}

int sched_rig_choose(struct sched_rig *g)
{
	static const struct flow_key none;

	return sched_rig_choose_key(g, &none, false, 0);
}

bool sched_rig_available(const struct sched_rig *g, size_t i)
{
	return g->service->dests[i]->weight > 0 && !g->overloaded[g->service->dests[i]->id];
}

void sched_rig_random_dests(struct sched_rig *g, struct random *r)
{
	static const uint32_t scales[] = { 1, 2, 10, 100, 65535 };
	uint32_t n = random_below(r, 10) == 0 ? random_below(r, 300) : random_below(r, 12);
	uint32_t scale = scales[random_below(r, ARRAY_SIZE(scales))];

	g->service->n_dests = 0;
	memset(g->overloaded, 0, sizeof(g->overloaded));
	for (uint32_t i = 0; i < n; i++) {
		uint32_t last = random_below(r, 8) == 0 ? 0 : random_below(r, scale) + 1;

		sched_rig_add(g, random_below(r, 4) == 0 ? 0 : last, last);
		g->overloaded[i + 1] = random_below(r, 6) == 0;
	}
}

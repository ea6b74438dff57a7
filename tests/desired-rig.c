/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/desired-rig.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

struct addr desired_rig_address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

void desired_rig_init(struct desired_rig *f)
{
	*f = (struct desired_rig){ 0 };
	f->conf.listeners = f->listeners;
	f->conf.n_listeners = 1;
	f->conf.groups = f->groups;
	f->conf.n_groups = DESIRED_RIG_GROUPS;
	f->listeners[0] = (struct conf_listener){
		.address = desired_rig_address("203.0.113.10"),
		.family = AF_INET,
		.ports = { 80, 80 },
		.forwards = f->forwards,
		.n_forwards = 1,
	};
	for (size_t i = 0; i < DESIRED_RIG_GROUPS; i++) {
		strcpy(f->groups[i].algorithm.scheduler, "wlc");
		f->forwards[i] = (struct conf_forward){ .group = i, .weight = 1 };
		f->desired[i].targets = f->targets[i];
	}
}

void desired_rig_deinit(struct desired_rig *f)
{
	ipvs_ruleset_deinit(&f->result);
}

void desired_rig_add(struct desired_rig *f, size_t group, const char *text, uint16_t port,
		     uint32_t weight)
{
	assert_true(f->desired[group].n < DESIRED_RIG_TARGETS);
	f->targets[group][f->desired[group].n++] = (struct desired_target){
		.addr = desired_rig_address(text), .port = port, .weight = weight
	};
}

void desired_rig_compute_for(struct desired_rig *f, enum desired_plane plane)
{
	ipvs_ruleset_deinit(&f->result);
	assert_int_equal(desired_compute(&f->conf, f->desired, plane, &f->result), 0);
}

void desired_rig_compute(struct desired_rig *f)
{
	desired_rig_compute_for(f, DESIRED_KERNEL);
}

static const char *spell(const struct ipvs_ruleset *r, char *ret, size_t size)
{
	FILE *f = fmemopen(ret, size, "w");
	char text[IPVS_KEY_STR_MAX];

	assert_non_null(f);
	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *s = &r->services[i];

		fprintf(f, "%s%s %s", i ? " | " : "", ipvs_service_key_format(&s->key, text),
			s->scheduler);
		for (size_t k = 0; k < s->n_dests; k++)
			fprintf(f, " %s=%u",
				addr_port_format(&s->dests[k].addr, s->dests[k].port, text),
				s->dests[k].weight);
	}
	assert_int_equal(fclose(f), 0);
	return ret;
}

void desired_rig_assert(const struct desired_rig *f, const char *expected)
{
	char text[2048] = "";

	assert_string_equal(spell(&f->result, text, sizeof(text)), expected);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the tests of the channel on the real kernel share; these fail the running cmocka test. */

#include <stddef.h>
#include <stdint.h>

#include "ipvs/channel.h"

/* cmocka fixtures: *state is a channel into a network namespace of the test's own, with an empty table. */
int channel_set_up(void **state);
int channel_tear_down(void **state);

#define channel_test(f) cmocka_unit_test_setup_teardown(f, channel_set_up, channel_tear_down)

void dump(struct channel *c, struct ipvs_ruleset *ret);

/* Applies the difference between the kernel's table and `desired`; everything must succeed. Returns the ops. */
size_t reconcile(struct channel *c, const struct ipvs_ruleset *desired,
		 const struct plan_ownership *owned);

void assert_same(const char *what, const struct ipvs_ruleset *got,
		 const struct ipvs_ruleset *expected);

/* A tcp service, and destinations 10.1.0.1:8080 … with weights 1 …, the last one at the head. */
struct ipvs_service *add_service(struct ipvs_ruleset *r, const char *address, uint16_t port,
				 const char *scheduler);
void add_dests(struct ipvs_service *s, unsigned n);

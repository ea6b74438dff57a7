/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A random scenario: one service with its destinations, a few clients, and steps: packets of clients and destinations,
 * ICMP errors about them, fragments, changes of the configuration in mid-flow. Everything follows from the seed and
 * the index; what a destination answers follows from what the oracle delivered to it.
 */

#include <stdbool.h>
#include <stdint.h>

#include "ipvs/ruleset.h"
#include "tests/conformance/compare.h"
#include "tests/conformance/rig.h"
#include "tests/random-ruleset.h"

enum {
	SCENARIO_FLOWS_MAX = 4,
	SCENARIO_DESTS_MAX = 5,
	SCENARIO_BATCH_MAX = 200,
	SCENARIO_VIRTUALS = 16,
};

/* One client's connection, as the test knows it. */
struct scenario_flow {
	struct addr client;
	uint16_t port;
	uint32_t seq;
	bool delivered;	  /* the oracle has sent a packet of it to a destination */
	unsigned target;  /* which */
	struct addr dest; /* with nat; else the virtual address */
	uint16_t dest_port;
	struct frame at_target, at_client; /* the last packet as it came there; 0 bytes = none */
};

struct scenario {
	uint32_t index, place;
	struct random random;
	bool v6, no_fragments;
	struct ipvs_service service; /* owned; dests in dump order */
	uint16_t virtual_port;	     /* what clients talk to; service.key.port may be 0 */
	struct scenario_flow flows[SCENARIO_FLOWS_MAX];
	unsigned n_flows;
};

/*
 * Everything follows from seed and index, but for addresses and ports, which follow from place (< 50000). A run uses no
 * place twice: the kernel would give a destination that was deleted within the last 120 s its old object again.
 */
void scenario_init(struct scenario *s, uint64_t seed, uint32_t index, uint32_t place);
void scenario_deinit(struct scenario *s);

/* What the gateways must have before it starts. */
const struct ipvs_service *scenario_service(const struct scenario *s);

/*
 * Runs all steps on both planes; false at the first difference, which is printed. *ret_steps grows by the steps done.
 */
bool scenario_run(struct scenario *s, struct rig *rig, struct compare *c, uint64_t *ret_steps);

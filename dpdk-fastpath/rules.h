/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Ingress rules of a security group: a new connection is allowed when any rule matches its protocol, virtual port and
 * client address. Rules only allow; an empty set allows nobody. Immutable once made: workers read it without a lock.
 * Pure.
 *
 * Rules with the same protocol and ports become one group, whose prefixes become sorted, disjoint ranges: a match
 * costs a comparison a group and a binary search, whatever the length of the prefix list.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

struct flow_key;
struct rules_view;

enum {
	RULES_MAX = 100000,
};

struct rule {
	uint8_t protocol;	     /* IPPROTO_*; 0 = any */
	uint16_t port_min, port_max; /* host order, inclusive; 0..65535 = any */
	struct prefix source;
};

/* -EINVAL: a rule whose ports are reversed, or whose prefix is not one; more than RULES_MAX. -ENOMEM. */
int rules_new(const struct rule *rules, size_t n, struct rules_view **ret);
void rules_free(struct rules_view *v);

/* v NULL: everybody. */
bool rules_allow(const struct rules_view *v, const struct flow_key *k);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the security groups of listeners come to for the fast path: which rules each service has, and which services
 * must be told anew. Pure. Listeners by firewall mark have none: the fast path leaves their packets to the kernel.
 */

#include <stdbool.h>
#include <stddef.h>

#include "ipvs/private.h"

struct conf;

/* The services of one listener and protocol: they share their rules, whose ports say for which they are. */
struct fastpath_rules_entry {
	const char
		*listener; /* borrowed from the configuration , NULL after fastpath_rules_take() */
	struct ipvs_service_key key; /* of the first service */
	uint16_t port_high;	     /* of the last */
	bool restricted;	     /* false: everybody is admitted */
	bool fresh;		     /* the process has had no word of one of them */
	struct private_rule *rules;  /* owned */
	size_t n;
};

struct fastpath_rules {
	struct fastpath_rules_entry *entries; /* owned; sorted by key */
	size_t n;
};

#define FASTPATH_RULES_INIT ((struct fastpath_rules){ 0 })

void fastpath_rules_deinit(struct fastpath_rules *r);

/* Ingress rules that can fit a packet to one of the services; duplicates are left out. -ENOMEM. */
int fastpath_rules_compute(const struct conf *conf, struct fastpath_rules *ret);

/* The process has them now: takes over `next`, which is empty afterwards. */
void fastpath_rules_take(struct fastpath_rules *r, struct fastpath_rules *next);

/* Have the services of the entry just these rules, when `had` is what the process was told? Not fresh ones. */
bool fastpath_rules_has(const struct fastpath_rules *had, const struct fastpath_rules_entry *e);

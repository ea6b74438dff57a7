/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The schedulers that hash an address: mh, sh and dh. sched.c's other half: a table of places in the list of
 * destinations, filled once per list, and the choice from it. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/sched.h"

enum {
	SCHED_MH_SIZE = 4093, /* primes[12 - 8] of ip_vs_mh.c: CONFIG_IP_VS_MH_TAB_INDEX=12 */
	SCHED_SH_SIZE = 256,  /* CONFIG_IP_VS_SH_TAB_BITS=8; CONFIG_IP_VS_DH_TAB_BITS=8 */
	SCHED_HASH_NONE = 0xffff,
};

/* Places in the table of that scheduler; 0 where it has none. */
size_t sched_hash_size(enum sched_kind kind);

/* -EINVAL: more destinations than mh has places; -ENOMEM. */
int sched_hash_fill(enum sched_kind kind, const struct service_view *s, uint16_t *table);

int sched_hash_choose(enum sched_kind kind, const uint16_t *table, const struct sched_input *in);

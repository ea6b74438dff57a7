/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One frame of an IPv4 packet into frames of fragments, each with the same Ethernet header. */

#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/*
 * m is one piece and stays the caller's. Fragments carry at most `mtu` bytes of IP. Returns how many, or -EINVAL,
 * -ENOMEM, -ENOBUFS (more than max).
 */
int ipv4_fragment(struct rte_mbuf *m, uint16_t l3_off, uint16_t mtu, struct rte_mempool *pool,
		  struct rte_mbuf **ret, uint16_t max);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One frame of an IPv6 packet of our own making, a tunnel's, into frames of fragments, each with the same Ethernet
 * header, as ip6_fragment() does. (rte_ip_frag gives all packets the identification 0.)
 */

#include <stdint.h>

struct rte_mbuf;
struct rte_mempool;

/*
 * m is one piece, has no extension headers, and stays the caller's. Fragments carry at most `mtu` bytes of IP. `id`
 * must be another one for each packet between the same addresses. Returns how many, or -EINVAL, -ENOMEM, -ENOBUFS
 * (more than max).
 */
int ipv6_fragment(struct rte_mbuf *m, uint16_t l3_off, uint16_t mtu, uint32_t id,
		  struct rte_mempool *pool, struct rte_mbuf **ret, uint16_t max);

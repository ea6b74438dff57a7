/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Where a port's receive-side scaling brings a packet: the Toeplitz hash over addresses and ports, whose low bits choose
 * an entry of the redirection table, which names a queue (Microsoft, "RSS hashing functions"). Of full NAT the local port
 * can be chosen so that answers come to the worker that owns the flow. Immutable once made. Pure.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_key;

enum {
	RSS_KEY_BYTES = 40,
	RSS_INPUT_BYTES = 36, /* two IPv6 addresses, two ports */
	RSS_RETA_MAX = 512,
};

/* What is hashed with its ports; the rest, fragments too, goes by less, or to queue 0. */
enum rss_field {
	RSS_TCP4 = 1,
	RSS_UDP4 = 2,
	RSS_SCTP4 = 4,
	RSS_TCP6 = 8,
	RSS_UDP6 = 16,
	RSS_SCTP6 = 32,
};

struct rss {
	uint32_t fields; /* enum rss_field */
	uint32_t reta_mask;
	uint16_t reta[RSS_RETA_MAX];
	uint32_t share[RSS_INPUT_BYTES]
		      [256]; /* of a byte's value at its place; their XOR is the hash */
};

/* Of one port: NULL while it is not known, as of most virtual devices. */
struct rss_slot {
	_Atomic(const struct rss *) rss;
};

/* -EINVAL: a table whose size is no power of two, or beyond RSS_RETA_MAX. */
int rss_init(struct rss *r, const uint8_t key[static RSS_KEY_BYTES], const uint16_t *reta,
	     size_t n_reta, uint32_t fields);

/* Is such a packet's hash over its ports, too? */
bool rss_hashes_ports(const struct rss *r, uint8_t family, uint8_t protocol);

/* The hash is linear: that of a packet is hash_source() ^ hash_target(). */
uint32_t rss_hash_source(const struct rss *r, uint8_t family, const uint8_t addr[16],
			 uint16_t port_be);
uint32_t rss_hash_target(const struct rss *r, uint8_t family, const uint8_t addr[16],
			 uint16_t port_be);

static inline uint16_t rss_queue(const struct rss *r, uint32_t hash)
{
	return r->reta[hash & r->reta_mask];
}

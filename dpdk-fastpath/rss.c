/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/rss.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

/* The 32 bits of the key from that bit on. */
static uint32_t window(const uint8_t *key, unsigned bit)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 5; i++)
		bits = bits << 8 | key[bit / 8 + i];
	return (uint32_t)(bits >> (8 - bit % 8));
}

static void fill_share(uint32_t share[256], const uint8_t *key, unsigned place)
{
	share[0] = 0;
	for (unsigned bit = 0; bit < 8; bit++) {
		const unsigned high = 128U >> bit;
		const uint32_t w = window(key, place * 8 + bit);

		/* values with this bit as their lowest, from those without it */
		for (unsigned value = high; value < 256; value += 2 * high)
			share[value] = share[value - high] ^ w;
	}
}

int rss_init(struct rss *r, const uint8_t key[static RSS_KEY_BYTES], const uint16_t *reta,
	     size_t n_reta, uint32_t fields)
{
	if (n_reta == 0 || n_reta > RSS_RETA_MAX || (n_reta & (n_reta - 1)))
		return -EINVAL;
	r->fields = fields;
	r->reta_mask = (uint32_t)n_reta - 1;
	memcpy(r->reta, reta, n_reta * sizeof(*reta));
	for (unsigned i = 0; i < RSS_INPUT_BYTES; i++)
		fill_share(r->share[i], key, i);
	return 0;
}

bool rss_hashes_ports(const struct rss *r, uint8_t family, uint8_t protocol)
{
	bool v6 = family == AF_INET6;

	switch (protocol) {
	case IPPROTO_TCP:
		return r->fields & (v6 ? RSS_TCP6 : RSS_TCP4);
	case IPPROTO_UDP:
		return r->fields & (v6 ? RSS_UDP6 : RSS_UDP4);
	case IPPROTO_SCTP:
		return r->fields & (v6 ? RSS_SCTP6 : RSS_SCTP4);
	default:
		return false;
	}
}

static uint32_t hash(const struct rss *r, unsigned place, const void *bytes, unsigned n)
{
	const uint8_t *b = bytes;
	uint32_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum ^= r->share[place + i][b[i]];
	return sum;
}

/* In the order: source, destination, source port, destination port. */
uint32_t rss_hash_source(const struct rss *r, uint8_t family, const uint8_t addr[16],
			 uint16_t port_be)
{
	unsigned n = family == AF_INET6 ? 16 : 4;

	return hash(r, 0, addr, n) ^ hash(r, 2 * n, &port_be, 2);
}

uint32_t rss_hash_target(const struct rss *r, uint8_t family, const uint8_t addr[16],
			 uint16_t port_be)
{
	unsigned n = family == AF_INET6 ? 16 : 4;

	return hash(r, n, addr, n) ^ hash(r, 2 * n + 2, &port_be, 2);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/snapshot.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

static_assert(sizeof(struct snapshot_key) == 20, "compared as bytes");
static_assert(offsetof(struct service_view, id) == sizeof(struct snapshot_key), "begins as a key");
static_assert(offsetof(struct place_view, is_service) == sizeof(struct snapshot_key),
	      "begins as a key");

const struct place_view snapshot_gone; /* family 0 */

enum {
	LOCAL_PORT_FIRST = 1024,
	LOCAL_PORTS = 65536 - LOCAL_PORT_FIRST,
};

/* The product of two words, its halves folded: wyhash's mix. */
static inline uint64_t mix(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_bytes(const uint8_t addr[16], uint32_t rest)
{
	uint64_t a, b;

	memcpy(&a, addr, sizeof(a));
	memcpy(&b, addr + 8, sizeof(b));
	return mix(mix(a ^ 0xa0761d6478bd642f, b ^ 0xe7037ed1a0b428db), rest ^ 0x8ebc6af09c88c6e3);
}

uint64_t snapshot_key_hash(const struct snapshot_key *k)
{
	return hash_bytes(k->addr,
			  (uint32_t)k->port_be << 16 | (uint32_t)k->protocol << 8 | k->family);
}

/* An array is never full, so that each search ends. */
static inline const void *find(const struct snapshot_index *x, const struct snapshot_key *k)
{
	for (size_t i = snapshot_key_hash(k);; i++) {
		const void *view =
			atomic_load_explicit(&x->slots[i & x->mask], memory_order_acquire);

		if (!view || memcmp(view, k, sizeof(*k)) == 0)
			return view;
	}
}

static inline struct snapshot_key key_of(const uint8_t addr[16], uint16_t port_be, uint8_t protocol,
					 uint8_t family)
{
	struct snapshot_key k = { .port_be = port_be, .protocol = protocol, .family = family };

	memcpy(k.addr, addr, sizeof(k.addr));
	return k;
}

const struct service_view *snapshot_find_service(const struct snapshot *s, const struct flow_key *k)
{
	struct snapshot_key key = key_of(k->dst, k->dst_port_be, k->protocol, k->family);
	const struct service_view *v = find(&s->services, &key);

	if (v || !s->any_port_services)
		return v;
	key.port_be = 0;
	return find(&s->services, &key);
}

static const struct place_view *find_place(const struct snapshot *s, uint8_t family,
					   const uint8_t addr[16])
{
	struct snapshot_key key = key_of(addr, 0, 0, family);

	return find(&s->places, &key);
}

bool snapshot_has_address(const struct snapshot *s, uint8_t family, const uint8_t addr[16])
{
	const struct place_view *p = find_place(s, family, addr);

	return p && p->is_service;
}

static unsigned owner_of_client(const struct snapshot *s, const uint8_t addr[16], uint16_t port_be,
				const uint8_t *mask)
{
	uint8_t masked[16];
	uint64_t hash;

	if (!mask) {
		hash = hash_bytes(addr, port_be);
	} else {
		for (unsigned i = 0; i < sizeof(masked); i++)
			masked[i] = addr[i] & mask[i];
		hash = hash_bytes(masked, 0);
	}
	return (unsigned)((hash >> 32) * s->n_workers >> 32);
}

unsigned snapshot_owner(const struct snapshot *s, const struct flow_key *k)
{
	const struct service_view *v;
	const struct place_view *p;
	uint32_t port;

	if (s->n_workers <= 1)
		return 0;
	v = snapshot_find_service(s, k);
	if (v)
		return owner_of_client(s, k->src, k->src_port_be,
				       v->by_address ? v->owner_mask : NULL);
	port = ntohs(k->dst_port_be);
	if (port >= LOCAL_PORT_FIRST && s->any_local) {
		p = find_place(s, k->family, k->dst);
		if (p && p->is_local)
			return (port - LOCAL_PORT_FIRST) * s->n_workers / LOCAL_PORTS;
	}
	p = s->by_address ? find_place(s, k->family, k->src) : NULL;
	return owner_of_client(s, k->dst, k->dst_port_be,
			       p && p->by_address ? p->owner_mask : NULL);
}

unsigned snapshot_former_owner(const struct snapshot *s, const struct flow_key *k)
{
	const struct service_view *v;
	const struct place_view *p;

	if (s->n_workers <= 1 || !s->by_address)
		return snapshot_owner(s, k);
	v = snapshot_find_service(s, k);
	if (v && v->by_address)
		return owner_of_client(s, k->src, k->src_port_be, NULL);
	p = v ? NULL : find_place(s, k->family, k->src);
	if (p && p->by_address)
		return owner_of_client(s, k->dst, k->dst_port_be, NULL);
	return snapshot_owner(s, k);
}

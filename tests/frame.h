/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Frames for tests of the fast path: built from a description, and judged byte by byte, with none of its code. Slow and
 * plain on purpose.
 */

#include <stdbool.h>
#include <stdint.h>

enum {
	FRAME_HEADROOM = 128,
	FRAME_TAILROOM = 64,
	FRAME_BYTES_MAX = 4096,
	FRAME_EXTENSIONS_MAX = 10,
};

struct frame_spec {
	bool tagged;
	uint16_t vlan_tci;
	int family, protocol;
	uint8_t src[16], dst[16];
	uint16_t src_port, dst_port; /* host order; identifier and sequence number of an echo */
	uint8_t ttl, tos, tcp_flags, icmp_type, icmp_code;
	bool dont_fragment, without_udp_checksum;
	uint8_t option_bytes; /* IPv4: 0, 4, ... 40 */
	unsigned n_extensions;
	uint8_t extensions[FRAME_EXTENSIONS_MAX]; /* IPv6: their numbers, in order */
	bool fragment_header;			  /* IPv6: behind the extensions */
	uint16_t frag_off;			  /* bytes */
	bool more_fragments;
	uint32_t frag_id;
	unsigned payload_bytes, padding_bytes;
	const uint8_t *payload; /* NULL = a pattern */
};

struct frame {
	uint8_t bytes[FRAME_HEADROOM + FRAME_BYTES_MAX + FRAME_TAILROOM];
	uint8_t *data; /* bytes + FRAME_HEADROOM */
	uint32_t len;
	unsigned l3_off, l4_off; /* where the builder put them */
};

/* Hosts of one network, for initialisers. */
#define FRAME_V4(a, b) .family = AF_INET, .ttl = 64, .src = { 10, 0, 0, a }, .dst = { 10, 0, 0, b }
#define FRAME_V6(a, b)                                                                             \
	.family = AF_INET6, .ttl = 64, .src = { 0x20, 1, [15] = (a) },                             \
	.dst = { 0x20, 1, [15] = (b) }

/* Ethernet, IP, transport header and payload with right checksums; of a fragment with frag_off: no transport header. */
void frame_build(struct frame *f, const struct frame_spec *s);

/*
 * Cuts an IP packet without fragmentation into fragments of `bytes` (a multiple of 8) behind the IP header; the
 * checksums of the transport header are those of the whole. Returns how many.
 */
unsigned frame_cut(const struct frame_spec *s, unsigned bytes, struct frame *ret, unsigned max);

/*
 * The reason why a frame is wrong, or NULL: lengths, header and transport checksums (RFC 9260's CRC too), also those
 * within tunnels. Fragments: the IP header alone.
 */
const char *frame_fault(const uint8_t *data, uint32_t len);

/* The IP packet at `ip`, the same. */
const char *frame_ip_fault(const uint8_t *ip, uint32_t len);

uint32_t frame_crc32c(const uint8_t *bytes, uint32_t len);

/* Seeded: the same numbers on every machine. */
uint64_t frame_random(uint64_t *state);

/* TCP, UDP, SCTP, both families, options, extension headers, tags, payloads of up to 300 bytes, padding; no fragment. */
void frame_random_spec(uint64_t *state, struct frame_spec *ret);

/*
 * A copy of up to 8 KiB that ends where memory ends: a read behind it is a fault. One at a time. NULL: no memory.
 */
uint8_t *frame_guarded(const uint8_t *bytes, uint32_t len);

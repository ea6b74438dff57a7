/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Ethernet frames by hand, for tests of the fast path: makes them from a description, and reads back what came out with
 * its own code, checksums included. Nothing here uses the code under test.
 */

#include <stdbool.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	FRAME_HEADROOM = 128,
	FRAME_MAX = 4096,

	FRAME_FIN = 0x01,
	FRAME_SYN = 0x02,
	FRAME_RST = 0x04,
	FRAME_ACK = 0x10,
};

/* "192.0.2.1:80" and so on; the protocol is IPPROTO_*. Members that are 0 take the default in the comment. */
struct frame_spec {
	const char *src, *dst;
	uint8_t protocol;   /* IPPROTO_TCP */
	uint8_t tcp_flags;  /* FRAME_ACK */
	uint8_t ttl;	    /* 64 */
	uint8_t sctp_chunk; /* 0: DATA */
	uint16_t payload_bytes;
	uint16_t vlan; /* none */
	uint16_t frag_off_bytes;
	uint32_t frag_id;
	uint32_t seq, ack;
	bool is_fragment, more_fragments, dont_fragment;
	const uint8_t *src_mac, *dst_mac; /* 02:00:00:00:00:01, 02:00:00:00:aa:00 */
	/* ICMP: the packet that an error embeds, or an echo request (type and code of IPv4; translated for IPv6). */
	const struct frame_spec *embedded;
	const uint8_t *raw; /* the same, as bytes */
	uint32_t raw_bytes;
	uint8_t icmp_type, icmp_code;
	uint32_t icmp_rest;
};

/* What is in a frame, as far as it is understood. */
struct frame_view {
	uint8_t dst_mac[6], src_mac[6];
	uint16_t vlan;
	unsigned l3_off, l4_off;
	uint16_t family;
	struct addr src, dst;
	uint16_t src_port, dst_port; /* host order */
	uint8_t protocol, ttl, tcp_flags, icmp_type, icmp_code;
	uint32_t icmp_rest;
	uint32_t seq, ack;
	uint32_t ip_bytes;
	uint16_t frag_off_bytes;
	bool more_fragments, dont_fragment;
	bool no_checksum; /* UDP that has none: not right, then */
	bool checksums_right; /* of IPv4, TCP, UDP, SCTP, ICMP; of later and first fragments only that of IPv4 */
};

/* Returns the length. */
uint32_t frame_make(const struct frame_spec *s, uint8_t *data);
/* False: not an IP packet whose headers are all there. */
bool frame_read(const uint8_t *data, uint32_t len_bytes, struct frame_view *ret);
/* The IP packet that begins at `ip`, as if an Ethernet header stood before it. */
bool frame_read_ip(const uint8_t *ip, uint32_t len_bytes, struct frame_view *ret);

/* "192.0.2.1:80" */
bool frame_is_from(const struct frame_view *v, const char *src);
bool frame_is_to(const struct frame_view *v, const char *dst);

extern const uint8_t frame_client_mac[6], frame_port_mac[6];

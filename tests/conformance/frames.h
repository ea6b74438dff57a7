/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Frames as hosts send them, with every checksum made by summing all bytes: independent of the code under test. Ethernet
 * II, IPv4 and IPv6; TCP, UDP, SCTP and ICMP errors; fragments.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	FRAME_BYTES_MAX = 2048,
	FRAME_TCP_FIN = 0x01,
	FRAME_TCP_SYN = 0x02,
	FRAME_TCP_RST = 0x04,
	FRAME_TCP_PSH = 0x08,
	FRAME_TCP_ACK = 0x10,
};

struct frame {
	uint8_t bytes[FRAME_BYTES_MAX];
	size_t len_bytes;
};

struct frame_spec {
	uint8_t src_mac[6], dst_mac[6];
	struct addr src, dst;
	uint16_t sport, dport; /* host order */
	uint8_t protocol;      /* TCP, UDP, SCTP */
	uint8_t tcp_flags;
	uint8_t sctp_chunk;
	uint8_t ttl;
	uint8_t tos;
	bool dont_fragment;
	bool options;	  /* IPv4: a NOP option word; IPv6: a destination-options header */
	bool no_checksum; /* UDP over IPv4: 0 */
	uint16_t ip_id;
	uint16_t payload_bytes;
	uint32_t seq;
};

/* Within FRAME_BYTES_MAX, else aborts. */
void frame_build(const struct frame_spec *s, struct frame *ret);

/* Bytes [offset, offset + len) of the IP payload of `whole`; offset and, but for the last, len are multiples of 8. */
void frame_fragment(const struct frame *whole, uint16_t offset, uint16_t len, uint32_t id,
		    struct frame *ret);

/* Bytes behind the IP header of a whole frame. */
uint16_t frame_ip_payload_bytes(const struct frame *f);

/* An ICMP or ICMPv6 error from `src` to `dst` that embeds `limit` bytes of the IP packet of `about`. */
struct frame_error {
	uint8_t src_mac[6], dst_mac[6];
	struct addr src, dst;
	uint8_t type, code;
	uint32_t rest; /* the second word, e.g. an MTU */
	uint16_t limit;
};
void frame_build_error(const struct frame_error *e, const struct frame *about, struct frame *ret);

/* Echo request. */
void frame_build_echo(const struct frame_spec *s, uint16_t id, uint16_t seq, struct frame *ret);
bool frame_is_echo_reply(const struct frame *f, const struct addr *from, uint16_t id, uint16_t seq);

/* Are all checksums of the frame right? Fragments: of the IP header alone. */
bool frame_checksums_are_right(const struct frame *f);

/* Folded and complemented; for those who change frames. */
uint16_t frame_checksum(uint32_t sum, const void *bytes, size_t len_bytes);

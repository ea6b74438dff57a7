/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* IP headers that are made new: of tunnels, of what we send ourselves. Pure. */

#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/packet.h"

enum {
	IP_HEADER_TTL = 64, /* the kernel's default, where there is no packet to copy it from */
};

struct ip_header {
	struct flow_key
		key; /* family, protocol, addresses; ports are only handed on to packet.key */
	uint8_t tos, ttl;
	bool dont_fragment;
	uint16_t ipv4_id;
};

/* 20 or 40. */
unsigned ip_header_bytes(uint8_t family);

/*
 * Writes header and ethertype at p->l3_off over what is there; lengths come from p->len_bytes, which is that of the
 * whole frame. p describes the new packet then: l4_off is behind the header, no fragment, kind is `kind`.
 */
void ip_header_write(struct packet *p, const struct ip_header *h, enum packet_kind kind);

/*
 * The checksum of TCP, UDP or ICMPv6 (with pseudo-header) or of ICMP, from p->l4_off to the end, which is contiguous;
 * its own field is 0.
 */
uint16_t ip_header_transport_checksum(const struct packet *p);

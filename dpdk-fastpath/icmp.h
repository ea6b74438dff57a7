/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Packets that are made of another one, in its own buffer: ICMP and ICMPv6 errors, echo answers, TCP resets. Pure.
 * The frame's addresses are exchanged: what we make goes back where the packet came from. No error is made about an
 * ICMP error, a later fragment, a multicast or broadcast (RFC 1122, RFC 4443): -ENOMSG then, and the packet is as it was.
 *
 * The frame is in its first segment afterwards, packet.len_bytes long: further segments are the caller's to cut off.
 */

#include <stdint.h>

#include "dpdk-fastpath/packet.h"

enum icmp_error {
	ICMP_ERROR_PORT_UNREACHABLE,
	ICMP_ERROR_HOST_UNREACHABLE,
	ICMP_ERROR_TOO_BIG,	  /* fragmentation needed, packet too big: with the MTU */
	ICMP_ERROR_TIME_EXCEEDED, /* in transit */
};

/*
 * Turns the packet into the error about it, sent by `from` (an address of the packet's family). Embeds as much as the
 * kernel does: IPv4 up to 576 bytes in all, IPv6 up to 1280, limited to what is contiguous. -ENOBUFS: no room.
 */
int icmp_make_error(struct packet *p, enum icmp_error e, uint32_t mtu, const uint8_t from[16]);

/* Turns an echo request into its answer. -ENOMSG also where it has IP options or extension headers. */
int icmp_make_echo_reply(struct packet *p);

/* Turns a TCP segment into the reset that answers it (RFC 9293, 3.10.7.1). -ENOMSG for a reset, also a fragment. */
int icmp_make_tcp_reset(struct packet *p);

/*
 * Writes a reset of the flow `k`, as from its source, into an empty buffer that has room for 128 bytes at data: for
 * connections that are cut off without a packet. seq and ack in host order.
 */
void icmp_write_tcp_reset(uint8_t *data, const uint8_t src_mac[PACKET_MAC_LEN],
			  const uint8_t dst_mac[PACKET_MAC_LEN], const struct flow_key *k,
			  uint32_t seq, uint32_t ack, uint32_t *ret_len_bytes);

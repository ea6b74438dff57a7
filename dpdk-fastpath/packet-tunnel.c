/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <assert.h>
#include <linux/if_ether.h>
#include <netinet/in.h>
#include <string.h>

#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/unaligned.h"
#include "ipvs/ruleset.h"

enum {
	ICMP_LEN = 8,
	IPV4_PROTOCOL = 9, /* offsets */
	IPV4_DST = 16,
	UDP_DST_PORT = 2,
	UDP_LEN = 8,
	GRE_LEN = 4,
	GRE_CHECKSUM = 0x8000,
	GUE_LEN = 4,
	GUE_VERSION_AND_CONTROL = 0xe0,
	GUE_WORDS = 0x1f,
};

/* Bytes between the tunnel's IPv4 header and the packet within; -1: no tunnel of ours. `room` are there. */
static int header_bytes(uint8_t protocol, const uint8_t *at, uint32_t room,
			struct packet_tunnel *ret)
{
	if (protocol == IPPROTO_IPIP) {
		ret->kind = IPVS_TUNNEL_IPIP;
		return 0;
	}
	if (protocol == IPPROTO_GRE && room >= GRE_LEN) {
		uint16_t flags = unaligned_read_be16(at);

		ret->kind = IPVS_TUNNEL_GRE;
		if ((flags & ~GRE_CHECKSUM) || unaligned_read_be16(at + 2) != ETH_P_IP)
			return -1;
		return flags ? 2 * GRE_LEN : GRE_LEN;
	}
	if (protocol == IPPROTO_UDP && room >= UDP_LEN + GUE_LEN) {
		const uint8_t *gue = at + UDP_LEN;

		ret->kind = IPVS_TUNNEL_GUE;
		memcpy(&ret->dst_port_be, at + UDP_DST_PORT, sizeof(ret->dst_port_be));
		if ((gue[0] & GUE_VERSION_AND_CONTROL) || gue[1] != IPPROTO_IPIP)
			return -1;
		return UDP_LEN + GUE_LEN + 4 * (gue[0] & GUE_WORDS);
	}
	return -1;
}

void packet_parse_embedded_tunnel(const struct packet *outer, struct packet *ret,
				  struct packet_tunnel *ret_tunnel)
{
	struct packet within = *outer;
	uint32_t off = outer->l4_off + ICMP_LEN, room;
	const uint8_t *ip = outer->data + off;
	uint32_t header;
	int bytes;

	assert(outer->kind == PACKET_ICMP_ERROR);
	memset(ret, 0, sizeof(*ret));
	memset(ret_tunnel, 0, sizeof(*ret_tunnel));
	ret->kind = PACKET_BAD;
	ret->bad = PACKET_BAD_PROTOCOL;
	if (outer->key.family != AF_INET || off + PACKET_IPV4_MIN > outer->linear_bytes ||
	    ip[0] >> 4 != 4)
		return;
	header = (ip[0] & 0xfU) * 4;
	if (header < PACKET_IPV4_MIN || off + header > outer->linear_bytes)
		return;
	room = outer->linear_bytes - off - header;
	memcpy(ret_tunnel->dst, ip + IPV4_DST, sizeof(ret_tunnel->dst));
	bytes = header_bytes(ip[IPV4_PROTOCOL], ip + header, room, ret_tunnel);
	if (bytes < 0 || (uint32_t)bytes > room)
		return;
	/* as if the error embedded the packet itself */
	within.l4_off = (uint16_t)(off + header + (uint32_t)bytes - ICMP_LEN);
	packet_parse_embedded(&within, ret);
}

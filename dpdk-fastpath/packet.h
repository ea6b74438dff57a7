/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * From the bytes of a frame to offsets and a flow key: the only code that does so. Pure: no DPDK, no fd, no clock; the
 * caller lends memory. Every length is checked before a byte is read, so that any bytes may be given.
 *
 * Ethernet II with at most one 802.1Q tag; IPv4 with options; IPv6 with extension headers (at most
 * PACKET_EXTENSIONS_MAX); TCP, UDP, SCTP, ICMP, ICMPv6. Ethernet padding is not part of the packet: lengths come from
 * the IP header.
 *
 * PACKET_OTHER is what the kernel is to look at: also fragments of ICMP (it reassembles echo requests), source routes
 * that have not ended, and addresses that no host may have (0/8, 127/8, ::, ::1, mapped ones).
 */

#include <stdbool.h>
#include <stdint.h>

enum {
	PACKET_MAC_LEN = 6,
	PACKET_ETHERNET_LEN = 14,
	PACKET_VLAN_LEN = 4,
	PACKET_EXTENSIONS_MAX = 8,
	PACKET_IPV4_MIN = 20,
	PACKET_IPV6_LEN = 40,
	PACKET_IPV6_FRAGMENT_LEN = 8, /* the fragment header */
};

/*
 * Both directions of every flow are found by this key, as it stands in the packet. IPv4 addresses take the first four
 * bytes, the rest is zero; no padding, so that it is hashed and compared as bytes. Ports are 0 where there are none
 * (ICMP, later fragments).
 */
struct flow_key {
	uint8_t src[16];
	uint8_t dst[16];
	uint16_t src_port_be;
	uint16_t dst_port_be;
	uint8_t protocol; /* IPPROTO_*; ICMP and ICMPv6 as they are */
	uint8_t family;	  /* AF_INET, AF_INET6 */
	uint16_t zero;
};

_Static_assert(sizeof(struct flow_key) == 40, "hashed as five words");

enum packet_kind {
	PACKET_FLOW,	   /* TCP, UDP, SCTP with ports in reach, or the first fragment of one */
	PACKET_FRAGMENT,   /* a later fragment: addresses and id, no ports */
	PACKET_ICMP_ERROR, /* of ICMP or ICMPv6, with an embedded packet */
	PACKET_ICMP_ECHO,  /* echo request */
	PACKET_OTHER, /* not ours: ARP, ND, other protocols, multicast or broadcast on either layer */
	PACKET_BAD,   /* malformed: see packet.bad */
	_PACKET_KIND_MAX,
};

enum packet_bad {
	PACKET_BAD_NONE,
	PACKET_BAD_TRUNCATED, /* a header or the IP length goes beyond the frame */
	PACKET_BAD_VERSION,
	PACKET_BAD_HEADER_LENGTH,
	PACKET_BAD_CHECKSUM, /* of the IPv4 header */
	PACKET_BAD_EXTENSIONS,
	PACKET_BAD_FRAGMENT, /* overlapping or cutting the headers, beyond 65535, of a wrong length */
	PACKET_BAD_PROTOCOL, /* embedded in an ICMP error: one without ports */
	_PACKET_BAD_MAX,
};

enum {
	PACKET_TCP_FIN = 0x01,
	PACKET_TCP_SYN = 0x02,
	PACKET_TCP_RST = 0x04,
	PACKET_TCP_ACK = 0x10,
	PACKET_TCP_FLAGS_MAX = 0x1f,
};

/* One frame as parsed. `data` moves when headers are pushed or pulled in front; l3_off and l4_off are from data. */
struct packet {
	uint8_t *data;		 /* borrowed: the Ethernet header */
	uint32_t linear_bytes;	 /* contiguous at data, without padding; the headers lie within */
	uint32_t len_bytes;	 /* of the frame without padding, later segments included */
	uint16_t headroom_bytes; /* writable before data */
	uint16_t tailroom_bytes; /* writable behind data + linear_bytes; 0 where segments follow */
	uint16_t l3_off;
	uint16_t l4_off;    /* behind options and extension headers */
	uint16_t vlan_tci;  /* host order; 0 = untagged, or a tag of zero: l3_off tells */
	uint8_t kind;	    /* enum packet_kind */
	uint8_t bad;	    /* enum packet_bad */
	uint8_t ttl;	    /* or hop limit */
	uint8_t tos;	    /* or traffic class */
	uint8_t tcp_flags;  /* PACKET_TCP_*; 0 unless TCP */
	uint8_t sctp_chunk; /* type of the first chunk; 0xff unless SCTP with one in reach */
	uint8_t icmp_type, icmp_code;
	bool dont_fragment;		  /* IPv4: DF; IPv6: always, as routers do not fragment */
	bool more_fragments, is_fragment; /* is_fragment: first or later */
	uint8_t zero[3];		  /* instead of padding: packets are compared as bytes */
	uint16_t frag_off_bytes;
	uint16_t ipv6_frag_off; /* offset of the fragment header from data; 0 = none */
	uint32_t frag_id;	/* IPv4: 16 bits */
	struct flow_key key;
};

/*
 * Fills *ret from the frame at data. `linear_bytes` are contiguous, `len_bytes` are in all. The header checksum of
 * IPv4 is verified unless `checksum_verified`, which says that the port did it. Later segments are not looked at.
 * headroom_bytes and tailroom_bytes are the caller's: they are left as they are.
 */
void packet_parse(uint8_t *data, uint32_t linear_bytes, uint32_t len_bytes, bool checksum_verified,
		  struct packet *ret);

/*
 * The packet that an ICMP error embeds, as a packet of its own whose data is that of `outer` (l3_off, l4_off within
 * it). Eight bytes behind the IP header suffice. Its checksums are not verified. kind is PACKET_FLOW, or PACKET_BAD
 * where it is none of TCP, UDP, SCTP with ports.
 */
void packet_parse_embedded(const struct packet *outer, struct packet *ret);

/* What carries the packet that packet_parse_embedded_tunnel() finds. */
struct packet_tunnel {
	uint8_t kind;	      /* enum ipvs_tunnel */
	uint8_t dst[4];	      /* the far end */
	uint16_t dst_port_be; /* GUE */
};

/*
 * As packet_parse_embedded(), of the packet within the tunnel's packet that an ICMP error embeds: IPv4 in IPIP, GRE or
 * GUE over IPv4. PACKET_BAD where it is none.
 */
void packet_parse_embedded_tunnel(const struct packet *outer, struct packet *ret,
				  struct packet_tunnel *ret_tunnel);

/*
 * Makes a gap of `bytes` at offset `at` by moving what is before it to the front; bytes < 0 takes that many out there.
 * Offsets at or behind `at` go with it. -ENOBUFS: no headroom.
 */
int packet_insert(struct packet *p, unsigned at, int bytes);

/* Source and destination exchanged. */
void flow_key_reverse(const struct flow_key *k, struct flow_key *ret);

const char *packet_bad_to_string(enum packet_bad b);

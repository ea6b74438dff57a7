/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "director-storm-internal.h"

static void pick_addresses(struct storm *s, struct frame_spec *spec, char src[ADDR_PORT_STR_MAX])
{
	unsigned what = storm_next(s), client = storm_next(s), family = what & 1;
	unsigned service = (what >> 1) % STORM_SERVICES;
	const struct recent *r = &s->recent[client % STORM_RECENT];

	if (what & 0x80 && r->src[0] != '\0') {
		spec->src = r->dst;
		spec->dst = r->src;
		spec->protocol = r->protocol;
		return;
	}
	(void)snprintf(src, ADDR_PORT_STR_MAX, family ? "[2001:db8:c::%x]:%u" : "198.51.100.%u:%u",
		       client % 4 + 1, 1000 + client / 4 % 16);
	spec->src = src;
	spec->dst = storm_services[service].virtual[family];
	if (strstr(spec->dst, ":0") && spec->dst[strlen(spec->dst) - 2] == ':')
		spec->dst = family ? "[2001:db8::2]:777" : "203.0.113.2:777";
	spec->protocol = storm_services[service].protocol;
}

static void pick_shape(struct storm *s, struct frame_spec *spec)
{
	static const uint8_t flags[] = { FRAME_SYN,
					 FRAME_ACK,
					 FRAME_FIN | FRAME_ACK,
					 FRAME_RST,
					 FRAME_SYN | FRAME_ACK,
					 FRAME_SYN,
					 FRAME_ACK,
					 FRAME_ACK };
	unsigned shape = storm_next(s), extra = storm_next(s);

	spec->tcp_flags = flags[shape % ARRAY_SIZE(flags)];
	spec->sctp_chunk = (uint8_t)(shape % 16);
	spec->dont_fragment = shape & 0x10;
	spec->payload_bytes = shape & 0x20 ? 1460 + extra % 64 : extra % 32 * 8;
	spec->ttl = shape & 0x40 ? (uint8_t)(extra % 3 + 1) : 64;
	spec->vlan = extra & 0x80 ? 5 : 0;
	if (shape & 0x80) {
		spec->is_fragment = true;
		spec->frag_id = extra % 4;
		spec->frag_off_bytes = (uint16_t)(extra / 4 % 4 * 512);
		spec->more_fragments = extra & 0x40;
		if (spec->payload_bytes > 504)
			spec->payload_bytes = 504;
	}
}

static bool is_ip(const struct frame_spec *spec)
{
	return spec->protocol == IPPROTO_TCP || spec->protocol == IPPROTO_UDP ||
	       spec->protocol == IPPROTO_SCTP;
}

/* An error about a packet that we sent lately, to its sender; or echo. */
static void make_icmp(struct storm *s, struct frame_spec *spec, struct frame_spec *inner)
{
	unsigned kind = storm_next(s);

	spec->protocol = IPPROTO_ICMP;
	spec->is_fragment = spec->more_fragments = false;
	spec->frag_off_bytes = 0;
	if (kind & 0x80)
		return;
	spec->icmp_type = kind & 1 ? 3 : 1 + kind % 12;
	spec->icmp_code = (uint8_t)(kind % 5);
	spec->icmp_rest = 1280;
	if (kind & 0x40 && s->last_sent) {
		const struct packet *p = &s->last_sent->f.packet;

		spec->raw = p->data + p->l3_off;
		spec->raw_bytes = MIN(p->len_bytes - p->l3_off, 28U + kind * 4);
		return;
	}
	*inner = (struct frame_spec){
		.src = spec->dst, .dst = spec->src, .protocol = inner->protocol, .payload_bytes = 8
	};
	spec->embedded = inner;
}

static void damage(struct storm *s, unsigned i, uint32_t *len)
{
	uint8_t *data = s->frames[i].buffer + FRAME_HEADROOM;
	unsigned n = storm_next(s) % 4 + 1;

	s->whole[i] = false;
	while (n-- > 0) {
		unsigned at = storm_next(s) % 96;

		if (at < *len)
			data[at] ^= (uint8_t)storm_next(s);
	}
	if (storm_next(s) % 4 == 0)
		*len = storm_next(s) < *len ? *len - storm_next(s) % *len : *len;
}

void storm_make_frame(struct storm *s, bool icmp, bool damaged)
{
	unsigned i = s->n_frames++;
	struct frame_spec spec = { 0 }, inner = { 0 };
	char src[ADDR_PORT_STR_MAX];
	uint32_t len;

	pick_addresses(s, &spec, src);
	pick_shape(s, &spec);
	if (!is_ip(&spec))
		spec.protocol = IPPROTO_UDP;
	inner.protocol = spec.protocol;
	if (icmp)
		make_icmp(s, &spec, &inner);
	s->whole[i] = !icmp || !(spec.embedded || spec.raw);
	len = frame_make(&spec, s->frames[i].buffer + FRAME_HEADROOM);
	if (damaged)
		damage(s, i, &len);
	rig_parse(&s->frames[i], len);
}

void storm_make_raw(struct storm *s)
{
	unsigned i = s->n_frames++, len = storm_next(s) % 128;
	uint8_t *data = s->frames[i].buffer + FRAME_HEADROOM;

	memcpy(data, frame_port_mac, 6);
	for (unsigned k = 6; k < len; k++)
		data[k] = (uint8_t)storm_next(s);
	s->whole[i] = false;
	rig_parse(&s->frames[i], len);
}

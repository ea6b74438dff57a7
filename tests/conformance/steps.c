/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/steps.h"

#include <netinet/icmp6.h>
#include <netinet/in.h>
#include <netinet/ip_icmp.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

enum {
	ETHER = 14,
	MTU = 1500,
	EMBEDDED_IPV4 = 28, /* what the oldest routers send: the header and eight bytes */
};

static const char *const kind_names[_STEP_KIND_MAX] = {
	[STEP_NONE] = "nothing",
	[STEP_CLIENT] = "client",
	[STEP_ANSWER] = "answer",
	[STEP_ERROR_FROM_TARGET] = "error from the target",
	[STEP_ERROR_FROM_CLIENT] = "error from the client",
	[STEP_CLIENT_FRAGMENTS] = "client's fragments",
	[STEP_CLIENT_LAST_HOP] = "client, TTL 1",
	[STEP_CLIENT_BIG] = "client, full MTU",
	[STEP_NO_SERVICE] = "no service",
	[STEP_ECHO] = "echo",
	[STEP_WEIGHT] = "weight",
	[STEP_DEST_DEL] = "destination removed",
	[STEP_DEST_NEW] = "destination added",
};

/* How likely each is, in 1/100. */
static const uint8_t odds[_STEP_KIND_MAX] = {
	[STEP_CLIENT] = 42,
	[STEP_ANSWER] = 22,
	[STEP_ERROR_FROM_TARGET] = 4,
	[STEP_ERROR_FROM_CLIENT] = 4,
	[STEP_CLIENT_FRAGMENTS] = 5,
	[STEP_CLIENT_LAST_HOP] = 2,
	[STEP_CLIENT_BIG] = 5,
	[STEP_NO_SERVICE] = 2,
	[STEP_ECHO] = 2,
	[STEP_WEIGHT] = 8,
	[STEP_DEST_DEL] = 2,
	[STEP_DEST_NEW] = 2,
};

const char *step_kind_to_string(enum step_kind k)
{
	return k < _STEP_KIND_MAX ? kind_names[k] : "?";
}

bool step_is_of_client(enum step_kind k)
{
	return k == STEP_CLIENT || k == STEP_CLIENT_FRAGMENTS || k == STEP_CLIENT_LAST_HOP ||
	       k == STEP_CLIENT_BIG;
}

static bool one_in(struct scenario *s, uint32_t n)
{
	return random_below(&s->random, n) == 0;
}

static uint8_t pick_tcp_flags(struct scenario *s, bool from_client)
{
	static const uint8_t flags[] = {
		FRAME_TCP_SYN,
		FRAME_TCP_SYN,
		FRAME_TCP_ACK,
		FRAME_TCP_ACK,
		FRAME_TCP_ACK | FRAME_TCP_PSH,
		FRAME_TCP_FIN | FRAME_TCP_ACK,
		FRAME_TCP_RST,
		FRAME_TCP_RST | FRAME_TCP_ACK,
		FRAME_TCP_SYN | FRAME_TCP_ACK,
		FRAME_TCP_FIN,
		FRAME_TCP_ACK,
		FRAME_TCP_ACK,
	};
	static const uint8_t answers[] = {
		FRAME_TCP_SYN | FRAME_TCP_ACK, FRAME_TCP_ACK, FRAME_TCP_ACK | FRAME_TCP_PSH,
		FRAME_TCP_FIN | FRAME_TCP_ACK, FRAME_TCP_RST, FRAME_TCP_SYN | FRAME_TCP_ACK,
	};

	return from_client ? flags[random_below(&s->random, ARRAY_SIZE(flags))]
			   : answers[random_below(&s->random, ARRAY_SIZE(answers))];
}

/* What both directions share. */
static void common_spec(struct scenario *s, struct scenario_flow *f, bool from_client,
			struct frame_spec *ret)
{
	memcpy(ret->dst_mac, rig_gateway_mac, 6);
	ret->protocol = s->service.key.protocol;
	ret->ttl = (uint8_t)(2 + random_below(&s->random, 62));
	ret->tos = one_in(s, 4) ? (uint8_t)(random_below(&s->random, 64) << 2) : 0;
	ret->dont_fragment = one_in(s, 2);
	ret->options = one_in(s, 10);
	ret->no_checksum = !s->v6 && one_in(s, 6);
	ret->ip_id = (uint16_t)random_below(&s->random, 65536);
	ret->payload_bytes = (uint16_t)random_below(&s->random, 120);
	ret->tcp_flags = pick_tcp_flags(s, from_client);
	ret->sctp_chunk = (uint8_t)random_below(&s->random, 15);
	ret->seq = f->seq;
	f->seq += ret->payload_bytes + 1U;
}

/* The first packet opens the connection, most of the time. */
static void client_spec(struct scenario *s, struct scenario_flow *f, struct frame_spec *ret)
{
	*ret = (struct frame_spec){ .src = f->client, .dst = s->service.key.addr };
	common_spec(s, f, true, ret);
	memcpy(ret->src_mac, rig_router_mac, 6);
	ret->sport = f->port;
	ret->dport = s->virtual_port;
	if (!f->delivered && !one_in(s, 5)) {
		ret->tcp_flags = FRAME_TCP_SYN;
		ret->sctp_chunk = 1; /* INIT */
	}
}

static void answer_spec(struct scenario *s, struct scenario_flow *f, struct frame_spec *ret)
{
	*ret = (struct frame_spec){ .src = f->dest, .dst = f->client };
	common_spec(s, f, false, ret);
	rig_target_mac(f->target, ret->src_mac);
	ret->sport = f->dest_port;
	ret->dport = f->port;
}

static bool is_nat(const struct scenario *s)
{
	return s->service.n_dests > 0 && s->service.dests[0].forward == IPVS_FORWARD_MASQ;
}

static void make_client(struct scenario *s, struct scenario_flow *f, struct step *ret)
{
	struct frame_spec spec;

	client_spec(s, f, &spec);
	if (ret->kind == STEP_CLIENT_LAST_HOP)
		spec.ttl = 1;
	if (ret->kind == STEP_NO_SERVICE)
		spec.dport = (uint16_t)(60000 + random_below(&s->random, 100));
	if (ret->kind == STEP_CLIENT_BIG) {
		struct frame small;

		spec.payload_bytes = 0;
		frame_build(&spec, &small);
		spec.payload_bytes = (uint16_t)(MTU + ETHER - small.len_bytes);
	}
	frame_build(&spec, &ret->frames[0]);
	ret->n_frames = 1;
}

/* Two or three pieces, in either order. */
static void make_fragments(struct scenario *s, struct scenario_flow *f, struct step *ret)
{
	uint32_t id = random_below(&s->random, 65536);
	struct frame_spec spec;
	struct frame whole;
	uint16_t total, piece, at = 0;

	client_spec(s, f, &spec);
	spec.dont_fragment = false;
	spec.options = false;
	spec.payload_bytes = (uint16_t)(200 + random_below(&s->random, 900));
	frame_build(&spec, &whole);
	total = frame_ip_payload_bytes(&whole);
	piece = (uint16_t)((total / (2 + random_below(&s->random, 2)) + 8) & ~7U);
	while (at < total) {
		uint16_t len = MIN(piece, (uint16_t)(total - at));

		frame_fragment(&whole, at, len, id, &ret->frames[ret->n_frames++]);
		at = (uint16_t)(at + len);
	}
	if (one_in(s, 2)) {
		struct frame last = ret->frames[ret->n_frames - 1];

		memmove(&ret->frames[1], &ret->frames[0], (ret->n_frames - 1) * sizeof(last));
		ret->frames[0] = last;
	}
}

static void make_error(struct scenario *s, struct scenario_flow *f, struct step *ret)
{
	static const struct {
		uint8_t type4, code4, type6, code6;
		uint32_t rest;
	} errors[] = {
		{ ICMP_DEST_UNREACH, ICMP_PORT_UNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_NOPORT,
		  0 },
		{ ICMP_DEST_UNREACH, ICMP_HOST_UNREACH, ICMP6_DST_UNREACH, ICMP6_DST_UNREACH_ADDR,
		  0 },
		{ ICMP_DEST_UNREACH, ICMP_FRAG_NEEDED, ICMP6_PACKET_TOO_BIG, 0, 1400 },
		{ ICMP_TIME_EXCEEDED, ICMP_EXC_TTL, ICMP6_TIME_EXCEEDED, ICMP6_TIME_EXCEED_TRANSIT,
		  0 },
	};
	uint32_t e = random_below(&s->random, ARRAY_SIZE(errors));
	bool from_target = ret->kind == STEP_ERROR_FROM_TARGET;
	const struct frame *about = from_target ? &f->at_target : &f->at_client;
	struct frame_error error = {
		.type = s->v6 ? errors[e].type6 : errors[e].type4,
		.code = s->v6 ? errors[e].code6 : errors[e].code4,
		.rest = errors[e].rest,
		.limit = s->v6 || one_in(s, 2) ? 400 : EMBEDDED_IPV4,
	};

	if (about->len_bytes == 0 || (from_target && !is_nat(s))) {
		ret->kind = STEP_NONE;
		return;
	}
	memcpy(error.dst_mac, rig_gateway_mac, 6);
	if (from_target) {
		rig_target_mac(f->target, error.src_mac);
		error.src = f->dest;
		error.dst = f->client;
	} else {
		memcpy(error.src_mac, rig_router_mac, 6);
		error.src = f->client;
		error.dst = s->service.key.addr;
		if (one_in(s, 2)) /* of a router on the way */
			rig_client(0xf0000 + s->place, s->v6, &error.src);
	}
	frame_build_error(&error, about, &ret->frames[0]);
	ret->n_frames = 1;
}

static void make_echo(struct scenario *s, const struct scenario_flow *f, struct step *ret)
{
	struct frame_spec spec = {
		.src = f->client, .dst = s->service.key.addr, .ttl = 60, .payload_bytes = 56
	};

	memcpy(spec.src_mac, rig_router_mac, 6);
	memcpy(spec.dst_mac, rig_gateway_mac, 6);
	frame_build_echo(&spec, (uint16_t)s->index, 1, &ret->frames[0]);
	ret->n_frames = 1;
}

static void make_answer(struct scenario *s, struct scenario_flow *f, struct step *ret)
{
	struct frame_spec spec;

	if (!f->delivered || !is_nat(s)) {
		ret->kind = STEP_NONE;
		return;
	}
	answer_spec(s, f, &spec);
	frame_build(&spec, &ret->frames[0]);
	ret->n_frames = 1;
}

static void make_change(struct scenario *s, struct step *ret)
{
	struct ipvs_service *service = &s->service;
	struct ipvs_dest *d;

	ret->is_change = true;
	ret->op = (struct plan_op){ .service = service, .dest = &ret->dest };
	if (service->n_dests == 0) {
		ret->kind = STEP_NONE;
		return;
	}
	d = &service->dests[random_below(&s->random, (uint32_t)service->n_dests)];
	ret->dest = ret->old_dest = *d;
	switch (ret->kind) {
	case STEP_WEIGHT:
		ret->dest.weight = random_below(&s->random, 6);
		ret->op.kind = PLAN_DEST_SET;
		ret->op.old_dest = &ret->old_dest;
		break;
	case STEP_DEST_DEL:
		ret->op.kind = PLAN_DEST_DEL;
		if (service->n_dests == 1)
			ret->kind = STEP_NONE;
		break;
	default:
		ret->op.kind = PLAN_DEST_NEW;
		rig_target((unsigned)service->n_dests + 1 + random_below(&s->random, 3), s->v6,
			   &ret->dest.addr);
		for (size_t i = 0; i < service->n_dests; i++)
			if (addr_eq(&service->dests[i].addr, &ret->dest.addr))
				ret->kind = STEP_NONE;
	}
}

static enum step_kind pick_kind(struct scenario *s)
{
	uint32_t at = random_below(&s->random, 100);

	for (int k = 0; k < _STEP_KIND_MAX; k++) {
		if (at < odds[k])
			return (enum step_kind)k;
		at -= odds[k];
	}
	return STEP_CLIENT;
}

void step_make(struct scenario *s, struct step *ret)
{
	struct scenario_flow *f;

	*ret = (struct step){ .kind = pick_kind(s), .flow = random_below(&s->random, s->n_flows) };
	f = &s->flows[ret->flow];
	switch (ret->kind) {
	case STEP_CLIENT:
	case STEP_CLIENT_LAST_HOP:
	case STEP_CLIENT_BIG:
	case STEP_NO_SERVICE:
		make_client(s, f, ret);
		break;
	case STEP_ANSWER:
		make_answer(s, f, ret);
		break;
	case STEP_ERROR_FROM_TARGET:
	case STEP_ERROR_FROM_CLIENT:
		make_error(s, f, ret);
		break;
	case STEP_CLIENT_FRAGMENTS:
		if (s->no_fragments)
			ret->kind = STEP_NONE;
		else
			make_fragments(s, f, ret);
		break;
	case STEP_ECHO:
		make_echo(s, f, ret);
		break;
	default:
		make_change(s, ret);
	}
}

void step_changed(struct scenario *s, const struct step *step)
{
	struct ipvs_service *service = &s->service;
	size_t i = 0;

	if (step->op.kind == PLAN_DEST_NEW) {
		if (!ipvs_service_append(service, &step->dest))
			abort();
		/* The kernel's list grows at its head. */
		memmove(&service->dests[1], &service->dests[0],
			(service->n_dests - 1) * sizeof(*service->dests));
		service->dests[0] = step->dest;
		return;
	}
	while (ipvs_dest_key_cmp(&service->dests[i], &step->dest) != 0)
		i++;
	if (step->op.kind == PLAN_DEST_SET) {
		service->dests[i] = step->dest;
		return;
	}
	service->n_dests--;
	memmove(&service->dests[i], &service->dests[i + 1],
		(service->n_dests - i) * sizeof(*service->dests));
}

/* The target whose MAC the frame goes to; 0 = none. */
static unsigned target_of(const struct frame *f)
{
	uint8_t mac[6];

	for (unsigned t = 1; t <= RIG_TARGETS_MAX; t++) {
		rig_target_mac(t, mac);
		if (memcmp(f->bytes, mac, 6) == 0)
			return t;
	}
	return 0;
}

/* With nat the packet itself says where it went. */
static void learn_destination(const struct scenario *s, struct scenario_flow *f,
			      const struct frame *out)
{
	const uint8_t *ip = out->bytes + ETHER, *l4;

	f->dest = (struct addr){ .family = s->service.key.family };
	if (s->v6) {
		memcpy(f->dest.bytes, ip + 24, 16);
		l4 = ip + 40;
		if (ip[6] == IPPROTO_DSTOPTS)
			l4 += 8;
		if (ip[6] == IPPROTO_FRAGMENT)
			l4 += 8;
	} else {
		memcpy(f->dest.bytes, ip + 16, 4);
		l4 = ip + (size_t)(ip[0] & 0x0f) * 4;
	}
	f->dest_port = (uint16_t)(l4[2] << 8 | l4[3]);
}

void step_learn(struct scenario *s, const struct step *step, const struct rig_output *oracle)
{
	struct scenario_flow *f = &s->flows[step->flow];
	const struct frame *out = &oracle->frames[0];
	unsigned target;

	if (oracle->n == 0)
		return;
	if (step->kind == STEP_ANSWER) {
		f->at_client = *out;
		return;
	}
	target = target_of(out);
	if (target == 0 || (step->kind != STEP_CLIENT && step->kind != STEP_CLIENT_BIG))
		return;
	f->delivered = true;
	f->target = target;
	f->at_target = *out;
	if (is_nat(s))
		learn_destination(s, f, out);
}

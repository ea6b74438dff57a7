/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the encoders and decoders of ipvs/ share, for codec*.c and private-codec.c alone: netlink messages written to the
 * caller's buffer, and attributes read with every length checked. Pure.
 */

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <netlink/attr.h>

#include "base/addr.h"
#include "ipvs/codec.h"

/* Initialisers of struct nla_policy, for numbers of the exact type, bytes and strings that end in NUL. */
#define CODEC_NUMBER(t)                                                                            \
	{                                                                                          \
		.type = (t)                                                                        \
	}
#define CODEC_BINARY(min, max)                                                                     \
	{                                                                                          \
		.minlen = (min), .maxlen = (max)                                                   \
	}
#define CODEC_STRING(size)                                                                         \
	{                                                                                          \
		.type = NLA_STRING, .minlen = 1, .maxlen = (size)                                  \
	}

/* The attributes from head on, by type: tb has max + 1 places. -EBADMSG also for bytes behind the last that fits. */
int codec_attrs_parse(struct nlattr **tb, int max, struct nlattr *head, int len,
		      const struct nla_policy *policy);

/* The same of a whole message behind its generic-netlink header. */
int codec_message_parse(const struct nlmsghdr *nlh, struct nlattr **tb, int max,
			const struct nla_policy *policy);

/* An address of the family from an attribute of at least its length. -EBADMSG. */
int codec_get_addr(const struct nlattr *a, uint16_t family, struct addr *ret);

/*
 * A message that grows in the caller's buffer, byte for byte what libnl's nla_put() and nla_nest_start() build (a test
 * holds them together). Theirs lives on the heap and is copied out, for ten times the price, and a start sends a request
 * for each destination.
 */
struct message {
	uint8_t *start, *at, *end; /* borrowed */
	bool full;		   /* something did not fit */
};

static inline void message_put_bytes(struct message *m, const void *bytes, size_t len)
{
	const uint8_t zero[NLA_ALIGNTO] = { 0 };
	size_t pad = NLA_ALIGN(len) - len;

	if (len + pad > (size_t)(m->end - m->at)) {
		m->full = true;
		return;
	}
	memcpy(m->at, bytes, len);
	memcpy(m->at + len, zero, pad);
	m->at += len + pad;
}

static inline struct message message_begin(void *buf, size_t size, const struct codec_header *h,
					   uint8_t cmd)
{
	struct message m = { .start = buf, .at = buf, .end = (uint8_t *)buf + size };
	const struct {
		struct nlmsghdr nlmsg;
		struct genlmsghdr genl;
	} headers = {
		.nlmsg = { .nlmsg_type = h->family, .nlmsg_flags = h->flags, .nlmsg_seq = h->seq },
		.genl = { .cmd = cmd, .version = IPVS_GENL_VERSION },
	};

	message_put_bytes(&m, &headers, sizeof(headers));
	return m;
}

static inline int message_end(const struct message *m)
{
	uint32_t len = (uint32_t)(m->at - m->start);

	if (m->full)
		return -EMSGSIZE;
	memcpy(m->start + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	return (int)len;
}

static inline void message_put(struct message *m, uint16_t type, const void *value, size_t len)
{
	const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };

	message_put_bytes(m, &a, sizeof(a));
	message_put_bytes(m, value, len);
}

static inline void message_put_u8(struct message *m, uint16_t type, uint8_t value)
{
	message_put(m, type, &value, sizeof(value));
}

static inline void message_put_u16(struct message *m, uint16_t type, uint16_t value)
{
	message_put(m, type, &value, sizeof(value));
}

static inline void message_put_u32(struct message *m, uint16_t type, uint32_t value)
{
	message_put(m, type, &value, sizeof(value));
}

static inline void message_put_string(struct message *m, uint16_t type, const char *value)
{
	message_put(m, type, value, strlen(value) + 1);
}

/* 16 bytes for both families, as the kernel itself sends: the rest of struct addr is zero. */
static inline void message_put_addr(struct message *m, uint16_t type, const struct addr *a)
{
	message_put(m, type, a->bytes, sizeof(a->bytes));
}

/* Where the nest began, for message_nest_end(). */
static inline uint8_t *message_nest_begin(struct message *m, uint16_t type)
{
	const struct nlattr a = { .nla_type = NLA_F_NESTED | type };
	uint8_t *begin = m->at;

	message_put_bytes(m, &a, sizeof(a));
	return begin;
}

static inline void message_nest_end(struct message *m, uint8_t *begin)
{
	size_t len_bytes = (size_t)(m->at - begin);
	uint16_t len = (uint16_t)len_bytes;

	if (len_bytes > UINT16_MAX)
		m->full = true;
	if (!m->full)
		memcpy(begin + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

static inline struct message message_begin_request(void *buf, size_t size,
						   const struct codec_header *h, uint8_t cmd)
{
	struct codec_header request = *h;

	request.flags |= NLM_F_REQUEST;
	return message_begin(buf, size, &request, cmd);
}

/* The nests of requests that name a service, and a destination: its key, and what the command and `reply` ask for. */
void codec_put_service(struct message *m, const struct ipvs_service_key *k);
void codec_put_dest(struct message *m, uint8_t cmd, const struct ipvs_dest *d, bool reply);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/dns-message.h"

#include <string.h>
#include <strings.h>

enum {
	HEADER_SIZE = 12,
	CLASS_IN = 1,
	BIT_RESPONSE = 0x80,  /* third byte */
	BIT_TRUNCATED = 0x02, /* third byte */
	BIT_RECURSION = 0x01, /* third byte: desired */
	POINTER = 0xc0,
};

/* What is left of a message. Once something was missing, `bad` stays and every value is 0. */
struct reader {
	const uint8_t *p, *end;
	bool bad;
};

static const uint8_t *take(struct reader *r, size_t n)
{
	const uint8_t *p = r->p;

	if (r->bad || (size_t)(r->end - r->p) < n) {
		r->bad = true;
		return NULL;
	}
	r->p += n;
	return p;
}

static uint16_t take_u16(struct reader *r)
{
	const uint8_t *p = take(r, 2);

	return p ? (uint16_t)(p[0] << 8 | p[1]) : 0;
}

/* A name ends with the root, or with a pointer to what is elsewhere. */
static void skip_name(struct reader *r)
{
	for (;;) {
		const uint8_t *p = take(r, 1);

		if (!p || *p == 0)
			return;
		if ((*p & POINTER) == POINTER) {
			(void)take(r, 1);
			return;
		}
		if (*p & POINTER) {
			r->bad = true;
			return;
		}
		(void)take(r, *p);
	}
}

/* Writes the labels of a dotted name; returns where they end. */
static uint8_t *put_name(uint8_t *to, const char *name)
{
	while (*name) {
		size_t len = strcspn(name, ".");

		*to++ = (uint8_t)len;
		memcpy(to, name, len);
		to += len;
		name += len + (name[len] == '.');
	}
	*to++ = 0;
	return to;
}

static uint8_t *put_u16(uint8_t *to, uint16_t value)
{
	*to++ = (uint8_t)(value >> 8);
	*to++ = (uint8_t)value;
	return to;
}

size_t dns_query_make(const struct dns_check *c, uint16_t id, uint8_t buf[static DNS_QUERY_MAX])
{
	uint8_t *p = put_u16(buf, id);

	p = put_u16(p, BIT_RECURSION << 8);
	p = put_u16(p, 1); /* questions */
	memset(p, 0, 6);
	p = put_name(p + 6, c->name);
	p = put_u16(p, c->type);
	p = put_u16(p, CLASS_IN);
	return (size_t)(p - buf);
}

/* Servers may repeat the name in other capitals. The lengths of labels are below 'A', and compare as they are. */
static bool same_question(struct reader *r, const struct dns_check *c)
{
	uint8_t want[DNS_QUERY_MAX];
	size_t n = (size_t)(put_name(want, c->name) - want);
	const uint8_t *name = take(r, n);

	if (!name)
		return false;
	for (size_t i = 0; i < n; i++) {
		uint8_t a = name[i], b = want[i];

		if (a != b && !((a ^ b) == 0x20 && (a | 0x20) >= 'a' && (a | 0x20) <= 'z'))
			return false;
	}
	return take_u16(r) == c->type && take_u16(r) == CLASS_IN && !r->bad;
}

static bool take_record(struct reader *r, const struct dns_check *c)
{
	const uint8_t *data;
	uint16_t type, class, size;

	skip_name(r);
	type = take_u16(r);
	class = take_u16(r);
	(void)take(r, 4); /* TTL */
	size = take_u16(r);
	data = take(r, size);
	return data && class == CLASS_IN && c->addr.family != AF_UNSPEC &&
	       type == (c->addr.family == AF_INET6 ? DNS_TYPE_AAAA : DNS_TYPE_A) &&
	       size == addr_len_bytes(&c->addr) && memcmp(data, c->addr.bytes, size) == 0;
}

enum dns_verdict dns_reply_read(const struct dns_check *c, uint16_t id, const uint8_t *message,
				size_t size, struct dns_reply *ret)
{
	struct reader r = { .p = message, .end = message + size };
	struct dns_reply answer = { 0 };
	uint16_t questions, records;

	if (size < HEADER_SIZE || take_u16(&r) != id || !(message[2] & BIT_RESPONSE))
		return DNS_NOT_OURS;
	(void)take(&r, 2); /* flags */
	questions = take_u16(&r);
	records = take_u16(&r);
	(void)take(&r, 4); /* authority and additional records */
	answer.code = message[3] & 0x0f;
	/* Who could not read the question need not repeat it. */
	if (questions > 1 || (questions == 0 && answer.code == 0))
		return DNS_MALFORMED;
	if (questions == 1 && !same_question(&r, c))
		return DNS_NOT_OURS;
	if (message[2] & BIT_TRUNCATED)
		return DNS_TRUNCATED;
	for (uint16_t i = 0; i < records && !r.bad; i++)
		answer.has_address |= take_record(&r, c);
	if (r.bad)
		return DNS_MALFORMED;
	*ret = answer;
	return DNS_ANSWERED;
}

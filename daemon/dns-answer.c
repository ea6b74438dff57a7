/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/dns-answer.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/byte-order.h"
#include "base/cleanup.h"
#include "daemon/libcares.h"

enum {
	HEADER_BYTES = 12,
	QUESTION_FIXED_BYTES = 4,
	RECORD_FIXED_BYTES = 10,
	CLASS_IN = 1,
	ALIASES_MAX = 16,
};

struct message {
	const uint8_t *bytes;
	size_t len, pos;
};

struct record {
	char owner[DNS_NAME_MAX];
	uint16_t type, class;
	uint32_t ttl_sec;
	size_t data, data_len; /* within the message */
};

void dns_answer_deinit(struct dns_answer *a)
{
	free(a->addresses);
	free(a->services);
	*a = DNS_ANSWER_INIT;
}

/* The name at `pos`; *ret_len: the bytes that it takes there. */
static int expand(const struct message *m, size_t pos, char name[static DNS_NAME_MAX],
		  size_t *ret_len)
{
	char *text = NULL;
	long used = 0;
	int r;

	if (pos >= m->len || m->len > INT_MAX)
		return -EBADMSG;
	r = libcares.expand_name(m->bytes + pos, m->bytes, (int)m->len, &text, &used);
	if (r == ARES_ENOMEM)
		return -ENOMEM;
	if (r != ARES_SUCCESS)
		return -EBADMSG;
	/* c-ares writes bytes that are not printable as \DDD: longer than a name may be, and nobody's. */
	r = strlen(text) < DNS_NAME_MAX && used > 0 ? 0 : -EBADMSG;
	if (r == 0) {
		strcpy(name, text);
		*ret_len = (size_t)used;
	}
	libcares.free_string(text);
	return r;
}

static int next_record(struct message *m, struct record *ret)
{
	const uint8_t *p;
	size_t len;
	int r = expand(m, m->pos, ret->owner, &len);

	if (r < 0)
		return r;
	if (m->len - m->pos < len + RECORD_FIXED_BYTES)
		return -EBADMSG;
	p = m->bytes + m->pos + len;
	ret->type = get_be16(p);
	ret->class = get_be16(p + 2);
	ret->ttl_sec = get_be32(p + 4);
	if (ret->ttl_sec > INT32_MAX) /* RFC 2181, 8 */
		ret->ttl_sec = 0;
	ret->data_len = get_be16(p + 8);
	ret->data = m->pos + len + RECORD_FIXED_BYTES;
	if (m->len - ret->data < ret->data_len)
		return -EBADMSG;
	m->pos = ret->data + ret->data_len;
	return 0;
}

static int take_address(struct dns_answer *a, const struct message *m, const struct record *rec)
{
	struct addr addr = { .family = rec->type == DNS_TYPE_A ? AF_INET : AF_INET6 };
	struct addr *grown;

	if (rec->data_len != addr_len_bytes(&addr))
		return -EBADMSG;
	if (a->n_addresses == DNS_ADDRESSES_MAX)
		return 0;
	memcpy(addr.bytes, m->bytes + rec->data, rec->data_len);
	grown = reallocarray(a->addresses, a->n_addresses + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	a->addresses = grown;
	grown[a->n_addresses++] = addr;
	return 0;
}

/* Of the lowest priority that was seen; a lower one throws away those before it. */
static int take_service(struct dns_answer *a, const struct message *m, const struct record *rec)
{
	const uint8_t *p = m->bytes + rec->data;
	struct dns_service s = { 0 };
	struct dns_service *grown;
	size_t len;
	int r;

	if (rec->data_len < 7)
		return -EBADMSG;
	s.priority = get_be16(p);
	s.weight = get_be16(p + 2);
	s.port = get_be16(p + 4);
	r = expand(m, rec->data + 6, s.target, &len);
	if (r < 0)
		return r;
	if (len + 6 != rec->data_len)
		return -EBADMSG;
	if (a->n_services && s.priority > a->services[0].priority)
		return 0;
	if (a->n_services && s.priority < a->services[0].priority)
		a->n_services = 0;
	if (a->n_services == DNS_SERVICES_MAX || !s.target[0]) /* ".": decidedly not here */
		return 0;
	grown = reallocarray(a->services, a->n_services + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	a->services = grown;
	grown[a->n_services++] = s;
	return 0;
}

/* How long the absence holds: the lesser of the SOA's time to live and its minimum (RFC 2308, 5). */
static void take_soa(struct dns_answer *a, const struct message *m, const struct record *rec)
{
	if (rec->data_len < 4)
		return;
	a->ttl_sec = MIN(rec->ttl_sec,
			 get_be32(m->bytes + rec->data + rec->data_len - sizeof(uint32_t)));
}

/* One pass over the answer, from where m stands. *ret_found: another alias of `wanted`, which is the name behind it now. */
static int follow_alias(struct message m, unsigned n, char *wanted, struct dns_answer *a,
			bool *ret_found)
{
	struct record rec;
	size_t len;

	*ret_found = false;
	for (unsigned i = 0; i < n; i++) {
		int r = next_record(&m, &rec);

		if (r < 0)
			return r;
		if (rec.class != CLASS_IN || rec.type != DNS_TYPE_CNAME ||
		    strcasecmp(rec.owner, wanted) != 0)
			continue;
		*ret_found = true;
		a->ttl_sec = MIN(a->ttl_sec, rec.ttl_sec);
		return expand(&m, rec.data, wanted, &len);
	}
	return 0;
}

/* Aliases are looked for first: servers need not put them in the order in which they lead to the addresses. */
static int take_answers(struct message *m, unsigned n, uint16_t type, char *wanted,
			struct dns_answer *a)
{
	struct record rec;
	bool found = true;
	int r = 0;

	for (unsigned i = 0; i < ALIASES_MAX && found && r == 0; i++)
		r = follow_alias(*m, n, wanted, a, &found);
	for (unsigned i = 0; i < n && r == 0; i++) {
		r = next_record(m, &rec);
		if (r < 0)
			return r;
		if (rec.class != CLASS_IN || rec.type != type || strcasecmp(rec.owner, wanted) != 0)
			continue;
		r = type == DNS_TYPE_SRV ? take_service(a, m, &rec) : take_address(a, m, &rec);
		if (r < 0)
			return r;
		a->ttl_sec = MIN(a->ttl_sec, rec.ttl_sec);
	}
	return r;
}

static int take_authority(struct message *m, unsigned n, struct dns_answer *a)
{
	struct record rec;

	for (unsigned i = 0; i < n; i++) {
		int r = next_record(m, &rec);

		if (r < 0)
			return r;
		if (rec.type == DNS_TYPE_SOA && rec.class == CLASS_IN)
			take_soa(a, m, &rec);
	}
	return 0;
}

int dns_answer_parse(const uint8_t *message, size_t len_bytes, uint16_t type,
		     struct dns_answer *ret)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	struct message m = { .bytes = message, .len = len_bytes, .pos = HEADER_BYTES };
	char wanted[DNS_NAME_MAX];
	size_t len;
	int r;

	if (len_bytes < HEADER_BYTES || get_be16(message + 4) != 1)
		return -EBADMSG;
	r = expand(&m, m.pos, wanted, &len);
	if (r < 0)
		return r;
	if (m.len - m.pos < len + QUESTION_FIXED_BYTES)
		return -EBADMSG;
	m.pos += len + QUESTION_FIXED_BYTES;
	r = take_answers(&m, get_be16(message + 6), type, wanted, &a);
	/* The authority section matters, and is read, only where there is no answer. */
	if (r == 0 && !a.n_addresses && !a.n_services)
		r = take_authority(&m, get_be16(message + 8), &a);
	if (r < 0)
		return r;
	*ret = a;
	a = DNS_ANSWER_INIT;
	return 0;
}

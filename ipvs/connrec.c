/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/connrec.h"

#include <errno.h>
#include <string.h>

#include "base/byte-order.h"
#include "base/cleanup.h"

enum {
	/* Offsets in a record; the addresses follow the fixed part. */
	OFF_TYPE = 0,
	OFF_PROTOCOL = 1,
	OFF_VER_SIZE = 2,
	OFF_FLAGS = 4,
	OFF_STATE = 8,
	OFF_CLIENT_PORT = 10,
	OFF_VIRTUAL_PORT = 12,
	OFF_DEST_PORT = 14,
	OFF_FWMARK = 16,
	OFF_TIMEOUT = 20,
	FIXED_BYTES = 24,

	TYPE_INET6 = 1, /* STYPE_F_INET6 */
	SIZE_MASK = 0x0fff,
	VERSION_SHIFT = 12,

	OPT_SEQ_DATA = 1,
	OPT_PE_DATA = 2,
	OPT_PE_NAME = 3,
	OPT_OPTIONAL = 0x40, /* IPVS_OPT_F_PARAM: who does not know it skips it */
	SEQ_DATA_BYTES = 24,
	PE_NAME_BYTES_MAX = 16,
	RECORD_ALIGN = 4,

	/* Offsets in the message. */
	OFF_SYNCID = 1,
	OFF_SIZE = 2,
	OFF_N = 4,
	OFF_VERSION = 5,
	VERSION = 1,
};

static size_t padded(size_t len)
{
	return (len + RECORD_ALIGN - 1) & ~(size_t)(RECORD_ALIGN - 1);
}

static void put_seq(uint8_t *at, const struct connrec_seq *s)
{
	put_be32(at, s->init);
	put_be32(at + 4, s->delta);
	put_be32(at + 8, s->previous_delta);
}

static struct connrec_seq get_seq(const uint8_t *at)
{
	return (struct connrec_seq){ get_be32(at), get_be32(at + 4), get_be32(at + 8) };
}

static uint8_t *put_option(uint8_t *at, uint8_t type, const uint8_t *bytes, uint8_t len)
{
	if (len == 0)
		return at;
	at[0] = type;
	at[1] = len;
	memcpy(at + 2, bytes, len);
	return at + 2 + len;
}

static size_t encoded_bytes(const struct connrec *r)
{
	return FIXED_BYTES + 3 * addr_len_bytes(&r->client) +
	       (r->has_seq ? 2 + SEQ_DATA_BYTES : 0) + (r->pe_data_len ? 2U + r->pe_data_len : 0) +
	       (r->pe_name_len ? 2U + r->pe_name_len : 0);
}

/* The order of the options is that of ip_vs_sync_conn(). */
static void put_options(uint8_t *at, const struct connrec *r)
{
	uint8_t seq[SEQ_DATA_BYTES];

	if (r->has_seq) {
		put_seq(seq, &r->in_seq);
		put_seq(seq + SEQ_DATA_BYTES / 2, &r->out_seq);
		at = put_option(at, OPT_SEQ_DATA, seq, sizeof(seq));
	}
	at = put_option(at, OPT_PE_DATA, r->pe_data, r->pe_data_len);
	(void)put_option(at, OPT_PE_NAME, r->pe_name, r->pe_name_len);
}

int connrec_encode(void *buf, size_t size, const struct connrec *r)
{
	const struct addr *addrs[] = { &r->client, &r->virtual, &r->dest };
	size_t addr_bytes = addr_len_bytes(&r->client), len = encoded_bytes(r);
	uint8_t *at = buf;

	if (addr_bytes == 0 || r->virtual.family != r->client.family ||
	    r->dest.family != r->client.family || r->pe_name_len > PE_NAME_BYTES_MAX)
		return -EINVAL;
	if (len > size)
		return -EMSGSIZE;
	at[OFF_TYPE] = r->client.family == AF_INET6 ? TYPE_INET6 : 0;
	at[OFF_PROTOCOL] = r->protocol;
	put_be16(at + OFF_VER_SIZE, (uint16_t)len);
	put_be32(at + OFF_FLAGS, r->flags);
	put_be16(at + OFF_STATE, r->state);
	put_be16(at + OFF_CLIENT_PORT, r->client_port);
	put_be16(at + OFF_VIRTUAL_PORT, r->virtual_port);
	put_be16(at + OFF_DEST_PORT, r->dest_port);
	put_be32(at + OFF_FWMARK, r->fwmark);
	put_be32(at + OFF_TIMEOUT, r->timeout_sec);
	at += FIXED_BYTES;
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++, at += addr_bytes)
		memcpy(at, addrs[i]->bytes, addr_bytes);
	put_options(at, r);
	return (int)len;
}

/* ip_vs_proc_sync_conn(): each option once, and of the length that it must have. */
static int get_option(uint8_t type, const uint8_t *data, uint8_t len, struct connrec *r)
{
	switch (type & ~OPT_OPTIONAL) {
	case OPT_SEQ_DATA:
		if (len != SEQ_DATA_BYTES || r->has_seq)
			return -EBADMSG;
		r->has_seq = true;
		r->in_seq = get_seq(data);
		r->out_seq = get_seq(data + SEQ_DATA_BYTES / 2);
		return 0;
	case OPT_PE_DATA:
		if (r->pe_data)
			return -EBADMSG;
		r->pe_data = data;
		r->pe_data_len = len;
		return 0;
	case OPT_PE_NAME:
		if (r->pe_name || len > PE_NAME_BYTES_MAX)
			return -EBADMSG;
		r->pe_name = data;
		r->pe_name_len = len;
		return 0;
	default:
		return type & OPT_OPTIONAL ? 0 : -EBADMSG;
	}
}

static int get_options(const uint8_t *at, const uint8_t *end, struct connrec *r)
{
	while (at < end) {
		int e;

		if (end - at < 2 || at[1] == 0 || end - at - 2 < at[1])
			return -EBADMSG;
		e = get_option(at[0], at + 2, at[1], r);
		if (e < 0)
			return e;
		at += 2 + at[1];
	}
	return 0;
}

static struct connrec get_fixed(const uint8_t *at)
{
	return (struct connrec){
		.protocol = at[OFF_PROTOCOL],
		.flags = get_be32(at + OFF_FLAGS),
		.state = get_be16(at + OFF_STATE),
		.client_port = get_be16(at + OFF_CLIENT_PORT),
		.virtual_port = get_be16(at + OFF_VIRTUAL_PORT),
		.dest_port = get_be16(at + OFF_DEST_PORT),
		.fwmark = get_be32(at + OFF_FWMARK),
		.timeout_sec = get_be32(at + OFF_TIMEOUT),
	};
}

int connrec_decode(const void *bytes, size_t len, struct connrec *ret, size_t *ret_len)
{
	const uint8_t *at = bytes;
	struct connrec r;
	struct addr *addrs[] = { &r.client, &r.virtual, &r.dest };
	size_t size, addr_bytes;

	if (len < FIXED_BYTES || at[OFF_TYPE] > TYPE_INET6)
		return -EBADMSG;
	size = get_be16(at + OFF_VER_SIZE) & SIZE_MASK;
	addr_bytes = at[OFF_TYPE] == TYPE_INET6 ? 16 : 4;
	if (get_be16(at + OFF_VER_SIZE) >> VERSION_SHIFT != 0 || size > len ||
	    size < FIXED_BYTES + 3 * addr_bytes)
		return -EBADMSG;
	r = get_fixed(at);
	for (size_t i = 0; i < ARRAY_SIZE(addrs); i++) {
		addrs[i]->family = at[OFF_TYPE] == TYPE_INET6 ? AF_INET6 : AF_INET;
		memcpy(addrs[i]->bytes, at + FIXED_BYTES + i * addr_bytes, addr_bytes);
	}
	if (get_options(at + FIXED_BYTES + 3 * addr_bytes, at + size, &r) < 0)
		return -EBADMSG;
	*ret = r;
	*ret_len = MIN(padded(size), len);
	return 0;
}

int connrec_writer_init(struct connrec_writer *w, void *buf, size_t size, uint8_t syncid)
{
	if (size < CONNREC_HEADER_BYTES)
		return -EMSGSIZE;
	*w = (struct connrec_writer){ .start = buf,
				      .size = MIN(size, (size_t)UINT16_MAX),
				      .len = CONNREC_HEADER_BYTES };
	memset(w->start, 0, CONNREC_HEADER_BYTES);
	w->start[OFF_SYNCID] = syncid;
	w->start[OFF_VERSION] = VERSION;
	return 0;
}

/* The padding lies in front of the next record: a message does not end in it (ip_vs_sync_conn()). */
int connrec_writer_add(struct connrec_writer *w, const struct connrec *r)
{
	size_t begin = padded(w->len);
	int n;

	if (w->n == CONNREC_PER_MESSAGE_MAX || begin > w->size)
		return -EMSGSIZE;
	n = connrec_encode(w->start + begin, w->size - begin, r);
	if (n < 0)
		return n;
	memset(w->start + w->len, 0, begin - w->len);
	w->len = begin + (size_t)n;
	w->n++;
	return 0;
}

size_t connrec_writer_finish(struct connrec_writer *w)
{
	put_be16(w->start + OFF_SIZE, (uint16_t)w->len);
	w->start[OFF_N] = (uint8_t)w->n;
	return w->len;
}

int connrec_reader_init(struct connrec_reader *r, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;

	/* Version 0 has its count, never 0, where version 1 has a byte that is 0. */
	if (len < CONNREC_HEADER_BYTES || at[0] != 0 || at[OFF_VERSION] != VERSION ||
	    get_be16(at + OFF_SIZE) != len)
		return -EBADMSG;
	*r = (struct connrec_reader){ .at = at + CONNREC_HEADER_BYTES,
				      .left = len - CONNREC_HEADER_BYTES,
				      .n_left = at[OFF_N],
				      .syncid = at[OFF_SYNCID] };
	return 0;
}

int connrec_reader_next(struct connrec_reader *r, struct connrec *ret)
{
	size_t len;

	if (r->n_left == 0)
		return 0;
	if (connrec_decode(r->at, r->left, ret, &len) < 0)
		return -EBADMSG;
	r->at += len;
	r->left -= len;
	r->n_left--;
	return 1;
}

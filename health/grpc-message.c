/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/grpc-message.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <string.h>

/* protobuf.dev, encoding */
enum {
	WIRE_VARINT,
	WIRE_64_BIT,
	WIRE_BYTES,
	WIRE_32_BIT = 5,
	FIELD_ONE = 1, /* both messages have one field */
	VARINT_MAX = 10,
};

size_t grpc_request(const char *service, size_t size, char buf[static GRPC_REQUEST_MAX])
{
	char *p = buf + GRPC_FRAME_LEN;
	size_t len;

	assert(size <= GRPC_SERVICE_MAX);
	if (size > 0) {
		*p++ = FIELD_ONE << 3 | WIRE_BYTES;
		if (size >= 0x80)
			*p++ = (char)(0x80 | (size & 0x7f));
		*p++ = (char)(size >= 0x80 ? size >> 7 : size);
		memcpy(p, service, size);
		p += size;
	}
	len = (size_t)(p - buf) - GRPC_FRAME_LEN;
	memcpy(buf, (char[]){ 0, 0, 0, (char)(len >> 8), (char)len }, GRPC_FRAME_LEN);
	return GRPC_FRAME_LEN + len;
}

struct reader {
	const uint8_t *next;
	size_t left;
};

static bool read_varint(struct reader *r, uint64_t *ret)
{
	uint64_t value = 0;

	for (unsigned i = 0; i < VARINT_MAX && i < r->left; i++) {
		value |= (uint64_t)(r->next[i] & 0x7f) << 7 * i;
		if (r->next[i] & 0x80)
			continue;
		r->next += i + 1;
		r->left -= i + 1;
		*ret = value;
		return true;
	}
	return false;
}

static bool skip(struct reader *r, uint64_t n)
{
	if (n > r->left)
		return false;
	r->next += n;
	r->left -= n;
	return true;
}

/* The value of a varint; what has another type is skipped. */
static bool read_field(struct reader *r, unsigned wire, uint64_t *ret)
{
	uint64_t n;

	switch (wire) {
	case WIRE_VARINT:
		return read_varint(r, ret);
	case WIRE_64_BIT:
		return skip(r, 8);
	case WIRE_BYTES:
		return read_varint(r, &n) && skip(r, n);
	case WIRE_32_BIT:
		return skip(r, 4);
	default: /* groups, which are long out of use, and what is not defined */
		return false;
	}
}

int grpc_response_parse(const void *bytes, size_t size, int32_t *ret_status)
{
	struct reader r = { bytes, size };
	uint64_t status = 0, tag, value;
	const uint8_t *p = bytes;

	if (size < GRPC_FRAME_LEN || p[0] != 0)
		return -EBADMSG;
	if (((uint64_t)p[1] << 24 | (uint64_t)p[2] << 16 | (uint64_t)p[3] << 8 | p[4]) !=
	    size - GRPC_FRAME_LEN)
		return -EBADMSG;
	(void)skip(&r, GRPC_FRAME_LEN);
	while (r.left > 0) {
		if (!read_varint(&r, &tag) || tag >> 3 == 0 || tag > UINT32_MAX ||
		    !read_field(&r, tag & 7, &value))
			return -EBADMSG;
		if (tag == (FIELD_ONE << 3 | WIRE_VARINT))
			status = value;
	}
	/* An enumerator that nobody knows, but not one that looks like a known one. */
	*ret_status = (int32_t)(status > INT32_MAX ? INT32_MAX : status);
	return 0;
}

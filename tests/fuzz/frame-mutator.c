/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "frame-mutator.h"

#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "tests/frame.h"

/* An error about a packet, or an echo. */
static void make_icmp(uint64_t *state, struct frame_spec *s, struct frame *inner)
{
	static const uint8_t types4[] = { 3, 4, 11, 8, 8, 5 },
			     types6[] = { 1, 2, 3, 128, 128, 135 };
	unsigned r = (unsigned)frame_random(state);

	frame_build(inner, s);
	s->payload = inner->data + inner->l3_off;
	s->payload_bytes = (r >> 8) % (inner->len - inner->l3_off + 1);
	s->protocol = s->family == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
	s->icmp_type = s->family == AF_INET ? types4[r % 6] : types6[r % 6];
	if (r & 0x80) {
		s->option_bytes = 0;
		s->n_extensions = 0;
	}
}

static void make_fragment(uint64_t *state, struct frame_spec *s)
{
	uint64_t r = frame_random(state);

	s->frag_off = r & 1 ? 0 : (uint16_t)((r >> 8) % 200 * 8);
	s->more_fragments = r >> 1 & 1;
	s->fragment_header = s->family == AF_INET6;
	if (r & 4)
		s->payload_bytes &= ~7u;
}

static size_t make_frame(uint64_t *state, uint8_t *to, size_t max)
{
	uint64_t what = frame_random(state) % 8;
	struct frame f, inner;
	struct frame_spec s;

	frame_random_spec(state, &s);
	if (what < 2)
		make_icmp(state, &s, &inner);
	else if (what < 4)
		make_fragment(state, &s);
	frame_build(&f, &s);
	if (f.len > max)
		return 0;
	memcpy(to, f.data, f.len);
	return f.len;
}

static void repair_ipv4(uint8_t *frame, size_t len)
{
	size_t off = len > 17 && frame[12] == 0x81 && !frame[13] ? 18 : 14, header;
	uint32_t sum = 0;

	if (len < off + 20 || frame[off] >> 4 != 4)
		return;
	header = (frame[off] & 0xf) * 4u;
	if (header < 20 || off + header > len)
		return;
	memset(frame + off + 10, 0, 2);
	for (size_t i = 0; i < header; i += 2)
		sum += (uint32_t)frame[off + i] << 8 | frame[off + i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = 0xffff - ((sum & 0xffff) + (sum >> 16));
	frame[off + 10] = (uint8_t)(sum >> 8);
	frame[off + 11] = (uint8_t)sum;
}

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed)
{
	uint64_t state = seed;
	uint64_t what = frame_random(&state) % 16;

	if (max_size < MUTATOR_STEER_BYTES + 128)
		return LLVMFuzzerMutate(data, size, max_size);
	if (size < MUTATOR_STEER_BYTES)
		size += LLVMFuzzerMutate(data, size, MUTATOR_STEER_BYTES);
	if (size < MUTATOR_STEER_BYTES) {
		memset(data + size, 0, MUTATOR_STEER_BYTES - size);
		size = MUTATOR_STEER_BYTES;
	}
	if (what < 4)
		return MUTATOR_STEER_BYTES + make_frame(&state, data + MUTATOR_STEER_BYTES,
							max_size - MUTATOR_STEER_BYTES);
	if (what < 8) {
		(void)LLVMFuzzerMutate(data, MUTATOR_STEER_BYTES, MUTATOR_STEER_BYTES);
		return size;
	}
	size = MUTATOR_STEER_BYTES + LLVMFuzzerMutate(data + MUTATOR_STEER_BYTES,
						      size - MUTATOR_STEER_BYTES,
						      max_size - MUTATOR_STEER_BYTES);
	if (what < 14)
		repair_ipv4(data + MUTATOR_STEER_BYTES, size - MUTATOR_STEER_BYTES);
	return size;
}

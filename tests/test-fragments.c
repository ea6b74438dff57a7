/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/director.h"
#include "dpdk-fastpath/fragments.h"

enum {
	TICK_MSEC = 100,
	TIMEOUT = FRAGMENTS_TIMEOUT_MSEC / TICK_MSEC,
};

static struct director_frame frame(uint32_t id, uint8_t src)
{
	struct director_frame f = { 0 };

	f.packet.kind = PACKET_FRAGMENT;
	f.packet.is_fragment = true;
	f.packet.frag_id = id;
	f.packet.key.family = AF_INET;
	f.packet.key.protocol = IPPROTO_UDP;
	f.packet.key.src[3] = src;
	f.handle = (void *)((uintptr_t)id << 8 | src);
	return f;
}

static struct fragments *make(size_t max_held)
{
	struct fragments *f;

	assert_int_equal(fragments_new(max_held, TICK_MSEC, 1, &f), 0);
	return f;
}

static void test_refused(void **state)
{
	struct fragments *f;

	(void)state;
	assert_int_equal(fragments_new(0, TICK_MSEC, 1, &f), -EINVAL);
	assert_int_equal(fragments_new(1, 0, 1, &f), -EINVAL);
	assert_int_equal(fragments_new((size_t)1 << 21, TICK_MSEC, 1, &f), -EINVAL);
	fragments_free(NULL);
}

/* A decision is found by all that makes a datagram: source, destination, id, protocol, family. */
static void test_identity(void **state)
{
	const struct fragment_decision d = { .verdict = FRAGMENT_FLOW, .src_port_be = 7 };
	struct director_frame f = frame(1, 1), other = f;
	struct fragments *fragments = make(8);

	(void)state;
	assert_null(fragments_find(fragments, &f.packet, 0));
	fragments_decide(fragments, &f.packet, 0, &d);
	assert_int_equal(fragments_find(fragments, &f.packet, 0)->src_port_be, 7);
	other.packet.frag_id = 2;
	assert_null(fragments_find(fragments, &other.packet, 0));
	other = f;
	other.packet.key.src[15] = 1;
	assert_null(fragments_find(fragments, &other.packet, 0));
	other = f;
	other.packet.key.dst[0] = 1;
	assert_null(fragments_find(fragments, &other.packet, 0));
	other = f;
	other.packet.key.protocol = IPPROTO_TCP;
	assert_null(fragments_find(fragments, &other.packet, 0));
	other = f;
	other.packet.key.family = AF_INET6;
	assert_null(fragments_find(fragments, &other.packet, 0));
	other = f;
	other.packet.key.src_port_be = 99; /* not a part */
	assert_non_null(fragments_find(fragments, &other.packet, 0));
	assert_non_null(fragments_find(fragments, &f.packet, TIMEOUT - 1));
	assert_null(fragments_find(fragments, &f.packet, TIMEOUT));
	fragments_free(fragments);
}

static void test_order_and_bounds(void **state)
{
	const struct fragment_decision d = { .verdict = FRAGMENT_DROP };
	struct fragments *fragments = make(4);
	struct director_frame f, out;
	bool timed_out;

	(void)state;
	for (uint32_t i = 0; i < 4; i++) {
		f = frame(i % 2, (uint8_t)1);
		f.handle = (void *)(uintptr_t)(i + 1);
		assert_true(fragments_hold(fragments, &f, 0));
	}
	f = frame(9, 1);
	assert_false(fragments_hold(fragments, &f, 0));
	assert_int_equal(fragments_held(fragments), 4);
	assert_false(fragments_next_ready(fragments, &out, &timed_out));
	f = frame(1, 1);
	fragments_decide(fragments, &f.packet, 0, &d);
	for (uintptr_t handle = 2; handle <= 4; handle += 2) {
		assert_true(fragments_next_ready(fragments, &out, &timed_out));
		assert_false(timed_out);
		assert_ptr_equal(out.handle, (void *)handle);
	}
	assert_false(fragments_next_ready(fragments, &out, &timed_out));
	fragments_expire(fragments, TIMEOUT - 1);
	assert_false(fragments_next_ready(fragments, &out, &timed_out));
	fragments_expire(fragments, TIMEOUT);
	for (uintptr_t handle = 1; handle <= 3; handle += 2) {
		assert_true(fragments_next_ready(fragments, &out, &timed_out));
		assert_true(timed_out);
		assert_ptr_equal(out.handle, (void *)handle);
	}
	assert_int_equal(fragments_held(fragments), 0);
	fragments_free(fragments);
}

/* One datagram cannot take all places. */
static void test_per_datagram(void **state)
{
	struct fragments *fragments = make(1024);
	struct director_frame f = frame(1, 1);

	(void)state;
	for (unsigned i = 0; i < FRAGMENTS_HELD_PER_DATAGRAM; i++)
		assert_true(fragments_hold(fragments, &f, 0));
	assert_false(fragments_hold(fragments, &f, 0));
	f = frame(2, 1);
	assert_true(fragments_hold(fragments, &f, 0));
	fragments_free(fragments);
}

/* Seeded-random steps: every frame that is held comes back once, and only what is decided is found. */
static void test_random(void **state)
{
	enum { IDS = 64, MAX_HELD = 16 };
	struct fragments *fragments = make(MAX_HELD);
	unsigned seed = 20261122, n_held = 0, n_back = 0, n_timed_out = 0;
	uint32_t now = UINT32_MAX - 500; /* through the turn of the clock */
	uint32_t decided_at[IDS];
	bool decided[IDS] = { false };

	(void)state;
	for (unsigned step = 0; step < 200000; step++) {
		uint32_t id = (uint32_t)rand_r(&seed) % IDS;
		struct director_frame f = frame(id, 1), out;
		const struct fragment_decision *found;
		struct fragment_decision d = { .verdict = FRAGMENT_FLOW, .worker = (uint16_t)id };
		bool timed_out;

		now += rand_r(&seed) % 8 == 0;
		found = fragments_find(fragments, &f.packet, now);
		if (found) {
			assert_true(decided[id] && now - decided_at[id] < TIMEOUT);
			assert_int_equal(found->worker, id);
		} else if (rand_r(&seed) % 2) {
			n_held += fragments_hold(fragments, &f, now);
		}
		if (rand_r(&seed) % 4 == 0) {
			fragments_decide(fragments, &f.packet, now, &d);
			decided[id] = true;
			decided_at[id] = now;
		}
		if (rand_r(&seed) % 4 == 0)
			fragments_expire(fragments, now);
		while (rand_r(&seed) % 4 && fragments_next_ready(fragments, &out, &timed_out)) {
			assert_int_equal(out.packet.frag_id, (uintptr_t)out.handle >> 8);
			n_timed_out += timed_out;
			n_back++;
		}
		assert_int_equal(fragments_held(fragments), n_held - n_back);
		assert_true(fragments_held(fragments) <= MAX_HELD);
	}
	assert_true(n_back > 1000 && n_timed_out > 100);
	fragments_free(fragments);
}

/* The same for both fragments of a datagram, and even. */
static void test_home(void **state)
{
	unsigned counts[5] = { 0 };

	(void)state;
	for (uint32_t i = 0; i < 5000; i++) {
		struct flow_key k = { .family = AF_INET }, later;

		memcpy(k.src, &i, sizeof(i));
		k.dst[0] = 203;
		later = k;
		k.src_port_be = 77;
		assert_int_equal(fragments_home(&k, 1), 0);
		assert_int_equal(fragments_home(&k, 5), fragments_home(&later, 5));
		counts[fragments_home(&k, 5)]++;
	}
	for (unsigned i = 0; i < 5; i++)
		assert_in_range(counts[i], 850, 1150);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),		 cmocka_unit_test(test_identity),
		cmocka_unit_test(test_order_and_bounds), cmocka_unit_test(test_per_datagram),
		cmocka_unit_test(test_random),		 cmocka_unit_test(test_home),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

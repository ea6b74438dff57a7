/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Fragments: in any order, of no flow, too late. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "director-sides.h"
#include "dpdk-fastpath/fragments.h"

/* A datagram of three fragments, in the order given. */
static struct frame_spec fragment(const struct side *side, unsigned i, uint32_t id)
{
	struct frame_spec s = sides_request(side);

	s.is_fragment = true;
	s.more_fragments = i < 2;
	s.frag_id = id;
	s.payload_bytes = i == 0 ? 504 : 512; /* with the UDP header */
	s.frag_off_bytes = (uint16_t)(i * 512);
	return s;
}

static void take_released(struct rig *r, struct rig_frame *held, unsigned n, uint8_t verdict)
{
	struct director_frame frames[4];

	assert_int_equal(director_released(r->directors[0], rig_snapshot(r), r->now, frames, 4), n);
	for (unsigned i = 0; i < n; i++) {
		struct rig_frame *f = frames[i].handle;

		assert_int_equal(frames[i].action.verdict, verdict);
		assert_true(f >= held && f < held + 3);
		f->f = frames[i];
		rig_read(f);
	}
}

static void check_order(const struct side *side, enum ipvs_forward forward, const unsigned *order)
{
	struct rig_frame f[3];
	bool first_seen = false;
	unsigned n_held = 0;
	struct rig r;

	sides_make_udp_rig(&r, side, forward);
	for (unsigned i = 0; i < 3; i++) {
		struct frame_spec s = fragment(side, order[i], 77);
		enum director_verdict v = rig_send(&r, &f[order[i]], &s);

		first_seen |= order[i] == 0;
		assert_int_equal(v, first_seen ? DIRECTOR_SEND : DIRECTOR_HOLD);
		n_held += !first_seen;
		if (order[i] == 0)
			take_released(&r, f, n_held, DIRECTOR_SEND);
	}
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(f[i].out.frag_off_bytes, i * 512);
		assert_int_equal(f[i].out.more_fragments, i < 2);
		assert_true(addr_eq(&f[i].out.src, &f[0].out.src));
		assert_true(addr_eq(&f[i].out.dst, &f[0].out.dst));
		assert_int_equal(f[i].out.ttl, 63);
		assert_int_equal(f[i].out.dst_mac[4], 0xd0);
		assert_true(f[i].out.checksums_right);
	}
	assert_true(
		frame_is_to(&f[0].out, forward == IPVS_FORWARD_ROUTE ? side->service : side->dest));
	assert_int_equal(rig_counter(&r, 0, COUNTER_FORWARDED_IN), 3);
	assert_int_equal(rig_counter(&r, 0, COUNTER_HELD), n_held);
	rig_deinit(&r);
}

static void test_fragments(void **state)
{
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 0, 2, 1 }, { 1, 0, 2 },
					      { 1, 2, 0 }, { 2, 0, 1 }, { 2, 1, 0 } };
	static const enum ipvs_forward forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_FULL_NAT,
						      IPVS_FORWARD_ROUTE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sides); i++)
		for (size_t k = 0; k < ARRAY_SIZE(forwards); k++)
			for (size_t n = 0; n < ARRAY_SIZE(orders); n++)
				check_order(&sides[i], forwards[k], orders[n]);
}

/* The first one's fate is the later ones'. */
static void test_fragments_of_no_flow(void **state)
{
	struct frame_spec first = fragment(&sides[0], 0, 5), later = fragment(&sides[0], 1, 5);
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, sides[0].service);
	struct rig_frame f;
	struct rig r;

	(void)state;
	sides_make_udp_rig(&r, &sides[0], IPVS_FORWARD_MASQ);
	first.dst = later.dst = "203.0.113.10:99";
	assert_int_equal(rig_send(&r, &f, &first), DIRECTOR_EXCEPTION);
	assert_int_equal(rig_send(&r, &f, &later), DIRECTOR_EXCEPTION);
	first = fragment(&sides[0], 0, 6);
	later = fragment(&sides[0], 1, 6);
	rig_set_dest(&r, &k, sides[0].dest, &(struct ipvs_dest){ .forward = IPVS_FORWARD_MASQ });
	assert_int_equal(rig_send(&r, &f, &first), DIRECTOR_SEND);
	assert_int_equal(f.out.icmp_type, 3);
	assert_int_equal(rig_send(&r, &f, &later), DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_UNREPORTED);
	rig_deinit(&r);

	/* one-packet: no record, but all fragments to one destination */
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", IPVS_SVC_ONEPACKET, 0);
	rig_dest(&r, &k, "10.0.1.2:8080", IPVS_FORWARD_MASQ, 1);
	rig_dest(&r, &k, "10.0.1.3:8080", IPVS_FORWARD_MASQ, 1);
	for (uint32_t id = 0; id < 4; id++) {
		first = fragment(&sides[0], 0, id);
		later = fragment(&sides[0], 1, id);
		assert_int_equal(rig_send(&r, &f, &first), DIRECTOR_SEND);
		assert_true(frame_is_to(&f.out, id % 2 ? "10.0.1.2:8080" : "10.0.1.3:8080"));
		assert_int_equal(rig_send(&r, &f, &later), DIRECTOR_SEND);
		assert_true(frame_is_to(&f.out, id % 2 ? "10.0.1.2" : "10.0.1.3"));
	}
	rig_deinit(&r);
}

/* Those that wait in vain come back after FRAGMENTS_TIMEOUT_MSEC, to be dropped. */
static void test_fragments_time_out(void **state)
{
	struct frame_spec later = fragment(&sides[0], 1, 5), first = fragment(&sides[0], 0, 5);
	struct rig_frame f[3];
	struct rig r;

	(void)state;
	sides_make_udp_rig(&r, &sides[0], IPVS_FORWARD_MASQ);
	assert_int_equal(rig_send(&r, &f[0], &later), DIRECTOR_HOLD);
	rig_sleep(&r, FRAGMENTS_TIMEOUT_MSEC / 1000 - 1);
	take_released(&r, f, 0, 0);
	rig_sleep(&r, 1);
	take_released(&r, f, 1, DIRECTOR_DROP);
	assert_int_equal(rig_counter(&r, 0, COUNTER_DROP_FRAGMENT), 1);
	/* and what was decided is forgotten: ids come again */
	assert_int_equal(rig_send(&r, &f[0], &first), DIRECTOR_SEND);
	rig_sleep(&r, FRAGMENTS_TIMEOUT_MSEC / 1000);
	assert_int_equal(rig_send(&r, &f[1], &later), DIRECTOR_HOLD);
	rig_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_fragments_of_no_flow),
		cmocka_unit_test(test_fragments_time_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

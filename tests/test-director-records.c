/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What records remember: a full table, ports of full NAT, moving connections, resets. */
#include <arpa/inet.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "director-rig.h"

#define CLIENT "198.51.100.7:40000"
#define SERVICE "203.0.113.10:80"
#define DEST1 "10.0.1.1:8080"
#define DEST2 "10.0.1.2:8080"

static void assert_dropped(const struct rig_frame *f, enum counter reason)
{
	assert_int_equal(f->f.action.verdict, DIRECTOR_DROP);
	assert_string_equal(counter_to_string((enum counter)f->f.action.reason),
			    counter_to_string(reason));
}

static void make_small(struct rig *r, const char *scheduler, enum ipvs_forward forward,
		       const struct snapshot_options *o)
{
	struct ipvs_service_key k = rig_key(IPPROTO_TCP, SERVICE);

	rig_init(r, &(struct rig_config){ .max_flows = 64, .embryonic_max = 32 });
	rig_service(r, &k, scheduler, 0, 0);
	rig_dest(r, &k, DEST1, forward, 1);
	rig_dest(r, &k, DEST2, forward, 1);
	rig_options(r, o);
}

static void send_from(struct rig *r, unsigned client, uint8_t flags, struct rig_frame *f)
{
	char src[32];
	struct frame_spec s = { .src = src, .dst = SERVICE, .tcp_flags = flags };

	(void)snprintf(src, sizeof(src), "198.51.%u.%u:7", client / 200, client % 200 + 1);
	(void)rig_send(r, f, &s);
}

static uint64_t references(const struct rig *r)
{
	uint64_t n = 0;

	for (uint32_t id = 0; id < 16; id++)
		n += r->counters[0][id].references;
	return n;
}

/* A flood of SYNs takes the embryonic share alone; when all is established, new ones are dropped. */
static void test_full_table(void **state)
{
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_small(&r, "rr", IPVS_FORWARD_MASQ, &(struct snapshot_options){ 0 });
	for (unsigned i = 0; i < 32; i++) {
		send_from(&r, i, FRAME_SYN, &f);
		send_from(&r, i, FRAME_ACK, &f);
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
	}
	for (unsigned i = 1000; i < 2000; i++) {
		send_from(&r, i, FRAME_SYN, &f);
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
	}
	assert_int_equal(director_counters(r.directors[0])->connections_evicted, 1000 - 32);
	assert_int_equal(references(&r), 64);
	for (unsigned i = 0; i < 32; i++) {
		send_from(&r, i, FRAME_ACK, &f);
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
	}
	for (unsigned i = 1968; i < 2000; i++) {
		send_from(&r, i, FRAME_ACK, &f);
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
	}
	send_from(&r, 3000, FRAME_SYN, &f);
	assert_dropped(&f, COUNTER_DROP_FULL);
	assert_int_equal(references(&r), 64);
	rig_deinit(&r);
}

/* mh, direct: beyond the table packets go by the hash alone, all of a connection to the same destination. */
static void test_stateless_when_full(void **state)
{
	static const uint8_t flags[] = { FRAME_SYN, FRAME_ACK, FRAME_ACK, FRAME_FIN | FRAME_ACK };
	uint8_t mac = 0;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_small(&r, "mh", IPVS_FORWARD_ROUTE,
		   &(struct snapshot_options){ .stateless_when_full = true });
	for (unsigned i = 0; i < 64; i++) {
		send_from(&r, i, FRAME_SYN, &f);
		send_from(&r, i, FRAME_ACK, &f);
	}
	send_from(&r, 500, FRAME_ACK,
		  &f); /* before the table was too small, such a one is the kernel's */
	assert_int_equal(f.f.action.verdict, DIRECTOR_EXCEPTION);
	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		send_from(&r, 500, flags[i], &f);
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
		if (i > 0)
			assert_int_equal(f.out.dst_mac[5], mac);
		mac = f.out.dst_mac[5];
	}
	assert_int_equal(rig_usage(&r).flows, 64);
	assert_int_equal(references(&r), 64);
	rig_deinit(&r);
}

/* One address and a sixty-fourth of its ports: all are given out, each once, then none. */
static void test_ports_run_out(void **state)
{
	static const char *const local = "192.0.2.1";
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, SERVICE);
	struct rig_frame f;
	uint8_t seen[65536] = { 0 };
	uint16_t first;
	uint32_t n;
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ .n_workers = 64, .only_worker = 5 });
	rig_service(&r, &k, "rr", 0, 0);
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_FULL_NAT, 1);
	rig_locals(&r, &local, 1);
	snapshot_local_ports(rig_snapshot(&r), 5, &first, &n);
	assert_int_equal(n, 64512 / 64);
	for (unsigned i = 0; i <= n; i++) {
		char src[32];
		struct frame_spec s = { .src = src, .dst = SERVICE, .protocol = IPPROTO_UDP };

		(void)snprintf(src, sizeof(src), "198.51.100.7:%u", 1000 + i);
		rig_make(&f, &s);
		rig_run_frame(&r, 5, true, &f);
		if (i == n)
			break;
		assert_int_equal(f.f.action.verdict, DIRECTOR_SEND);
		assert_in_range(f.out.src_port, first, first + n - 1);
		assert_int_equal(seen[f.out.src_port]++, 0);
	}
	assert_dropped(&f, COUNTER_DROP_PORTS);
	rig_deinit(&r);
}

/* Addresses are used in turn; another destination has all ports again; without any address there is none. */
static void test_ports_of_addresses(void **state)
{
	static const char *const locals[] = { "192.0.2.1", "192.0.2.2", "192.0.2.3" };
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, SERVICE);
	struct frame_spec s = { .src = CLIENT, .dst = SERVICE, .protocol = IPPROTO_UDP };
	unsigned used[256] = { 0 };
	struct rig_frame f;
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", 0, 0);
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_FULL_NAT, 1);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_DROP);
	assert_dropped(&f, COUNTER_DROP_PORTS);
	rig_locals(&r, locals, ARRAY_SIZE(locals));
	for (unsigned i = 0; i < 30; i++) {
		char src[32];

		(void)snprintf(src, sizeof(src), "198.51.100.7:%u", 1000 + i);
		s.src = src;
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		used[f.out.src.bytes[3]]++;
	}
	for (unsigned i = 1; i <= ARRAY_SIZE(locals); i++)
		assert_int_equal(used[i], 10);
	rig_deinit(&r);
}

static void make_movable(struct rig *r, enum ipvs_forward forward)
{
	static const char *const local = "192.0.2.1";
	struct ipvs_service_key k = rig_key(IPPROTO_TCP, SERVICE);

	rig_init(r, &(struct rig_config){ 0 });
	rig_service(r, &k, "rr", IPVS_SVC_PERSISTENT, 100);
	rig_dest(r, &k, DEST1, forward, 1);
	rig_dest(r, &k, DEST2, forward, 1);
	rig_locals(r, &local, 1);
}

static unsigned export_all(const struct rig *r, struct director_conn *ret, unsigned n)
{
	unsigned total = 0, got;
	uint32_t cursor = 0;

	do {
		got = director_export(r->directors[0], rig_snapshot(r), r->now, &cursor,
				      ret + total, MIN(2U, n - total));
		total += got;
	} while (got > 0 && total < n);
	return total;
}

static bool same_conn(const struct director_conn *a, const struct director_conn *b)
{
	return memcmp(&a->key, &b->key, sizeof(a->key)) == 0 &&
	       memcmp(a->dest, b->dest, sizeof(a->dest)) == 0 &&
	       a->dest_port_be == b->dest_port_be &&
	       memcmp(a->local, b->local, sizeof(a->local)) == 0 &&
	       a->local_port_be == b->local_port_be && a->flags == b->flags &&
	       a->state == b->state && a->timeout_sec == b->timeout_sec &&
	       a->remaining_sec == b->remaining_sec;
}

/* What was exported, imported elsewhere, is exported as the same; and goes on where it was. */
static void check_move(enum ipvs_forward forward)
{
	struct director_conn before[8], after[8];
	struct rig_frame f, back;
	struct rig from, to;
	unsigned n;

	make_movable(&from, forward);
	make_movable(&to, forward);
	send_from(&from, 1, FRAME_SYN, &f);
	send_from(&from, 1, FRAME_ACK, &f);
	send_from(&from, 2, FRAME_SYN, &f);
	rig_sleep(&from, 7);
	send_from(&from, 1, FRAME_FIN | FRAME_ACK, &f);
	n = export_all(&from, before, 8);
	assert_int_equal(n, 4);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(
			director_import(to.directors[0], rig_snapshot(&to), to.now, &before[i]), 0);
	for (unsigned i = 0; i < n; i++) /* again: the same */
		assert_int_equal(
			director_import(to.directors[0], rig_snapshot(&to), to.now, &before[i]), 0);
	assert_int_equal(export_all(&to, after, 8), n);
	for (unsigned i = 0; i < n; i++) {
		unsigned k = 0;

		while (k < n && !same_conn(&before[i], &after[k]))
			k++;
		assert_true(k < n);
	}
	assert_int_equal(references(&to), n);

	/* an answer before the client's next packet is the kernel's to send on; then it is ours */
	if (forward != IPVS_FORWARD_ROUTE) {
		char dst[ADDR_PORT_STR_MAX];
		struct frame_spec s = { .dst = dst };
		char src[ADDR_PORT_STR_MAX];

		s.src = addr_port_format(&f.out.dst, f.out.dst_port, src);
		(void)addr_port_format(&f.out.src, f.out.src_port, dst);
		assert_int_equal(rig_send(&to, &back, &s), DIRECTOR_EXCEPTION);
		send_from(&to, 1, FRAME_ACK, &f);
		assert_int_equal(rig_send(&to, &back, &s), DIRECTOR_SEND);
		assert_true(frame_is_to(&back.out, "198.51.0.2:7"));
	}
	rig_deinit(&from);
	rig_deinit(&to);
}

static void test_move(void **state)
{
	(void)state;
	check_move(IPVS_FORWARD_MASQ);
	check_move(IPVS_FORWARD_ROUTE);
	check_move(IPVS_FORWARD_FULL_NAT);
}

/* A destination of every port takes what no other destination has; time that is left is rounded up. */
static void test_import_every_port(void **state)
{
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, "203.0.113.10:0");
	struct director_conn c, back;
	uint32_t cursor = 0;
	struct rig_frame f;
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", IPVS_SVC_PERSISTENT, 100);
	rig_dest(&r, &k, "10.0.1.1:0", IPVS_FORWARD_MASQ, 1);
	rig_make(&f,
		 &(struct frame_spec){ .src = CLIENT, .dst = SERVICE, .protocol = IPPROTO_UDP });
	c = (struct director_conn){ .key = f.f.packet.key,
				    .dest = { 10, 0, 1, 1 },
				    .dest_port_be = htons(80),
				    .remaining_sec = 50 };
	assert_int_equal(director_import(r.directors[0], rig_snapshot(&r), r.now, &c), 0);
	r.now += 1; /* a tenth of a second */
	assert_int_equal(
		director_export(r.directors[0], rig_snapshot(&r), r.now, &cursor, &back, 1), 1);
	assert_int_equal(back.remaining_sec, 50);
	r.now += RIG_SEC;
	cursor = 0;
	assert_int_equal(
		director_export(r.directors[0], rig_snapshot(&r), r.now, &cursor, &back, 1), 1);
	assert_int_equal(back.remaining_sec, 49);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, CLIENT, SERVICE, "10.0.1.1:80"));
	assert_int_equal(rig_usage(&r).flows, 1);
	rig_deinit(&r);
}

static void test_import_refused(void **state)
{
	struct director_conn c[8], changed;
	const struct snapshot *s;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_movable(&r, IPVS_FORWARD_FULL_NAT);
	s = rig_snapshot(&r);
	send_from(&r, 1, FRAME_SYN, &f);
	assert_int_equal(export_all(&r, c, 8), 2);
	if (c[0].flags & FLOW_TEMPLATE)
		c[0] = c[1];
	changed = c[0];
	changed.dest[3] ^= 3; /* DEST1 <-> DEST2 */
	assert_int_equal(director_import(r.directors[0], s, r.now, &changed), -EEXIST);
	changed.dest[3] = 77;
	assert_int_equal(director_import(r.directors[0], s, r.now, &changed), -ENOENT);
	changed = c[0];
	changed.key.dst_port_be ^= 1;
	assert_int_equal(director_import(r.directors[0], s, r.now, &changed), -ENOENT);
	changed = c[0];
	changed.state = _CONN_TCP_STATE_MAX;
	assert_int_equal(director_import(r.directors[0], s, r.now, &changed), -EINVAL);
	changed = c[0];
	changed.key.src[3] ^= 1;
	changed.local[3] ^= 1;
	assert_int_equal(director_import(r.directors[0], s, r.now, &changed), -EADDRNOTAVAIL);
	rig_deinit(&r);
}

/* Reads what director_emit() wrote. */
static bool emitted(struct rig *r, struct frame_view *ret)
{
	uint8_t data[128];
	uint16_t port = 99;
	unsigned n = director_emit(r->directors[0], rig_snapshot(r), data, &port);

	if (n == 0)
		return false;
	assert_true(n <= sizeof(data) && port == 0);
	assert_true(frame_read(data, n, ret));
	assert_true(ret->checksums_right);
	return true;
}

static void assert_reset(const struct frame_view *v, const char *src, const char *dst, uint32_t seq)
{
	assert_true(v->tcp_flags & FRAME_RST);
	assert_true(frame_is_from(v, src));
	assert_true(frame_is_to(v, dst));
	assert_int_equal(v->seq, seq);
}

/* Destination gone: whoever speaks next, both sides get a reset with the number they expect. */
static void test_reset(void **state)
{
	struct frame_spec ack = { .src = CLIENT, .dst = SERVICE, .seq = 1000, .ack = 5000 };
	struct frame_spec back = { .src = DEST1, .dst = CLIENT, .seq = 5000, .ack = 1000 };
	struct frame_spec syn = { .src = CLIENT, .dst = SERVICE, .tcp_flags = FRAME_SYN };

	(void)state;
	for (unsigned from_dest = 0; from_dest < 2; from_dest++) {
		struct ipvs_service_key k = rig_key(IPPROTO_TCP, SERVICE);
		struct frame_view v = { 0 };
		struct rig_frame f;
		struct rig r;

		rig_init(&r, &(struct rig_config){ 0 });
		rig_service(&r, &k, "rr", 0, 0);
		rig_dest(&r, &k, DEST1, IPVS_FORWARD_MASQ, 1);
		rig_options(&r, &(struct snapshot_options){ .reset_on_expiry = true,
							    .expire_nodest_conn = true });
		r.nexthops[1].vlan_tci = 9;
		syn.vlan = ack.vlan = 7;
		assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
		assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
		rig_del_dest(&r, &k, DEST1);
		rig_sleep(&r, 1);
		assert_int_equal(rig_usage(&r).flows, 1);
		assert_int_equal(rig_send(&r, &f, from_dest ? &back : &ack), DIRECTOR_SEND);
		assert_true(f.out.checksums_right);
		assert_true(emitted(&r, &v));
		if (from_dest) {
			assert_reset(&f.out, CLIENT, DEST1, 1000);
			assert_reset(&v, SERVICE, CLIENT, 5000);
			assert_int_equal(v.vlan, 7);
			assert_memory_equal(v.dst_mac, frame_client_mac, 6);
		} else {
			assert_reset(&f.out, SERVICE, CLIENT, 5000);
			assert_reset(&v, CLIENT, DEST1, 1000);
			assert_int_equal(v.vlan, 9);
			assert_int_equal(v.dst_mac[4], 0xd0);
		}
		assert_memory_equal(v.src_mac, frame_port_mac, 6);
		assert_false(emitted(&r, &v));
		assert_int_equal(rig_usage(&r).flows, 0);
		rig_deinit(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_full_table),     cmocka_unit_test(test_stateless_when_full),
		cmocka_unit_test(test_ports_run_out),  cmocka_unit_test(test_ports_of_addresses),
		cmocka_unit_test(test_move),	       cmocka_unit_test(test_import_every_port),
		cmocka_unit_test(test_import_refused), cmocka_unit_test(test_reset),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

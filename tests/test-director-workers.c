/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Several workers: whichever a packet comes to, it ends at the one that owns its flow, in both directions. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "director-rig.h"
#include "dpdk-fastpath/fragments.h"
#include "dpdk-fastpath/rss.h"

#define SERVICE "203.0.113.10:80"
#define DEST "10.0.1.1:8080"

static const unsigned worker_counts[] = { 2, 3, 4 };

static void make_rig(struct rig *r, unsigned n_workers, enum ipvs_forward forward, uint32_t flags)
{
	static const char *const local = "192.0.2.1";
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, SERVICE);

	rig_init(r, &(struct rig_config){ .n_workers = n_workers });
	rig_service(r, &k, "rr", flags, 100);
	rig_dest(r, &k, DEST, forward, 1);
	rig_locals(r, &local, 1);
}

static size_t n_flows(const struct rig *r)
{
	size_t n = 0;

	for (unsigned w = 0; w < r->n_workers; w++) {
		struct flow_usage u;

		flow_table_usage(director_flows(r->directors[w]), &u);
		n += u.flows - u.templates;
	}
	return n;
}

static void client_name(unsigned i, char ret[ADDR_PORT_STR_MAX])
{
	(void)snprintf(ret, ADDR_PORT_STR_MAX, "198.51.100.%u:%u", i % 50 + 1, 1000 + i / 50);
}

/* Every packet ends at one worker, which is the same for all of its flow. */
static void check_flows(unsigned n_workers, enum ipvs_forward forward, uint32_t flags)
{
	enum { N = 300 };
	unsigned owned[RIG_WORKERS_MAX] = { 0 }, seed = 1;
	struct rig r;

	make_rig(&r, n_workers, forward, flags);
	for (unsigned i = 0; i < N; i++) {
		char client[ADDR_PORT_STR_MAX], seen[ADDR_PORT_STR_MAX];
		struct frame_spec s = { .src = client, .dst = SERVICE, .protocol = IPPROTO_UDP };
		struct frame_spec back = { .src = DEST, .dst = seen, .protocol = IPPROTO_UDP };
		unsigned first_owner = 0, owner;
		struct rig_frame f;

		client_name(i, client);
		for (unsigned k = 0; k < 3; k++) {
			assert_int_equal(rig_send_to(&r, (unsigned)rand_r(&seed) % n_workers, &f,
						     &s, &owner),
					 DIRECTOR_SEND);
			if (k == 0)
				first_owner = owner;
			assert_int_equal(owner, first_owner);
		}
		owned[owner]++;
		if (forward == IPVS_FORWARD_ROUTE)
			continue;
		(void)addr_port_format(&f.out.src, f.out.src_port, seen);
		assert_int_equal(rig_send_to(&r, (unsigned)rand_r(&seed) % n_workers, &f, &back,
					     &owner),
				 DIRECTOR_SEND);
		assert_int_equal(owner, first_owner);
		assert_true(frame_is_to(&f.out, client));
	}
	assert_int_equal(n_flows(&r), N);
	for (unsigned w = 0; w < n_workers; w++)
		assert_true(owned[w] > N / n_workers / 3);
	rig_deinit(&r);
}

static void test_flows(void **state)
{
	static const enum ipvs_forward forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_FULL_NAT,
						      IPVS_FORWARD_ROUTE };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worker_counts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(forwards); k++) {
			check_flows(worker_counts[i], forwards[k], 0);
			check_flows(worker_counts[i], forwards[k], IPVS_SVC_PERSISTENT);
		}
}

static uint64_t n_handed_over(const struct rig *r)
{
	uint64_t n = 0;

	for (unsigned w = 0; w < r->n_workers; w++)
		n += rig_counter(r, w, COUNTER_HANDED_OVER);
	return n;
}

/* Answers of full NAT that come by a port's RSS; returns how many were handed over. */
static uint64_t handed_answers(unsigned n_workers, const struct rss *rss, bool known)
{
	static const char *const locals[] = { "192.0.2.1", "192.0.2.2", "192.0.2.3" };
	enum { N = 1000 };
	struct rss_slot slots[RIG_PORTS] = { { known ? rss : NULL } };
	struct ipvs_service_key k = rig_key(IPPROTO_TCP, SERVICE);
	uint64_t handed = 0;
	struct rig r;

	rig_init(&r, &(struct rig_config){ .n_workers = n_workers, .port_rss = slots });
	rig_service(&r, &k, "rr", 0, 0);
	rig_dest(&r, &k, DEST, IPVS_FORWARD_FULL_NAT, 1);
	rig_dest(&r, &k, "10.0.1.2:8080", IPVS_FORWARD_FULL_NAT, 1);
	rig_locals(&r, locals, ARRAY_SIZE(locals));
	for (unsigned i = 0; i < N; i++) {
		char client[ADDR_PORT_STR_MAX], seen[ADDR_PORT_STR_MAX], dest[ADDR_PORT_STR_MAX];
		struct frame_spec s = { .src = client,
					.dst = SERVICE,
					.protocol = IPPROTO_TCP,
					.tcp_flags = FRAME_SYN };
		struct frame_spec back = { .src = dest,
					   .dst = seen,
					   .protocol = IPPROTO_TCP,
					   .tcp_flags = FRAME_SYN | FRAME_ACK };
		struct rig_frame f;
		unsigned owner, end;
		uint64_t before;

		client_name(i, client);
		assert_int_equal(rig_send_to(&r, i % n_workers, &f, &s, &owner), DIRECTOR_SEND);
		(void)addr_port_format(&f.out.src, f.out.src_port, seen);
		(void)addr_port_format(&f.out.dst, f.out.dst_port, dest);
		rig_make(&f, &back);
		before = n_handed_over(&r);
		assert_int_equal(
			rig_send_to(&r,
				    rss_queue(rss, rss_hash_source(rss, AF_INET, f.f.packet.key.src,
								   f.f.packet.key.src_port_be) ^
							   rss_hash_target(
								   rss, AF_INET, f.f.packet.key.dst,
								   f.f.packet.key.dst_port_be)),
				    &f, &back, &end),
			DIRECTOR_SEND);
		assert_int_equal(end, owner);
		handed += n_handed_over(&r) - before;
	}
	rig_deinit(&r);
	return handed;
}

/* Where it is known how the port spreads packets, each answer comes to the worker that has the connection. */
static void test_rss(void **state)
{
	uint8_t key[RSS_KEY_BYTES];
	static struct rss rss;
	unsigned seed = 7;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(worker_counts); i++) {
		uint16_t reta[128];

		for (size_t b = 0; b < sizeof(key); b++)
			key[b] = (uint8_t)rand_r(&seed);
		for (unsigned b = 0; b < ARRAY_SIZE(reta); b++)
			reta[b] = (uint16_t)(b % worker_counts[i]);
		assert_int_equal(rss_init(&rss, key, reta, ARRAY_SIZE(reta), RSS_TCP4), 0);
		assert_int_equal(handed_answers(worker_counts[i], &rss, true), 0);
		assert_true(handed_answers(worker_counts[i], &rss, false) > 300);
		/* a port that hashes addresses alone cannot be steered */
		rss.fields = RSS_TCP6 | RSS_UDP4;
		assert_true(handed_answers(worker_counts[i], &rss, true) > 300);
	}
}

/* TCP connections that began before the service was persistent go on, in both directions. */
static void test_owners_change(void **state)
{
	enum { N = 100 };
	struct ipvs_service_key k = rig_key(IPPROTO_TCP, SERVICE);
	const struct ipvs_service persistent = { .key = k,
						 .scheduler = "rr",
						 .flags = IPVS_SVC_PERSISTENT,
						 .timeout_sec = 100,
						 .netmask = 0xffffffff };
	unsigned moved = 0, seed = 3;
	struct rig_frame f;
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ .n_workers = 4 });
	rig_service(&r, &k, "rr", 0, 0);
	rig_dest(&r, &k, DEST, IPVS_FORWARD_MASQ, 1);
	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < N; i++) {
			char client[ADDR_PORT_STR_MAX];
			struct frame_spec s = { .src = client,
						.dst = SERVICE,
						.protocol = IPPROTO_TCP,
						.tcp_flags = round ? FRAME_ACK : FRAME_SYN };
			struct frame_spec back = { .src = DEST,
						   .dst = client,
						   .protocol = IPPROTO_TCP,
						   .tcp_flags = FRAME_ACK };
			unsigned owner, end, at = (unsigned)rand_r(&seed) % 4;

			client_name(i, client);
			assert_int_equal(rig_send_to(&r, at, &f, &s, &owner), DIRECTOR_SEND);
			assert_true(frame_is_to(&f.out, DEST));
			rig_make(&f, &s);
			moved += owner != snapshot_owner(rig_snapshot(&r), &f.f.packet.key);
			assert_int_equal(rig_send_to(&r, at, &f, &back, &end), DIRECTOR_SEND);
			assert_int_equal(end, owner);
		}
		assert_int_equal(tables_service_set(r.tables, &persistent), 0);
		rig_publish(&r);
	}
	assert_true(moved > N / 2); /* they would belong elsewhere now */
	assert_int_equal(n_flows(&r), N);
	rig_deinit(&r);
}

/* A client of a persistent service is one worker's, with all its ports: one template. */
static void test_persistent(void **state)
{
	struct rig_frame f;
	unsigned owner = 0, first_owner = 0, n_templates = 0;
	struct rig r;

	(void)state;
	make_rig(&r, 4, IPVS_FORWARD_MASQ, IPVS_SVC_PERSISTENT);
	for (unsigned i = 0; i < 40; i++) {
		char client[ADDR_PORT_STR_MAX];
		struct frame_spec s = { .src = client, .dst = SERVICE, .protocol = IPPROTO_UDP };

		(void)snprintf(client, sizeof(client), "198.51.100.7:%u", 1000 + i);
		assert_int_equal(rig_send_to(&r, i % 4, &f, &s, &owner), DIRECTOR_SEND);
		if (i == 0)
			first_owner = owner;
		assert_int_equal(owner, first_owner);
	}
	for (unsigned w = 0; w < 4; w++) {
		struct flow_usage u;

		flow_table_usage(director_flows(r.directors[w]), &u);
		n_templates += (unsigned)u.templates;
	}
	assert_int_equal(n_templates, 1);
	rig_deinit(&r);
}

/* Errors find the owner of the flow that they are about. */
static void test_icmp(void **state)
{
	unsigned seed = 1;
	struct rig r;

	(void)state;
	make_rig(&r, 4, IPVS_FORWARD_MASQ, 0);
	for (unsigned i = 0; i < 100; i++) {
		char client[ADDR_PORT_STR_MAX];
		struct frame_spec s = { .src = client, .dst = SERVICE, .protocol = IPPROTO_UDP };
		struct frame_spec inner = {
			.src = client, .dst = DEST, .protocol = IPPROTO_UDP, .payload_bytes = 8
		};
		struct frame_spec error = { .src = "10.0.9.9",
					    .protocol = IPPROTO_ICMP,
					    .icmp_type = 3,
					    .embedded = &inner };
		char host[ADDR_STR_MAX];
		unsigned owner, end;
		struct rig_frame f;

		client_name(i, client);
		assert_int_equal(rig_send_to(&r, (unsigned)rand_r(&seed) % 4, &f, &s, &owner),
				 DIRECTOR_SEND);
		error.dst = addr_format(&f.out.src, host);
		assert_int_equal(rig_send_to(&r, (unsigned)rand_r(&seed) % 4, &f, &error, &end),
				 DIRECTOR_SEND);
		assert_int_equal(end, owner);
		assert_true(frame_is_to(&f.out, host));
		/* about no flow: to the kernel, in the end */
		inner.src = "192.0.2.77:7";
		assert_int_equal(rig_send_to(&r, (unsigned)rand_r(&seed) % 4, &f, &error, &end),
				 DIRECTOR_EXCEPTION);
	}
	rig_deinit(&r);
}

/* Released frames go on their way, too. */
static unsigned drain(struct rig *r, unsigned worker, struct rig_frame **frames)
{
	struct director_frame out[8];
	unsigned n = director_released(r->directors[worker], rig_snapshot(r), r->now, out, 8);

	for (unsigned i = 0; i < n; i++) {
		struct rig_frame *f = out[i].handle;

		f->f = out[i];
		rig_read(f);
		frames[i] = f;
	}
	return n;
}

static unsigned finish(struct rig *r, struct rig_frame *f)
{
	unsigned n_sent = 0;

	for (unsigned k = 0; k < 3 && f->f.action.verdict == DIRECTOR_HANDOVER; k++) {
		unsigned worker = f->f.action.worker;

		rig_parse(f, f->f.packet.len_bytes);
		rig_run_frame(r, worker, true, f);
	}
	n_sent += f->f.action.verdict == DIRECTOR_SEND;
	for (unsigned w = 0; w < r->n_workers; w++) {
		struct rig_frame *released[8];
		unsigned n = drain(r, w, released);

		for (unsigned i = 0; i < n; i++)
			n_sent += finish(r, released[i]);
	}
	return n_sent;
}

/* Fragments in any order, each at a worker of its own: all of them leave for the destination, under one record. */
static void test_fragments(void **state)
{
	static const unsigned orders[][3] = { { 0, 1, 2 }, { 1, 0, 2 }, { 2, 1, 0 }, { 1, 2, 0 } };
	unsigned seed = 1;

	(void)state;
	for (unsigned i = 0; i < 400; i++) {
		const unsigned *order = orders[i % ARRAY_SIZE(orders)];
		unsigned n_workers = worker_counts[i % 3], n_sent = 0;
		char client[ADDR_PORT_STR_MAX];
		struct rig_frame f[3];
		struct rig r;

		make_rig(&r, n_workers, i & 1 ? IPVS_FORWARD_MASQ : IPVS_FORWARD_FULL_NAT, 0);
		client_name(i, client);
		for (unsigned k = 0; k < 3; k++) {
			struct frame_spec s = { .src = client,
						.dst = SERVICE,
						.protocol = IPPROTO_UDP,
						.is_fragment = true,
						.frag_id = i,
						.frag_off_bytes = (uint16_t)(order[k] * 512),
						.more_fragments = order[k] < 2,
						.payload_bytes = order[k] ? 512 : 504 };

			rig_make(&f[k], &s);
			rig_run_frame(&r, (unsigned)rand_r(&seed) % n_workers, false, &f[k]);
			n_sent += finish(&r, &f[k]);
		}
		assert_int_equal(n_sent, 3);
		for (unsigned k = 0; k < 3; k++) {
			assert_true(addr_eq(&f[k].out.src, &f[0].out.src));
			assert_true(frame_is_to(&f[k].out, order[k] ? "10.0.1.1" : DEST));
		}
		assert_int_equal(n_flows(&r), 1);
		rig_deinit(&r);
	}
}

/* A later fragment that was handed on, though nobody knows its first one, does not wait at a stranger's. */
static void test_lost_fragment(void **state)
{
	struct frame_spec s = { .src = "198.51.100.1:1",
				.dst = SERVICE,
				.protocol = IPPROTO_UDP,
				.is_fragment = true,
				.frag_off_bytes = 512,
				.payload_bytes = 100 };
	struct rig_frame f;
	unsigned home;
	struct rig r;

	(void)state;
	make_rig(&r, 2, IPVS_FORWARD_MASQ, 0);
	rig_make(&f, &s);
	home = fragments_home(&f.f.packet.key, 2);
	rig_run_frame(&r, !home, true, &f);
	assert_int_equal(f.f.action.verdict, DIRECTOR_DROP);
	assert_int_equal(f.f.action.reason, COUNTER_DROP_FRAGMENT);
	rig_run_frame(&r, home, true, &f);
	assert_int_equal(f.f.action.verdict, DIRECTOR_HOLD);
	rig_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flows),	      cmocka_unit_test(test_rss),
		cmocka_unit_test(test_owners_change), cmocka_unit_test(test_persistent),
		cmocka_unit_test(test_icmp),	      cmocka_unit_test(test_fragments),
		cmocka_unit_test(test_lost_fragment),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

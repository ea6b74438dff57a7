/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Connections: life cycle, destinations that leave and come back, persistence, thresholds, a full table. */
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
#include "dpdk-fastpath/rules.h"

#define CLIENT "198.51.100.7:40000"
#define SERVICE "203.0.113.10:80"
#define DEST1 "10.0.1.1:8080"
#define DEST2 "10.0.1.2:8080"

static const struct frame_spec syn = { .src = CLIENT, .dst = SERVICE, .tcp_flags = FRAME_SYN };

static struct frame_spec request(uint8_t flags)
{
	return (struct frame_spec){ .src = CLIENT, .dst = SERVICE, .tcp_flags = flags };
}

static struct frame_spec answer(const char *dest, uint8_t flags)
{
	return (struct frame_spec){ .src = dest, .dst = CLIENT, .tcp_flags = flags };
}

static void make_rig(struct rig *r, struct ipvs_service_key *ret_key, enum ipvs_forward forward)
{
	rig_init(r, &(struct rig_config){ 0 });
	*ret_key = rig_key(IPPROTO_TCP, SERVICE);
	rig_service(r, ret_key, "rr", 0, 0);
	rig_dest(r, ret_key, DEST1, forward, 1);
}

static void assert_load(const struct rig *r, uint32_t id, unsigned active, unsigned inactive,
			unsigned persistent)
{
	const struct dest_counters *c = &r->counters[0][id];

	assert_int_equal(c->active, active);
	assert_int_equal(c->inactive, inactive);
	assert_int_equal(c->persistent, persistent);
	assert_int_equal(c->references, active + inactive + persistent);
}

static void assert_dropped(const struct rig_frame *f, enum counter reason)
{
	assert_int_equal(f->f.action.verdict, DIRECTOR_DROP);
	assert_string_equal(counter_to_string((enum counter)f->f.action.reason),
			    counter_to_string(reason));
}

/* The only connection, as it is exported. */
static struct director_conn only_conn(const struct rig *r)
{
	struct director_conn conns[2];
	uint32_t cursor = 0;

	assert_int_equal(
		director_export(r->directors[0], rig_snapshot(r), r->now, &cursor, conns, 2), 1);
	return conns[0];
}

static size_t n_flows(const struct rig *r)
{
	struct flow_usage u;

	flow_table_usage(director_flows(r->directors[0]), &u);
	return u.flows;
}

/* States, who counts as active, and timeouts as the kernel's: INPUT and OUTPUT. */
static void test_tcp_life(void **state)
{
	static const struct {
		bool from_dest;
		uint8_t flags, state;
		bool active;
		uint32_t timeout_sec;
	} steps[] = {
		{ false, FRAME_SYN, CONN_TCP_SYN_RECV, true, 60 },
		{ true, FRAME_SYN | FRAME_ACK, CONN_TCP_SYN_RECV, true, 60 },
		{ false, FRAME_ACK, CONN_TCP_ESTABLISHED, true, 900 },
		{ true, FRAME_ACK, CONN_TCP_ESTABLISHED, true, 900 },
		{ true, FRAME_FIN | FRAME_ACK, CONN_TCP_FIN_WAIT, false, 120 },
		{ false, FRAME_ACK, CONN_TCP_FIN_WAIT, false, 120 },
		{ false, FRAME_FIN | FRAME_ACK, CONN_TCP_TIME_WAIT, false, 120 },
		{ true, FRAME_ACK, CONN_TCP_TIME_WAIT, false, 120 },
		{ true, FRAME_RST, CONN_TCP_TIME_WAIT, false, 120 },
		{ false, FRAME_RST, CONN_TCP_CLOSE, false, 10 },
	};
	struct ipvs_service_key k;
	struct director_conn c;
	struct rig_frame f;
	struct rig r;
	uint32_t id;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	id = rig_dest_id(&r, &k, DEST1);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct frame_spec s = steps[i].from_dest ? answer(DEST1, steps[i].flags)
							 : request(steps[i].flags);

		rig_sleep(&r, 1);
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		c = only_conn(&r);
		assert_int_equal(c.state, steps[i].state);
		assert_int_equal(c.timeout_sec, steps[i].timeout_sec);
		assert_int_equal(c.remaining_sec, steps[i].timeout_sec);
		assert_int_equal(!!(c.flags & FLOW_INACTIVE), !steps[i].active);
		assert_load(&r, id, steps[i].active, !steps[i].active, 0);
	}
	rig_sleep(&r, 9);
	assert_int_equal(n_flows(&r), 1);
	rig_sleep(&r, 2);
	assert_int_equal(n_flows(&r), 0);
	assert_load(&r, id, 0, 0, 0);
	assert_int_equal(director_counters(r.directors[0])->connections_expired, 1);
	rig_deinit(&r);
}

/* INPUT_ONLY: the destination is never heard. */
static void test_direct_life(void **state)
{
	static const struct {
		uint8_t flags, state;
	} steps[] = {
		{ FRAME_SYN, CONN_TCP_SYN_RECV },
		{ FRAME_ACK, CONN_TCP_ESTABLISHED },
		{ FRAME_FIN | FRAME_ACK, CONN_TCP_FIN_WAIT },
		{ FRAME_ACK, CONN_TCP_FIN_WAIT },
	};
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_ROUTE);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct frame_spec s = request(steps[i].flags);

		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_int_equal(only_conn(&r).state, steps[i].state);
		assert_true(only_conn(&r).flags & FLOW_NOOUTPUT);
	}
	rig_deinit(&r);
}

/* A SYN on a record that has ended: conn_reuse_mode 0, 1, and 3, which sees FIN_WAIT of half-seen connections too. */
static void test_reuse(void **state)
{
	static const struct {
		uint8_t mode, last_flags;
		enum ipvs_forward forward;
		bool rescheduled;
		bool dest_ended; /* with a FIN of its own: TIME_WAIT */
		uint32_t flags;
	} cases[] = {
		{ 0, FRAME_RST, IPVS_FORWARD_MASQ, false },
		{ 1, FRAME_RST, IPVS_FORWARD_MASQ, true },
		{ 1, FRAME_ACK, IPVS_FORWARD_MASQ, false },
		{ 1, FRAME_FIN, IPVS_FORWARD_ROUTE, false },
		{ 3, FRAME_FIN, IPVS_FORWARD_ROUTE, true },
		{ 2, FRAME_RST, IPVS_FORWARD_ROUTE, true },
		{ 1, FRAME_FIN, IPVS_FORWARD_MASQ, true, .dest_ended = true },
		/* is_new_conn_expected(): not what a template controls */
		{ 1, FRAME_RST, IPVS_FORWARD_MASQ, false, .flags = IPVS_SVC_PERSISTENT },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct snapshot_options o = { .conn_reuse_mode = cases[i].mode };
		struct frame_spec ack = request(FRAME_ACK);
		struct frame_spec fin = answer(DEST1, FRAME_FIN | FRAME_ACK);
		struct frame_spec last = request(cases[i].last_flags);
		struct ipvs_service_key k;
		struct rig_frame f;
		unsigned conns;
		struct rig r;

		rig_init(&r, &(struct rig_config){ 0 });
		k = rig_key(IPPROTO_TCP, SERVICE);
		rig_service(&r, &k, "rr", cases[i].flags, 300);
		rig_dest(&r, &k, DEST1, cases[i].forward, 1);
		rig_options(&r, &o);
		assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
		assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
		if (cases[i].dest_ended)
			assert_int_equal(rig_send(&r, &f, &fin), DIRECTOR_SEND);
		assert_int_equal(rig_send(&r, &f, &last), DIRECTOR_SEND);
		assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
		conns = (unsigned)r.counters[0][rig_dest_id(&r, &k, DEST1)].conns;
		assert_int_equal(conns, cases[i].rescheduled ? 2 : 1);
		assert_int_equal(n_flows(&r), cases[i].flags ? 2 : 1);
		rig_deinit(&r);
	}
}

static void test_deleted_and_revived(void **state)
{
	struct frame_spec ack = request(FRAME_ACK), from_dest = answer(DEST1, FRAME_ACK);
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;
	uint32_t id;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	id = rig_dest_id(&r, &k, DEST1);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	rig_del_dest(&r, &k, DEST1);
	rig_sleep(&r, 5);
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_DROP);
	assert_dropped(&f, COUNTER_DROP_NO_DEST);
	assert_int_equal(only_conn(&r).remaining_sec, 55);
	/* handle_response() does not ask; but such packets are not counted */
	assert_int_equal(rig_send(&r, &f, &from_dest), DIRECTOR_SEND);
	assert_int_equal(r.counters[0][id].traffic[DEST_OUT].packets, 0);
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_MASQ, 1);
	assert_int_equal(rig_dest_id(&r, &k, DEST1), id);
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
	assert_true(frame_is_to(&f.out, DEST1));
	assert_int_equal(r.counters[0][id].conns, 1);
	rig_deinit(&r);
}

/* expire_nodest_conn: gone with the next packet, and without one. */
static void test_expire_nodest(void **state)
{
	const struct snapshot_options o = { .expire_nodest_conn = true };
	struct frame_spec ack = request(FRAME_ACK), other = syn;
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;
	uint32_t id;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	rig_options(&r, &o);
	id = rig_dest_id(&r, &k, DEST1);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	other.src = "198.51.100.8:40000";
	assert_int_equal(rig_send(&r, &f, &other), DIRECTOR_SEND);
	rig_dest(&r, &k, DEST2, IPVS_FORWARD_MASQ, 1);
	rig_del_dest(&r, &k, DEST1);
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_EXCEPTION); /* to be reset */
	assert_load(&r, id, 1, 0, 0);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	assert_true(frame_is_to(&f.out, DEST2));
	rig_sleep(&r, 1);
	assert_load(&r, id, 0, 0, 0);
	assert_int_equal(n_flows(&r), 1);

	/* and a SYN leaves a destination of weight 0 */
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_MASQ, 1);
	rig_set_dest(&r, &k, DEST2, &(struct ipvs_dest){ .forward = IPVS_FORWARD_MASQ });
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
	assert_true(frame_is_to(&f.out, DEST2));
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	assert_true(frame_is_to(&f.out, DEST1));
	rig_deinit(&r);
}

static void test_weight_zero(void **state)
{
	struct frame_spec ack = request(FRAME_ACK), other = syn;
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	rig_set_dest(&r, &k, DEST1, &(struct ipvs_dest){ .forward = IPVS_FORWARD_MASQ });
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
	other.src = "198.51.100.8:40000";
	assert_int_equal(rig_send(&r, &f, &other), DIRECTOR_SEND);
	/* ip_vs_leave() */
	assert_int_equal(f.out.protocol, IPPROTO_ICMP);
	assert_int_equal(f.out.icmp_type, 3);
	assert_int_equal(f.out.icmp_code, 3);
	assert_true(f.out.checksums_right);
	assert_true(frame_is_from(&f.out, "203.0.113.10"));
	assert_true(frame_is_to(&f.out, "198.51.100.8"));
	assert_int_equal(f.f.action.port, 0);
	assert_memory_equal(f.out.dst_mac, frame_client_mac, 6);
	assert_int_equal(rig_counter(&r, 0, COUNTER_ICMP_SENT), 1);
	rig_deinit(&r);
}

static void test_thresholds(void **state)
{
	struct ipvs_dest conf = { .forward = IPVS_FORWARD_ROUTE, .weight = 1 };
	static const struct {
		uint32_t upper, lower, refused_at, taken_at;
	} cases[] = {
		{ 8, 0, 8, 5 }, /* below three quarters of the upper one */
		{ 8, 3, 8, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct ipvs_service_key k;
		struct rig_frame f;
		struct rig r;
		uint32_t id;

		rig_init(&r, &(struct rig_config){ 0 });
		k = rig_key(IPPROTO_TCP, SERVICE);
		rig_service(&r, &k, "rr", 0, 0);
		conf.upper_threshold = cases[i].upper;
		conf.lower_threshold = cases[i].lower;
		rig_dest_conf(&r, &k, DEST1, &conf);
		id = rig_dest_id(&r, &k, DEST1);
		for (unsigned n = 0; n < cases[i].upper + 3; n++) {
			char client[32];
			struct frame_spec s = syn;

			(void)snprintf(client, sizeof(client), "198.51.100.7:%u", 1000 + n);
			s.src = client;
			assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
			assert_int_equal(f.out.protocol == IPPROTO_ICMP, n >= cases[i].refused_at);
			rig_sleep(&r, 1);
		}
		assert_int_equal(r.overloaded[id], 1);
		/* they end one a second, beginning 60 s after the first */
		rig_sleep(&r, 60 - cases[i].upper - 3);
		while (r.overloaded[id]) {
			assert_true(r.counters[0][id].active > 0);
			rig_sleep(&r, 1);
		}
		assert_int_equal(r.counters[0][id].active, cases[i].taken_at);
		rig_deinit(&r);
	}
}

static void test_one_packet(void **state)
{
	struct frame_spec s = { .src = CLIENT, .dst = SERVICE, .protocol = IPPROTO_UDP };
	struct frame_spec back = { .src = DEST1, .dst = CLIENT, .protocol = IPPROTO_UDP };
	static const char *const local = "192.0.2.1";
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, SERVICE);
	char seen[ADDR_PORT_STR_MAX];
	struct rig_frame f;
	struct rig r;
	uint32_t id;

	(void)state;
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", IPVS_SVC_ONEPACKET, 0);
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_MASQ, 1);
	rig_dest(&r, &k, DEST2, IPVS_FORWARD_MASQ, 1);
	id = rig_dest_id(&r, &k, DEST1);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
		assert_true(frame_is_to(&f.out, i % 2 ? DEST1 : DEST2));
		assert_true(f.out.checksums_right);
	}
	assert_int_equal(r.counters[0][id].conns, 2);
	assert_int_equal(r.counters[0][id].traffic[DEST_IN].packets, 2);
	assert_load(&r, id, 0, 0, 0);
	assert_int_equal(n_flows(&r), 0);
	assert_int_equal(rig_send(&r, &f, &back), DIRECTOR_EXCEPTION);
	rig_deinit(&r);

	/* full NAT keeps a record all the same: answers need it */
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", IPVS_SVC_ONEPACKET, 0);
	rig_dest(&r, &k, DEST1, IPVS_FORWARD_FULL_NAT, 1);
	rig_locals(&r, &local, 1);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_int_equal(n_flows(&r), 1);
	back.dst = addr_port_format(&f.out.src, f.out.src_port, seen);
	assert_int_equal(rig_send(&r, &f, &back), DIRECTOR_SEND);
	rig_deinit(&r);
}

/* With nat, the socket of a destination that two services share: the newer connection, when the older is not active. */
static void test_same_socket(void **state)
{
	struct frame_spec other = { .src = CLIENT,
				    .dst = "203.0.113.11:80",
				    .tcp_flags = FRAME_SYN };
	struct frame_spec ack = request(FRAME_ACK), rst = request(FRAME_RST);
	struct frame_spec back = answer(DEST1, FRAME_ACK);
	struct ipvs_service_key k, k2 = rig_key(IPPROTO_TCP, "203.0.113.11:80");
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	rig_service(&r, &k2, "rr", 0, 0);
	rig_dest(&r, &k2, DEST1, IPVS_FORWARD_MASQ, 1);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &other), DIRECTOR_DROP);
	assert_dropped(&f, COUNTER_DROP_FULL);
	assert_int_equal(rig_send(&r, &f, &ack), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &rst), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &back), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &other), DIRECTOR_SEND);
	assert_int_equal(rig_send(&r, &f, &back), DIRECTOR_SEND);
	assert_true(frame_is_from(&f.out, "203.0.113.11:80"));
	assert_int_equal(n_flows(&r), 1);
	rig_deinit(&r);
}

/* One burst: what its first frames make and remove, its later frames see. */
static void test_within_burst(void **state)
{
	struct frame_spec ack = request(FRAME_ACK), rst = request(FRAME_RST), again = syn;
	const struct frame_spec *specs[] = { &syn, &ack, &rst, &again, &ack };
	struct director_frame burst[ARRAY_SIZE(specs)];
	struct rig_frame frames[ARRAY_SIZE(specs)];
	struct ipvs_service_key k;
	struct rig r;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_ROUTE);
	rig_options(&r, &(struct snapshot_options){ .conn_reuse_mode = 1 });
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++) {
		rig_make(&frames[i], specs[i]);
		burst[i] = frames[i].f;
	}
	director_run(r.directors[0], rig_snapshot(&r), r.now, false, burst, ARRAY_SIZE(specs));
	for (size_t i = 0; i < ARRAY_SIZE(specs); i++)
		assert_int_equal(burst[i].action.verdict, DIRECTOR_SEND);
	assert_int_equal(r.counters[0][rig_dest_id(&r, &k, DEST1)].conns, 2);
	assert_int_equal(only_conn(&r).state, CONN_TCP_ESTABLISHED);
	rig_deinit(&r);
}

static void free_rules(void *rules)
{
	rules_free(rules);
}

static void test_rules(void **state)
{
	struct frame_spec denied = syn;
	struct rules_view *rules;
	struct rule rule = { .protocol = IPPROTO_TCP, .port_min = 80, .port_max = 80 };
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_rig(&r, &k, IPVS_FORWARD_MASQ);
	assert_int_equal(prefix_parse("198.51.100.0/29", &rule.source), 0);
	assert_int_equal(rules_new(&rule, 1, &rules), 0);
	assert_int_equal(tables_set_rules(r.tables, &k, rules, free_rules), 0);
	rig_publish(&r);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	denied.src = "198.51.100.8:40000";
	assert_int_equal(rig_send(&r, &f, &denied), DIRECTOR_DROP);
	assert_dropped(&f, COUNTER_DROP_RULES);
	/* what runs goes on when the rules change */
	assert_int_equal(rules_new(NULL, 0, &rules), 0);
	assert_int_equal(tables_set_rules(r.tables, &k, rules, free_rules), 0);
	rig_publish(&r);
	assert_int_equal(rig_send(&r, &f, &syn), DIRECTOR_SEND);
	rig_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp_life),      cmocka_unit_test(test_direct_life),
		cmocka_unit_test(test_reuse),	      cmocka_unit_test(test_deleted_and_revived),
		cmocka_unit_test(test_expire_nodest), cmocka_unit_test(test_weight_zero),
		cmocka_unit_test(test_thresholds),    cmocka_unit_test(test_one_packet),
		cmocka_unit_test(test_same_socket),   cmocka_unit_test(test_within_burst),
		cmocka_unit_test(test_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

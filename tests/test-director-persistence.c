/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Persistence: templates, their time, ports and netmasks, destinations that drain. */
#include <arpa/inet.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "director-rig.h"

#define CLIENT "198.51.100.7:40000"
#define SERVICE "203.0.113.10:80"
#define DEST1 "10.0.1.1:8080"
#define DEST2 "10.0.1.2:8080"

static void make_persistent(struct rig *r, struct ipvs_service_key *k, const char *virtual,
			    const char *dest1, const char *dest2)
{
	rig_init(r, &(struct rig_config){ 0 });
	*k = rig_key(IPPROTO_UDP, virtual);
	rig_service(r, k, "rr", IPVS_SVC_PERSISTENT, 100);
	rig_dest(r, k, dest1, IPVS_FORWARD_MASQ, 1);
	rig_dest(r, k, dest2, IPVS_FORWARD_MASQ, 1);
}

static struct director_conn template_of(const struct rig *r, const char *client)
{
	struct director_conn c;
	uint32_t cursor = 0;
	struct addr a;

	assert_int_equal(addr_parse(client, &a), 0);
	while (director_export(r->directors[0], rig_snapshot(r), r->now, &cursor, &c, 1) == 1)
		if ((c.flags & FLOW_TEMPLATE) && memcmp(c.key.src, a.bytes, sizeof(c.key.src)) == 0)
			return c;
	fail_msg("no template of %s", client);
	return c;
}

static void test_persistence(void **state)
{
	struct ipvs_service_key k;
	uint32_t id;
	struct rig r;

	(void)state;
	make_persistent(&r, &k, SERVICE, DEST1, DEST2);
	id = rig_dest_id(&r, &k, DEST2);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:1", SERVICE, DEST2));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:2", SERVICE, DEST2));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.8:1", SERVICE, DEST1));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:3", SERVICE, DEST2));
	assert_int_equal(r.counters[0][id].persistent, 1);
	assert_int_equal(r.counters[0][id].inactive, 3);
	assert_int_equal(r.counters[0][id].conns, 3);
	assert_int_equal(rig_usage(&r).templates, 2);

	/* the template outlives its time while connections (UDP: 300 s) are under it, 60 s at a time */
	assert_int_equal(template_of(&r, "198.51.100.7").timeout_sec, 100);
	rig_sleep(&r, 250);
	assert_int_equal(rig_usage(&r).templates, 2);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:4", SERVICE, DEST2));
	assert_int_equal(template_of(&r, "198.51.100.7").timeout_sec, 60);
	assert_int_equal(template_of(&r, "198.51.100.7").remaining_sec, 60);
	rig_sleep(&r, 299);
	assert_int_equal(r.counters[0][id].inactive, 1);
	assert_int_equal(rig_usage(&r).templates, 1);
	rig_sleep(&r, 62);
	assert_int_equal(r.counters[0][id].references, 0);
	assert_int_equal(rig_usage(&r).flows, 0);
	rig_deinit(&r);
}

/* Port 0: one destination for all ports; and connections' own ports. */
static void test_persistence_of_every_port(void **state)
{
	struct ipvs_service_key k;
	struct rig r;

	(void)state;
	make_persistent(&r, &k, "203.0.113.10:0", "10.0.1.1:0", "10.0.1.2:0");
	assert_true(rig_goes_to(&r, IPPROTO_UDP, CLIENT, "203.0.113.10:80", "10.0.1.2:80"));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, CLIENT, "203.0.113.10:443", "10.0.1.2:443"));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.8:5", "203.0.113.10:9", "10.0.1.1:9"));
	assert_int_equal(rig_usage(&r).templates, 2);
	rig_deinit(&r);
}

/* A service of every port that is not persistent: none supported, as ip_vs_schedule(). */
static void test_every_port_without_persistence(void **state)
{
	struct ipvs_service_key k = rig_key(IPPROTO_UDP, "203.0.113.10:0");
	struct frame_spec s = { .src = CLIENT, .dst = SERVICE, .protocol = IPPROTO_UDP };
	struct rig_frame f;
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ 0 });
	rig_service(&r, &k, "rr", 0, 0);
	rig_dest(&r, &k, "10.0.1.1:0", IPVS_FORWARD_MASQ, 1);
	assert_int_equal(rig_send(&r, &f, &s), DIRECTOR_SEND);
	assert_int_equal(f.out.icmp_code, 3);
	rig_deinit(&r);
}

static void test_persistence_and_weight(void **state)
{
	const struct ipvs_dest drained = { .forward = IPVS_FORWARD_MASQ };
	struct ipvs_service_key k;
	uint32_t id1, id2;
	struct rig r;

	(void)state;
	make_persistent(&r, &k, SERVICE, DEST1, DEST2);
	id1 = rig_dest_id(&r, &k, DEST1);
	id2 = rig_dest_id(&r, &k, DEST2);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:1", SERVICE, DEST2));
	rig_set_dest(&r, &k, DEST2, &drained);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:2", SERVICE, DEST2));
	rig_options(&r, &(struct snapshot_options){ .expire_quiescent_template = true });
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.8:1", SERVICE, DEST1));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.8:2", SERVICE, DEST1));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:3", SERVICE, DEST1));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:4", SERVICE, DEST1));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:2", SERVICE, DEST2)); /* running */
	assert_int_equal(r.counters[0][id1].persistent, 2);
	assert_int_equal(r.counters[0][id2].persistent, 0);
	/* deleted: likewise */
	rig_set_dest(&r, &k, DEST2,
		     &(struct ipvs_dest){ .forward = IPVS_FORWARD_MASQ, .weight = 1 });
	rig_del_dest(&r, &k, DEST1);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:5", SERVICE, DEST2));
	assert_int_equal(r.counters[0][id2].persistent, 1);
	assert_int_equal(rig_usage(&r).templates, 2);
	rig_deinit(&r);
}

/* The answer of a destination that the client has left says nothing of the one that it has now. */
static void test_late_answer_assures_no_other(void **state)
{
	struct frame_spec answer = { .src = DEST2,
				     .dst = "198.51.100.7:1",
				     .protocol = IPPROTO_UDP };
	struct ipvs_service_key k;
	struct rig_frame f;
	struct rig r;

	(void)state;
	make_persistent(&r, &k, SERVICE, DEST1, DEST2);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:1", SERVICE, DEST2));
	rig_del_dest(&r, &k, DEST2);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:2", SERVICE, DEST1));
	assert_int_equal(rig_send(&r, &f, &answer), DIRECTOR_SEND);
	assert_int_equal(template_of(&r, "198.51.100.7").state, 0);
	answer.src = DEST1;
	answer.dst = "198.51.100.7:2";
	assert_int_equal(rig_send(&r, &f, &answer), DIRECTOR_SEND);
	assert_int_equal(template_of(&r, "198.51.100.7").state, 1);
	rig_deinit(&r);
}

static void test_netmask(void **state)
{
	struct ipvs_service s = {
		.key = rig_key(IPPROTO_UDP, SERVICE),
		.scheduler = "rr",
		.flags = IPVS_SVC_PERSISTENT,
		.timeout_sec = 100,
		.netmask = htonl(0xffffff00),
	};
	struct rig r;

	(void)state;
	rig_init(&r, &(struct rig_config){ 0 });
	assert_int_equal(tables_service_new(r.tables, &s), 0);
	rig_dest(&r, &s.key, DEST1, IPVS_FORWARD_MASQ, 1);
	rig_dest(&r, &s.key, DEST2, IPVS_FORWARD_MASQ, 1);
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.7:1", SERVICE, DEST2));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.100.250:1", SERVICE, DEST2));
	assert_true(rig_goes_to(&r, IPPROTO_UDP, "198.51.101.7:1", SERVICE, DEST1));
	rig_deinit(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_persistence),
		cmocka_unit_test(test_persistence_of_every_port),
		cmocka_unit_test(test_every_port_without_persistence),
		cmocka_unit_test(test_persistence_and_weight),
		cmocka_unit_test(test_late_answer_assures_no_other),
		cmocka_unit_test(test_netmask),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

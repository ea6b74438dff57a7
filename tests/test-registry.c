/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/registry-via.h"

#define NOW (1000 * USEC_PER_SEC)
#define DELAY (60 * USEC_PER_SEC)

enum {
	TARGETS_MAX = 16,
};

/* A configuration of one group "g" with the targets 10.0.0.<digits>, in this order. */
struct fixture {
	struct conf conf;
	struct conf_group group;
	struct conf_listener listener;
	struct conf_forward forward;
	struct conf_target targets[TARGETS_MAX];
};

static struct addr numbered(unsigned n)
{
	char text[ADDR_STR_MAX];
	struct addr a;

	(void)snprintf(text, sizeof(text), "10.0.0.%u", n);
	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void fixture_init(struct fixture *f, const char *order)
{
	*f = (struct fixture){ 0 };
	strcpy(f->group.name, "g");
	f->group.port = 80;
	f->group.in_use = true;
	f->group.check.protocol = CONF_CHECK_TCP;
	f->group.check.interval_usec = 5 * USEC_PER_SEC;
	f->group.check.timeout_usec = USEC_PER_SEC;
	f->group.check.healthy_threshold = 2;
	f->group.check.unhealthy_threshold = 2;
	f->group.minimum_healthy_routing.count = 1;
	f->group.deregistration_delay_usec = DELAY;
	f->group.targets = f->targets;
	for (; *order; order++) {
		struct conf_target *t = &f->targets[f->group.n_targets++];

		t->addr = numbered((unsigned)(*order - '0'));
		t->weight = 10;
	}
	f->conf.groups = &f->group;
	f->conf.n_groups = 1;
	f->listener.ports = (struct conf_range){ 8080, 8080 };
	f->listener.forwards = &f->forward;
	f->listener.n_forwards = 1;
	f->conf.listeners = &f->listener;
	f->conf.n_listeners = 1;
}

/* The last octets of a group's targets in order; a draining one is followed by 'd', an unused one by 'u'. */
static const char *order_of(const struct registry *r, char buf[static 64])
{
	char *p = buf;

	for (size_t i = 0; i < r->groups[0].n; i++) {
		const struct target *t = &r->groups[0].targets[i];

		*p++ = (char)('0' + t->addr.bytes[3]);
		if (t->health.state == TARGET_DRAINING)
			*p++ = 'd';
		if (t->health.state == TARGET_UNUSED)
			*p++ = 'u';
	}
	*p = '\0';
	return buf;
}

static void make_healthy(struct registry *r)
{
	const struct target_thresholds thresholds = { 2, 2 };
	const struct probe_report ok = { .outcome = PROBE_OK };

	for (size_t i = 0; i < r->groups[0].n; i++) {
		struct target *t = &r->groups[0].targets[i];

		t->awaiting_first_result = false;
		(void)target_health_report(&t->health, &thresholds, &ok, NOW);
	}
	registry_touch(&r->groups[0]);
	assert_int_equal(registry_compute_weights(r, NOW), REGISTRY_CHANGED);
}

static void test_order_after_reload(void **state)
{
	static const struct {
		const char *before, *after, *expected;
	} cases[] = {
		{ "123", "123", "123" },       { "123", "1234", "1234" },
		{ "123", "13", "12d3" },       { "123", "3", "1d2d3" },
		{ "123", "12", "123d" },       { "123", "321", "321" },
		{ "1234", "43", "1d2d43" },    { "123", "", "1d2d3d" },
		{ "", "123", "123" },	       { "123", "456", "1d2d3d456" },
		{ "12345", "51", "512d3d4d" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registry none = REGISTRY_INIT, old, fresh;
		struct fixture a, b;
		char buf[64];

		fixture_init(&a, cases[i].before);
		fixture_init(&b, cases[i].after);
		assert_int_equal(registry_build(&a.conf, &none, NOW, &old), 0);
		make_healthy(&old);
		assert_int_equal(registry_build(&b.conf, &old, NOW, &fresh), 0);
		assert_string_equal(order_of(&fresh, buf), cases[i].expected);
		registry_deinit(&old);
		registry_deinit(&fresh);
	}
}

static void test_reload_without_change_is_identity(void **state)
{
	struct registry none = REGISTRY_INIT, a, b;
	struct fixture f;

	(void)state;
	fixture_init(&f, "123456789");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &a), 0);
	make_healthy(&a);
	assert_int_equal(registry_build(&f.conf, &a, NOW + USEC_PER_SEC, &b), 0);
	assert_int_equal(a.groups[0].n, b.groups[0].n);
	for (size_t i = 0; i < a.groups[0].n; i++) {
		struct protocol_probe_record p, q;

		assert_memory_equal(&a.groups[0].targets[i].health, &b.groups[0].targets[i].health,
				    sizeof(struct target_health));
		assert_int_equal(b.groups[0].targets[i].weight.weight, 10);
		assert_true(registry_probe(&a.groups[0], &a.groups[0].targets[i], &p));
		assert_true(registry_probe(&b.groups[0], &b.groups[0].targets[i], &q));
		assert_int_equal(p.probe.header.size, q.probe.header.size);
		assert_memory_equal(&p, &q, p.probe.header.size);
	}
	registry_deinit(&a);
	registry_deinit(&b);
}

static uint64_t no_connections(const struct target_group *g, const struct target *t, void *userdata)
{
	(void)g;
	(void)t;
	(void)userdata;
	return 0;
}

static void test_ids_find_their_targets(void **state)
{
	struct registry none = REGISTRY_INIT, r;
	struct fixture f;

	(void)state;
	fixture_init(&f, "987654321");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &r), 0);
	for (size_t i = 0; i < r.groups[0].n; i++) {
		struct target_group *g = NULL;

		assert_ptr_equal(registry_find_id(&r, r.groups[0].targets[i].id, &g),
				 &r.groups[0].targets[i]);
		assert_ptr_equal(g, &r.groups[0]);
	}
	(void)target_health_drain(&r.groups[0].targets[3].health, 0, NOW);
	assert_int_equal(registry_finish_drains(&r, no_connections, NULL, NOW), 1);
	assert_int_equal(r.groups[0].n, 8);
	for (size_t i = 0; i < r.groups[0].n; i++) {
		struct target_group *g = NULL;

		assert_ptr_equal(registry_find_id(&r, r.groups[0].targets[i].id, &g),
				 &r.groups[0].targets[i]);
	}
	registry_deinit(&r);
}

static void test_registration_survives_and_configuration_wins(void **state)
{
	struct registry none = REGISTRY_INIT, a, b, c;
	struct fixture f, with;
	struct addr four = numbered(4);
	struct target t;
	char buf[64];

	(void)state;
	fixture_init(&f, "12");
	fixture_init(&with, "142");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &a), 0);
	target_init(&t, &a.groups[0], &four, 80, NOW);
	t.origin = TARGET_FROM_REGISTER;
	t.configured_weight = 77;
	assert_int_equal(registry_append(&a, &a.groups[0], &t), 0);
	assert_int_equal(registry_build(&f.conf, &a, NOW, &b), 0);
	assert_string_equal(order_of(&b, buf), "124");
	assert_int_equal(b.groups[0].targets[2].configured_weight, 77);
	assert_int_equal(registry_build(&with.conf, &b, NOW, &c), 0);
	assert_string_equal(order_of(&c, buf), "142");
	assert_int_equal(c.groups[0].targets[1].configured_weight, 10);
	assert_int_equal(c.groups[0].targets[1].origin, TARGET_FROM_CONFIG);
	registry_deinit(&a);
	registry_deinit(&b);
	registry_deinit(&c);
}

/* `ipvsd register GROUP TARGET --weight 7` for a target of the file. */
static void test_a_weight_of_run_time_stays_until_the_file_changes(void **state)
{
	struct registry none = REGISTRY_INIT, a, b, c;
	struct fixture f;

	(void)state;
	fixture_init(&f, "12");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &a), 0);
	a.groups[0].targets[1].configured_weight = 7;
	assert_int_equal(registry_build(&f.conf, &a, NOW, &b), 0);
	assert_int_equal(b.groups[0].targets[0].configured_weight, 10);
	assert_int_equal(b.groups[0].targets[1].configured_weight, 7);
	f.targets[1].weight = 11;
	assert_int_equal(registry_build(&f.conf, &b, NOW, &c), 0);
	assert_int_equal(c.groups[0].targets[1].configured_weight, 11);
	registry_deinit(&a);
	registry_deinit(&b);
	registry_deinit(&c);
}

/*
 * With its port or without, a target is the same where the listener's port is that one: a change of the text, of the
 * group's default, or a registration that the configuration takes over, begins nothing anew.
 */
static void test_port_of_the_listener(void **state)
{
	static const struct {
		uint16_t old_listener, old_default, old_port, listener, standard, port;
		bool same;
	} cases[] = {
		{ 80, 0, 80, 80, 0, 0, true },	  { 80, 0, 0, 80, 0, 80, true },
		{ 80, 0, 0, 80, 80, 0, true },	  { 80, 80, 0, 80, 0, 0, true },
		{ 8080, 0, 80, 80, 0, 0, true },  { 80, 0, 80, 8080, 0, 0, false },
		{ 8080, 0, 0, 80, 0, 80, false }, { 80, 0, 0, 80, 8080, 0, false },
		{ 80, 0, 81, 80, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct registry none = REGISTRY_INIT, old, fresh;
		struct fixture a, b;

		fixture_init(&a, "12");
		a.listener.ports =
			(struct conf_range){ cases[i].old_listener, cases[i].old_listener };
		a.group.port = cases[i].old_default;
		fixture_init(&b, "12");
		b.listener.ports = (struct conf_range){ cases[i].listener, cases[i].listener };
		b.group.port = cases[i].standard;
		for (size_t k = 0; k < 2; k++) {
			a.targets[k].port = cases[i].old_port;
			b.targets[k].port = cases[i].port;
		}
		assert_int_equal(registry_build(&a.conf, &none, NOW, &old), 0);
		make_healthy(&old);
		old.groups[0].targets[0].origin = TARGET_FROM_REGISTER;
		assert_int_equal(registry_build(&b.conf, &old, NOW, &fresh), 0);
		if (fresh.groups[0].n != (cases[i].same ? 2 : 4))
			fail_msg("case %zu: %zu targets", i, fresh.groups[0].n);
		for (size_t k = 0; k < 2 && cases[i].same; k++) {
			const struct target *t = &fresh.groups[0].targets[k];

			assert_int_equal(t->health.state, TARGET_HEALTHY);
			assert_int_equal(t->origin, TARGET_FROM_CONFIG);
		}
		registry_deinit(&old);
		registry_deinit(&fresh);
	}
}

static void test_the_wall_clock_is_set(void **state)
{
	const int64_t steps[] = { 3600 * (int64_t)USEC_PER_SEC, -500 * (int64_t)USEC_PER_SEC };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		struct registry none = REGISTRY_INIT, r;
		struct fixture f;

		fixture_init(&f, "12");
		assert_int_equal(registry_build(&f.conf, &none, NOW, &r), 0);
		(void)target_health_drain(&r.groups[0].targets[0].health, DELAY, NOW);
		registry_shift_times(&r, steps[i]);
		assert_int_equal(r.groups[0].targets[0].health.drain_deadline_usec,
				 (usec_t)((int64_t)(NOW + DELAY) + steps[i]));
		assert_int_equal(r.groups[0].targets[1].health.drain_deadline_usec, 0);
		registry_deinit(&r);
	}
}

static uint64_t connections_of_two(const struct target_group *g, const struct target *t,
				   void *userdata)
{
	(void)g;
	(void)userdata;
	return t->addr.bytes[3] == 2 ? 5 : 0;
}

static void test_drains_end(void **state)
{
	struct registry none = REGISTRY_INIT, a, b;
	struct fixture f, fewer;
	char buf[64];

	(void)state;
	fixture_init(&f, "1234");
	fixture_init(&fewer, "34");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &a), 0);
	make_healthy(&a);
	assert_int_equal(registry_build(&fewer.conf, &a, NOW, &b), 0);
	b.groups[0].targets[2].deregistered = true;
	(void)target_health_drain(&b.groups[0].targets[2].health, DELAY, NOW);
	assert_string_equal(order_of(&b, buf), "1d2d3d4");
	/* 1 has no connection and goes; 2 has some and stays; 3 is of the configuration and stays as unused. */
	assert_int_equal(registry_finish_drains(&b, connections_of_two, NULL, NOW + 1), 2);
	assert_string_equal(order_of(&b, buf), "2d3u4");
	assert_int_equal(registry_finish_drains(&b, connections_of_two, NULL, NOW + DELAY - 1), 0);
	assert_int_equal(registry_finish_drains(&b, connections_of_two, NULL, NOW + DELAY), 1);
	assert_string_equal(order_of(&b, buf), "3u4");
	registry_deinit(&a);
	/* The configuration still names 3: a reload leaves it out; without it in the file it is forgotten. */
	assert_int_equal(registry_build(&fewer.conf, &b, NOW, &a), 0);
	assert_string_equal(order_of(&a, buf), "3u4");
	registry_deinit(&b);
	registry_deinit(&a);
}

static void test_a_target_that_comes_back_resumes(void **state)
{
	struct registry none = REGISTRY_INIT, a, b, c;
	struct fixture f, fewer;

	(void)state;
	fixture_init(&f, "12");
	fixture_init(&fewer, "1");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &a), 0);
	make_healthy(&a);
	assert_int_equal(registry_build(&fewer.conf, &a, NOW, &b), 0);
	assert_int_equal(b.groups[0].targets[1].health.state, TARGET_DRAINING);
	assert_int_equal(b.groups[0].targets[1].weight.weight, 0);
	assert_int_equal(registry_build(&f.conf, &b, NOW, &c), 0);
	assert_int_equal(c.groups[0].targets[1].health.state, TARGET_HEALTHY);
	assert_int_equal(c.groups[0].targets[1].weight.weight, 10);
	registry_deinit(&a);
	registry_deinit(&b);
	registry_deinit(&c);
}

static void test_probe_specification(void **state)
{
	struct registry none = REGISTRY_INIT, r;
	struct protocol_probe_record p, q;
	struct fixture f;

	(void)state;
	fixture_init(&f, "12");
	f.group.port = 0;
	assert_int_equal(registry_build(&f.conf, &none, NOW, &r), 0);
	assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[0], &p));
	assert_int_equal(p.probe.port, 8080); /* traffic-port of a target on the listener's port */
	f.group.check.port = 9000;
	assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[0], &q));
	assert_int_equal(q.probe.port, 9000);
	assert_int_not_equal(p.probe.generation, q.probe.generation);
	f.group.in_use = false;
	assert_false(registry_probe(&r.groups[0], &r.groups[0].targets[0], &q));
	f.group.in_use = true;
	/* One that drains has connections, and may come back: it is the same probe. */
	f.group.check.port = 0;
	(void)target_health_drain(&r.groups[0].targets[0].health, DELAY, NOW);
	assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[0], &q));
	assert_int_equal(p.probe.generation, q.probe.generation);
	r.groups[0].targets[0].deregistered = true;
	assert_int_equal(registry_finish_drains(&r, no_connections, NULL, NOW), 1);
	assert_false(registry_probe(&r.groups[0], &r.groups[0].targets[0], &q));
	registry_deinit(&r);
}

static void test_probe_flags(void **state)
{
	enum {
		VERIFY = PROTOCOL_PROBE_VERIFY_CERTIFICATE,
		HTTP2 = PROTOCOL_PROBE_HTTP2,
		TLS = PROTOCOL_PROBE_TLS,
		PROXY = PROTOCOL_PROBE_PROXY_V2,
	};
	static const struct {
		enum conf_check check;
		char version[4];
		bool verify, tls, proxy;
		uint32_t flags;
	} cases[] = {
		{ CONF_CHECK_TCP, "1.1", false, false, false, 0 },
		{ CONF_CHECK_TCP, "2", true, true, true, PROXY },
		{ CONF_CHECK_TLS, "2", true, false, true, VERIFY | PROXY },
		{ CONF_CHECK_HTTP, "2", true, true, true, HTTP2 | PROXY },
		{ CONF_CHECK_HTTPS, "1.1", false, true, false, 0 },
		{ CONF_CHECK_HTTPS, "2", true, false, true, VERIFY | HTTP2 | PROXY },
		{ CONF_CHECK_GRPC, "2", true, false, true, PROXY },
		{ CONF_CHECK_GRPC, "1.1", true, true, false, VERIFY | TLS },
		{ CONF_CHECK_UDP, "2", true, true, true, 0 },
		{ CONF_CHECK_ICMP, "2", true, true, true, 0 },
	};
	struct registry none = REGISTRY_INIT, r;
	struct protocol_probe_record p;
	enum protocol_kind kind;
	struct fixture f;

	(void)state;
	fixture_init(&f, "1");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &r), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char version[4];

		memcpy(version, cases[i].version, sizeof(version));
		f.group.check.protocol = cases[i].check;
		f.group.check.http_version = version;
		f.group.check.verify_certificate = cases[i].verify;
		f.group.check.tls = cases[i].tls;
		f.group.check.matcher.n = 1;
		f.group.proxy_protocol_v2 = cases[i].proxy;
		assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[0], &p));
		assert_int_equal(p.probe.flags, cases[i].flags);
		assert_int_equal(protocol_check(&p, p.probe.header.size, &kind), 0);
	}
	registry_deinit(&r);
}

static void test_deregistered_targets_get_nothing(void **state)
{
	_cleanup_free_ struct desired_group *groups = NULL;
	struct registry none = REGISTRY_INIT, r;
	struct fixture f;

	(void)state;
	fixture_init(&f, "123");
	assert_int_equal(registry_build(&f.conf, &none, NOW, &r), 0);
	make_healthy(&r);
	r.groups[0].targets[1].deregistered = true;
	target_health_init(&r.groups[0].targets[1].health, TARGET_USE_NONE, NOW);
	registry_touch(&r.groups[0]);
	assert_int_equal(registry_compute_weights(&r, NOW), REGISTRY_CHANGED);
	assert_int_equal(r.groups[0].summary.registered, 2);
	assert_int_equal(registry_to_desired(&r, &groups), 0);
	assert_int_equal(groups[0].n, 2);
	assert_int_equal(groups[0].targets[1].addr.bytes[3], 3);
	registry_deinit(&r);
}

static const struct registry empty;

static void via_fixture_init(struct fixture *f, const char *order)
{
	fixture_init(f, order);
	f->group.forwarding = CONF_FORWARDING_DIRECT;
	f->group.check.via_vip = true;
	f->listener.family = AF_INET;
	assert_int_equal(addr_parse("203.0.113.10", &f->listener.address), 0);
}

static bool is_probe_mark(uint32_t mark)
{
	return mark >= IPVS_PROBE_MARK && mark < IPVS_PROBE_MARK + IPVS_PROBE_MARKS;
}

/* To the listener's address, by a mark of each target's own, which stays when others go. */
static void test_via_vip(void **state)
{
	struct protocol_probe_record p;
	struct registry r, later;
	struct fixture f, fewer;

	(void)state;
	via_fixture_init(&f, "123");
	assert_int_equal(registry_build(&f.conf, &empty, NOW, &r), 0);
	for (size_t i = 0; i < 3; i++) {
		const struct target *t = &r.groups[0].targets[i];
		char address[ADDR_STR_MAX];

		assert_true(is_probe_mark(t->probe_mark));
		for (size_t k = 0; k < i; k++)
			assert_int_not_equal(t->probe_mark, r.groups[0].targets[k].probe_mark);
		assert_true(registry_probe(&r.groups[0], t, &p));
		assert_true(addr_eq(&p.probe.addr, &f.listener.address));
		assert_int_equal(p.probe.firewall_mark, t->probe_mark);
		assert_int_equal(p.probe.id, t->id);
		assert_int_equal(p.probe.text_size[PROTOCOL_TEXT_THROUGH],
				 strlen(addr_format(&t->addr, address)));
		assert_memory_equal(protocol_probe_text(&p.probe, PROTOCOL_TEXT_THROUGH), address,
				    strlen(address));
	}
	via_fixture_init(&fewer, "3");
	assert_int_equal(registry_build(&fewer.conf, &empty, NOW, &later), 0);
	assert_int_equal(later.groups[0].targets[0].probe_mark, r.groups[0].targets[2].probe_mark);
	registry_deinit(&later);
	registry_deinit(&r);
}

/* Two ids that name one place: in the order of ids, and nobody gets another's. */
static void test_via_vip_collision(void **state)
{
	struct registry r;
	struct fixture f;

	(void)state;
	via_fixture_init(&f, "123");
	assert_int_equal(registry_build(&f.conf, &empty, NOW, &r), 0);
	r.groups[0].targets[0].id = IPVS_PROBE_MARKS - 1 + (uint64_t)IPVS_PROBE_MARKS;
	r.groups[0].targets[1].id = 0;
	r.groups[0].targets[2].id = IPVS_PROBE_MARKS - 1;
	assert_int_equal(registry_mark_probes(&r), 0);
	assert_int_equal(r.groups[0].targets[0].probe_mark, IPVS_PROBE_MARK + 1);
	assert_int_equal(r.groups[0].targets[1].probe_mark, IPVS_PROBE_MARK);
	assert_int_equal(r.groups[0].targets[2].probe_mark, IPVS_PROBE_MARK + IPVS_PROBE_MARKS - 1);
	registry_deinit(&r);
}

/* Where the kernel cannot forward a probe through the target it goes to its own address, whatever was before a reload. */
static void test_via_vip_not(void **state)
{
	struct protocol_probe_record p;

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		struct registry before, r;
		struct fixture f;

		via_fixture_init(&f, "1");
		assert_int_equal(registry_build(&f.conf, &empty, NOW, &before), 0);
		if (i == 0)
			f.group.check.via_vip = false;
		else if (i == 1)
			f.group.forwarding = CONF_FORWARDING_NAT;
		else if (i == 2)
			f.group.check.protocol = CONF_CHECK_ICMP;
		else if (i == 3)
			f.listener.firewall_mark = 5;
		else
			assert_int_equal(addr_parse("2001:db8::1", &f.targets[0].addr), 0);
		assert_int_equal(registry_build(&f.conf, i < 4 ? &before : &empty, NOW, &r), 0);
		registry_deinit(&before);
		assert_int_equal(r.groups[0].targets[0].probe_mark, 0);
		assert_true(registry_probe(&r.groups[0], &r.groups[0].targets[0], &p));
		assert_true(addr_eq(&p.probe.addr, &f.targets[0].addr));
		assert_int_equal(p.probe.text_size[PROTOCOL_TEXT_THROUGH], 0);
		registry_deinit(&r);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order_after_reload),
		cmocka_unit_test(test_reload_without_change_is_identity),
		cmocka_unit_test(test_ids_find_their_targets),
		cmocka_unit_test(test_registration_survives_and_configuration_wins),
		cmocka_unit_test(test_a_weight_of_run_time_stays_until_the_file_changes),
		cmocka_unit_test(test_port_of_the_listener),
		cmocka_unit_test(test_the_wall_clock_is_set),
		cmocka_unit_test(test_drains_end),
		cmocka_unit_test(test_a_target_that_comes_back_resumes),
		cmocka_unit_test(test_probe_specification),
		cmocka_unit_test(test_probe_flags),
		cmocka_unit_test(test_deregistered_targets_get_nothing),
		cmocka_unit_test(test_via_vip),
		cmocka_unit_test(test_via_vip_collision),
		cmocka_unit_test(test_via_vip_not),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

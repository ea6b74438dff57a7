/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Every private message there and back, and cut at every length. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <linux/genetlink.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "ipvs/private-attr.h"
#include "ipvs/private.h"

enum {
	BUF_BYTES = 64 * 1024,
};

static const struct codec_header header = { .family = PRIVATE_FAMILY,
					    .flags = NLM_F_ACK,
					    .seq = 7 };
static _Alignas(8) uint8_t buf[BUF_BYTES];
static const struct nlmsghdr *const nlh = (const struct nlmsghdr *)buf;

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static void assert_message(int n, uint8_t cmd, bool request)
{
	uint8_t got = 0;

	assert_true(n > 0 && n % 4 == 0);
	assert_int_equal(nlh->nlmsg_len, n);
	assert_int_equal(nlh->nlmsg_type, PRIVATE_FAMILY);
	assert_int_equal(nlh->nlmsg_seq, 7);
	assert_int_equal(nlh->nlmsg_flags, NLM_F_ACK | (request ? NLM_F_REQUEST : 0));
	assert_int_equal(codec_command(nlh, &got), 0);
	assert_int_equal(got, cmd);
}

static void test_locals(void **state)
{
	struct addr addrs[] = { address("10.0.0.9"), address("fd00::9"), address("10.0.0.8") };
	struct addr back[3];
	size_t n = 9;

	(void)state;
	assert_message(private_locals_request(buf, sizeof(buf), &header, addrs, 3),
		       PRIVATE_CMD_SET_LOCALS, true);
	assert_int_equal(private_parse_locals(nlh, back, 3, &n), 0);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(addr_eq(&back[i], &addrs[i]));
	assert_int_equal(private_parse_locals(nlh, back, 2, &n), -E2BIG);

	assert_message(private_locals_reply(buf, sizeof(buf), &header, addrs, 0),
		       PRIVATE_CMD_SET_LOCALS, false);
	assert_int_equal(private_parse_locals(nlh, back, 3, &n), 0);
	assert_int_equal(n, 0);

	addrs[1] = address("::");
	assert_true(private_locals_request(buf, sizeof(buf), &header, addrs, 3) > 0);
	assert_int_equal(private_parse_locals(nlh, back, 3, &n), -EINVAL);
}

static const struct ipvs_service_key *service_key(void)
{
	static struct ipvs_service_key key = { .family = AF_INET,
					       .protocol = IPPROTO_TCP,
					       .port = 80 };

	key.addr = address("203.0.113.10");
	return &key;
}

static void test_rules(void **state)
{
	const struct private_rule rules[] = {
		{ IPPROTO_TCP, 80, 443, { address("10.0.0.0"), 8 } },
		{ 0, 0, 65535, { address("::"), 0 } },
		{ IPPROTO_UDP, 53, 53, { address("2001:db8::1"), 128 } },
	};
	struct private_rule back[3], bad = { IPPROTO_TCP, 2, 1, { address("10.0.0.0"), 8 } };
	struct ipvs_service s;
	size_t n = 9;
	bool restricted = false;

	(void)state;
	assert_message(private_rules_request(buf, sizeof(buf), &header, service_key(), rules, 3),
		       PRIVATE_CMD_SET_RULES, true);
	assert_int_equal(codec_parse_service(nlh, &s), 0);
	assert_int_equal(ipvs_service_key_cmp(&s.key, service_key()), 0);
	assert_int_equal(private_parse_rules(nlh, back, 3, &n, &restricted), 0);
	assert_true(restricted);
	assert_int_equal(n, 3);
	for (unsigned i = 0; i < 3; i++) {
		assert_int_equal(back[i].protocol, rules[i].protocol);
		assert_int_equal(back[i].port_low, rules[i].port_low);
		assert_int_equal(back[i].port_high, rules[i].port_high);
		assert_true(addr_eq(&back[i].peer.addr, &rules[i].peer.addr));
		assert_int_equal(back[i].peer.len, rules[i].peer.len);
	}
	assert_int_equal(private_parse_rules(nlh, back, 2, &n, &restricted), -E2BIG);

	/* Nobody is not everybody. */
	assert_true(private_rules_request(buf, sizeof(buf), &header, service_key(), rules, 0) > 0);
	assert_int_equal(private_parse_rules(nlh, back, 3, &n, &restricted), 0);
	assert_true(restricted && n == 0);
	assert_true(private_rules_request(buf, sizeof(buf), &header, service_key(), NULL, 0) > 0);
	assert_int_equal(private_parse_rules(nlh, back, 3, &n, &restricted), 0);
	assert_true(!restricted && n == 0);

	assert_true(private_rules_request(buf, sizeof(buf), &header, service_key(), &bad, 1) > 0);
	assert_int_equal(private_parse_rules(nlh, back, 3, &n, &restricted), -EINVAL);
	bad.port_high = 2;
	bad.peer.len = 33;
	assert_true(private_rules_request(buf, sizeof(buf), &header, service_key(), &bad, 1) > 0);
	assert_int_equal(private_parse_rules(nlh, back, 3, &n, &restricted), -EINVAL);
}

/* Each option alone, so that none is read as another. */
static void test_options(void **state)
{
	struct private_options o, back;
	bool *const flags[] = { &o.expire_nodest_conn, &o.expire_quiescent_template,
				&o.sloppy_tcp,	       &o.sloppy_sctp,
				&o.nat_icmp_send,      &o.reset_on_expiry,
				&o.stateless_when_full };

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(flags); i++) {
		memset(&o, 0, sizeof(o));
		o.conn_reuse_mode = 3;
		if (i < ARRAY_SIZE(flags))
			*flags[i] = true;
		assert_message(private_options_request(buf, sizeof(buf), &header, &o),
			       PRIVATE_CMD_SET_OPTIONS, true);
		memset(&back, 0, sizeof(back));
		assert_int_equal(private_parse_options(nlh, &back), 0);
		assert_memory_equal(&back, &o, sizeof(o));
	}
	o.conn_reuse_mode = 4;
	assert_message(private_options_reply(buf, sizeof(buf), &header, &o),
		       PRIVATE_CMD_SET_OPTIONS, false);
	assert_int_equal(private_parse_options(nlh, &back), -EINVAL);
}

static void test_last_weight(void **state)
{
	struct ipvs_dest d = { .addr = address("10.1.0.7"), .port = 8080 }, back;
	uint32_t weight = 0;

	(void)state;
	assert_message(private_last_weight_request(buf, sizeof(buf), &header, service_key(), &d,
						   77),
		       PRIVATE_CMD_SET_LAST_WEIGHT, true);
	assert_int_equal(codec_parse_dest(nlh, AF_INET, &back), 0);
	assert_int_equal(ipvs_dest_key_cmp(&back, &d), 0);
	assert_int_equal(private_parse_last_weight(nlh, &weight), 0);
	assert_int_equal(weight, 77);
}

static struct private_conn make_conn(unsigned i)
{
	bool inet6 = i & 1;
	struct private_conn c = {
		.record = { .protocol = IPPROTO_TCP,
			    .state = 1,
			    .flags = i & 2 ? 5 : 0,
			    .client_port = (uint16_t)i,
			    .virtual_port = 80,
			    .dest_port = 8080,
			    .timeout_sec = 900,
			    .client = address(inet6 ? "2001:db8::5" : "192.0.2.5"),
			    .virtual = address(inet6 ? "2001:db8::10" : "203.0.113.10"),
			    /* now and then of a tunnel between the families */
			    .dest = address(inet6 != (i % 5 == 4) ? "fd00::7" : "10.1.0.7") },
		.remaining_sec = 899,
	};

	if (i & 2) {
		c.local = address(inet6 ? "fd00::9" : "10.0.0.9");
		c.local_port = (uint16_t)(0xff00 + i);
	}
	return c;
}

static void test_conns(void **state)
{
	struct private_conn conns[16], back;
	size_t taken, cursor, done = 0;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++)
		conns[i] = make_conn(i);
	/* In several messages, for none holds them all. */
	while (done < ARRAY_SIZE(conns)) {
		assert_message(private_conns_message(buf, 500, &header, conns + done,
						     ARRAY_SIZE(conns) - done, &taken),
			       PRIVATE_CMD_NEW_CONNS, false);
		assert_true(taken > 0 && taken < ARRAY_SIZE(conns));
		cursor = 0;
		for (size_t i = 0; i < taken; i++) {
			const struct private_conn *c = &conns[done + i];

			assert_int_equal(private_next_conn(nlh, &cursor, &back), 1);
			assert_int_equal(back.record.client_port, c->record.client_port);
			assert_int_equal(back.record.flags, c->record.flags);
			assert_true(addr_eq(&back.record.dest, &c->record.dest));
			assert_int_equal(back.remaining_sec, 899);
			assert_true(addr_eq(&back.local, &c->local));
			assert_int_equal(back.local_port, c->local_port);
		}
		assert_int_equal(private_next_conn(nlh, &cursor, &back), 0);
		done += taken;
	}
	assert_int_equal(private_conns_message(buf, 60, &header, conns, 1, &taken), -EMSGSIZE);
	conns[0].record.virtual.family = AF_INET6;
	assert_int_equal(private_conns_message(buf, 500, &header, conns, 1, &taken), -EINVAL);
}

/* One record that makes no sense does not hide the next. */
static void test_bad_conn(void **state)
{
	struct private_conn conns[] = { make_conn(0), make_conn(4) }, back;
	size_t taken, cursor = 0;

	(void)state;
	assert_true(private_conns_message(buf, sizeof(buf), &header, conns, 2, &taken) > 0);
	buf[NLMSG_HDRLEN + GENL_HDRLEN + 2 * NLA_HDRLEN] = 9; /* the first record's type */
	assert_int_equal(private_next_conn(nlh, &cursor, &back), -EBADMSG);
	assert_int_equal(private_next_conn(nlh, &cursor, &back), 1);
	assert_int_equal(back.record.client_port, 4);
	assert_int_equal(private_next_conn(nlh, &cursor, &back), 0);
}

static void test_result(void **state)
{
	struct private_result r, back;

	(void)state;
	for (unsigned i = 0; i < _PRIVATE_OUTCOME_MAX; i++)
		r.counts[i] = 100 + i;
	assert_message(private_result_reply(buf, sizeof(buf), &header, &r),
		       PRIVATE_CMD_CONNS_RESULT, false);
	assert_int_equal(private_parse_result(nlh, &back), 0);
	assert_memory_equal(&back, &r, sizeof(r));
}

static struct private_counters *make_counters(size_t n)
{
	struct private_counters *c = calloc(1, sizeof(*c));

	assert_non_null(c);
	c->n = n;
	for (size_t i = 0; i < n; i++) {
		(void)snprintf(c->at[i].name, sizeof(c->at[i].name),
			       "counter_%zu_with_a_name_of_sixty_three_characters_%015zu", i % 10,
			       i);
		assert_int_equal(strlen(c->at[i].name), PRIVATE_NAME_MAX - 1);
		c->at[i].value = UINT64_MAX - i;
	}
	return c;
}

static const struct private_port port = { .index = 1,
					  .name = "0000:00:06.0",
					  .driver = "net_ena",
					  .mac = { 2, 3, 4, 5, 6, 7 },
					  .link_up = true,
					  .speed_mbps = 25000,
					  .mtu = 9001 };
static const struct private_worker worker = { .index = 3, .lcore = 5, .late_usec = 1ULL << 40 };

/* With as many counters as there may be, of the longest names. */
static void test_worker_and_port(void **state)
{
	_cleanup_free_ struct private_counters *c = make_counters(PRIVATE_COUNTERS_MAX);
	_cleanup_free_ struct private_counters *back = calloc(1, sizeof(*back));
	struct private_worker w;
	struct private_port p;

	(void)state;
	assert_non_null(back);
	assert_message(private_worker_reply(buf, sizeof(buf), &header, &worker, c),
		       PRIVATE_CMD_NEW_WORKER, false);
	assert_int_equal(private_parse_worker(nlh, &w, back), 0);
	assert_memory_equal(&w, &worker, sizeof(w));
	assert_memory_equal(back, c, sizeof(*c));

	memset(back, 0, sizeof(*back));
	assert_message(private_port_reply(buf, sizeof(buf), &header, &port, c),
		       PRIVATE_CMD_NEW_PORT, false);
	assert_int_equal(private_parse_port(nlh, &p, back), 0);
	assert_memory_equal(&p, &port, sizeof(p));
	assert_memory_equal(back, c, sizeof(*c));

	assert_true(private_worker_reply(buf, sizeof(buf), &header, &worker, NULL) > 0);
	assert_int_equal(private_parse_worker(nlh, &w, back), 0);
	assert_int_equal(back->n, 0);
	assert_int_equal(private_parse_port(nlh, &p, NULL), -EINVAL);
}

static void test_status(void **state)
{
	_cleanup_free_ struct private_status *s = calloc(1, sizeof(*s));
	_cleanup_free_ struct private_status *back = calloc(1, sizeof(*back));

	(void)state;
	assert_true(s && back);
	s->pid = 77;
	s->uptime_usec = 1ULL << 45;
	s->n_workers = PRIVATE_WORKERS_MAX;
	s->n_ports = PRIVATE_PORTS_MAX;
	for (size_t i = 0; i < s->n_workers; i++) {
		s->workers[i] = worker;
		s->workers[i].index = (uint32_t)i;
	}
	for (size_t i = 0; i < s->n_ports; i++) {
		s->ports[i] = port;
		s->ports[i].link_up = i & 1;
	}
	assert_message(private_status_reply(buf, sizeof(buf), &header, s), PRIVATE_CMD_SET_STATUS,
		       false);
	assert_int_equal(private_parse_status(nlh, back), 0);
	assert_memory_equal(back, s, sizeof(*s));
}

static void parse_all(const struct nlmsghdr *m)
{
	static struct private_counters counters;
	static struct private_status status;
	struct private_rule rules[4];
	struct private_conn conn;
	struct private_options options;
	struct private_result result;
	struct private_worker w;
	struct private_port p;
	struct addr addrs[4];
	size_t n, cursor = 0;
	uint32_t weight;
	bool restricted;

	(void)private_parse_locals(m, addrs, 4, &n);
	(void)private_parse_rules(m, rules, 4, &n, &restricted);
	(void)private_parse_options(m, &options);
	(void)private_parse_last_weight(m, &weight);
	while (private_next_conn(m, &cursor, &conn) != 0)
		;
	(void)private_parse_result(m, &result);
	(void)private_parse_worker(m, &w, &counters);
	(void)private_parse_port(m, &p, &counters);
	(void)private_parse_status(m, &status);
}

/* Every prefix of the message by itself, in memory that ends there; and the length of its first attribute changed. */
static void truncate_at_every_length(int n)
{
	for (int len = NLMSG_HDRLEN; len <= n; len++) {
		_cleanup_free_ struct nlmsghdr *copy = malloc((size_t)len);

		assert_non_null(copy);
		memcpy(copy, buf, (size_t)len);
		copy->nlmsg_len = (uint32_t)len;
		parse_all(copy);
		if (len < (int)(NLMSG_HDRLEN + GENL_HDRLEN + 2))
			continue;
		for (unsigned value = 0; value < 64; value++) {
			((uint8_t *)copy)[NLMSG_HDRLEN + GENL_HDRLEN] = (uint8_t)value;
			parse_all(copy);
		}
	}
}

static void test_truncated(void **state)
{
	_cleanup_free_ struct private_counters *c = make_counters(3);
	_cleanup_free_ struct private_status *s = calloc(1, sizeof(*s));
	const struct private_rule rule = { IPPROTO_TCP, 80, 443, { address("10.0.0.0"), 8 } };
	struct private_conn conns[] = { make_conn(0), make_conn(3) };
	struct private_options options = { 0 };
	struct addr addrs[] = { address("10.0.0.9"), address("fd00::9") };
	size_t taken;

	(void)state;
	assert_non_null(s);
	truncate_at_every_length(private_locals_request(buf, sizeof(buf), &header, addrs, 2));
	truncate_at_every_length(
		private_rules_request(buf, sizeof(buf), &header, service_key(), &rule, 1));
	truncate_at_every_length(private_options_request(buf, sizeof(buf), &header, &options));
	truncate_at_every_length(
		private_conns_message(buf, sizeof(buf), &header, conns, 2, &taken));
	truncate_at_every_length(private_worker_reply(buf, sizeof(buf), &header, &worker, c));
	truncate_at_every_length(private_port_reply(buf, sizeof(buf), &header, &port, c));
	s->n_workers = 1;
	s->n_ports = 1;
	truncate_at_every_length(private_status_reply(buf, sizeof(buf), &header, s));
}

/* Without room there is no message, and nothing behind the room is written. */
static void test_no_room(void **state)
{
	struct addr addrs[] = { address("10.0.0.9"), address("fd00::9") };
	int whole = private_locals_request(buf, sizeof(buf), &header, addrs, 2);

	(void)state;
	for (int size = 0; size < whole; size++) {
		buf[size] = 0xa5;
		assert_int_equal(private_locals_request(buf, (size_t)size, &header, addrs, 2),
				 -EMSGSIZE);
		assert_int_equal(buf[size], 0xa5);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_locals),	cmocka_unit_test(test_rules),
		cmocka_unit_test(test_options), cmocka_unit_test(test_last_weight),
		cmocka_unit_test(test_conns),	cmocka_unit_test(test_bad_conn),
		cmocka_unit_test(test_result),	cmocka_unit_test(test_worker_and_port),
		cmocka_unit_test(test_status),	cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_no_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

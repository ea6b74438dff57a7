/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One datagram in, the bytes of its answer out: what the kernel would say, over the real tables. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <netlink/attr.h>

#include "answer-fixture.h"
#include "base/cleanup.h"

static int raw(struct answer_fixture *f, uint16_t type, uint16_t flags, uint8_t cmd)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)f->datagram;

	request_plain(f, cmd, 0);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	return datagram_run_one(f);
}

/* netlink_rcv_skb() and genl_rcv_msg(): what is answered before any command is looked at. */
static void test_framing(void **state)
{
	struct answer_fixture *f = *state;
	static const struct {
		uint16_t type, flags;
		uint8_t cmd;
		int expected;
	} cases[] = {
		{ PRIVATE_FAMILY, NLM_F_ACK, 0xff, 0 }, /* no request: only acknowledged */
		{ PRIVATE_FAMILY, 0, 0xff, NO_ANSWER },
		{ NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
		{ NLMSG_DONE, NLM_F_REQUEST, 0, NO_ANSWER },
		{ PRIVATE_FAMILY + 1, NLM_F_REQUEST, 1, -ENOENT },
		{ GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_NEWFAMILY, -EOPNOTSUPP },
		{ GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_UNSPEC, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_SET_INFO, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_NEW_DAEMON, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_GET_DEST, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_INFO, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_DAEMON, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, _PRIVATE_CMD_END, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_GET_CONNS, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_NEW_PORT, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, 255, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_NEW_SERVICE, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_DEL_DEST, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_GET_SERVICE, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_ZERO, NO_ANSWER },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_ACK, IPVS_CMD_FLUSH, 0 },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_OPTIONS, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_RULES, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_LAST_WEIGHT, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = raw(f, cases[i].type, cases[i].flags, cases[i].cmd);

		if (r != cases[i].expected)
			fail_msg("case %zu: %d instead of %d", i, r, cases[i].expected);
	}
}

static void test_family(void **state)
{
	struct answer_fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)f->datagram;
		const char *name = i ? "IPVT" : IPVS_GENL_NAME;
		struct nlattr *a, *tb[CTRL_ATTR_MAX + 1];
		const struct nlmsghdr *answer;
		size_t cursor = 0;

		request_plain(f, CTRL_CMD_GETFAMILY, 0);
		a = (struct nlattr *)(f->datagram + f->len);
		a->nla_type = CTRL_ATTR_FAMILY_NAME;
		a->nla_len = (uint16_t)(NLA_HDRLEN + strlen(name) + 1);
		memcpy(nla_data(a), name, strlen(name) + 1);
		f->len += NLA_ALIGN(a->nla_len);
		nlh->nlmsg_len = (uint32_t)f->len;
		nlh->nlmsg_type = GENL_ID_CTRL;
		if (i == 1) {
			assert_int_equal(datagram_run_one(f), -ENOENT);
			continue;
		}
		datagram_run(f);
		answer = answer_next(f, &cursor);
		assert_non_null(answer);
		assert_int_equal(answer->nlmsg_type, GENL_ID_CTRL);
		assert_int_equal(
			nla_parse(tb, CTRL_ATTR_MAX,
				  (struct nlattr *)((uint8_t *)NLMSG_DATA(answer) + GENL_HDRLEN),
				  (int)(answer->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN), NULL),
			0);
		assert_int_equal(nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]), PRIVATE_FAMILY);
		assert_string_equal(nla_data(tb[CTRL_ATTR_FAMILY_NAME]), IPVS_GENL_NAME);
		assert_null(answer_next(f, &cursor));
	}
}

/* As test_framing, of the commands: each step's errno is that of the kernel. */
static void test_errors(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), other = make_service("10.9.0.2", 80);
	struct ipvs_service mark = { .key = { .fwmark = 7, .family = AF_INET }, .scheduler = "rr" };
	struct ipvs_dest d = make_dest("10.1.0.1", 8080), bad = d;

	assert_int_equal(request_service_run(f, IPVS_CMD_SET_SERVICE, &s), -ESRCH);
	assert_int_equal(request_service_run(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
	assert_int_equal(request_service_run(f, IPVS_CMD_GET_SERVICE, &s), -ESRCH);
	assert_int_equal(request_service_run(f, IPVS_CMD_ZERO, &s), -ESRCH);
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &d), -ESRCH);
	assert_int_equal(request_dest_run(f, IPVS_CMD_DEL_DEST, &s, &d), -ESRCH);
	/* The service's absence comes first, whatever the destination lacks. */
	assert_int_equal(request_dest_run(f, IPVS_CMD_DEL_DEST, &s, NULL), -ESRCH);

	strcpy(s.scheduler, "lblcr");
	assert_int_equal(request_service_run(f, IPVS_CMD_NEW_SERVICE, &s), -ENOENT);
	strcpy(s.scheduler, "mh");
	assert_int_equal(request_service_run(f, IPVS_CMD_NEW_SERVICE, &s), 0);
	assert_int_equal(request_service_run(f, IPVS_CMD_NEW_SERVICE, &s), -EEXIST);
	assert_int_equal(request_service_run(f, IPVS_CMD_SET_SERVICE, &s), 0);
	strcpy(s.pe, "sip");
	assert_int_equal(request_service_run(f, IPVS_CMD_SET_SERVICE, &s), -ENOENT);

	assert_int_equal(request_dest_run(f, IPVS_CMD_DEL_DEST, &s, NULL), -EINVAL);
	assert_int_equal(request_dest_run(f, IPVS_CMD_SET_DEST, &s, &d), -ENOENT);
	assert_int_equal(request_dest_run(f, IPVS_CMD_DEL_DEST, &s, &d), -ENOENT);
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &d), 0);
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &d), -EEXIST);
	bad.weight = 1U << 31;
	assert_int_equal(request_dest_run(f, IPVS_CMD_SET_DEST, &s, &bad), -ERANGE);
	bad = d;
	bad.lower_threshold = 1;
	assert_int_equal(request_dest_run(f, IPVS_CMD_SET_DEST, &s, &bad), -ERANGE);
	bad = make_dest("fd01::1", 80);
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &bad), -EINVAL);
	bad.forward = IPVS_FORWARD_TUNNEL;
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &bad), 0);
	bad.addr.family = 99;
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &s, &bad), -EAFNOSUPPORT);
	d.forward = IPVS_FORWARD_FULL_NAT;
	assert_int_equal(request_dest_run(f, IPVS_CMD_SET_DEST, &s, &d), 0);
	assert_int_equal(request_dest_run(f, IPVS_CMD_NEW_DEST, &other, &d), -ESRCH);

	mark.netmask = UINT32_MAX;
	assert_int_equal(request_service_run(f, IPVS_CMD_NEW_SERVICE, &mark), -EOPNOTSUPP);
	mark.key.fwmark = IPVS_HOOK_KEEPER_MARK;
	strcpy(mark.scheduler, "none");
	assert_int_equal(request_service_run(f, IPVS_CMD_NEW_SERVICE, &mark), 0);
	assert_int_equal(request_service_run(f, IPVS_CMD_DEL_SERVICE, &mark), 0);
	assert_int_equal(request_service_run(f, IPVS_CMD_DEL_SERVICE, &s), 0);
	assert_int_equal(request_service_run(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
}

/* No request stops at another's error, and the last one's acknowledgement is the barrier. */
static void test_batch(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), got;
	struct ipvs_dest d = make_dest("10.1.0.1", 8080);
	const struct nlmsghdr *nlh;
	uint32_t refused[2], last;
	size_t cursor = 0;

	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	refused[0] = request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	(void)request_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	refused[1] = request_dest(f, IPVS_CMD_NEW_DEST, NLM_F_ACK, &s, &d);
	d.weight = 9;
	last = request_dest(f, IPVS_CMD_SET_DEST, NLM_F_ACK, &s, &d);
	datagram_run(f);
	for (unsigned i = 0; i < 2; i++) {
		nlh = answer_next(f, &cursor);
		assert_non_null(nlh);
		assert_int_equal(nlh->nlmsg_seq, refused[i]);
		assert_int_equal(answer_error(nlh), -EEXIST);
	}
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, last);
	assert_int_equal(answer_error(nlh), 0);
	assert_null(answer_next(f, &cursor));

	/* And workers see it. */
	assert_int_equal(tables_get_service(f->rig.tables, &s.key, &got), 0);
	assert_true(
		snapshot_has_address(tables_snapshot(f->rig.tables), AF_INET, s.key.addr.bytes));
}

static void test_get(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), got;
	struct ipvs_timeouts timeouts = { .tcp_sec = 777 }, t;
	struct codec_header h = request_header(f, 0);
	struct ipvs_info info;
	const struct nlmsghdr *nlh;
	size_t cursor = 0;
	uint32_t seq[3];

	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	request_add(f, codec_config_request(ROOM(f), &h, &timeouts));
	seq[0] = request_service(f, IPVS_CMD_GET_SERVICE, NLM_F_ACK, &s);
	seq[1] = request_plain(f, IPVS_CMD_GET_CONFIG, 0);
	seq[2] = request_plain(f, IPVS_CMD_GET_INFO, 0);
	datagram_run(f);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[0]);
	assert_int_equal(nlh->nlmsg_flags, 0);
	assert_int_equal(codec_parse_service(nlh, &got), 0);
	assert_true(ipvs_service_conf_eq(&got, &s));
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(answer_error(nlh), 0);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[1]);
	assert_int_equal(codec_parse_config(nlh, &t), 0);
	assert_int_equal(t.tcp_sec, 777);
	assert_int_equal(t.tcp_fin_sec, 120);
	assert_int_equal(t.udp_sec, 300);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[2]);
	assert_int_equal(codec_parse_info(nlh, &info), 0);
	assert_int_equal(info.version, 0x010201);
	assert_int_equal(info.conn_table_size, 4096);
	assert_null(answer_next(f, &cursor));

	timeouts.tcp_sec = UINT32_MAX;
	h = request_header(f, 0);
	request_add(f, codec_config_request(ROOM(f), &h, &timeouts));
	assert_int_equal(datagram_run_one(f), -EINVAL);
}

/* A datagram that ends within a message: what is whole is done, the rest is answered where its header is there. */
static void test_truncated(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	size_t first, whole;

	(void)request_service(f, IPVS_CMD_ZERO, 0, &s);
	first = f->len;
	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	whole = f->len;
	for (size_t len = 0; len < whole; len++) {
		/* In memory that ends there. */
		_cleanup_free_ uint8_t *copy = malloc(len + 1);
		const struct nlmsghdr *nlh;
		size_t cursor = 0;

		assert_non_null(copy);
		memcpy(copy, f->datagram, len);
		copy = realloc(copy, len ? len : 1);
		assert_non_null(copy);
		f->out.len_bytes = 0;
		assert_int_equal(answer_datagram(f->rig.answer, &f->client, copy, len, &f->out), 0);
		nlh = answer_next(f, &cursor);
		if (len < NLMSG_HDRLEN) {
			assert_null(nlh);
			continue;
		}
		assert_non_null(nlh);
		assert_int_equal(answer_error(nlh), len < first ? -EBADMSG : -ESRCH);
		nlh = answer_next(f, &cursor);
		if (len < first + NLMSG_HDRLEN) {
			assert_null(nlh);
			continue;
		}
		assert_non_null(nlh);
		assert_int_equal(answer_error(nlh), -EBADMSG);
		assert_null(answer_next(f, &cursor));
	}
	f->len = 0;
	assert_int_equal(request_service_run(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
	/* A length that is none does not go round in circles. */
	request_plain(f, IPVS_CMD_GET_INFO, 0);
	((struct nlmsghdr *)f->datagram)->nlmsg_len = 0;
	assert_int_equal(datagram_run_one(f), -EBADMSG);
	/* Neither a command's header nor an attribute's. */
	request_plain(f, IPVS_CMD_FLUSH, 0);
	((struct nlmsghdr *)f->datagram)->nlmsg_len = NLMSG_HDRLEN + 1;
	assert_int_equal(datagram_run_one(f), -EINVAL);
	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	f->datagram[NLMSG_HDRLEN + GENL_HDRLEN] = 3;
	assert_int_equal(datagram_run_one(f), -EBADMSG);
}

/* A datagram of requests for large answers does not make the answer grow without bounds. */
static void test_amplification(void **state)
{
	struct answer_fixture *f = *state;

	while (f->len + 64 < sizeof(f->datagram))
		request_plain(f, PRIVATE_CMD_GET_STATUS, 0);
	f->out.len_bytes = 0;
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 0);
	assert_true(f->out.len_bytes > 500 * 1024); /* two workers and two ports, 6,500 times */
	while (answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out) == 0)
		assert_true(f->out.len_bytes < ANSWER_BUFFER_MAX);
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 -ENOBUFS);
	assert_true(f->out.allocated_bytes <= 2 * ANSWER_BUFFER_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		answer_test(test_framing),	 answer_test(test_family),
		answer_test(test_errors),	 answer_test(test_batch),
		answer_test(test_get),		 answer_test(test_truncated),
		answer_test(test_amplification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

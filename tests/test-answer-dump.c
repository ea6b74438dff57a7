/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the control socket answers piece by piece, and connections, which it can do both ways. */

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

#include "answer-fixture.h"
#include "base/cleanup.h"

enum {
	MANY = 700,
};

static void make_many(struct answer_fixture *f)
{
	struct ipvs_service s = make_service("10.9.0.1", 80);

	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	for (unsigned i = 0; i < MANY; i++) {
		struct ipvs_dest d = make_dest("10.1.0.1", (uint16_t)(1 + i));

		(void)request_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	}
	datagram_run(f);
	assert_int_equal(f->out.len_bytes, 0);
}

static bool is_done(const struct nlmsghdr *nlh, int error, bool interrupted)
{
	int got;

	if (nlh->nlmsg_type != NLMSG_DONE)
		return false;
	assert_int_equal(nlh->nlmsg_len, NLMSG_HDRLEN + sizeof(int));
	memcpy(&got, NLMSG_DATA(nlh), sizeof(got));
	assert_int_equal(got, error);
	assert_int_equal(nlh->nlmsg_flags, NLM_F_MULTI | (interrupted ? NLM_F_DUMP_INTR : 0));
	return true;
}

/* A piece of the running dump; false when it was the last. */
static bool piece(struct answer_fixture *f)
{
	f->out.len_bytes = 0;
	assert_int_equal(answer_continue(f->rig.answer, &f->client, &f->out), 0);
	assert_true(f->out.len_bytes < ANSWER_PIECE_BYTES + 1024);
	return f->client.dump != 0;
}

static void test_dump(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	unsigned pieces = 0, dests = 0, dones = 0;
	uint32_t seq;
	bool more;

	make_many(f);
	seq = request_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP | NLM_F_ACK, &s, NULL);
	datagram_run(f);
	assert_int_equal(f->out.len_bytes, 0); /* a dump is not acknowledged */
	do {
		const struct nlmsghdr *nlh;
		size_t cursor = 0;

		more = piece(f);
		pieces++;
		while ((nlh = answer_next(f, &cursor))) {
			struct ipvs_dest d;

			assert_int_equal(nlh->nlmsg_seq, seq);
			assert_int_equal(dones, 0);
			if (is_done(nlh, 0, false)) {
				dones++;
				continue;
			}
			assert_int_equal(nlh->nlmsg_flags, NLM_F_MULTI);
			assert_int_equal(codec_parse_dest(nlh, AF_INET, &d), 0);
			assert_int_equal(d.port, MANY - dests); /* the newest first */
			dests++;
		}
		/* What else is asked meanwhile is answered; but no second dump. */
		request_plain(f, IPVS_CMD_GET_SERVICE, NLM_F_DUMP);
		if (more)
			assert_int_equal(datagram_run_one(f), -EBUSY);
		else
			datagram_run(f);
	} while (more);
	assert_true(pieces > 3);
	assert_int_equal(dests, MANY);
	assert_int_equal(dones, 1);
}

/* A change of the list ends a dump of the list, a change of a weight does not. */
static void test_dump_interrupted(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	struct ipvs_dest d = make_dest("10.1.0.1", 5);
	const struct nlmsghdr *nlh;
	size_t cursor = 0;

	make_many(f);
	(void)request_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP, &s, NULL);
	datagram_run(f);
	assert_true(piece(f));
	d.weight = 7;
	assert_int_equal(request_dest_run(f, IPVS_CMD_SET_DEST, &s, &d), 0);
	assert_true(piece(f));
	assert_int_equal(request_dest_run(f, IPVS_CMD_DEL_DEST, &s, &d), 0);
	assert_false(piece(f));
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, 0, true));
	assert_null(answer_next(f, &cursor));

	/* Of a service that is not there: an empty list, as the kernel says. */
	s.key.port++;
	(void)request_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP, &s, NULL);
	datagram_run(f);
	assert_false(piece(f));
	cursor = 0;
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, 0, false));
}

static struct private_conn make_conn(uint16_t client_port)
{
	return (struct private_conn){
		.record = { .protocol = IPPROTO_TCP,
			    .state = 1,
			    .client_port = client_port,
			    .virtual_port = 80,
			    .dest_port = 5,
			    .timeout_sec = 900,
			    .client = make_addr("192.0.2.1"),
			    .virtual = make_addr("10.9.0.1"),
			    .dest = make_addr("10.1.0.1") },
		.remaining_sec = 333,
	};
}

/* One of each outcome, over the real director. */
static void test_import(void **state)
{
	struct answer_fixture *f = *state;
	struct private_conn conns[12];
	struct codec_header h = request_header(f, NLM_F_REQUEST | NLM_F_ACK);
	struct private_result result;
	const struct nlmsghdr *nlh;
	size_t taken, cursor = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++)
		conns[i] = make_conn((uint16_t)(1000 + i));
	make_many(f);
	conns[1].record.client_port = 1000; /* the first again */
	conns[2].record.dest_port = 9999;
	conns[3].record.virtual_port = 81;
	conns[4].record.client_port = 1000;
	conns[4].record.dest_port = 6;
	conns[5].record.fwmark = 7;
	conns[6].record.state = 11;
	conns[7].record.flags = CONNREC_ONE_PACKET;
	conns[8].record.has_seq = true;
	conns[8].record.in_seq.delta = 4;
	conns[9].record.flags = IPVS_FORWARD_FULL_NAT; /* without its source */
	conns[10].record.protocol = IPPROTO_ICMP;
	request_add(f, private_conns_message(ROOM(f), &h, conns, ARRAY_SIZE(conns), &taken));
	assert_int_equal(taken, ARRAY_SIZE(conns));
	datagram_run(f);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(private_parse_result(nlh, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], 3); /* 0, 1, 11 */
	assert_int_equal(result.counts[PRIVATE_CONN_NO_DEST], 3);
	assert_int_equal(result.counts[PRIVATE_CONN_CONFLICT], 1);
	assert_int_equal(result.counts[PRIVATE_CONN_INVALID], 5);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(answer_error(nlh), 0);
}

/* A destination and its connections in one datagram: workers know the first when the second come. */
static void test_import_with_dest(void **state)
{
	struct answer_fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	struct ipvs_dest d = make_dest("10.1.0.1", 5);
	struct private_conn c = make_conn(1000);
	struct private_result result;
	const struct nlmsghdr *nlh;
	struct codec_header h;
	size_t taken, cursor = 0;

	(void)request_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	(void)request_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	h = request_header(f, NLM_F_REQUEST);
	request_add(f, private_conns_message(ROOM(f), &h, &c, 1, &taken));
	datagram_run(f);
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(private_parse_result(nlh, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], 1);
	assert_null(answer_next(f, &cursor));
}

static void test_export_error(void **state)
{
	struct answer_fixture *f = *state;
	const struct nlmsghdr *nlh;
	size_t cursor = 0;

	f->rig.export_error = -ETIMEDOUT;
	request_plain(f, PRIVATE_CMD_GET_CONNS, NLM_F_DUMP);
	datagram_run(f);
	assert_false(piece(f));
	nlh = answer_next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, -ETIMEDOUT, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		answer_test(test_dump),		answer_test(test_dump_interrupted),
		answer_test(test_import),	answer_test(test_import_with_dest),
		answer_test(test_export_error),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "ipvs/connrec.h"

static struct connrec make(const char *client, const char *virtual, const char *dest)
{
	struct connrec r = {
		.protocol = IPPROTO_TCP,
		.state = 1,
		.flags = CONNREC_NOOUTPUT | 3,
		.client_port = 0x1234,
		.virtual_port = 80,
		.dest_port = 8080,
		.fwmark = 0x01020304,
		.timeout_sec = 900,
	};

	assert_int_equal(addr_parse(client, &r.client), 0);
	assert_int_equal(addr_parse(virtual, &r.virtual), 0);
	assert_int_equal(addr_parse(dest, &r.dest), 0);
	return r;
}

static const uint8_t engine_data[] = "call-id@10.0.0.9";

static struct connrec make_case(unsigned i)
{
	struct connrec r = i & 1 ? make("2001:db8::5", "2001:db8::10", "fd00::7")
				 : make("192.0.2.5", "203.0.113.10", "10.1.0.7");

	if (i & 2) {
		r.has_seq = true;
		r.flags |= CONNREC_IN_SEQ | CONNREC_OUT_SEQ;
		r.in_seq = (struct connrec_seq){ 0x01020304, 5, 6 };
		r.out_seq = (struct connrec_seq){ 7, UINT32_MAX, 9 };
	}
	if (i & 4) {
		r.pe_data = engine_data;
		r.pe_data_len = sizeof(engine_data) - 1;
		r.pe_name = (const uint8_t *)"sip";
		r.pe_name_len = 3;
	}
	return r;
}

enum {
	CASES = 8,
};

static void assert_same(const struct connrec *a, const struct connrec *b)
{
	assert_int_equal(a->protocol, b->protocol);
	assert_int_equal(a->state, b->state);
	assert_int_equal(a->flags, b->flags);
	assert_int_equal(a->client_port, b->client_port);
	assert_int_equal(a->virtual_port, b->virtual_port);
	assert_int_equal(a->dest_port, b->dest_port);
	assert_int_equal(a->fwmark, b->fwmark);
	assert_int_equal(a->timeout_sec, b->timeout_sec);
	assert_true(addr_eq(&a->client, &b->client));
	assert_true(addr_eq(&a->virtual, &b->virtual));
	assert_true(addr_eq(&a->dest, &b->dest));
	assert_int_equal(a->has_seq, b->has_seq);
	assert_memory_equal(&a->in_seq, &b->in_seq, sizeof(a->in_seq));
	assert_memory_equal(&a->out_seq, &b->out_seq, sizeof(a->out_seq));
	assert_int_equal(a->pe_data_len, b->pe_data_len);
	assert_int_equal(a->pe_name_len, b->pe_name_len);
	if (a->pe_data_len)
		assert_memory_equal(a->pe_data, b->pe_data, a->pe_data_len);
	if (a->pe_name_len)
		assert_memory_equal(a->pe_name, b->pe_name, a->pe_name_len);
}

/* Spelled out by hand from struct ip_vs_sync_v4 and its options: ip_vs_sync.c says which byte is where. */
static void test_bytes(void **state)
{
	static const uint8_t expected[] = {
		0,    6,    0,	  62,			     /* IPv4, tcp, version 0 and length */
		0,    0,    0x06, 0x83,			     /* flags */
		0,    1,    0x12, 0x34, 0,   80, 0x1f, 0x90, /* state, ports */
		1,    2,    3,	  4,			     /* mark */
		0,    0,    0x03, 0x84,			     /* 900 s */
		192,  0,    2,	  5,	203, 0,	 113,  10,   /* client, virtual */
		10,   1,    0,	  7,			     /* dest */
		1,    24,   1,	  2,	3,   4,	 0,    0,    0, 5, /* in_seq */
		0,    0,    0,	  6,	0,   0,	 0,    7,	   /* out_seq */
		0xff, 0xff, 0xff, 0xff, 0,   0,	 0,    9,
	};
	struct connrec r = make_case(2);
	uint8_t buf[CONNREC_BYTES_MAX];

	(void)state;
	assert_int_equal(connrec_encode(buf, sizeof(buf), &r), sizeof(expected));
	assert_memory_equal(buf, expected, sizeof(expected));
}

static void test_round_trip(void **state)
{
	(void)state;
	for (unsigned i = 0; i < CASES; i++) {
		struct connrec r = make_case(i), back;
		uint8_t buf[CONNREC_BYTES_MAX + 4] = { 0 };
		size_t used = 0;
		int n = connrec_encode(buf, sizeof(buf), &r);

		assert_true(n > 0);
		assert_int_equal(connrec_decode(buf, sizeof(buf), &back, &used), 0);
		assert_int_equal(used, (n + 3) / 4 * 4);
		assert_same(&back, &r);
		/* The last record of a message is not padded. */
		assert_int_equal(connrec_decode(buf, (size_t)n, &back, &used), 0);
		assert_int_equal(used, n);
		for (int short_by = 1; short_by <= n; short_by++) {
			assert_int_equal(connrec_decode(buf, (size_t)(n - short_by), &back, &used),
					 -EBADMSG);
			assert_int_equal(connrec_encode(buf, (size_t)(n - short_by), &r),
					 -EMSGSIZE);
		}
	}
}

static void test_largest(void **state)
{
	struct connrec r = make_case(3), back;
	uint8_t buf[CONNREC_BYTES_MAX], data[255] = { 1 };
	size_t used;

	(void)state;
	r.pe_data = data;
	r.pe_data_len = 255;
	r.pe_name = (const uint8_t *)"0123456789abcdef";
	r.pe_name_len = 16;
	assert_int_equal(connrec_encode(buf, sizeof(buf), &r), 72 + 2 + 24 + 2 + 255 + 2 + 16);
	assert_int_equal(connrec_decode(buf, 373, &back, &used), 0);
	assert_same(&back, &r);
	r.pe_name_len = 17;
	assert_int_equal(connrec_encode(buf, sizeof(buf), &r), -EINVAL);
	r.pe_name_len = 0;
	r.dest.family = AF_INET;
	assert_int_equal(connrec_encode(buf, sizeof(buf), &r), -EINVAL);
}

/* One byte made wrong each: what the kernel does not take, we do not. */
static void test_refused(void **state)
{
	static const struct {
		unsigned c, at;
		uint8_t value;
		bool refused;
	} cases[] = {
		{ 0, 0, 2, true },	/* type */
		{ 0, 0, 1, true },	/* IPv6, but not as long */
		{ 0, 2, 0x10, true },	/* version */
		{ 0, 3, 35, true },	/* shorter than its addresses */
		{ 0, 3, 37, true },	/* longer than the bytes */
		{ 2, 36, 4, true },	/* unknown option */
		{ 2, 36, 0x44, false }, /* the same, optional */
		{ 2, 36, 0x41, false }, /* sequence numbers, marked optional */
		{ 2, 37, 23, true },	/* length of the sequence numbers */
		{ 2, 37, 25, true },	/* beyond the end */
		{ 2, 37, 0, true },	/* no length */
		{ 4, 36, 3, true },	/* a name twice */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct connrec r = make_case(cases[i].c), back;
		uint8_t buf[CONNREC_BYTES_MAX];
		size_t used;
		int n = connrec_encode(buf, sizeof(buf), &r);

		assert_true(n > 0);
		buf[cases[i].at] = cases[i].value;
		assert_int_equal(connrec_decode(buf, (size_t)n, &back, &used),
				 cases[i].refused ? -EBADMSG : 0);
	}
}

static void test_message(void **state)
{
	struct connrec_writer w;
	struct connrec_reader reader;
	struct connrec r;
	uint8_t buf[1472];
	unsigned n = 0;
	size_t len;

	(void)state;
	assert_int_equal(connrec_writer_init(&w, buf, sizeof(buf), 7), 0);
	for (;;) {
		r = make_case(n % CASES);
		r.client_port = (uint16_t)n;
		if (connrec_writer_add(&w, &r) < 0)
			break;
		n++;
	}
	len = connrec_writer_finish(&w);
	assert_true(n > 10 && len <= sizeof(buf) && len > sizeof(buf) - CONNREC_BYTES_MAX);
	assert_int_equal(buf[0], 0);
	assert_int_equal(buf[1], 7);
	assert_int_equal(buf[2] << 8 | buf[3], len);
	assert_int_equal(buf[4], n);
	assert_int_equal(buf[5], 1);

	assert_int_equal(connrec_reader_init(&reader, buf, len), 0);
	assert_int_equal(reader.syncid, 7);
	for (unsigned i = 0; i < n; i++) {
		struct connrec expected = make_case(i % CASES);

		expected.client_port = (uint16_t)i;
		assert_int_equal(connrec_reader_next(&reader, &r), 1);
		assert_same(&r, &expected);
	}
	assert_int_equal(connrec_reader_next(&reader, &r), 0);

	assert_int_equal(connrec_reader_init(&reader, buf, len - 1), -EBADMSG);
	assert_int_equal(connrec_reader_init(&reader, buf, 7), -EBADMSG);
	buf[4]++; /* one more than there are */
	assert_int_equal(connrec_reader_init(&reader, buf, len), 0);
	for (unsigned i = 0; i < n; i++)
		assert_int_equal(connrec_reader_next(&reader, &r), 1);
	assert_int_equal(connrec_reader_next(&reader, &r), -EBADMSG);
	buf[5] = 2;
	assert_int_equal(connrec_reader_init(&reader, buf, len), -EBADMSG);
}

/* 255 records are one message's most: the count has one byte. */
static void test_message_full(void **state)
{
	_cleanup_free_ uint8_t *buf = malloc(UINT16_MAX + 100);
	struct connrec r = make_case(0);
	struct connrec_writer w;

	(void)state;
	assert_non_null(buf);
	assert_int_equal(connrec_writer_init(&w, buf, 7, 0), -EMSGSIZE);
	assert_int_equal(connrec_writer_init(&w, buf, UINT16_MAX + 100, 0), 0);
	for (unsigned i = 0; i < CONNREC_PER_MESSAGE_MAX; i++)
		assert_int_equal(connrec_writer_add(&w, &r), 0);
	assert_int_equal(connrec_writer_add(&w, &r), -EMSGSIZE);
	assert_int_equal(connrec_writer_finish(&w), 8 + 255 * 36);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bytes),	cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_largest), cmocka_unit_test(test_refused),
		cmocka_unit_test(test_message), cmocka_unit_test(test_message_full),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

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
#include "health/dns-message.h"

enum {
	ID = 0xbeef,
};

static struct dns_check check(const char *send, const char *expect)
{
	const char *problem = NULL;
	struct dns_check c;

	assert_int_equal(dns_check_parse(send, expect, &c, &problem), 0);
	return c;
}

/* RFC 1035 §4.1: header, then the name as labels, type A and class IN. */
static void test_query(void **state)
{
	static const uint8_t wanted[] = "\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
					"\x03www\x07"
					"example\x00\x00\x01\x00\x01";
	static const uint8_t root[] = "\xbe\xef\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00"
				      "\x00\x00\x06\x00\x01";
	struct dns_check c = check("www.example A", NULL), soa = check(NULL, NULL);
	uint8_t query[DNS_QUERY_MAX];

	(void)state;
	assert_int_equal(dns_query_make(&c, ID, query), sizeof(wanted) - 1);
	assert_memory_equal(query, wanted, sizeof(wanted) - 1);
	assert_int_equal(dns_query_make(&soa, ID, query), sizeof(root) - 1);
	assert_memory_equal(query, root, sizeof(root) - 1);
}

#define HEAD(flags2, flags3, questions, answers)                                                   \
	"\xbe\xef" flags2 flags3 "\x00" questions "\x00" answers "\x00\x00\x00\x00"
#define QUESTION                                                                                   \
	"\x03www\x07"                                                                              \
	"example\x00\x00\x01\x00\x01"
#define RECORD_A "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x07"
#define RECORD_CNAME "\xc0\x0c\x00\x05\x00\x01\x00\x00\x00\x3c\x00\x04\x01x\xc0\x0c"

static const struct {
	const char *name, *expect, *bytes;
	size_t n;
	enum dns_verdict verdict;
	uint8_t code;
	bool has_address;
} cases[] = {
#define MESSAGE(b) b, sizeof(b) - 1
	{ "an address", "10.0.0.7", MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION RECORD_A),
	  DNS_ANSWERED, 0, true },
	{ "another address", "10.0.0.8",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION RECORD_A), DNS_ANSWERED, 0, false },
	{ "behind a CNAME", "10.0.0.7",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x02") QUESTION RECORD_CNAME RECORD_A),
	  DNS_ANSWERED, 0, true },
	{ "not within the counted records", "10.0.0.7",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION RECORD_CNAME RECORD_A),
	  DNS_ANSWERED, 0, false },
	{ "other capitals", "10.0.0.7",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") "\x03wWw\x07"
						       "EXample\x00\x00\x01\x00\x01" RECORD_A),
	  DNS_ANSWERED, 0, true },
	{ "NXDOMAIN", NULL, MESSAGE(HEAD("\x81", "\x83", "\x01", "\x00") QUESTION), DNS_ANSWERED, 3,
	  false },
	{ "SERVFAIL without the question", NULL, MESSAGE(HEAD("\x81", "\x82", "\x00", "\x00")),
	  DNS_ANSWERED, 2, false },
	{ "no error, no question", NULL, MESSAGE(HEAD("\x81", "\x80", "\x00", "\x00")),
	  DNS_MALFORMED, 0, false },
	{ "two questions", NULL, MESSAGE(HEAD("\x81", "\x80", "\x02", "\x00") QUESTION QUESTION),
	  DNS_MALFORMED, 0, false },
	{ "truncated", NULL, MESSAGE(HEAD("\x83", "\x80", "\x01", "\x00") QUESTION), DNS_TRUNCATED,
	  0, false },
	{ "a question", NULL, MESSAGE(HEAD("\x01", "\x00", "\x01", "\x00") QUESTION), DNS_NOT_OURS,
	  0, false },
	{ "another id", NULL, MESSAGE("\xbe\xee\x81\x80\x00\x01\x00\x00\x00\x00\x00\x00" QUESTION),
	  DNS_NOT_OURS, 0, false },
	{ "another name", NULL,
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x00") "\x03wwx\x07"
						       "example\x00\x00\x01\x00\x01"),
	  DNS_NOT_OURS, 0, false },
	{ "another type", NULL,
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x00") "\x03www\x07"
						       "example\x00\x00\x1c\x00\x01"),
	  DNS_NOT_OURS, 0, false },
	{ "a question that is a pointer to itself", NULL,
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x00") "\xc0\x0c\x00\x01\x00\x01         "),
	  DNS_NOT_OURS, 0, false },
	{ "a record that points to itself", "10.0.0.7",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION
		  "\xc0\x1d\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x07"),
	  DNS_ANSWERED, 0, true },
	{ "a record longer than the message", NULL,
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION
		  "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\xff\xff\x0a\x00\x00\x07"),
	  DNS_MALFORMED, 0, false },
	{ "an address of five bytes", "10.0.0.7",
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION
		  "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x05\x0a\x00\x00\x07\x00"),
	  DNS_ANSWERED, 0, false },
	{ "a label of a kind that is none", NULL,
	  MESSAGE(HEAD("\x81", "\x80", "\x01", "\x01") QUESTION
		  "\x80\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00\x00\x07"),
	  DNS_MALFORMED, 0, false },
	{ "not even a header", NULL, MESSAGE("\xbe\xef\x81\x80\x00\x01\x00\x00\x00\x00\x00"),
	  DNS_NOT_OURS, 0, false },
};

static void test_answers(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct dns_check c = check("www.example A", cases[i].expect);
		struct dns_reply a = { 0 };
		enum dns_verdict v =
			dns_reply_read(&c, ID, (const uint8_t *)cases[i].bytes, cases[i].n, &a);

		if (v != cases[i].verdict ||
		    (v == DNS_ANSWERED &&
		     (a.code != cases[i].code || a.has_address != cases[i].has_address)))
			fail_msg("%s: verdict %d, code %d, address %d", cases[i].name, (int)v,
				 a.code, a.has_address);
	}
}

/* At every length, in memory that ends there: never an answer, never a byte too far. */
static void test_cut_short(void **state)
{
	static const char whole[] = HEAD("\x81", "\x80", "\x01", "\x02")
		QUESTION RECORD_CNAME RECORD_A;
	struct dns_check c = check("www.example A", "10.0.0.7");
	struct dns_reply a;

	(void)state;
	for (size_t n = 0; n < sizeof(whole) - 1; n++) {
		_cleanup_free_ uint8_t *copy = malloc(n + 1);

		assert_non_null(copy);
		memcpy(copy, whole, n);
		copy = realloc(copy, MAX(n, 1U));
		assert_int_not_equal(dns_reply_read(&c, ID, copy, n, &a), DNS_ANSWERED);
	}
}

static void test_longest_name(void **state)
{
	char label[64], name[DNS_CHECK_NAME_MAX + 8];
	struct dns_check c;
	uint8_t query[DNS_QUERY_MAX];

	(void)state;
	memset(label, 'a', 63);
	label[63] = '\0';
	(void)snprintf(name, sizeof(name), "%s.%s.%s.%.61s", label, label, label, label);
	c = check(name, NULL);
	assert_int_equal(dns_query_make(&c, ID, query), DNS_QUERY_MAX);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_query),
		cmocka_unit_test(test_answers),
		cmocka_unit_test(test_cut_short),
		cmocka_unit_test(test_longest_name),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Messages written byte by byte after RFC 1035; each also cut at every length, and with every byte changed. */

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/dns-answer.h"
#include "daemon/libcares.h"

#define HEADER(answers, authorities) "\x12\x34\x81\x80\0\1\0" answers "\0" authorities "\0\0"
#define QUESTION(type) "\3web\4test\0\0" type "\0\1"
#define TO_QUESTION "\xc0\x0c"
#define A(owner, ttl, address) owner "\0\1\0\1\0\0\0" ttl "\0\4" address

struct message {
	const char *bytes;
	size_t len;
};
#define MESSAGE(text)                                                                              \
	{                                                                                          \
		text, sizeof(text) - 1                                                             \
	}

static const struct message two_addresses = MESSAGE(HEADER("\2", "\0") QUESTION(
	"\1") A(TO_QUESTION, "\x3c", "\x0a\0\0\1") A("\3WEB\4Test\0", "\x1e", "\x0a\0\0\2"));

/* web.test is an alias of x.web.test; a record of a name that was not asked for is in between. */
static const struct message alias =
	MESSAGE(HEADER("\3", "\0") QUESTION("\1") TO_QUESTION
		"\0\5\0\1\0\0\0\5\0\4\1x" TO_QUESTION A("\1y\0", "\1", "\x0a\0\0\x9")
			A("\1x" TO_QUESTION, "\x3c", "\x0a\0\0\1"));

/* Servers may turn the records of an answer round: the address of the last name first, the first alias last. */
static const struct message turned = MESSAGE(HEADER("\3", "\0") QUESTION("\1") A(
	"\1z\0", "\x3c", "\x0a\0\0\1") "\1x" TO_QUESTION "\0\5\0\1\0\0\0\x14\0\3\1z\0" TO_QUESTION
				       "\0\5\0\1\0\0\0\5\0\4\1x" TO_QUESTION);

static const struct message ipv6 = MESSAGE(HEADER("\1", "\0") QUESTION(
	"\x1c") TO_QUESTION "\0\x1c\0\1\0\0\0\7\0\x10\x20\1\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\1");

/* Time to live 3600, minimum 30: the answer holds for 30 seconds. */
static const struct message nothing =
	MESSAGE(HEADER("\0", "\1") QUESTION("\1") "\4test\0\0\6\0\1\0\0\x0e\x10\0\x16\0\0\0\0\0\1"
						  "\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\x1e");

#define SRV(priority, weight, port, target, len)                                                   \
	TO_QUESTION "\0\x21\0\1\0\0\0\x14\0" len "\0" priority "\0" weight "\x1f" port target

static const struct message services = MESSAGE(
	HEADER("\4", "\0") QUESTION("\x21") SRV("\2", "\1", "\x90", "\1a\0", "\x9")
		SRV("\1", "\5", "\x91", "\1b\0", "\x9") SRV("\1", "\0", "\x92", "\1c\0", "\x9")
			SRV("\3", "\0", "\x93", "\1d\0", "\x9"));

static int parse(const struct message *m, uint16_t type, struct dns_answer *a)
{
	return dns_answer_parse((const uint8_t *)m->bytes, m->len, type, a);
}

static void assert_address(const struct dns_answer *a, size_t i, const char *expected)
{
	char text[ADDR_STR_MAX];

	assert_string_equal(addr_format(&a->addresses[i], text), expected);
}

static void test_addresses(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT, b = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&two_addresses, DNS_TYPE_A, &a), 0);
	assert_int_equal(a.n_addresses, 2);
	assert_int_equal(a.ttl_sec, 30);
	assert_address(&a, 0, "10.0.0.1");
	assert_address(&a, 1, "10.0.0.2");
	assert_int_equal(parse(&ipv6, DNS_TYPE_AAAA, &b), 0);
	assert_int_equal(b.ttl_sec, 7);
	assert_address(&b, 0, "2001:db8::1");
}

static void test_alias(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&alias, DNS_TYPE_A, &a), 0);
	assert_int_equal(a.n_addresses, 1);
	assert_int_equal(a.ttl_sec, 5); /* the alias' own */
	assert_address(&a, 0, "10.0.0.1");
}

static void test_turned(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&turned, DNS_TYPE_A, &a), 0);
	assert_int_equal(a.n_addresses, 1);
	assert_int_equal(a.ttl_sec, 5);
	assert_address(&a, 0, "10.0.0.1");
}

static void test_nothing(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&nothing, DNS_TYPE_A, &a), 0);
	assert_int_equal(a.n_addresses, 0);
	assert_int_equal(a.ttl_sec, 30);
}

static void test_services(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&services, DNS_TYPE_SRV, &a), 0);
	assert_int_equal(a.n_services, 2);
	assert_int_equal(a.ttl_sec, 20);
	assert_string_equal(a.services[0].target, "b");
	assert_int_equal(a.services[0].port, 0x1f91);
	assert_int_equal(a.services[0].weight, 5);
	assert_string_equal(a.services[1].target, "c");
}

static char *put(char *to, const char *bytes, size_t n)
{
	return (char *)mempcpy(to, bytes, n);
}

/* As many as a group may have targets: none is left out, or each turn of the records would leave out others. */
static void test_many_services(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
	enum { N = 1000 };
	static char bytes[N * 32 + 64];
	char *end = bytes, target[3] = "\2", expected[3] = "";

	(void)state;
	end = put(end, "\x12\x34\x81\x80\0\1\3\xe8\0\0\0\0\3web\4test\0\0\x21\0\1", 26);
	for (unsigned i = 0; i < N; i++) {
		target[1] = (char)('A' + i / 40);
		target[2] = (char)('A' + i % 40);
		end = put(end, TO_QUESTION "\0\x21\0\1\0\0\0\x14\0\xa\0\1\0\1\x1f\x90", 18);
		end = put(end, target, 3);
		*end++ = 0;
	}
	assert_int_equal(
		dns_answer_parse((uint8_t *)bytes, (size_t)(end - bytes), DNS_TYPE_SRV, &a), 0);
	assert_int_equal(a.n_services, N);
	memcpy(expected, target + 1, 2);
	assert_memory_equal(a.services[N - 1].target, expected, 1);
}

/* Of another type than was asked for: nobody's. */
static void test_other_type(void **state)
{
	_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;

	(void)state;
	assert_int_equal(parse(&two_addresses, DNS_TYPE_AAAA, &a), 0);
	assert_int_equal(a.n_addresses, 0);
}

static const struct {
	const struct message *message;
	uint16_t type;
} all[] = { { &two_addresses, DNS_TYPE_A }, { &alias, DNS_TYPE_A },   { &turned, DNS_TYPE_A },
	    { &ipv6, DNS_TYPE_AAAA },	    { &nothing, DNS_TYPE_A }, { &services, DNS_TYPE_SRV } };

static void test_cut_anywhere(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		for (size_t len = 0; len < all[i].message->len; len++) {
			struct dns_answer a = DNS_ANSWER_INIT;
			/* Its own block, so that a sanitizer sees a byte too many. */
			_cleanup_free_ uint8_t *copy = malloc(len + 1);

			memcpy(copy, all[i].message->bytes, len);
			copy = realloc(copy, len ? len : 1);
			assert_int_equal(dns_answer_parse(copy, len, all[i].type, &a), -EBADMSG);
		}
	}
}

static void test_any_byte_changed(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		size_t len = all[i].message->len;

		for (size_t at = 0; at < len; at++) {
			for (unsigned value = 0; value < 256; value++) {
				_cleanup_(dns_answer_deinit) struct dns_answer a = DNS_ANSWER_INIT;
				_cleanup_free_ uint8_t *copy = malloc(len);
				int r;

				memcpy(copy, all[i].message->bytes, len);
				copy[at] = (uint8_t)value;
				r = dns_answer_parse(copy, len, all[i].type, &a);
				assert_true(r == 0 || r == -EBADMSG);
				assert_true(a.n_addresses <= 2 && a.n_services <= 4);
			}
		}
	}
}

static int load_cares(void **state)
{
	(void)state;
	return libcares_load();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_addresses),	 cmocka_unit_test(test_alias),
		cmocka_unit_test(test_turned),		 cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_services),	 cmocka_unit_test(test_many_services),
		cmocka_unit_test(test_other_type),	 cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_any_byte_changed),
	};

	return cmocka_run_group_tests(tests, load_cares, NULL);
}

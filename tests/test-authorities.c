/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/authorities.h"

#define BEGIN "-----BEGIN CERTIFICATE-----\n"
#define END "-----END CERTIFICATE-----\n"

/* 30 07 30 00 30 00 03 01 00: the least that has a certificate's outer form; and 30 08 ... 03 02 00 61. */
#define LEAST "MAcwADAAAwEA\n"
#define OTHER "MAgwADAAAwIAYQ==\n"

static const unsigned char least_der[] = { 0x30, 7, 0x30, 0, 0x30, 0, 3, 1, 0 };
static const unsigned char other_der[] = { 0x30, 8, 0x30, 0, 0x30, 0, 3, 2, 0, 'a' };

static void test_good(void **state)
{
	static const struct {
		const char *name, *text;
		const char *certificates; /* l = least, o = other */
	} cases[] = {
		{ "one", BEGIN LEAST END, "l" },
		{ "two", BEGIN LEAST END BEGIN OTHER END, "lo" },
		{ "the same twice", BEGIN LEAST END BEGIN LEAST END, "ll" },
		{ "text around", "# of us\n" BEGIN LEAST END "\nsubject=\n" BEGIN OTHER END "end",
		  "lo" },
		{ "CRLF",
		  "-----BEGIN CERTIFICATE-----\r\nMAcwADAAAwEA\r\n-----END CERTIFICATE-----\r\n",
		  "l" },
		{ "no newline at the end", BEGIN LEAST "-----END CERTIFICATE-----", "l" },
		{ "blanks", BEGIN "  MAcw ADAA\tAwEA  \n\n" END, "l" },
		{ "digits parted by lines", BEGIN "M\nAc\nwADAAA\nwEA\n" END, "l" },
		{ "padding parted by lines", BEGIN "MAgwADAAAwIAYQ=\n=\n" END, "o" },
		{ "the old label",
		  "-----BEGIN X509 CERTIFICATE-----\n" LEAST "-----END X509 CERTIFICATE-----\n",
		  "l" },
		{ "a key beside it",
		  "-----BEGIN PRIVATE KEY-----\nMAcwADAAAwEA\n-----END PRIVATE KEY-----\n" BEGIN
			  OTHER END,
		  "o" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct authorities_fault fault = { 0 };
		struct authorities *a;
		size_t at = 0;

		if (authorities_parse(cases[i].text, strlen(cases[i].text), &a, &fault) != 0)
			fail_msg("%s: %u: %s", cases[i].name, fault.line, fault.what);
		assert_int_equal(a->n, strlen(cases[i].certificates));
		for (const char *c = cases[i].certificates; *c; c++) {
			size_t size = *c == 'l' ? sizeof(least_der) : sizeof(other_der);

			assert_int_equal(authorities_size_at(a, at), size);
			assert_memory_equal(a->der + at, *c == 'l' ? least_der : other_der, size);
			at += size;
		}
		assert_int_equal(at, a->size);
		authorities_unref(a);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *text;
		unsigned line;
		const char *what; /* a part of it */
	} cases[] = {
		{ "", 0, "no certificate in it: PEM" },
		{ "hello\n", 0, "no certificate in it: PEM" },
		{ "-----BEGIN PRIVATE KEY-----\nMAcwADAAAwEA\n-----END PRIVATE KEY-----\n", 0,
		  "no certificate in it: PEM" },
		{ " " BEGIN LEAST END, 0, "no certificate" },
		{ "\x30\x82\x01\x02", 0, "looks like DER" },
		{ BEGIN LEAST, 1, "no end" },
		{ "\n\n" BEGIN, 3, "no end" },
		{ BEGIN LEAST END BEGIN LEAST, 4, "no end" },
		{ BEGIN LEAST BEGIN LEAST END, 1, "no end" },
		{ BEGIN LEAST "-----END X509 CERTIFICATE\n", 1, "no end" },
		{ BEGIN LEAST "-----END PRIVATE KEY-----\n", 1, "no end" },
		{ BEGIN END, 1, "is no certificate" },
		{ BEGIN "MAcwADAAAwE\n" END, 1, "lacks a part" },
		{ BEGIN "MAcwADAAAwEAMA==\n" END, 1, "is no certificate" }, /* a byte too many */
		{ BEGIN "MAcwADAAAwEA*\n" END, 2, "not base64" },
		{ BEGIN "Proc-Type: 4,ENCRYPTED\n\n" LEAST END, 2, "not base64" },
		{ BEGIN "MAgwADAAAwIAYQ==MAcw\n" END, 2, "not base64" },
		{ BEGIN "MAgwADAAAwIAYQ===\n" END, 2, "not base64" },
		{ BEGIN "=AgwADAAAwIAYQ==\n" END, 2, "not base64" },
		{ BEGIN "MAgwADAAAwIAY=Q=\n" END, 2, "not base64" },
		{ BEGIN "MAgwADAAAwIAYQ=\n" END, 1, "lacks a part" },
		{ BEGIN "MAcwADAAAgEA\n" END, 1, "is no certificate" }, /* an INTEGER at the end */
		{ BEGIN "MAUwAAMBAA==\n" END, 1, "is no certificate" }, /* without an algorithm */
		{ BEGIN "MIEHMAAwAAMBAA==\n" END, 1, "is no certificate" }, /* a length in BER */
		{ BEGIN "MIAwADAAAwEA\n" END, 1, "is no certificate" },	    /* indefinite */
		{ BEGIN "MAYwADAAAwEA\n" END, 1, "is no certificate" },	    /* shorter inside */
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct authorities_fault fault = { 0 };
		struct authorities *a = NULL;

		assert_int_equal(authorities_parse(cases[i].text, strlen(cases[i].text), &a,
						   &fault),
				 -EINVAL);
		if (fault.line != cases[i].line || !strstr(fault.what, cases[i].what))
			fail_msg("case %zu: %u: %s", i, fault.line, fault.what);
	}
}

static char *encode(const unsigned char *der, size_t size)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	char *text = NULL;
	size_t text_size;
	FILE *f = open_memstream(&text, &text_size);

	assert_non_null(f);
	(void)fputs(BEGIN, f);
	for (size_t i = 0; i < size; i += 3) {
		size_t n = MIN(size - i, (size_t)3);
		uint32_t bits = 0;

		for (size_t k = 0; k < 3; k++)
			bits = bits << 8 | (k < n ? der[i + k] : 0);
		for (size_t k = 0; k < 4; k++)
			(void)fputc(k <= n ? digits[bits >> (18 - 6 * k) & 63] : '=', f);
		if (i % 48 == 45)
			(void)fputc('\n', f);
	}
	(void)fputs("\n" END, f);
	assert_int_equal(fclose(f), 0);
	return text;
}

/* A certificate of so many bytes, all but 15 of them in its signature. */
static unsigned char *make_der(size_t size)
{
	unsigned char *der = calloc(1, size);
	size_t inner = size - 4, signature = inner - 8;

	assert_non_null(der);
	memcpy(der,
	       (unsigned char[]){ 0x30, 0x82, (unsigned char)(inner >> 8), (unsigned char)inner,
				  0x30, 0, 0x30, 0, 3, 0x82, (unsigned char)(signature >> 8),
				  (unsigned char)signature },
	       12);
	for (size_t i = 12; i < size; i++)
		der[i] = (unsigned char)(i * 7);
	return der;
}

/* Every number of digits at the end, and the limit of 16 KiB. */
static void test_sizes(void **state)
{
	static const size_t sizes[] = { 300, 301, 302, 16383, 16384, 16385 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		_cleanup_free_ unsigned char *der = make_der(sizes[i]);
		_cleanup_free_ char *text = encode(der, sizes[i]);
		struct authorities_fault fault = { 0 };
		struct authorities *a = NULL;
		int r = authorities_parse(text, strlen(text), &a, &fault);

		assert_int_equal(r, sizes[i] <= 16384 ? 0 : -EINVAL);
		if (r < 0) {
			assert_non_null(strstr(fault.what, "larger than 16 KiB"));
			continue;
		}
		assert_int_equal(a->size, sizes[i]);
		assert_memory_equal(a->der, der, sizes[i]);
		authorities_unref(a);
	}
}

/* Cut off anywhere, a file of two is never taken for two, and for one only at the end of the first. */
static void test_cut(void **state)
{
	static const char text[] = BEGIN LEAST END BEGIN OTHER END;
	size_t first = strlen(BEGIN LEAST END);

	(void)state;
	for (size_t n = 0; n < strlen(text) - 1; n++) {
		struct authorities_fault fault = { 0 };
		struct authorities *a = NULL;
		int r = authorities_parse(text, n, &a, &fault);

		if (r == 0) {
			assert_true(n >= first - 1 && n < first + strlen(BEGIN) - 1);
			assert_int_equal(a->n, 1);
			authorities_unref(a);
		}
	}
}

static void test_eq(void **state)
{
	static const char *const texts[] = { BEGIN LEAST END, BEGIN OTHER END,
					     BEGIN LEAST END BEGIN LEAST END,
					     "# another text\n" BEGIN "MAcwADAA\nAwEA\n" END };
	struct authorities *a[ARRAY_SIZE(texts)];
	struct authorities_fault fault;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		assert_int_equal(authorities_parse(texts[i], strlen(texts[i]), &a[i], &fault), 0);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(texts); k++)
			assert_int_equal(authorities_eq(a[i], a[k]),
					 i == k || (i + k == 3 && i * k == 0));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		authorities_unref(a[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),  cmocka_unit_test(test_bad),
		cmocka_unit_test(test_sizes), cmocka_unit_test(test_cut),
		cmocka_unit_test(test_eq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/http-answer.h"

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define CHUNKED OK_HEAD "Transfer-Encoding: chunked\r\n\r\n"

/* Expectations are RFC 9112's; each case is fed whole and cut at every place. */
static const struct {
	const char *name, *text;
	const char *body; /* NULL: no body is wanted */
	enum http_progress progress, at_end;
	uint16_t status; /* with a complete header */
} cases[] = {
	{ "plain", OK_HEAD "Server: x\r\n\r\n", NULL, HTTP_DONE, 0, 200 },
	{ "no reason", "HTTP/1.1 204 \r\n\r\n", NULL, HTTP_DONE, 0, 204 },
	{ "not even the blank", "HTTP/1.1 204\r\n\r\n", NULL, HTTP_DONE, 0, 204 },
	{ "HTTP/1.0", "HTTP/1.0 503 Sorry, no\r\n\r\n", NULL, HTTP_DONE, 0, 503 },
	{ "bare LF", "HTTP/1.1 200 OK\nA: b\n\n", NULL, HTTP_DONE, 0, 200 },
	{ "empty value", OK_HEAD "A:\r\nB: \t\r\n\r\n", NULL, HTTP_DONE, 0, 200 },
	{ "obs-text", "HTTP/1.1 200 d\xc3\xa9j\xe0\r\nA: \xff\r\n\r\n", NULL, HTTP_DONE, 0, 200 },
	{ "folded lines", OK_HEAD "A: b\r\n c: d\r\n\t\r\nB: c\n d\n\n", NULL, HTTP_DONE, 0, 200 },
	{ "100 is skipped", "HTTP/1.1 100 Go\r\nContent-Length: 9\r\n\r\n" OK_HEAD "\r\n", NULL,
	  HTTP_DONE, 0, 200 },
	{ "101 is not", "HTTP/1.1 101 Up\r\n\r\n", NULL, HTTP_DONE, 0, 101 },
	{ "unfinished", OK_HEAD "A: b\r\n", NULL, HTTP_MORE, HTTP_MORE, 0 },
	{ "nothing", "", NULL, HTTP_MORE, HTTP_MORE, 0 },
	{ "two answers", OK_HEAD "\r\nHTTP/9", NULL, HTTP_DONE, 0, 200 },

	{ "length", OK_HEAD "Content-Length: 5\r\n\r\nhello", "hello", HTTP_DONE, 0, 200 },
	{ "more than the length", OK_HEAD "Content-Length:5 \r\n\r\nhello?", "hello", HTTP_DONE, 0,
	  200 },
	{ "less", OK_HEAD "Content-Length: 6\r\n\r\nhello", "hello", HTTP_MORE, HTTP_MORE, 200 },
	{ "length 0", OK_HEAD "content-length: 0\r\n\r\n", "", HTTP_DONE, 0, 200 },
	{ "twice the same", OK_HEAD "Content-Length: 1\r\nA: b\r\nContent-Length: 01\r\n\r\nx", "x",
	  HTTP_DONE, 0, 200 },
	{ "twice another", OK_HEAD "Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx", "", HTTP_BAD,
	  0, 0 },
	{ "no number", OK_HEAD "Content-Length: x\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "none at all", OK_HEAD "Content-Length:\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "two numbers", OK_HEAD "Content-Length: 1 2\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "negative", OK_HEAD "Content-Length: -1\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "over 64 bits", OK_HEAD "Content-Length: 99999999999999999999\r\n\r\n", "", HTTP_BAD, 0,
	  0 },
	{ "until close", OK_HEAD "\r\nhello", "hello", HTTP_MORE, HTTP_DONE, 200 },
	{ "of a 204", "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\nhello", "", HTTP_DONE, 0, 204 },
	{ "of a 304", "HTTP/1.1 304 No\r\n\r\nhello", "", HTTP_DONE, 0, 304 },
	{ "after 100", "HTTP/1.1 100 Go\r\nContent-Length: 9\r\n\r\n" OK_HEAD "\r\nx", "x",
	  HTTP_MORE, HTTP_DONE, 200 },

	{ "chunks", CHUNKED "5\r\nhello\r\n006\r\n world\r\n0\r\n\r\n", "hello world", HTTP_DONE, 0,
	  200 },
	{ "chunks, LF", CHUNKED "B;a=b\nhello world\n0\n\n", "hello world", HTTP_DONE, 0, 200 },
	{ "trailers", CHUNKED "1 ; a=\"b\"\r\nx\r\n0\r\nA: b\r\nC: d\r\n\r\n", "x", HTTP_DONE, 0,
	  200 },
	{ "chunks win over a length",
	  OK_HEAD "Content-Length: 3\r\ntransfer-encoding: Chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", "x",
	  HTTP_DONE, 0, 200 },
	{ "cut in a chunk", CHUNKED "ff\r\nx", "x", HTTP_MORE, HTTP_MORE, 200 },
	{ "no chunk size", CHUNKED "\r\nx", "", HTTP_BAD, 0, 200 },
	{ "bad chunk size", CHUNKED "0x1\r\nx", "", HTTP_BAD, 0, 200 },
	{ "chunk size over 64 bits", CHUNKED "11112222333344445\r\nx", "", HTTP_BAD, 0, 200 },
	{ "chunk without end", CHUNKED "1\r\nxy", "x", HTTP_BAD, 0, 200 },
	{ "trailer that is none", CHUNKED "0\r\n x\r\n\r\n", "", HTTP_BAD, 0, 200 },
	{ "other encodings", OK_HEAD "Transfer-Encoding: gzip, chunked\r\n\r\n", "", HTTP_BAD, 0,
	  0 },
	{ "longer word", OK_HEAD "Transfer-Encoding: chunkedd\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "shorter word", OK_HEAD "Transfer-Encoding: chunke\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "two words", OK_HEAD "Transfer-Encoding: chunked x\r\n\r\n", "", HTTP_BAD, 0, 0 },
	{ "chunked twice",
	  OK_HEAD "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", "", HTTP_BAD,
	  0, 0 },
	{ "an encoding that nobody reads", OK_HEAD "Transfer-Encoding: gzip\r\n\r\n", NULL,
	  HTTP_DONE, 0, 200 },

	{ "HTTP/2", "HTTP/2 200\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "HTTP/0.9", "<html>", NULL, HTTP_BAD, 0, 0 },
	{ "lower case", "http/1.1 200 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "no digit", "HTTP/1.x 200 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "two blanks", "HTTP/1.1  200 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "status 20", "HTTP/1.1 20 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "status 2000", "HTTP/1.1 2000 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "status 020", "HTTP/1.1 020 OK\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "CR alone", "HTTP/1.1 200 OK\rA: b\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "CR in a value", OK_HEAD "A: b\rc\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "CR before the end", OK_HEAD "\rx", NULL, HTTP_BAD, 0, 0 },
	{ "control byte", OK_HEAD "A: b\x01\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "folded line that is no field's", OK_HEAD " c\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "folded line after 100", "HTTP/1.1 100 Go\r\nA: b\r\n\r\n" OK_HEAD " c\r\n\r\n", NULL,
	  HTTP_BAD, 0, 0 },
	{ "folded line of the length", OK_HEAD "Content-Length: 5\r\n 6\r\n\r\n", "", HTTP_BAD, 0,
	  0 },
	{ "folded line of the encoding", OK_HEAD "Transfer-Encoding: chunked\r\n\tx\r\n\r\n", "",
	  HTTP_BAD, 0, 0 },
	{ "control byte in a folded line", OK_HEAD "A: b\r\n c\x01\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "no colon", OK_HEAD "hello\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "no name", OK_HEAD ": b\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "blank before the colon", OK_HEAD "A : b\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
	{ "name in Latin 1", OK_HEAD "\xe9: b\r\n\r\n", NULL, HTTP_BAD, 0, 0 },
};

static void check(size_t i, const struct http_answer *a, enum http_progress progress)
{
	if (progress != cases[i].progress)
		fail_msg("%s: %d instead of %d", cases[i].name, progress, cases[i].progress);
	if (a->has_header != (cases[i].status != 0) ||
	    (a->has_header && a->status != cases[i].status))
		fail_msg("%s: status %d", cases[i].name, a->status);
	if (cases[i].body && (a->body_size != strlen(cases[i].body) ||
			      memcmp(a->body, cases[i].body, a->body_size) != 0))
		fail_msg("%s: body of %zu bytes", cases[i].name, a->body_size);
	if (progress == HTTP_MORE && http_answer_end(a) != cases[i].at_end)
		fail_msg("%s: end", cases[i].name);
}

static void test_cut_anywhere(void **state)
{
	static char body[HTTP_ANSWER_BODY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *text = cases[i].text;
		size_t size = strlen(text);

		for (size_t cut = 0; cut <= size; cut++) {
			enum http_progress progress;
			struct http_answer a;

			http_answer_init(&a, cases[i].body ? body : NULL);
			progress = http_answer_feed(&a, text, cut);
			if (progress == HTTP_MORE)
				progress = http_answer_feed(&a, text + cut, size - cut);
			check(i, &a, progress);
		}
	}
}

static void test_limits(void **state)
{
	static const struct {
		const char *begin, *more;
		size_t room; /* how many bytes fit after `begin` */
		bool wants_body;
	} limits[] = {
		{ OK_HEAD, "A: b\r\n", HTTP_ANSWER_HEADER_MAX - (sizeof(OK_HEAD) - 1), false },
		{ OK_HEAD "A: ", "x", HTTP_ANSWER_HEADER_MAX - (sizeof(OK_HEAD "A: ") - 1), false },
		{ "", "HTTP/1.1 100 Go\r\n\r\n", HTTP_ANSWER_HEADER_MAX, false },
		{ OK_HEAD "\r\n", "x", HTTP_ANSWER_BODY_MAX, true },
		{ OK_HEAD "Content-Length: 99999999\r\n\r\n", "x", HTTP_ANSWER_BODY_MAX, true },
		{ CHUNKED "fffffff\r\n", "x", HTTP_ANSWER_BODY_MAX, true },
	};
	static char body[HTTP_ANSWER_BODY_MAX];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		size_t len = strlen(limits[i].more);
		struct http_answer a;

		http_answer_init(&a, limits[i].wants_body ? body : NULL);
		assert_int_equal(http_answer_feed(&a, limits[i].begin, strlen(limits[i].begin)),
				 HTTP_MORE);
		for (size_t n = 0; n < limits[i].room; n++)
			assert_int_equal(http_answer_feed(&a, &limits[i].more[n % len], 1),
					 HTTP_MORE);
		assert_int_equal(http_answer_feed(&a, &limits[i].more[limits[i].room % len], 1),
				 HTTP_TOO_LARGE);
		assert_int_equal(a.body_size, limits[i].wants_body ? HTTP_ANSWER_BODY_MAX : 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_cut_anywhere),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

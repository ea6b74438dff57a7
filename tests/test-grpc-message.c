/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "health/grpc-message.h"

#define BYTES(s) s, sizeof(s) - 1

/* As protoc's Python runtime encodes HealthCheckRequest. */
static void test_request(void **state)
{
	char service[GRPC_SERVICE_MAX], buf[GRPC_REQUEST_MAX];

	(void)state;
	assert_int_equal(grpc_request("", 0, buf), 5);
	assert_memory_equal(buf, "\0\0\0\0\0", 5);
	assert_int_equal(grpc_request("a.B", 3, buf), 10);
	assert_memory_equal(buf,
			    "\0\0\0\0\x05\x0a\x03"
			    "a.B",
			    10);
	memset(service, 'x', sizeof(service));
	assert_int_equal(grpc_request(service, 127, buf), 5 + 2 + 127);
	assert_memory_equal(buf, "\0\0\0\0\x81\x0a\x7fx", 8);
	assert_int_equal(grpc_request(service, 128, buf), 5 + 3 + 128);
	assert_memory_equal(buf, "\0\0\0\0\x83\x0a\x80\x01x", 9);
	assert_int_equal(grpc_request(service, 1024, buf), GRPC_REQUEST_MAX);
	assert_memory_equal(buf, "\0\0\0\x04\x03\x0a\x80\x08x", 9);
}

static void test_response(void **state)
{
	static const struct {
		const char *bytes;
		size_t size;
		int result;
		int32_t status;
	} cases[] = {
		{ BYTES("\0\0\0\0\x02\x08\x01"), 0, 1 },	 /* SERVING */
		{ BYTES("\0\0\0\0\x02\x08\x02"), 0, 2 },	 /* NOT_SERVING */
		{ BYTES("\0\0\0\0\0"), 0, 0 },			 /* UNKNOWN, as it is the default */
		{ BYTES("\0\0\0\0\x04\x08\x01\x08\x02"), 0, 2 }, /* the last one counts */
		{ BYTES("\0\0\0\0\x03\x08\x81\x02"), 0, 257 },
		/* -1, in ten bytes */
		{ BYTES("\0\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), 0, INT32_MAX },
		/* Other fields: a string, 64 and 32 bits, a varint. */
		{ BYTES("\0\0\0\0\x06\x12\x02xy\x08\x01"), 0, 1 },
		{ BYTES("\0\0\0\0\x0b\x11"
			"12345678\x08\x01"),
		  0, 1 },
		{ BYTES("\0\0\0\0\x07\x15"
			"1234\x08\x01"),
		  0, 1 },
		{ BYTES("\0\0\0\0\x04\x10\x07\x08\x01"), 0, 1 },
		/* The field with another type is not it. */
		{ BYTES("\0\0\0\0\x03\x0a\x01\x01"), 0, 0 },
		/* Not whole, or more than one. */
		{ BYTES(""), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x02\x08"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x02\x08\x01\0\0\0\0\x02\x08\x01"), -EBADMSG, 0 },
		{ BYTES("\0\xff\xff\xff\xff\x08\x01"), -EBADMSG, 0 },
		{ BYTES("\x01\0\0\0\x02\x08\x01"), -EBADMSG, 0 }, /* compressed */
		{ BYTES("\0\0\0\0\x01\x08"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x02\x08\x81"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x02\0\x01"), -EBADMSG, 0 },	/* field 0 */
		{ BYTES("\0\0\0\0\x02\x0b\x0c"), -EBADMSG, 0 }, /* a group */
		{ BYTES("\0\0\0\0\x02\x0f\x01"), -EBADMSG, 0 }, /* wire type 7 */
		{ BYTES("\0\0\0\0\x03\x12\x02x"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x0b\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x0c\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EBADMSG,
		  0 },
		{ BYTES("\0\0\0\0\x02\x11\x01"), -EBADMSG, 0 },
		{ BYTES("\0\0\0\0\x02\x15\x01"), -EBADMSG, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int32_t status = 0;
		int r = grpc_response_parse(cases[i].bytes, cases[i].size, &status);

		if (r != cases[i].result || status != cases[i].status)
			fail_msg("case %zu: %d, status %d", i, r, status);
		/* Cut anywhere it is no message: its frame has its length. */
		for (size_t n = 0; n < cases[i].size && r == 0; n++)
			assert_int_equal(grpc_response_parse(cases[i].bytes, n, &status), -EBADMSG);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_request),
		cmocka_unit_test(test_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

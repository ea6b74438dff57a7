/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Connection records: as a datagram of the sync protocol, and as the first bytes of one record. What is accepted is
 * written and read back as the same.
 */

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "ipvs/connrec.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_record(const struct connrec *r)
{
	uint8_t buf[CONNREC_BYTES_MAX], again[CONNREC_BYTES_MAX];
	struct connrec back;
	size_t used;
	int n = connrec_encode(buf, sizeof(buf), r);

	assert(n > 0);
	assert(connrec_decode(buf, (size_t)n, &back, &used) == 0);
	assert(used == (size_t)n);
	assert(connrec_encode(again, sizeof(again), &back) == n);
	assert(memcmp(buf, again, (size_t)n) == 0);
	assert(back.client_port == r->client_port && back.flags == r->flags);
	assert(addr_eq(&back.dest, &r->dest));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ uint8_t *copy = malloc(size ? size : 1); /* guarded at its end */
	struct connrec_reader reader;
	struct connrec r;
	unsigned n = 0;
	size_t used;

	assert(copy);
	if (size)
		memcpy(copy, data, size);
	if (connrec_decode(copy, size, &r, &used) == 0) {
		assert(used > 0 && used <= size);
		check_record(&r);
	}
	if (connrec_reader_init(&reader, copy, size) < 0)
		return 0;
	while (connrec_reader_next(&reader, &r) == 1) {
		check_record(&r);
		n++;
	}
	assert(n <= CONNREC_PER_MESSAGE_MAX);
	return 0;
}

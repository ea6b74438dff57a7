/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The text of a health-check-ca-file: what is taken consists of certificates that fit into the workers' records. */

#include <assert.h>
#include <errno.h>
#include <stdint.h>

#include "conf/authorities.h"
#include "health/protocol.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct authorities_fault fault = { 0 };
	struct authorities *a = NULL;
	size_t at = 0, n = 0;
	int r = authorities_parse((const char *)data, size, &a, &fault);

	if (r < 0) {
		assert(r == -ENOMEM || fault.what);
		return 0;
	}
	for (; at < a->size; n++) {
		size_t one = authorities_size_at(a, at);
		struct protocol_authority_record record;
		enum protocol_kind kind;

		assert(one <= AUTHORITIES_CERTIFICATE_MAX);
		protocol_authority_init(&record, 1, a->der + at, one);
		assert(protocol_check(&record, record.authority.header.size, &kind) == 0);
		at += one;
	}
	assert(at == a->size && n == a->n && n > 0 && a->size <= size);
	authorities_unref(a);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The sets of authorities that a worker holds, by the daemon's numbers: health/protocol.h. Zero-initialised. */

#include <stddef.h>
#include <stdint.h>

struct tls_store;

struct trust {
	void *sets; /* owned: a tree of tsearch(3) */
};

/* One certificate more, in DER, of a set that is made where it is not known. -ENOMEM. */
int trust_add(struct trust *t, uint64_t number, const void *certificate, size_t size);

/* Who has a reference to its store keeps that. One that is not known is fine. */
void trust_del(struct trust *t, uint64_t number);

/* Borrowed; NULL = not known. */
struct tls_store *trust_find(const struct trust *t, uint64_t number);

void trust_deinit(struct trust *t);

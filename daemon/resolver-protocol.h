/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Between the daemon and its resolver process, on a seqpacket socket: one record a question, one an answer, in the
 * machine's byte order since both ends are one program. The resolver has read what name servers send, so the daemon
 * believes nothing but what resolver_answer_parse() has looked at.
 */

#include <stddef.h>
#include <stdint.h>

#include "daemon/discovery.h"

enum {
	RESOLVER_ITEMS_MAX = 4096,
};

struct resolver_question {
	uint32_t id;
	uint16_t family;
	uint16_t service;		   /* 1 = SRV, then the addresses of its targets */
	char name[DISCOVERY_NAME_MAX + 2]; /* ended by NUL, zero from there on */
};

struct resolver_header {
	uint32_t id;
	uint32_t status; /* enum discovery_status */
	uint32_t ttl_sec;
	uint32_t n; /* struct discovery_item, which follow */
};

enum {
	RESOLVER_ANSWER_MAX_BYTES =
		sizeof(struct resolver_header) + RESOLVER_ITEMS_MAX * sizeof(struct discovery_item),
};

/* -EBADMSG. */
int resolver_question_parse(const void *bytes, size_t len_bytes, struct resolver_question *ret);

/* The items are bytes' own, which must be aligned as struct discovery_item is. -EBADMSG. */
int resolver_answer_parse(const void *bytes, size_t len_bytes, uint32_t *ret_id,
			  struct discovery_answer *ret);

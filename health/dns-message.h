/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One DNS question and what an answer says about it (RFC 1035 §4.1). Pure: bytes in, bytes out. Names are compared in
 * the question alone and skipped elsewhere, so that no compression pointer is ever followed.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "conf/dns-check.h"

enum {
	DNS_QUERY_MAX = 12 + DNS_CHECK_NAME_MAX + 2 + 4,
};

enum dns_verdict {
	DNS_NOT_OURS,  /* no answer to this question: another id, another name, a question itself */
	DNS_MALFORMED, /* an answer to it that contradicts itself */
	DNS_TRUNCATED, /* the whole is to be had by TCP */
	DNS_ANSWERED,
};

struct dns_reply {
	uint8_t code;	  /* RCODE */
	bool has_address; /* the one that the check wants */
};

/* Returns the length. c is what dns_check_parse() gave. */
size_t dns_query_make(const struct dns_check *c, uint16_t id, uint8_t buf[static DNS_QUERY_MAX]);

/* *ret is written with DNS_ANSWERED. */
enum dns_verdict dns_reply_read(const struct dns_check *c, uint16_t id, const uint8_t *message,
				size_t size, struct dns_reply *ret);

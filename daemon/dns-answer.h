/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A name server's message to what it says of one question: addresses or services with the least time to live on the
 * way to them (RFC 1035, 2308, 2782, 3596). The message is hostile: every length is checked, names are expanded by
 * c-ares, which the caller has loaded. Pure.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_CNAME = 5,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_AAAA = 28,
	DNS_TYPE_SRV = 33,
	DNS_NAME_MAX = 254,
	DNS_ADDRESSES_MAX = 4096, /* a message of 64 KiB holds no more A records */
	DNS_SERVICES_MAX = 4096,  /* nor of SRV records */
};

struct dns_service {
	uint16_t priority, weight, port;
	char target[DNS_NAME_MAX];
};

struct dns_answer {
	uint32_t ttl_sec; /* the least; without records the SOA's for that; UINT32_MAX = not said */
	struct addr *addresses; /* owned; A and AAAA */
	size_t n_addresses;
	struct dns_service *services; /* owned; SRV, of the lowest priority only */
	size_t n_services;
};

#define DNS_ANSWER_INIT ((struct dns_answer){ .ttl_sec = UINT32_MAX })

void dns_answer_deinit(struct dns_answer *a);

/*
 * The records of `type` for the message's question or what its CNAMEs lead to; others are ignored. An answer without
 * any is good, and empty. -EBADMSG: malformed; -ENOMEM.
 */
int dns_answer_parse(const uint8_t *message, size_t len_bytes, uint16_t type,
		     struct dns_answer *ret);

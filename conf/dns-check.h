/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The two keys of a dns check as values: what is asked, and which answer is good. Pure.
 */

#include <stdint.h>

#include "base/addr.h"

enum {
	DNS_CHECK_NAME_MAX = 253,
	DNS_CHECK_LABEL_MAX = 63,
};

enum {
	DNS_TYPE_A = 1,
	DNS_TYPE_SOA = 6,
	DNS_TYPE_AAAA = 28,
};

struct dns_check {
	char name[DNS_CHECK_NAME_MAX + 1]; /* without the final dot; "" = the root */
	uint16_t type;
	uint8_t code;	  /* the RCODE of a good answer */
	struct addr addr; /* that one of its A or AAAA records has; AF_UNSPEC = any */
};

/*
 * send: "NAME [TYPE]"; NULL or "" asks for the SOA of the root. Without TYPE it is A, or AAAA where expect has an
 * IPv6 address. expect: "[CODE] [ADDRESS]", CODE a name such as NXDOMAIN or a number; NULL or "" = NOERROR. -EINVAL,
 * and *ret_problem says why.
 */
int dns_check_parse(const char *send, const char *expect, struct dns_check *ret,
		    const char **ret_problem);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The kernel's IPVS generic-netlink messages (linux/ip_vs.h, family "IPVS" version 1), both directions, built and
 * read with libnl's attribute functions. The same messages travel on AF_NETLINK to the kernel and on AF_UNIX to the
 * fast path. Pure: bytes in, values out; no socket.
 *
 * Decoders take untrusted bytes: every length is checked; -EBADMSG on anything that does not fit. Unknown attributes
 * are skipped.
 */

#include <stddef.h>
#include <stdint.h>

#include "ipvs/ruleset.h"

struct nlmsghdr;

struct ipvs_timeouts {
	uint32_t tcp_sec, tcp_fin_sec, udp_sec; /* 0 = leave as is (in a request) */
};

struct ipvs_info {
	uint32_t version;	  /* 0x010201 = 1.2.1 */
	uint32_t conn_table_size; /* buckets */
};

/*
 * Requests. Each appends one message to buf and returns its length in bytes, or -EMSGSIZE when it does not fit in
 * `size`. flags: NLM_F_REQUEST is always set; NLM_F_ACK, NLM_F_DUMP as given. `family` is the resolved id.
 */
struct codec_header {
	uint16_t family;
	uint16_t flags;
	uint32_t seq;
};

int codec_service_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			  const struct ipvs_service *s);
int codec_dest_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
		       const struct ipvs_service_key *key, const struct ipvs_dest *d);
int codec_config_request(void *buf, size_t size, const struct codec_header *h,
			 const struct ipvs_timeouts *t);
/* GET_INFO, GET_CONFIG, FLUSH, and dumps of all services: no attribute. */
int codec_plain_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd);

/* Replies, and (for the fast path and the tests) requests. A full service or destination, or only its key. */
int codec_parse_service(const struct nlmsghdr *nlh, struct ipvs_service *ret);
int codec_parse_dest(const struct nlmsghdr *nlh, uint16_t service_family, struct ipvs_dest *ret);
int codec_parse_config(const struct nlmsghdr *nlh, struct ipvs_timeouts *ret);
int codec_parse_info(const struct nlmsghdr *nlh, struct ipvs_info *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The kernel's IPVS generic-netlink messages (linux/ip_vs.h, family "IPVS" version 1), both directions: built as libnl
 * builds them, but in the caller's buffer, and read with its attribute functions. The same messages travel on
 * AF_NETLINK to the kernel and on AF_UNIX to the fast path. Pure: bytes in, values out; no socket.
 *
 * Decoders take untrusted bytes, of which the caller has checked that nlmsg_len of them are there (nlmsg_ok()): every
 * other length is checked. -EBADMSG on what does not fit; -EINVAL where an attribute is missing that the command
 * needs, -EAFNOSUPPORT on a strange family: what the kernel answers. Unknown attributes are skipped.
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
 * Each of these writes one message to buf and returns its length in bytes (a multiple of 4), or -EMSGSIZE when it
 * does not fit in `size`. `family` is the resolved id. Requests get NLM_F_REQUEST; NLM_F_ACK, NLM_F_DUMP
 * and, in replies, NLM_F_MULTI are as given.
 */
struct codec_header {
	uint16_t family;
	uint16_t flags;
	uint32_t seq;
};

/* Requests. `cmd` is IPVS_CMD_*: NEW and SET carry the whole configuration, the others the key only. */
int codec_service_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			  const struct ipvs_service *s);
/* Without d (NULL): GET_DEST, a dump of the service's destinations. */
int codec_dest_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
		       const struct ipvs_service_key *key, const struct ipvs_dest *d);
/* SET_CONFIG. */
int codec_config_request(void *buf, size_t size, const struct codec_header *h,
			 const struct ipvs_timeouts *t);
/* GET_INFO, GET_CONFIG, FLUSH, ZERO of everything, and dumps of all services: no attribute. */
int codec_plain_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd);

/* Replies: configuration, live counters and 64-bit statistics, as the kernel answers GET_* and dumps. */
int codec_service_reply(void *buf, size_t size, const struct codec_header *h,
			const struct ipvs_service *s);
int codec_dest_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_dest *d);
/* As SET_CONFIG, without NLM_F_REQUEST. */
int codec_config_reply(void *buf, size_t size, const struct codec_header *h,
		       const struct ipvs_timeouts *t);
int codec_info_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_info *info);

/* IPVS_CMD_* of a message of the family. */
int codec_command(const struct nlmsghdr *nlh, uint8_t *ret);

/*
 * Replies and requests. With NEW_* and SET_* the whole configuration must be there, with others the key suffices and
 * the rest is 0. *ret has no destinations.
 */
int codec_parse_service(const struct nlmsghdr *nlh, struct ipvs_service *ret);
int codec_parse_dest(const struct nlmsghdr *nlh, uint16_t service_family, struct ipvs_dest *ret);
int codec_parse_config(const struct nlmsghdr *nlh, struct ipvs_timeouts *ret);
int codec_parse_info(const struct nlmsghdr *nlh, struct ipvs_info *ret);

/*
 * What every netlink family answers (net/netlink/af_netlink.c, genetlink.c), for the side that serves. An error of 0 is
 * an acknowledgement; it carries the request's header alone, as with NETLINK_CAP_ACK.
 */
int codec_error_reply(void *buf, size_t size, const struct nlmsghdr *request, int error);
/* The end of a dump, 0 or why it ends. NLM_F_MULTI is added; with NLM_F_DUMP_INTR it is not to be believed. */
int codec_done_reply(void *buf, size_t size, const struct codec_header *h, int error);
/* CTRL_CMD_GETFAMILY to GENL_ID_CTRL: -ENOENT for another family than "IPVS"; -EOPNOTSUPP for other commands. */
int codec_parse_family_request(const struct nlmsghdr *nlh);
int codec_family_reply(void *buf, size_t size, const struct codec_header *h, uint16_t family);

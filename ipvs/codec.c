/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/codec.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

#include "base/cleanup.h"

enum {
	/* Larger than any message here: a destination with both statistics is below 500 bytes. */
	MESSAGE_MAX = 1024,
};

DEFINE_CLEANUP(struct nl_msg *, nlmsg_free)

static struct nl_msg *message_new(const struct codec_header *h, uint8_t cmd)
{
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = nlmsg_alloc_size(MESSAGE_MAX);

	if (!msg || !genlmsg_put(msg, 0, h->seq, h->family, 0, h->flags, cmd, IPVS_GENL_VERSION))
		return NULL;
	return take_ptr(msg);
}

/* An attribute that libnl could not put did not fit MESSAGE_MAX: our own bug, but not worth an abort. */
static int message_finish(struct nl_msg *msg, int put_error, void *buf, size_t size)
{
	const struct nlmsghdr *nlh = nlmsg_hdr(msg);

	if (put_error || nlh->nlmsg_len > size)
		return -EMSGSIZE;
	memcpy(buf, nlh, nlh->nlmsg_len);
	return (int)nlh->nlmsg_len;
}

/* 16 bytes for both families, as the kernel itself sends: the rest of struct addr is zero. */
static int put_addr(struct nl_msg *msg, int type, const struct addr *a)
{
	return nla_put(msg, type, sizeof(a->bytes), a->bytes);
}

static int put_stats(struct nl_msg *msg, int type, const struct ipvs_stats *s)
{
	const uint64_t values[] = {
		[IPVS_STATS_ATTR_CONNS] = s->conns,
		[IPVS_STATS_ATTR_INPKTS] = s->in_packets,
		[IPVS_STATS_ATTR_OUTPKTS] = s->out_packets,
		[IPVS_STATS_ATTR_INBYTES] = s->in_bytes,
		[IPVS_STATS_ATTR_OUTBYTES] = s->out_bytes,
		[IPVS_STATS_ATTR_CPS] = s->cps,
		[IPVS_STATS_ATTR_INPPS] = s->in_pps,
		[IPVS_STATS_ATTR_OUTPPS] = s->out_pps,
		[IPVS_STATS_ATTR_INBPS] = s->in_bps,
		[IPVS_STATS_ATTR_OUTBPS] = s->out_bps,
	};
	struct nlattr *nest = nla_nest_start(msg, type);
	int e = nest ? 0 : -1;

	for (int i = IPVS_STATS_ATTR_CONNS; !e && i <= IPVS_STATS_ATTR_OUTBPS; i++)
		e = nla_put_u64(msg, i, values[i]);
	return e ? e : nla_nest_end(msg, nest);
}

static int put_service_key(struct nl_msg *msg, const struct ipvs_service_key *k)
{
	int e = nla_put_u16(msg, IPVS_SVC_ATTR_AF, k->family);

	if (k->fwmark)
		return e | nla_put_u32(msg, IPVS_SVC_ATTR_FWMARK, k->fwmark);
	e |= nla_put_u16(msg, IPVS_SVC_ATTR_PROTOCOL, k->protocol);
	e |= put_addr(msg, IPVS_SVC_ATTR_ADDR, &k->addr);
	e |= nla_put_u16(msg, IPVS_SVC_ATTR_PORT, htons(k->port));
	return e;
}

/* Every flag is named in the mask, so that a flag that is gone is cleared. The engine's absence removes it. */
static int put_service_conf(struct nl_msg *msg, const struct ipvs_service *s)
{
	struct ip_vs_flags flags = { .flags = s->flags & ~(uint32_t)IPVS_SVC_HASHED, .mask = ~0U };
	int e = nla_put_string(msg, IPVS_SVC_ATTR_SCHED_NAME, s->scheduler);

	if (s->pe[0])
		e |= nla_put_string(msg, IPVS_SVC_ATTR_PE_NAME, s->pe);
	e |= nla_put(msg, IPVS_SVC_ATTR_FLAGS, sizeof(flags), &flags);
	e |= nla_put_u32(msg, IPVS_SVC_ATTR_TIMEOUT, s->timeout_sec);
	e |= nla_put_u32(msg, IPVS_SVC_ATTR_NETMASK, s->netmask);
	return e;
}

static int put_dest_key(struct nl_msg *msg, const struct ipvs_dest *d)
{
	return nla_put_u16(msg, IPVS_DEST_ATTR_ADDR_FAMILY, d->addr.family) |
	       put_addr(msg, IPVS_DEST_ATTR_ADDR, &d->addr) |
	       nla_put_u16(msg, IPVS_DEST_ATTR_PORT, htons(d->port));
}

/* All of it, always: SET_DEST replaces what the request does not name by zero. */
static int put_dest_conf(struct nl_msg *msg, const struct ipvs_dest *d)
{
	int e = nla_put_u32(msg, IPVS_DEST_ATTR_FWD_METHOD, d->forward);

	e |= nla_put_u32(msg, IPVS_DEST_ATTR_WEIGHT, d->weight);
	e |= nla_put_u32(msg, IPVS_DEST_ATTR_U_THRESH, d->upper_threshold);
	e |= nla_put_u32(msg, IPVS_DEST_ATTR_L_THRESH, d->lower_threshold);
	e |= nla_put_u8(msg, IPVS_DEST_ATTR_TUN_TYPE, (uint8_t)d->tunnel);
	e |= nla_put_u16(msg, IPVS_DEST_ATTR_TUN_PORT, htons(d->tunnel_port));
	e |= nla_put_u16(msg, IPVS_DEST_ATTR_TUN_FLAGS, d->tunnel_flags);
	return e;
}

static int put_dest_live(struct nl_msg *msg, const struct ipvs_dest *d)
{
	return nla_put_u32(msg, IPVS_DEST_ATTR_ACTIVE_CONNS, d->active_conns) |
	       nla_put_u32(msg, IPVS_DEST_ATTR_INACT_CONNS, d->inactive_conns) |
	       nla_put_u32(msg, IPVS_DEST_ATTR_PERSIST_CONNS, d->persistent_conns) |
	       put_stats(msg, IPVS_DEST_ATTR_STATS64, &d->stats);
}

static int service_message(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			   const struct ipvs_service *s, bool reply)
{
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = message_new(h, cmd);
	struct nlattr *nest;
	int e;

	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, IPVS_CMD_ATTR_SERVICE);
	if (!nest)
		return -EMSGSIZE;
	e = put_service_key(msg, &s->key);
	if (cmd == IPVS_CMD_NEW_SERVICE || cmd == IPVS_CMD_SET_SERVICE)
		e |= put_service_conf(msg, s);
	if (reply)
		e |= put_stats(msg, IPVS_SVC_ATTR_STATS64, &s->stats);
	nla_nest_end(msg, nest);
	return message_finish(msg, e, buf, size);
}

static int put_dest(struct nl_msg *msg, uint8_t cmd, const struct ipvs_dest *d, bool reply)
{
	struct nlattr *nest = nla_nest_start(msg, IPVS_CMD_ATTR_DEST);
	int e;

	if (!nest)
		return -EMSGSIZE;
	e = put_dest_key(msg, d);
	if (cmd == IPVS_CMD_NEW_DEST || cmd == IPVS_CMD_SET_DEST)
		e |= put_dest_conf(msg, d);
	if (reply)
		e |= put_dest_live(msg, d);
	nla_nest_end(msg, nest);
	return e;
}

int codec_service_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			  const struct ipvs_service *s)
{
	struct codec_header request = *h;

	request.flags |= NLM_F_REQUEST;
	return service_message(buf, size, &request, cmd, s, false);
}

int codec_service_reply(void *buf, size_t size, const struct codec_header *h,
			const struct ipvs_service *s)
{
	return service_message(buf, size, h, IPVS_CMD_NEW_SERVICE, s, true);
}

int codec_dest_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
		       const struct ipvs_service_key *key, const struct ipvs_dest *d)
{
	struct codec_header request = *h;
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = NULL;
	struct nlattr *nest;
	int e;

	request.flags |= NLM_F_REQUEST;
	msg = message_new(&request, cmd);
	if (!msg)
		return -ENOMEM;
	nest = nla_nest_start(msg, IPVS_CMD_ATTR_SERVICE);
	if (!nest)
		return -EMSGSIZE;
	e = put_service_key(msg, key);
	nla_nest_end(msg, nest);
	if (d)
		e |= put_dest(msg, cmd, d, false);
	return message_finish(msg, e, buf, size);
}

int codec_dest_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_dest *d)
{
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = message_new(h, IPVS_CMD_NEW_DEST);

	if (!msg)
		return -ENOMEM;
	return message_finish(msg, put_dest(msg, IPVS_CMD_NEW_DEST, d, true), buf, size);
}

/* The kernel leaves a timeout of 0 as it is. */
int codec_config_request(void *buf, size_t size, const struct codec_header *h,
			 const struct ipvs_timeouts *t)
{
	struct codec_header request = *h;
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = NULL;
	int e;

	request.flags |= NLM_F_REQUEST;
	msg = message_new(&request, IPVS_CMD_SET_CONFIG);
	if (!msg)
		return -ENOMEM;
	e = nla_put_u32(msg, IPVS_CMD_ATTR_TIMEOUT_TCP, t->tcp_sec);
	e |= nla_put_u32(msg, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, t->tcp_fin_sec);
	e |= nla_put_u32(msg, IPVS_CMD_ATTR_TIMEOUT_UDP, t->udp_sec);
	return message_finish(msg, e, buf, size);
}

int codec_info_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_info *info)
{
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = message_new(h, IPVS_CMD_SET_INFO);
	int e;

	if (!msg)
		return -ENOMEM;
	e = nla_put_u32(msg, IPVS_INFO_ATTR_VERSION, info->version);
	e |= nla_put_u32(msg, IPVS_INFO_ATTR_CONN_TAB_SIZE, info->conn_table_size);
	return message_finish(msg, e, buf, size);
}

int codec_plain_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd)
{
	struct codec_header request = *h;
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = NULL;

	request.flags |= NLM_F_REQUEST;
	msg = message_new(&request, cmd);
	return msg ? message_finish(msg, 0, buf, size) : -ENOMEM;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/codec.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "base/cleanup.h"

/*
 * A message that grows in the caller's buffer, byte for byte what libnl's nla_put() and nla_nest_start() build (a test
 * holds them together). Theirs lives on the heap and is copied out, for ten times the price, and a start sends a request
 * for each destination.
 */
struct message {
	uint8_t *start, *at, *end; /* borrowed */
	bool full;		   /* something did not fit */
};

static inline void put_bytes(struct message *m, const void *bytes, size_t len)
{
	const uint8_t zero[NLA_ALIGNTO] = { 0 };
	size_t pad = NLA_ALIGN(len) - len;

	if (len + pad > (size_t)(m->end - m->at)) {
		m->full = true;
		return;
	}
	memcpy(m->at, bytes, len);
	memcpy(m->at + len, zero, pad);
	m->at += len + pad;
}

static struct message message_begin(void *buf, size_t size, const struct codec_header *h,
				    uint8_t cmd)
{
	struct message m = { .start = buf, .at = buf, .end = (uint8_t *)buf + size };
	const struct {
		struct nlmsghdr nlmsg;
		struct genlmsghdr genl;
	} headers = {
		.nlmsg = { .nlmsg_type = h->family, .nlmsg_flags = h->flags, .nlmsg_seq = h->seq },
		.genl = { .cmd = cmd, .version = IPVS_GENL_VERSION },
	};

	put_bytes(&m, &headers, sizeof(headers));
	return m;
}

static int message_end(const struct message *m)
{
	uint32_t len = (uint32_t)(m->at - m->start);

	if (m->full)
		return -EMSGSIZE;
	memcpy(m->start + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof(len));
	return (int)len;
}

static inline void put(struct message *m, uint16_t type, const void *value, size_t len)
{
	const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + len), .nla_type = type };

	put_bytes(m, &a, sizeof(a));
	put_bytes(m, value, len);
}

static void put_u8(struct message *m, uint16_t type, uint8_t value)
{
	put(m, type, &value, sizeof(value));
}

static void put_u16(struct message *m, uint16_t type, uint16_t value)
{
	put(m, type, &value, sizeof(value));
}

static void put_u32(struct message *m, uint16_t type, uint32_t value)
{
	put(m, type, &value, sizeof(value));
}

static void put_string(struct message *m, uint16_t type, const char *value)
{
	put(m, type, value, strlen(value) + 1);
}

/* 16 bytes for both families, as the kernel itself sends: the rest of struct addr is zero. */
static void put_addr(struct message *m, uint16_t type, const struct addr *a)
{
	put(m, type, a->bytes, sizeof(a->bytes));
}

/* Where the nest began, for nest_end(). */
static uint8_t *nest_begin(struct message *m, uint16_t type)
{
	const struct nlattr a = { .nla_type = NLA_F_NESTED | type };
	uint8_t *begin = m->at;

	put_bytes(m, &a, sizeof(a));
	return begin;
}

static void nest_end(const struct message *m, uint8_t *begin)
{
	uint16_t len = (uint16_t)(m->at - begin);

	if (!m->full)
		memcpy(begin + offsetof(struct nlattr, nla_len), &len, sizeof(len));
}

static void put_stats(struct message *m, uint16_t type, const struct ipvs_stats *s)
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
	uint8_t *nest = nest_begin(m, type);

	for (int i = IPVS_STATS_ATTR_CONNS; i <= IPVS_STATS_ATTR_OUTBPS; i++)
		put(m, (uint16_t)i, &values[i], sizeof(values[i]));
	nest_end(m, nest);
}

static void put_service_key(struct message *m, const struct ipvs_service_key *k)
{
	put_u16(m, IPVS_SVC_ATTR_AF, k->family);
	if (k->fwmark) {
		put_u32(m, IPVS_SVC_ATTR_FWMARK, k->fwmark);
		return;
	}
	put_u16(m, IPVS_SVC_ATTR_PROTOCOL, k->protocol);
	put_addr(m, IPVS_SVC_ATTR_ADDR, &k->addr);
	put_u16(m, IPVS_SVC_ATTR_PORT, htons(k->port));
}

/* Every flag is named in the mask, so that a flag that is gone is cleared. The engine's absence removes it. */
static void put_service_conf(struct message *m, const struct ipvs_service *s)
{
	struct ip_vs_flags flags = { .flags = s->flags & ~(uint32_t)IPVS_SVC_HASHED, .mask = ~0U };

	put_string(m, IPVS_SVC_ATTR_SCHED_NAME, s->scheduler);
	if (s->pe[0])
		put_string(m, IPVS_SVC_ATTR_PE_NAME, s->pe);
	put(m, IPVS_SVC_ATTR_FLAGS, &flags, sizeof(flags));
	put_u32(m, IPVS_SVC_ATTR_TIMEOUT, s->timeout_sec);
	put_u32(m, IPVS_SVC_ATTR_NETMASK, s->netmask);
}

/* All of it, always: SET_DEST replaces what the request does not name by zero. */
static void put_dest_conf(struct message *m, const struct ipvs_dest *d)
{
	put_u32(m, IPVS_DEST_ATTR_FWD_METHOD, d->forward);
	put_u32(m, IPVS_DEST_ATTR_WEIGHT, d->weight);
	put_u32(m, IPVS_DEST_ATTR_U_THRESH, d->upper_threshold);
	put_u32(m, IPVS_DEST_ATTR_L_THRESH, d->lower_threshold);
	put_u8(m, IPVS_DEST_ATTR_TUN_TYPE, (uint8_t)d->tunnel);
	put_u16(m, IPVS_DEST_ATTR_TUN_PORT, htons(d->tunnel_port));
	put_u16(m, IPVS_DEST_ATTR_TUN_FLAGS, d->tunnel_flags);
}

static void put_dest_live(struct message *m, const struct ipvs_dest *d)
{
	put_u32(m, IPVS_DEST_ATTR_ACTIVE_CONNS, d->active_conns);
	put_u32(m, IPVS_DEST_ATTR_INACT_CONNS, d->inactive_conns);
	put_u32(m, IPVS_DEST_ATTR_PERSIST_CONNS, d->persistent_conns);
	put_stats(m, IPVS_DEST_ATTR_STATS64, &d->stats);
}

static int service_message(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			   const struct ipvs_service *s, bool reply)
{
	struct message m = message_begin(buf, size, h, cmd);
	uint8_t *nest = nest_begin(&m, IPVS_CMD_ATTR_SERVICE);

	put_service_key(&m, &s->key);
	if (cmd == IPVS_CMD_NEW_SERVICE || cmd == IPVS_CMD_SET_SERVICE)
		put_service_conf(&m, s);
	if (reply)
		put_stats(&m, IPVS_SVC_ATTR_STATS64, &s->stats);
	nest_end(&m, nest);
	return message_end(&m);
}

static void put_dest(struct message *m, uint8_t cmd, const struct ipvs_dest *d, bool reply)
{
	uint8_t *nest = nest_begin(m, IPVS_CMD_ATTR_DEST);

	put_u16(m, IPVS_DEST_ATTR_ADDR_FAMILY, d->addr.family);
	put_addr(m, IPVS_DEST_ATTR_ADDR, &d->addr);
	put_u16(m, IPVS_DEST_ATTR_PORT, htons(d->port));
	if (cmd == IPVS_CMD_NEW_DEST || cmd == IPVS_CMD_SET_DEST)
		put_dest_conf(m, d);
	if (reply)
		put_dest_live(m, d);
	nest_end(m, nest);
}

static struct message request_begin(void *buf, size_t size, const struct codec_header *h,
				    uint8_t cmd)
{
	struct codec_header request = *h;

	request.flags |= NLM_F_REQUEST;
	return message_begin(buf, size, &request, cmd);
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
	struct message m = request_begin(buf, size, h, cmd);
	uint8_t *nest = nest_begin(&m, IPVS_CMD_ATTR_SERVICE);

	put_service_key(&m, key);
	nest_end(&m, nest);
	if (d)
		put_dest(&m, cmd, d, false);
	return message_end(&m);
}

int codec_dest_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_dest *d)
{
	struct message m = message_begin(buf, size, h, IPVS_CMD_NEW_DEST);

	put_dest(&m, IPVS_CMD_NEW_DEST, d, true);
	return message_end(&m);
}

/* The kernel leaves a timeout of 0 as it is. */
int codec_config_request(void *buf, size_t size, const struct codec_header *h,
			 const struct ipvs_timeouts *t)
{
	struct message m = request_begin(buf, size, h, IPVS_CMD_SET_CONFIG);

	put_u32(&m, IPVS_CMD_ATTR_TIMEOUT_TCP, t->tcp_sec);
	put_u32(&m, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, t->tcp_fin_sec);
	put_u32(&m, IPVS_CMD_ATTR_TIMEOUT_UDP, t->udp_sec);
	return message_end(&m);
}

int codec_info_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_info *info)
{
	struct message m = message_begin(buf, size, h, IPVS_CMD_SET_INFO);

	put_u32(&m, IPVS_INFO_ATTR_VERSION, info->version);
	put_u32(&m, IPVS_INFO_ATTR_CONN_TAB_SIZE, info->conn_table_size);
	return message_end(&m);
}

int codec_plain_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd)
{
	struct message m = request_begin(buf, size, h, cmd);

	return message_end(&m);
}

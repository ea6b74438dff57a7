/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/codec.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "ipvs/codec-message.h"

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
	uint8_t *nest = message_nest_begin(m, type);

	for (int i = IPVS_STATS_ATTR_CONNS; i <= IPVS_STATS_ATTR_OUTBPS; i++)
		message_put(m, (uint16_t)i, &values[i], sizeof(values[i]));
	message_nest_end(m, nest);
}

static void put_service_key(struct message *m, const struct ipvs_service_key *k)
{
	message_put_u16(m, IPVS_SVC_ATTR_AF, k->family);
	if (k->fwmark) {
		message_put_u32(m, IPVS_SVC_ATTR_FWMARK, k->fwmark);
		return;
	}
	message_put_u16(m, IPVS_SVC_ATTR_PROTOCOL, k->protocol);
	message_put_addr(m, IPVS_SVC_ATTR_ADDR, &k->addr);
	message_put_u16(m, IPVS_SVC_ATTR_PORT, htons(k->port));
}

void codec_put_service(struct message *m, const struct ipvs_service_key *k)
{
	uint8_t *nest = message_nest_begin(m, IPVS_CMD_ATTR_SERVICE);

	put_service_key(m, k);
	message_nest_end(m, nest);
}

/* Every flag is named in the mask, so that a flag that is gone is cleared. The engine's absence removes it. */
static void put_service_conf(struct message *m, const struct ipvs_service *s)
{
	struct ip_vs_flags flags = { .flags = s->flags & ~(uint32_t)IPVS_SVC_HASHED, .mask = ~0U };

	message_put_string(m, IPVS_SVC_ATTR_SCHED_NAME, s->scheduler);
	if (s->pe[0])
		message_put_string(m, IPVS_SVC_ATTR_PE_NAME, s->pe);
	message_put(m, IPVS_SVC_ATTR_FLAGS, &flags, sizeof(flags));
	message_put_u32(m, IPVS_SVC_ATTR_TIMEOUT, s->timeout_sec);
	message_put_u32(m, IPVS_SVC_ATTR_NETMASK, s->netmask);
}

/* All of it, always: SET_DEST replaces what the request does not name by zero. */
static void put_dest_conf(struct message *m, const struct ipvs_dest *d)
{
	message_put_u32(m, IPVS_DEST_ATTR_FWD_METHOD, d->forward);
	message_put_u32(m, IPVS_DEST_ATTR_WEIGHT, d->weight);
	message_put_u32(m, IPVS_DEST_ATTR_U_THRESH, d->upper_threshold);
	message_put_u32(m, IPVS_DEST_ATTR_L_THRESH, d->lower_threshold);
	message_put_u8(m, IPVS_DEST_ATTR_TUN_TYPE, (uint8_t)d->tunnel);
	message_put_u16(m, IPVS_DEST_ATTR_TUN_PORT, htons(d->tunnel_port));
	message_put_u16(m, IPVS_DEST_ATTR_TUN_FLAGS, d->tunnel_flags);
}

static void put_dest_live(struct message *m, const struct ipvs_dest *d)
{
	message_put_u32(m, IPVS_DEST_ATTR_ACTIVE_CONNS, d->active_conns);
	message_put_u32(m, IPVS_DEST_ATTR_INACT_CONNS, d->inactive_conns);
	message_put_u32(m, IPVS_DEST_ATTR_PERSIST_CONNS, d->persistent_conns);
	put_stats(m, IPVS_DEST_ATTR_STATS64, &d->stats);
}

static int service_message(void *buf, size_t size, const struct codec_header *h, uint8_t cmd,
			   const struct ipvs_service *s, bool reply)
{
	struct message m = message_begin(buf, size, h, cmd);
	uint8_t *nest = message_nest_begin(&m, IPVS_CMD_ATTR_SERVICE);

	put_service_key(&m, &s->key);
	if (cmd == IPVS_CMD_NEW_SERVICE || cmd == IPVS_CMD_SET_SERVICE)
		put_service_conf(&m, s);
	if (reply)
		put_stats(&m, IPVS_SVC_ATTR_STATS64, &s->stats);
	message_nest_end(&m, nest);
	return message_end(&m);
}

void codec_put_dest(struct message *m, uint8_t cmd, const struct ipvs_dest *d, bool reply)
{
	uint8_t *nest = message_nest_begin(m, IPVS_CMD_ATTR_DEST);

	message_put_u16(m, IPVS_DEST_ATTR_ADDR_FAMILY, d->addr.family);
	message_put_addr(m, IPVS_DEST_ATTR_ADDR, &d->addr);
	message_put_u16(m, IPVS_DEST_ATTR_PORT, htons(d->port));
	if (cmd == IPVS_CMD_NEW_DEST || cmd == IPVS_CMD_SET_DEST)
		put_dest_conf(m, d);
	if (reply)
		put_dest_live(m, d);
	message_nest_end(m, nest);
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
	struct message m = message_begin_request(buf, size, h, cmd);

	codec_put_service(&m, key);
	if (d)
		codec_put_dest(&m, cmd, d, false);
	return message_end(&m);
}

int codec_dest_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_dest *d)
{
	struct message m = message_begin(buf, size, h, IPVS_CMD_NEW_DEST);

	codec_put_dest(&m, IPVS_CMD_NEW_DEST, d, true);
	return message_end(&m);
}

static int config_message(struct message *m, const struct ipvs_timeouts *t)
{
	message_put_u32(m, IPVS_CMD_ATTR_TIMEOUT_TCP, t->tcp_sec);
	message_put_u32(m, IPVS_CMD_ATTR_TIMEOUT_TCP_FIN, t->tcp_fin_sec);
	message_put_u32(m, IPVS_CMD_ATTR_TIMEOUT_UDP, t->udp_sec);
	return message_end(m);
}

/* The kernel leaves a timeout of 0 as it is. */
int codec_config_request(void *buf, size_t size, const struct codec_header *h,
			 const struct ipvs_timeouts *t)
{
	struct message m = message_begin_request(buf, size, h, IPVS_CMD_SET_CONFIG);

	return config_message(&m, t);
}

int codec_config_reply(void *buf, size_t size, const struct codec_header *h,
		       const struct ipvs_timeouts *t)
{
	struct message m = message_begin(buf, size, h, IPVS_CMD_SET_CONFIG);

	return config_message(&m, t);
}

int codec_info_reply(void *buf, size_t size, const struct codec_header *h,
		     const struct ipvs_info *info)
{
	struct message m = message_begin(buf, size, h, IPVS_CMD_SET_INFO);

	message_put_u32(&m, IPVS_INFO_ATTR_VERSION, info->version);
	message_put_u32(&m, IPVS_INFO_ATTR_CONN_TAB_SIZE, info->conn_table_size);
	return message_end(&m);
}

int codec_plain_request(void *buf, size_t size, const struct codec_header *h, uint8_t cmd)
{
	struct message m = message_begin_request(buf, size, h, cmd);

	return message_end(&m);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <limits.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/cleanup.h"
#include "ipvs/codec-message.h"

static const struct nla_policy command_policy[IPVS_CMD_ATTR_MAX + 1] = {
	[IPVS_CMD_ATTR_TIMEOUT_TCP] = CODEC_NUMBER(NLA_U32),
	[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN] = CODEC_NUMBER(NLA_U32),
	[IPVS_CMD_ATTR_TIMEOUT_UDP] = CODEC_NUMBER(NLA_U32),
};

static const struct nla_policy info_policy[IPVS_INFO_ATTR_MAX + 1] = {
	[IPVS_INFO_ATTR_VERSION] = CODEC_NUMBER(NLA_U32),
	[IPVS_INFO_ATTR_CONN_TAB_SIZE] = CODEC_NUMBER(NLA_U32),
};

static const struct nla_policy service_policy[IPVS_SVC_ATTR_MAX + 1] = {
	[IPVS_SVC_ATTR_AF] = CODEC_NUMBER(NLA_U16),
	[IPVS_SVC_ATTR_PROTOCOL] = CODEC_NUMBER(NLA_U16),
	[IPVS_SVC_ATTR_ADDR] = CODEC_BINARY(4, 16),
	[IPVS_SVC_ATTR_PORT] = CODEC_NUMBER(NLA_U16),
	[IPVS_SVC_ATTR_FWMARK] = CODEC_NUMBER(NLA_U32),
	[IPVS_SVC_ATTR_SCHED_NAME] = CODEC_STRING(IPVS_SCHED_MAX),
	[IPVS_SVC_ATTR_PE_NAME] = CODEC_STRING(IPVS_PE_MAX),
	[IPVS_SVC_ATTR_FLAGS] =
		CODEC_BINARY(sizeof(struct ip_vs_flags), sizeof(struct ip_vs_flags)),
	[IPVS_SVC_ATTR_TIMEOUT] = CODEC_NUMBER(NLA_U32),
	[IPVS_SVC_ATTR_NETMASK] = CODEC_NUMBER(NLA_U32),
};

static const struct nla_policy dest_policy[IPVS_DEST_ATTR_MAX + 1] = {
	[IPVS_DEST_ATTR_ADDR] = CODEC_BINARY(4, 16),
	[IPVS_DEST_ATTR_PORT] = CODEC_NUMBER(NLA_U16),
	[IPVS_DEST_ATTR_FWD_METHOD] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_WEIGHT] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_U_THRESH] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_L_THRESH] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_ACTIVE_CONNS] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_INACT_CONNS] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_PERSIST_CONNS] = CODEC_NUMBER(NLA_U32),
	[IPVS_DEST_ATTR_ADDR_FAMILY] = CODEC_NUMBER(NLA_U16),
	[IPVS_DEST_ATTR_TUN_TYPE] = CODEC_NUMBER(NLA_U8),
	[IPVS_DEST_ATTR_TUN_PORT] = CODEC_NUMBER(NLA_U16),
	[IPVS_DEST_ATTR_TUN_FLAGS] = CODEC_NUMBER(NLA_U16),
};

static const struct nla_policy stats_policy[IPVS_STATS_ATTR_MAX + 1] = {
	[IPVS_STATS_ATTR_CONNS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_INPKTS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_OUTPKTS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_INBYTES] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_OUTBYTES] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_CPS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_INPPS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_OUTPPS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_INBPS] = CODEC_NUMBER(NLA_U64),
	[IPVS_STATS_ATTR_OUTBPS] = CODEC_NUMBER(NLA_U64),
};

/* As nla_parse() validates: a number may be longer than its type. */
static bool attr_is_valid(const struct nlattr *a, const struct nla_policy *p)
{
	static const uint8_t sizes[] = {
		[NLA_U8] = sizeof(uint8_t),
		[NLA_U16] = sizeof(uint16_t),
		[NLA_U32] = sizeof(uint32_t),
		[NLA_U64] = sizeof(uint64_t),
	};
	size_t len = a->nla_len - NLA_HDRLEN;
	size_t min = p->type < ARRAY_SIZE(sizes) && !p->minlen ? sizes[p->type] : p->minlen;

	if (len < min || (p->maxlen && len > p->maxlen))
		return false;
	return p->type != NLA_STRING || ((const char *)a)[a->nla_len - 1] == '\0';
}

/* nla_parse() in one pass, and without what it forgives. A dump of ten thousand destinations has half a million attributes. */
int codec_attrs_parse(struct nlattr **tb, int max, struct nlattr *head, int len,
		      const struct nla_policy *policy)
{
	uint8_t *at = (uint8_t *)head;

	memset(tb, 0, ((size_t)max + 1) * sizeof(struct nlattr *));
	while (len > 0) {
		struct nlattr *a = (struct nlattr *)(void *)at;
		int type;

		if (len < NLA_HDRLEN || a->nla_len < NLA_HDRLEN || a->nla_len > len)
			return -EBADMSG;
		type = a->nla_type & NLA_TYPE_MASK;
		if (type <= max) {
			if (!attr_is_valid(a, &policy[type]))
				return -EBADMSG;
			tb[type] = a;
		}
		/* The last one may lack its padding. */
		at += NLA_ALIGN(a->nla_len);
		len -= NLA_ALIGN(a->nla_len);
	}
	return 0;
}

int codec_message_parse(const struct nlmsghdr *nlh, struct nlattr **tb, int max,
			const struct nla_policy *policy)
{
	if (nlh->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN || nlh->nlmsg_len > INT_MAX)
		return -EBADMSG;
	return codec_attrs_parse(tb, max, nlmsg_attrdata(nlh, GENL_HDRLEN),
				 nlmsg_attrlen(nlh, GENL_HDRLEN), policy);
}

/* The attributes of one nest of the message; -EINVAL without it, as the kernel answers. */
static int message_parse_nest(const struct nlmsghdr *nlh, int type, struct nlattr **tb, int max,
			      const struct nla_policy *policy)
{
	struct nlattr *top[IPVS_CMD_ATTR_MAX + 1];
	int r = codec_message_parse(nlh, top, IPVS_CMD_ATTR_MAX, command_policy);

	if (r < 0)
		return r;
	if (!top[type])
		return -EINVAL;
	return codec_attrs_parse(tb, max, nla_data(top[type]), nla_len(top[type]), policy);
}

int codec_command(const struct nlmsghdr *nlh, uint8_t *ret)
{
	struct genlmsghdr genl;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN)
		return -EBADMSG;
	memcpy(&genl, nlmsg_data(nlh), sizeof(genl));
	*ret = genl.cmd;
	return 0;
}

static uint32_t get_u32(const struct nlattr *a)
{
	return a ? nla_get_u32(a) : 0;
}

static uint16_t get_u16(const struct nlattr *a)
{
	return a ? nla_get_u16(a) : 0;
}

int codec_get_addr(const struct nlattr *a, uint16_t family, struct addr *ret)
{
	*ret = (struct addr){ .family = family };
	if ((size_t)nla_len(a) < addr_len_bytes(ret))
		return -EBADMSG;
	memcpy(ret->bytes, nla_data(a), addr_len_bytes(ret));
	return 0;
}

static bool family_known(uint16_t family)
{
	return family == AF_INET || family == AF_INET6;
}

static int get_stats(struct nlattr *nest, struct ipvs_stats *ret)
{
	struct nlattr *tb[IPVS_STATS_ATTR_MAX + 1];
	uint64_t values[IPVS_STATS_ATTR_OUTBPS + 1] = { 0 };

	if (!nest)
		return 0;
	if (codec_attrs_parse(tb, IPVS_STATS_ATTR_MAX, nla_data(nest), nla_len(nest),
			      stats_policy) < 0)
		return -EBADMSG;
	for (int i = IPVS_STATS_ATTR_CONNS; i <= IPVS_STATS_ATTR_OUTBPS; i++)
		values[i] = tb[i] ? nla_get_u64(tb[i]) : 0;
	*ret = (struct ipvs_stats){
		.conns = values[IPVS_STATS_ATTR_CONNS],
		.in_packets = values[IPVS_STATS_ATTR_INPKTS],
		.out_packets = values[IPVS_STATS_ATTR_OUTPKTS],
		.in_bytes = values[IPVS_STATS_ATTR_INBYTES],
		.out_bytes = values[IPVS_STATS_ATTR_OUTBYTES],
		.cps = values[IPVS_STATS_ATTR_CPS],
		.in_pps = values[IPVS_STATS_ATTR_INPPS],
		.out_pps = values[IPVS_STATS_ATTR_OUTPPS],
		.in_bps = values[IPVS_STATS_ATTR_INBPS],
		.out_bps = values[IPVS_STATS_ATTR_OUTBPS],
	};
	return 0;
}

static int get_service_key(struct nlattr **tb, struct ipvs_service_key *ret)
{
	struct ipvs_service_key k = {
		.family = get_u16(tb[IPVS_SVC_ATTR_AF]),
		.fwmark = get_u32(tb[IPVS_SVC_ATTR_FWMARK]),
	};
	uint16_t protocol;

	if (!tb[IPVS_SVC_ATTR_AF])
		return -EINVAL;
	if (!family_known(k.family))
		return -EAFNOSUPPORT;
	if (k.fwmark == 0) {
		if (!tb[IPVS_SVC_ATTR_PROTOCOL] || !tb[IPVS_SVC_ATTR_ADDR] ||
		    !tb[IPVS_SVC_ATTR_PORT])
			return -EINVAL;
		protocol = get_u16(tb[IPVS_SVC_ATTR_PROTOCOL]);
		if (protocol > UINT8_MAX ||
		    codec_get_addr(tb[IPVS_SVC_ATTR_ADDR], k.family, &k.addr) < 0)
			return -EBADMSG;
		k.protocol = (uint8_t)protocol;
		k.port = ntohs(get_u16(tb[IPVS_SVC_ATTR_PORT]));
	}
	*ret = k;
	return 0;
}

/* libnl has checked that a string ends in NUL within the size of its member. */
static int get_service_conf(struct nlattr **tb, struct ipvs_service *s)
{
	struct ip_vs_flags flags;

	if (!tb[IPVS_SVC_ATTR_SCHED_NAME] || !tb[IPVS_SVC_ATTR_FLAGS] ||
	    !tb[IPVS_SVC_ATTR_TIMEOUT] || !tb[IPVS_SVC_ATTR_NETMASK])
		return -EINVAL;
	strcpy(s->scheduler, nla_data(tb[IPVS_SVC_ATTR_SCHED_NAME]));
	if (tb[IPVS_SVC_ATTR_PE_NAME])
		strcpy(s->pe, nla_data(tb[IPVS_SVC_ATTR_PE_NAME]));
	memcpy(&flags, nla_data(tb[IPVS_SVC_ATTR_FLAGS]), sizeof(flags));
	s->flags = flags.flags & flags.mask & ~(uint32_t)IPVS_SVC_HASHED;
	s->timeout_sec = nla_get_u32(tb[IPVS_SVC_ATTR_TIMEOUT]);
	s->netmask = nla_get_u32(tb[IPVS_SVC_ATTR_NETMASK]);
	return 0;
}

int codec_parse_service(const struct nlmsghdr *nlh, struct ipvs_service *ret)
{
	struct nlattr *tb[IPVS_SVC_ATTR_MAX + 1];
	struct ipvs_service s = { 0 };
	uint8_t cmd;
	int r = message_parse_nest(nlh, IPVS_CMD_ATTR_SERVICE, tb, IPVS_SVC_ATTR_MAX,
				   service_policy);

	if (r == 0)
		r = codec_command(nlh, &cmd);
	if (r == 0)
		r = get_service_key(tb, &s.key);
	if (r == 0 && (cmd == IPVS_CMD_NEW_SERVICE || cmd == IPVS_CMD_SET_SERVICE))
		r = get_service_conf(tb, &s);
	if (r == 0)
		r = get_stats(tb[IPVS_SVC_ATTR_STATS64], &s.stats);
	if (r == 0)
		*ret = s;
	return r;
}

static int get_dest_key(struct nlattr **tb, uint16_t service_family, struct ipvs_dest *d)
{
	uint16_t family = service_family;

	if (!tb[IPVS_DEST_ATTR_ADDR] || !tb[IPVS_DEST_ATTR_PORT])
		return -EINVAL;
	if (tb[IPVS_DEST_ATTR_ADDR_FAMILY])
		family = get_u16(tb[IPVS_DEST_ATTR_ADDR_FAMILY]);
	if (!family_known(family))
		return -EAFNOSUPPORT;
	d->port = ntohs(get_u16(tb[IPVS_DEST_ATTR_PORT]));
	return codec_get_addr(tb[IPVS_DEST_ATTR_ADDR], family, &d->addr);
}

static int get_dest_conf(struct nlattr **tb, struct ipvs_dest *d)
{
	if (!tb[IPVS_DEST_ATTR_FWD_METHOD] || !tb[IPVS_DEST_ATTR_WEIGHT] ||
	    !tb[IPVS_DEST_ATTR_U_THRESH] || !tb[IPVS_DEST_ATTR_L_THRESH])
		return -EINVAL;
	d->forward = nla_get_u32(tb[IPVS_DEST_ATTR_FWD_METHOD]) & IP_VS_CONN_F_FWD_MASK;
	d->weight = nla_get_u32(tb[IPVS_DEST_ATTR_WEIGHT]);
	d->upper_threshold = nla_get_u32(tb[IPVS_DEST_ATTR_U_THRESH]);
	d->lower_threshold = nla_get_u32(tb[IPVS_DEST_ATTR_L_THRESH]);
	if (tb[IPVS_DEST_ATTR_TUN_TYPE])
		d->tunnel = nla_get_u8(tb[IPVS_DEST_ATTR_TUN_TYPE]);
	d->tunnel_port = ntohs(get_u16(tb[IPVS_DEST_ATTR_TUN_PORT]));
	d->tunnel_flags = get_u16(tb[IPVS_DEST_ATTR_TUN_FLAGS]);
	return 0;
}

int codec_parse_dest(const struct nlmsghdr *nlh, uint16_t service_family, struct ipvs_dest *ret)
{
	struct nlattr *tb[IPVS_DEST_ATTR_MAX + 1];
	struct ipvs_dest d = { 0 };
	uint8_t cmd;
	int r = message_parse_nest(nlh, IPVS_CMD_ATTR_DEST, tb, IPVS_DEST_ATTR_MAX, dest_policy);

	if (r == 0)
		r = codec_command(nlh, &cmd);
	if (r == 0)
		r = get_dest_key(tb, service_family, &d);
	if (r == 0 && (cmd == IPVS_CMD_NEW_DEST || cmd == IPVS_CMD_SET_DEST))
		r = get_dest_conf(tb, &d);
	if (r == 0)
		r = get_stats(tb[IPVS_DEST_ATTR_STATS64], &d.stats);
	if (r < 0)
		return r;
	d.active_conns = get_u32(tb[IPVS_DEST_ATTR_ACTIVE_CONNS]);
	d.inactive_conns = get_u32(tb[IPVS_DEST_ATTR_INACT_CONNS]);
	d.persistent_conns = get_u32(tb[IPVS_DEST_ATTR_PERSIST_CONNS]);
	*ret = d;
	return 0;
}

int codec_parse_config(const struct nlmsghdr *nlh, struct ipvs_timeouts *ret)
{
	struct nlattr *tb[IPVS_CMD_ATTR_MAX + 1];
	int r = codec_message_parse(nlh, tb, IPVS_CMD_ATTR_MAX, command_policy);

	if (r < 0)
		return r;
	*ret = (struct ipvs_timeouts){
		.tcp_sec = get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_TCP]),
		.tcp_fin_sec = get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_TCP_FIN]),
		.udp_sec = get_u32(tb[IPVS_CMD_ATTR_TIMEOUT_UDP]),
	};
	return 0;
}

int codec_parse_info(const struct nlmsghdr *nlh, struct ipvs_info *ret)
{
	struct nlattr *tb[IPVS_INFO_ATTR_MAX + 1];
	int r = codec_message_parse(nlh, tb, IPVS_INFO_ATTR_MAX, info_policy);

	if (r < 0)
		return r;
	*ret = (struct ipvs_info){
		.version = get_u32(tb[IPVS_INFO_ATTR_VERSION]),
		.conn_table_size = get_u32(tb[IPVS_INFO_ATTR_CONN_TAB_SIZE]),
	};
	return 0;
}

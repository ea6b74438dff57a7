/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/private.h"

#include <limits.h>

#include <netlink/msg.h>

#include "base/cleanup.h"
#include "ipvs/codec-message.h"
#include "ipvs/private-attr.h"

enum {
	REUSE_MODE_MAX = 3,
};

static const struct nla_policy top_policy[PRIVATE_ATTR_MAX + 1] = {
	[PRIVATE_ATTR_RESTRICTED] = CODEC_NUMBER(NLA_U8),
	[PRIVATE_ATTR_LAST_WEIGHT] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_ATTR_PID] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_ATTR_UPTIME_USEC] = CODEC_NUMBER(NLA_U64),
};

static const struct nla_policy rule_policy[PRIVATE_RULE_MAX + 1] = {
	[PRIVATE_RULE_PROTOCOL] = CODEC_NUMBER(NLA_U8),
	[PRIVATE_RULE_PORT_LOW] = CODEC_NUMBER(NLA_U16),
	[PRIVATE_RULE_PORT_HIGH] = CODEC_NUMBER(NLA_U16),
	[PRIVATE_RULE_PEER] = CODEC_BINARY(4, 16),
	[PRIVATE_RULE_PEER_BITS] = CODEC_NUMBER(NLA_U8),
};

static const struct nla_policy conn_policy[PRIVATE_CONN_ATTR_MAX + 1] = {
	[PRIVATE_CONN_ATTR_REMAINING] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_CONN_ATTR_LOCAL] = CODEC_BINARY(4, 16),
	[PRIVATE_CONN_ATTR_LOCAL_PORT] = CODEC_NUMBER(NLA_U16),
	[PRIVATE_CONN_ATTR_DEST] = CODEC_BINARY(4, 16),
};

static const struct nla_policy worker_policy[PRIVATE_WORKER_MAX + 1] = {
	[PRIVATE_WORKER_INDEX] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_WORKER_LCORE] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_WORKER_LATE_USEC] = CODEC_NUMBER(NLA_U64),
};

static const struct nla_policy port_policy[PRIVATE_PORT_MAX + 1] = {
	[PRIVATE_PORT_INDEX] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_PORT_NAME] = CODEC_STRING(PRIVATE_NAME_MAX),
	[PRIVATE_PORT_DRIVER] = CODEC_STRING(PRIVATE_NAME_MAX),
	[PRIVATE_PORT_MAC] = CODEC_BINARY(PRIVATE_MAC_LEN, PRIVATE_MAC_LEN),
	[PRIVATE_PORT_LINK_UP] = CODEC_NUMBER(NLA_U8),
	[PRIVATE_PORT_SPEED] = CODEC_NUMBER(NLA_U32),
	[PRIVATE_PORT_MTU] = CODEC_NUMBER(NLA_U16),
};

static const struct nla_policy counter_policy[PRIVATE_COUNTER_MAX + 1] = {
	[PRIVATE_COUNTER_NAME] = CODEC_STRING(PRIVATE_NAME_MAX),
	[PRIVATE_COUNTER_VALUE] = CODEC_NUMBER(NLA_U64),
};

static int top_parse(const struct nlmsghdr *nlh, struct nlattr **tb)
{
	return codec_message_parse(nlh, tb, PRIVATE_ATTR_MAX, top_policy);
}

static int nest_parse(const struct nlattr *nest, struct nlattr **tb, int max,
		      const struct nla_policy *policy)
{
	return codec_attrs_parse(tb, max, nla_data(nest), nla_len(nest), policy);
}

static bool all_there(struct nlattr **tb, int max)
{
	for (int i = 1; i <= max; i++)
		if (!tb[i])
			return false;
	return true;
}

/* An address whose length tells its family. */
static int get_exact_addr(const struct nlattr *a, struct addr *ret)
{
	uint16_t family = nla_len(a) == 4 ? AF_INET : AF_INET6;

	if (nla_len(a) != 4 && nla_len(a) != 16)
		return -EBADMSG;
	return codec_get_addr(a, family, ret);
}

int private_parse_locals(const struct nlmsghdr *nlh, struct addr *ret, size_t max, size_t *ret_n)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1], *pos;
	size_t n = 0;
	int rest, r = top_parse(nlh, tb);

	if (r < 0)
		return r;
	nla_for_each_attr(pos, nlmsg_attrdata(nlh, GENL_HDRLEN), nlmsg_attrlen(nlh, GENL_HDRLEN),
			  rest)
	{
		if (nla_type(pos) != PRIVATE_ATTR_LOCAL)
			continue;
		if (n == max)
			return -E2BIG;
		r = get_exact_addr(pos, &ret[n]);
		if (r < 0)
			return r;
		if (!addr_is_host(&ret[n]))
			return -EINVAL;
		n++;
	}
	*ret_n = n;
	return 0;
}

static int get_rule(const struct nlattr *nest, struct private_rule *ret)
{
	struct nlattr *tb[PRIVATE_RULE_MAX + 1];
	struct private_rule rule = { 0 };
	int r = nest_parse(nest, tb, PRIVATE_RULE_MAX, rule_policy);

	if (r < 0)
		return r;
	if (!all_there(tb, PRIVATE_RULE_MAX))
		return -EINVAL;
	rule.protocol = nla_get_u8(tb[PRIVATE_RULE_PROTOCOL]);
	rule.port_low = ntohs(nla_get_u16(tb[PRIVATE_RULE_PORT_LOW]));
	rule.port_high = ntohs(nla_get_u16(tb[PRIVATE_RULE_PORT_HIGH]));
	rule.peer.len = nla_get_u8(tb[PRIVATE_RULE_PEER_BITS]);
	r = get_exact_addr(tb[PRIVATE_RULE_PEER], &rule.peer.addr);
	if (r < 0)
		return r;
	if (rule.port_low > rule.port_high || rule.peer.len > 8 * addr_len_bytes(&rule.peer.addr))
		return -EINVAL;
	*ret = rule;
	return 0;
}

int private_parse_rules(const struct nlmsghdr *nlh, struct private_rule *ret, size_t max,
			size_t *ret_n, bool *ret_restricted)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1], *pos;
	size_t n = 0;
	int rest, r = top_parse(nlh, tb);

	if (r < 0)
		return r;
	if (!tb[PRIVATE_ATTR_RESTRICTED] ||
	    (!nla_get_u8(tb[PRIVATE_ATTR_RESTRICTED]) && tb[PRIVATE_ATTR_RULE]))
		return -EINVAL;
	nla_for_each_attr(pos, nlmsg_attrdata(nlh, GENL_HDRLEN), nlmsg_attrlen(nlh, GENL_HDRLEN),
			  rest)
	{
		if (nla_type(pos) != PRIVATE_ATTR_RULE)
			continue;
		if (n == max)
			return -E2BIG;
		r = get_rule(pos, &ret[n]);
		if (r < 0)
			return r;
		n++;
	}
	*ret_n = n;
	*ret_restricted = nla_get_u8(tb[PRIVATE_ATTR_RESTRICTED]) != 0;
	return 0;
}

int private_parse_options(const struct nlmsghdr *nlh, struct private_options *ret)
{
	static const struct nla_policy policy[PRIVATE_OPTION_MAX + 1] = {
		[PRIVATE_OPTION_EXPIRE_NODEST_CONN] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_EXPIRE_QUIESCENT_TEMPLATE] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_SLOPPY_TCP] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_SLOPPY_SCTP] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_NAT_ICMP_SEND] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_RESET_ON_EXPIRY] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_STATELESS_WHEN_FULL] = CODEC_NUMBER(NLA_U8),
		[PRIVATE_OPTION_CONN_REUSE_MODE] = CODEC_NUMBER(NLA_U8),
	};
	struct nlattr *top[PRIVATE_ATTR_MAX + 1], *tb[PRIVATE_OPTION_MAX + 1];
	uint8_t values[PRIVATE_OPTION_MAX + 1];
	int r = top_parse(nlh, top);

	if (r == 0 && !top[PRIVATE_ATTR_OPTIONS])
		r = -EINVAL;
	if (r == 0)
		r = nest_parse(top[PRIVATE_ATTR_OPTIONS], tb, PRIVATE_OPTION_MAX, policy);
	if (r == 0 && !all_there(tb, PRIVATE_OPTION_MAX))
		r = -EINVAL;
	for (int i = 1; r == 0 && i <= PRIVATE_OPTION_MAX; i++) {
		values[i] = nla_get_u8(tb[i]);
		if (values[i] > (i == PRIVATE_OPTION_CONN_REUSE_MODE ? REUSE_MODE_MAX : 1))
			r = -EINVAL;
	}
	if (r < 0)
		return r;
	*ret = (struct private_options){
		.expire_nodest_conn = values[PRIVATE_OPTION_EXPIRE_NODEST_CONN],
		.expire_quiescent_template = values[PRIVATE_OPTION_EXPIRE_QUIESCENT_TEMPLATE],
		.sloppy_tcp = values[PRIVATE_OPTION_SLOPPY_TCP],
		.sloppy_sctp = values[PRIVATE_OPTION_SLOPPY_SCTP],
		.nat_icmp_send = values[PRIVATE_OPTION_NAT_ICMP_SEND],
		.reset_on_expiry = values[PRIVATE_OPTION_RESET_ON_EXPIRY],
		.stateless_when_full = values[PRIVATE_OPTION_STATELESS_WHEN_FULL],
		.conn_reuse_mode = values[PRIVATE_OPTION_CONN_REUSE_MODE],
	};
	return 0;
}

int private_parse_last_weight(const struct nlmsghdr *nlh, uint32_t *ret)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1];
	int r = top_parse(nlh, tb);

	if (r < 0)
		return r;
	if (!tb[PRIVATE_ATTR_LAST_WEIGHT])
		return -EINVAL;
	*ret = nla_get_u32(tb[PRIVATE_ATTR_LAST_WEIGHT]);
	return 0;
}

static int get_conn(const struct nlattr *nest, struct private_conn *ret)
{
	struct nlattr *tb[PRIVATE_CONN_ATTR_MAX + 1];
	struct private_conn c = { 0 };
	size_t len;
	int r = nest_parse(nest, tb, PRIVATE_CONN_ATTR_MAX, conn_policy);

	if (r < 0)
		return r;
	if (!tb[PRIVATE_CONN_ATTR_RECORD] || !tb[PRIVATE_CONN_ATTR_REMAINING] ||
	    !tb[PRIVATE_CONN_ATTR_LOCAL] != !tb[PRIVATE_CONN_ATTR_LOCAL_PORT])
		return -EBADMSG;
	r = connrec_decode(nla_data(tb[PRIVATE_CONN_ATTR_RECORD]),
			   (size_t)nla_len(tb[PRIVATE_CONN_ATTR_RECORD]), &c.record, &len);
	if (r < 0 || len != (size_t)nla_len(tb[PRIVATE_CONN_ATTR_RECORD]))
		return -EBADMSG;
	c.remaining_sec = nla_get_u32(tb[PRIVATE_CONN_ATTR_REMAINING]);
	if (tb[PRIVATE_CONN_ATTR_LOCAL]) {
		c.local_port = ntohs(nla_get_u16(tb[PRIVATE_CONN_ATTR_LOCAL_PORT]));
		r = get_exact_addr(tb[PRIVATE_CONN_ATTR_LOCAL], &c.local);
	}
	if (r == 0 && tb[PRIVATE_CONN_ATTR_DEST])
		r = get_exact_addr(tb[PRIVATE_CONN_ATTR_DEST], &c.record.dest);
	if (r < 0 || (c.local.family != AF_UNSPEC && c.local.family != c.record.client.family))
		return -EBADMSG;
	*ret = c;
	return 0;
}

/* The cursor is the offset of the next attribute, which the loop of a broken message never reaches. */
int private_next_conn(const struct nlmsghdr *nlh, size_t *cursor, struct private_conn *ret)
{
	uint8_t *data = (uint8_t *)nlmsg_attrdata(nlh, GENL_HDRLEN);
	int left;

	if (nlh->nlmsg_len < NLMSG_HDRLEN + GENL_HDRLEN || nlh->nlmsg_len > INT_MAX)
		return 0;
	left = nlmsg_attrlen(nlh, GENL_HDRLEN) - (int)*cursor;
	for (;;) {
		struct nlattr *a = (struct nlattr *)(data + *cursor);
		int step;

		if (left <= 0 || !nla_ok(a, left))
			return 0;
		step = NLA_ALIGN(a->nla_len);
		*cursor += (size_t)step;
		left -= step;
		if (nla_type(a) == PRIVATE_ATTR_CONN)
			return get_conn(a, ret) < 0 ? -EBADMSG : 1;
	}
}

int private_parse_result(const struct nlmsghdr *nlh, struct private_result *ret)
{
	struct nlattr *top[PRIVATE_ATTR_MAX + 1], *tb[_PRIVATE_OUTCOME_MAX + 1];
	struct nla_policy policy[_PRIVATE_OUTCOME_MAX + 1] = { 0 };
	int r = top_parse(nlh, top);

	for (int i = 1; i <= _PRIVATE_OUTCOME_MAX; i++)
		policy[i].type = NLA_U32;
	if (r == 0 && !top[PRIVATE_ATTR_RESULT])
		r = -EINVAL;
	if (r == 0)
		r = nest_parse(top[PRIVATE_ATTR_RESULT], tb, _PRIVATE_OUTCOME_MAX, policy);
	if (r == 0 && !all_there(tb, _PRIVATE_OUTCOME_MAX))
		r = -EINVAL;
	for (int i = 0; r == 0 && i < _PRIVATE_OUTCOME_MAX; i++)
		ret->counts[i] = nla_get_u32(tb[1 + i]);
	return r;
}

static int get_counters(const struct nlattr *nest, int type, struct private_counters *ret)
{
	struct nlattr *tb[PRIVATE_COUNTER_MAX + 1], *pos;
	int rest;

	ret->n = 0;
	nla_for_each_attr(pos, (struct nlattr *)nla_data(nest), nla_len(nest), rest)
	{
		if (nla_type(pos) != type)
			continue;
		if (ret->n == PRIVATE_COUNTERS_MAX)
			return -E2BIG;
		if (nest_parse(pos, tb, PRIVATE_COUNTER_MAX, counter_policy) < 0)
			return -EBADMSG;
		if (!all_there(tb, PRIVATE_COUNTER_MAX))
			return -EINVAL;
		strcpy(ret->at[ret->n].name, nla_data(tb[PRIVATE_COUNTER_NAME]));
		ret->at[ret->n].value = nla_get_u64(tb[PRIVATE_COUNTER_VALUE]);
		ret->n++;
	}
	return 0;
}

static int get_worker(const struct nlattr *nest, struct private_worker *ret,
		      struct private_counters *ret_counters)
{
	struct nlattr *tb[PRIVATE_WORKER_MAX + 1];
	int r = nest_parse(nest, tb, PRIVATE_WORKER_MAX, worker_policy);

	if (r == 0 && !all_there(tb, PRIVATE_WORKER_LATE_USEC))
		r = -EINVAL;
	if (r == 0 && ret_counters)
		r = get_counters(nest, PRIVATE_WORKER_COUNTER, ret_counters);
	if (r < 0)
		return r;
	*ret = (struct private_worker){
		.index = nla_get_u32(tb[PRIVATE_WORKER_INDEX]),
		.lcore = nla_get_u32(tb[PRIVATE_WORKER_LCORE]),
		.late_usec = nla_get_u64(tb[PRIVATE_WORKER_LATE_USEC]),
	};
	return 0;
}

int private_parse_worker(const struct nlmsghdr *nlh, struct private_worker *ret,
			 struct private_counters *ret_counters)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1];
	int r = top_parse(nlh, tb);

	if (r < 0)
		return r;
	if (!tb[PRIVATE_ATTR_WORKER])
		return -EINVAL;
	return get_worker(tb[PRIVATE_ATTR_WORKER], ret, ret_counters);
}

static int get_port(const struct nlattr *nest, struct private_port *ret,
		    struct private_counters *ret_counters)
{
	struct nlattr *tb[PRIVATE_PORT_MAX + 1];
	int r = nest_parse(nest, tb, PRIVATE_PORT_MAX, port_policy);

	if (r == 0 && !all_there(tb, PRIVATE_PORT_MTU))
		r = -EINVAL;
	if (r == 0 && ret_counters)
		r = get_counters(nest, PRIVATE_PORT_COUNTER, ret_counters);
	if (r < 0)
		return r;
	*ret = (struct private_port){
		.index = nla_get_u32(tb[PRIVATE_PORT_INDEX]),
		.link_up = nla_get_u8(tb[PRIVATE_PORT_LINK_UP]) != 0,
		.speed_mbps = nla_get_u32(tb[PRIVATE_PORT_SPEED]),
		.mtu = nla_get_u16(tb[PRIVATE_PORT_MTU]),
	};
	strcpy(ret->name, nla_data(tb[PRIVATE_PORT_NAME]));
	strcpy(ret->driver, nla_data(tb[PRIVATE_PORT_DRIVER]));
	memcpy(ret->mac, nla_data(tb[PRIVATE_PORT_MAC]), sizeof(ret->mac));
	return 0;
}

int private_parse_port(const struct nlmsghdr *nlh, struct private_port *ret,
		       struct private_counters *ret_counters)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1];
	int r = top_parse(nlh, tb);

	if (r < 0)
		return r;
	if (!tb[PRIVATE_ATTR_PORT])
		return -EINVAL;
	return get_port(tb[PRIVATE_ATTR_PORT], ret, ret_counters);
}

static int status_take(const struct nlattr *a, struct private_status *s)
{
	switch (nla_type(a)) {
	case PRIVATE_ATTR_WORKER:
		if (s->n_workers == PRIVATE_WORKERS_MAX)
			return -E2BIG;
		return get_worker(a, &s->workers[s->n_workers++], NULL);
	case PRIVATE_ATTR_PORT:
		if (s->n_ports == PRIVATE_PORTS_MAX)
			return -E2BIG;
		return get_port(a, &s->ports[s->n_ports++], NULL);
	default:
		return 0;
	}
}

int private_parse_status(const struct nlmsghdr *nlh, struct private_status *ret)
{
	struct nlattr *tb[PRIVATE_ATTR_MAX + 1], *pos;
	struct private_status s = { 0 };
	int rest, r = top_parse(nlh, tb);

	if (r == 0 && (!tb[PRIVATE_ATTR_PID] || !tb[PRIVATE_ATTR_UPTIME_USEC]))
		r = -EINVAL;
	if (r < 0)
		return r;
	s.pid = nla_get_u32(tb[PRIVATE_ATTR_PID]);
	s.uptime_usec = nla_get_u64(tb[PRIVATE_ATTR_UPTIME_USEC]);
	nla_for_each_attr(pos, nlmsg_attrdata(nlh, GENL_HDRLEN), nlmsg_attrlen(nlh, GENL_HDRLEN),
			  rest)
	{
		r = status_take(pos, &s);
		if (r < 0)
			return r;
	}
	*ret = s;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/interface-mute.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/netlink-exchange.h"

#define TABLE_NAME "ipvsd-fastpath"

enum {
	BATCH_BYTES = 8 * 1024,
	MESSAGE_BYTES = 512,
	PRIORITY = -300, /* before what others may have there */
	/* In <linux/netfilter.h> of newer kernels: NF_NETDEV_INGRESS. */
	HOOK_INGRESS = 0,
};

typedef struct nl_msg *nl_message;

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(nl_message, nlmsg_free)

struct batch {
	char bytes[BATCH_BYTES];
	size_t len_bytes;
	unsigned seq;	       /* of the last message */
	struct nlmsghdr *last; /* but for the end of the batch */
};

static int batch_add(struct batch *b, struct nl_msg *m)
{
	struct nlmsghdr *h = nlmsg_hdr(m);
	size_t len = NLMSG_ALIGN(h->nlmsg_len);

	if (b->len_bytes + len > sizeof(b->bytes))
		return -E2BIG;
	h->nlmsg_seq = ++b->seq;
	memcpy(b->bytes + b->len_bytes, h, h->nlmsg_len);
	b->last = (struct nlmsghdr *)(b->bytes + b->len_bytes);
	b->len_bytes += len;
	return 0;
}

static struct nl_msg *message(uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
	_cleanup_(nlmsg_free_p) nl_message m = nlmsg_alloc_size(MESSAGE_BYTES);
	const struct nfgenmsg header = { .nfgen_family = family, .res_id = htons(resource) };

	if (!m || !nlmsg_put(m, 0, 0, type, 0, NLM_F_REQUEST | flags) ||
	    nlmsg_append(m, (void *)&header, sizeof(header), NLMSG_ALIGNTO) < 0)
		return NULL;
	return take_ptr(m);
}

static int add_limit(struct batch *b, uint16_t type)
{
	_cleanup_(nlmsg_free_p) nl_message m = message(type, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);

	return m ? batch_add(b, m) : -ENOMEM;
}

static int add_table(struct batch *b, uint16_t type, uint16_t flags)
{
	_cleanup_(nlmsg_free_p) nl_message m =
		message((NFNL_SUBSYS_NFTABLES << 8) | type, flags, NFPROTO_NETDEV, 0);

	if (!m || nla_put_string(m, NFTA_TABLE_NAME, TABLE_NAME) < 0)
		return -ENOMEM;
	return batch_add(b, m);
}

static int add_chain(struct batch *b, const char *interface)
{
	_cleanup_(nlmsg_free_p) nl_message m = message(
		(NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_NETDEV, 0);
	struct nlattr *hook;

	if (!m || nla_put_string(m, NFTA_CHAIN_TABLE, TABLE_NAME) < 0 ||
	    nla_put_string(m, NFTA_CHAIN_NAME, interface) < 0)
		return -ENOMEM;
	hook = nla_nest_start(m, NFTA_CHAIN_HOOK);
	if (!hook || nla_put_u32(m, NFTA_HOOK_HOOKNUM, htonl(HOOK_INGRESS)) < 0 ||
	    nla_put_u32(m, NFTA_HOOK_PRIORITY, htonl((uint32_t)PRIORITY)) < 0 ||
	    nla_put_string(m, NFTA_HOOK_DEV, interface) < 0)
		return -ENOMEM;
	(void)nla_nest_end(m, hook);
	if (nla_put_u32(m, NFTA_CHAIN_POLICY, htonl(NF_DROP)) < 0 ||
	    nla_put_string(m, NFTA_CHAIN_TYPE, "filter") < 0)
		return -ENOMEM;
	return batch_add(b, m);
}

static int replace(const char *const *names, size_t n)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	_cleanup_free_ struct batch *b = calloc(1, sizeof(*b));
	unsigned seq;
	int r;

	if (!b)
		return -ENOMEM;
	r = netlink_exchange_open(NETLINK_NETFILTER, &s);
	if (r == 0)
		r = add_limit(b, NFNL_MSG_BATCH_BEGIN);
	/* Made, so that it can be deleted whether it was there or not. */
	if (r == 0)
		r = add_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	if (r == 0)
		r = add_table(b, NFT_MSG_DELTABLE, 0);
	if (r == 0 && n)
		r = add_table(b, NFT_MSG_NEWTABLE, NLM_F_CREATE);
	for (size_t i = 0; r == 0 && i < n; i++)
		r = add_chain(b, names[i]);
	if (r < 0)
		return r;
	assert(b->last); /* the table's removal, at least */
	b->last->nlmsg_flags |= NLM_F_ACK;
	seq = b->seq;
	r = add_limit(b, NFNL_MSG_BATCH_END);
	if (r < 0)
		return r;
	r = netlink_exchange_batch(s, b->bytes, b->len_bytes, seq);
	/* nfnetlink: no such subsystem. */
	return r == -EINVAL && n == 0 ? -EOPNOTSUPP : r;
}

int interface_mute(const char *const *names, size_t n)
{
	return n ? replace(names, n) : interface_unmute();
}

int interface_unmute(void)
{
	int r = replace(NULL, 0);

	/* What cannot be there need not be removed. */
	return r == -EOPNOTSUPP ? 0 : r;
}

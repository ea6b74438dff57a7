/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/interface-neighbour.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/netlink-exchange.h"

enum {
	KNOWN = NUD_REACHABLE | NUD_STALE | NUD_DELAY | NUD_PROBE | NUD_PERMANENT,
};

typedef struct nl_msg *nl_message;

DEFINE_CLEANUP(nl_message, nlmsg_free)
DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)

struct saving {
	int index;
	unsigned states; /* NUD_* */
	struct interface_neighbours *list;
};

void interface_neighbours_deinit(struct interface_neighbours *l)
{
	free(l->at);
	*l = INTERFACE_NEIGHBOURS_INIT;
}

static int append(struct interface_neighbours *l, const struct interface_neighbour *n)
{
	struct interface_neighbour *at = reallocarray(l->at, l->n + 1, sizeof(*at));

	if (!at)
		return -ENOMEM;
	l->at = at;
	l->at[l->n++] = *n;
	return 0;
}

static int on_neighbour(const struct nlmsghdr *h, void *userdata)
{
	struct saving *s = userdata;
	const struct ndmsg *m = nlmsg_data(h);
	const struct nlattr *dst, *hardware;
	struct interface_neighbour n = { 0 };

	if (h->nlmsg_type != RTM_NEWNEIGH || !nlmsg_valid_hdr(h, sizeof(*m)))
		return 0;
	if (m->ndm_ifindex != s->index || !(m->ndm_state & s->states) ||
	    (m->ndm_flags & NTF_PROXY) || (m->ndm_family != AF_INET && m->ndm_family != AF_INET6))
		return 0;
	dst = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*m), NDA_DST);
	hardware = nlmsg_find_attr((struct nlmsghdr *)h, sizeof(*m), NDA_LLADDR);
	n.addr.family = m->ndm_family;
	if (!dst || (size_t)nla_len(dst) != addr_len_bytes(&n.addr))
		return 0;
	memcpy(n.addr.bytes, nla_data(dst), addr_len_bytes(&n.addr));
	if (hardware ? nla_len(hardware) > INTERFACE_HARDWARE_MAX : m->ndm_state & KNOWN)
		return 0;
	if (hardware) {
		n.hardware_len_bytes = (size_t)nla_len(hardware);
		memcpy(n.hardware, nla_data(hardware), n.hardware_len_bytes);
	}
	n.permanent = m->ndm_state & NUD_PERMANENT;
	return append(s->list, &n);
}

static int list_neighbours(const char *name, unsigned states, struct interface_neighbours *ret)
{
	_cleanup_(interface_neighbours_deinit) struct interface_neighbours list =
		INTERFACE_NEIGHBOURS_INIT;
	_cleanup_(nlmsg_free_p)
		nl_message m = nlmsg_alloc_simple(RTM_GETNEIGH, NLM_F_REQUEST | NLM_F_DUMP);
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	struct saving saving = { (int)if_nametoindex(name), states, &list };
	struct ndmsg any = { .ndm_family = AF_UNSPEC };
	int r;

	if (saving.index == 0)
		return -ENODEV;
	if (!m || nlmsg_append(m, &any, sizeof(any), NLMSG_ALIGNTO) < 0)
		return -ENOMEM;
	r = netlink_exchange_open(NETLINK_ROUTE, &s);
	if (r == 0)
		r = netlink_exchange_dump(s, m, on_neighbour, &saving);
	if (r < 0)
		return r;
	*ret = list;
	list = INTERFACE_NEIGHBOURS_INIT;
	return 0;
}

int interface_neighbours_save(const char *name, struct interface_neighbours *ret)
{
	return list_neighbours(name, KNOWN, ret);
}

static int request(struct nl_sock *s, int type, int index, const struct interface_neighbour *n)
{
	int flags = type == RTM_NEWNEIGH ? NLM_F_CREATE | NLM_F_REPLACE : 0;
	_cleanup_(nlmsg_free_p)
		nl_message m = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_ACK | flags);
	struct ndmsg header = {
		.ndm_family = (uint8_t)n->addr.family,
		.ndm_ifindex = index,
		.ndm_state = n->permanent ? NUD_PERMANENT : NUD_STALE,
	};

	if (!m || nlmsg_append(m, &header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
	    nla_put(m, NDA_DST, (int)addr_len_bytes(&n->addr), n->addr.bytes) < 0 ||
	    (n->hardware_len_bytes &&
	     nla_put(m, NDA_LLADDR, (int)n->hardware_len_bytes, n->hardware) < 0))
		return -ENOMEM;
	return netlink_exchange_request(s, m);
}

/* Goes on after an error and returns the first; an entry that is gone is none. */
static int request_each(int type, const char *name, const struct interface_neighbours *l)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	int index = (int)if_nametoindex(name), ret;

	if (index == 0)
		return -ENODEV;
	ret = netlink_exchange_open(NETLINK_ROUTE, &s);
	for (size_t i = 0; s && i < l->n; i++) {
		int r = request(s, type, index, &l->at[i]);

		if (ret == 0 && r != -ENOENT)
			ret = r;
	}
	return ret;
}

int interface_neighbours_give(const struct interface_neighbours *l, const char *to)
{
	return request_each(RTM_NEWNEIGH, to, l);
}

int interface_neighbours_forget_unanswered(const char *name)
{
	_cleanup_(interface_neighbours_deinit) struct interface_neighbours list =
		INTERFACE_NEIGHBOURS_INIT;
	int r = list_neighbours(name, NUD_INCOMPLETE | NUD_FAILED, &list);

	return r < 0 ? r : request_each(RTM_DELNEIGH, name, &list);
}

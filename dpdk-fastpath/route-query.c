/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/route-query.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/link.h>
#include <netlink/route/link/vlan.h>
#include <netlink/route/neighbour.h>
#include <netlink/route/route.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(struct nl_msg *, nlmsg_free)
DEFINE_CLEANUP(struct rtnl_route *, rtnl_route_put)
DEFINE_CLEANUP(struct rtnl_link *, rtnl_link_put)
DEFINE_CLEANUP(struct rtnl_neigh *, rtnl_neigh_put)

int route_query_open(struct nl_sock **ret)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = nl_socket_alloc();

	if (!s)
		return -ENOMEM;
	if (nl_connect(s, NETLINK_ROUTE) < 0)
		return -EIO;
	nl_socket_disable_auto_ack(s);
	nl_socket_disable_seq_check(s); /* exchange() takes answers past libnl */
	if (nl_socket_set_nonblocking(s) < 0)
		return -EIO;
	*ret = take_ptr(s);
	return 0;
}

static void from_nl_addr(const struct nl_addr *from, struct addr *ret)
{
	*ret = (struct addr){ 0 };
	if (!from || nl_addr_get_len(from) > sizeof(ret->bytes) || nl_addr_get_len(from) == 0)
		return;
	ret->family = (uint16_t)nl_addr_get_family(from);
	memcpy(ret->bytes, nl_addr_get_binary_addr(from), nl_addr_get_len(from));
}

/* An answer to the request with that number; 1: none was among the messages. */
static int take_answer(struct nlmsghdr *h, int n, uint32_t seq,
		       int (*parse)(struct nlmsghdr *, void *), void *userdata)
{
	for (; nlmsg_ok(h, n); h = nlmsg_next(h, &n)) {
		const struct nlmsgerr *e = nlmsg_data(h);

		if (h->nlmsg_seq != seq)
			continue;
		if (h->nlmsg_type != NLMSG_ERROR)
			return parse(h, userdata);
		return nlmsg_datalen(h) < (int)sizeof(*e) ? -EBADMSG : e->error;
	}
	return 1;
}

/*
 * Sends the request and gives its one answer to parse(). What an error message carries is the kernel's own errno, which
 * libnl's callbacks would lose. The kernel has answered when the request is sent; what else lies there is of requests
 * before, which libnl or we did not read to their end.
 */
static int exchange(struct nl_sock *s, struct nl_msg *request,
		    int (*parse)(struct nlmsghdr *, void *), void *userdata)
{
	int r = 1;

	if (nl_send_auto(s, request) < 0)
		return -EIO;
	while (r == 1) {
		struct sockaddr_nl from;
		unsigned char *answer = NULL;
		int n = nl_recv(s, &from, &answer, NULL);

		if (n <= 0)
			return -EIO;
		if (from.nl_pid == 0)
			r = take_answer((struct nlmsghdr *)answer, n, nlmsg_hdr(request)->nlmsg_seq,
					parse, userdata);
		free(answer);
	}
	return r;
}

static int parse_route(struct nlmsghdr *h, void *userdata)
{
	return rtnl_route_parse(h, userdata) < 0 ? -EBADMSG : 0;
}

/* The interface's MTU, and what is below it when it is a VLAN. */
static int look_at_link(struct nl_sock *s, struct route_answer *a, uint32_t route_mtu)
{
	_cleanup_(rtnl_link_put_p) struct rtnl_link *link = NULL;
	uint32_t mtu;

	if (rtnl_link_get_kernel(s, a->ifindex, NULL, &link) < 0)
		return -EHOSTUNREACH;
	if (rtnl_link_is_vlan(link)) {
		a->vlan = (uint16_t)rtnl_link_vlan_get_id(link);
		a->parent = rtnl_link_get_link(link);
	}
	mtu = route_mtu ? route_mtu : rtnl_link_get_mtu(link);
	a->mtu = (uint16_t)MIN(mtu, (uint32_t)UINT16_MAX);
	return 0;
}

int route_query(struct nl_sock *s, const struct addr *a, struct route_answer *ret)
{
	const struct rtmsg header = { .rtm_family = (uint8_t)a->family,
				      .rtm_dst_len = (uint8_t)(addr_len_bytes(a) * 8) };
	_cleanup_(nlmsg_free_p) struct nl_msg *request =
		nlmsg_alloc_simple(RTM_GETROUTE, NLM_F_REQUEST);
	_cleanup_(rtnl_route_put_p) struct rtnl_route *route = NULL;
	struct route_answer answer = { .gateway = *a };
	struct rtnl_nexthop *hop;
	struct nl_addr *gateway;
	uint32_t mtu = 0;
	int r;

	if (!request ||
	    nlmsg_append(request, (void *)(uintptr_t)&header, sizeof(header), NLMSG_ALIGNTO) < 0 ||
	    nla_put(request, RTA_DST, (int)addr_len_bytes(a), a->bytes) < 0)
		return -ENOMEM;
	r = exchange(s, request, parse_route, &route);
	if (r < 0)
		return r;
	hop = route ? rtnl_route_nexthop_n(route, 0) : NULL;
	if (!hop || rtnl_route_get_type(route) != RTN_UNICAST ||
	    rtnl_route_nh_get_ifindex(hop) <= 0)
		return -EHOSTUNREACH;
	answer.ifindex = answer.parent = rtnl_route_nh_get_ifindex(hop);
	gateway = rtnl_route_nh_get_gateway(hop);
	if (!gateway)
		gateway = rtnl_route_nh_get_via(hop);
	if (gateway)
		from_nl_addr(gateway, &answer.gateway);
	from_nl_addr(rtnl_route_get_pref_src(route), &answer.source);
	(void)rtnl_route_get_metric(route, RTAX_MTU, &mtu); /* none: 0 */
	r = look_at_link(s, &answer, mtu);
	if (r < 0)
		return r;
	*ret = answer;
	return 0;
}

int neighbour_parse(struct nlmsghdr *nlh, struct neighbour_answer *ret)
{
	_cleanup_(rtnl_neigh_put_p) struct rtnl_neigh *neigh = NULL;
	const int valid = NUD_PERMANENT | NUD_NOARP | NUD_REACHABLE | NUD_PROBE | NUD_STALE |
			  NUD_DELAY;
	struct neighbour_answer a = { 0 };
	struct nl_addr *mac;

	if (nlmsg_datalen(nlh) < (int)sizeof(struct ndmsg) || rtnl_neigh_parse(nlh, &neigh) < 0)
		return -EBADMSG;
	a.ifindex = rtnl_neigh_get_ifindex(neigh);
	from_nl_addr(rtnl_neigh_get_dst(neigh), &a.addr);
	if (a.addr.family != AF_INET && a.addr.family != AF_INET6)
		return -ENOENT;
	mac = rtnl_neigh_get_lladdr(neigh);
	a.valid = nlh->nlmsg_type == RTM_NEWNEIGH && (rtnl_neigh_get_state(neigh) & valid) && mac &&
		  nl_addr_get_len(mac) == sizeof(a.mac);
	a.failed = nlh->nlmsg_type == RTM_NEWNEIGH && rtnl_neigh_get_state(neigh) == NUD_FAILED;
	if (a.valid)
		memcpy(a.mac, nl_addr_get_binary_addr(mac), sizeof(a.mac));
	*ret = a;
	return 0;
}

static int parse_neighbour(struct nlmsghdr *h, void *userdata)
{
	return neighbour_parse(h, userdata);
}

static struct nl_msg *neighbour_request(int type, int flags, const struct ndmsg *header,
					const struct addr *a)
{
	_cleanup_(nlmsg_free_p) struct nl_msg *request = nlmsg_alloc_simple(type, flags);

	if (!request ||
	    nlmsg_append(request, (void *)(uintptr_t)header, sizeof(*header), NLMSG_ALIGNTO) < 0 ||
	    nla_put(request, NDA_DST, (int)addr_len_bytes(a), a->bytes) < 0)
		return NULL;
	return take_ptr(request);
}

int neighbour_query(struct nl_sock *s, int ifindex, const struct addr *a,
		    struct neighbour_answer *ret)
{
	const struct ndmsg header = { .ndm_family = (uint8_t)a->family, .ndm_ifindex = ifindex };
	_cleanup_(nlmsg_free_p) struct nl_msg *request =
		neighbour_request(RTM_GETNEIGH, NLM_F_REQUEST, &header, a);

	return request ? exchange(s, request, parse_neighbour, ret) : -ENOMEM;
}

static int parse_nothing(struct nlmsghdr *h, void *userdata)
{
	(void)h;
	(void)userdata;
	return 0;
}

int neighbour_use(struct nl_sock *s, int ifindex, const struct addr *a)
{
	const struct ndmsg header = { .ndm_family = (uint8_t)a->family,
				      .ndm_ifindex = ifindex,
				      .ndm_flags = NTF_USE };
	_cleanup_(nlmsg_free_p) struct nl_msg *request = neighbour_request(
		RTM_NEWNEIGH, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK, &header, a);

	return request ? exchange(s, request, parse_nothing, NULL) : -ENOMEM;
}

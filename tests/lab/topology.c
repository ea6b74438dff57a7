/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/topology.h"

#include <errno.h>
#include <net/if.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/link/bridge.h>
#include <netlink/route/link/veth.h>
#include <netlink/route/route.h>
#include <sys/socket.h>

#include "base/cleanup.h"

DEFINE_CLEANUP(struct rtnl_link *, rtnl_link_put)
DEFINE_CLEANUP(struct rtnl_addr *, rtnl_addr_put)
DEFINE_CLEANUP(struct rtnl_route *, rtnl_route_put)
DEFINE_CLEANUP(struct nl_addr *, nl_addr_put)
DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)

/* Only the codes that a caller tells apart. */
static int from_nl(int r)
{
	switch (r < 0 ? -r : 0) {
	case 0:
		return 0;
	case NLE_EXIST:
		return -EEXIST;
	case NLE_NOADDR:
	case NLE_OBJ_NOTFOUND:
	case NLE_NODEV:
		return -EADDRNOTAVAIL;
	case NLE_PERM:
		return -EPERM;
	case NLE_NOMEM:
		return -ENOMEM;
	case NLE_INVAL:
		return -EINVAL;
	default:
		return -EIO;
	}
}

int topology_open(struct nl_sock **ret)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = nl_socket_alloc();
	int r;

	if (!s)
		return -ENOMEM;
	r = nl_connect(s, NETLINK_ROUTE);
	if (r < 0)
		return from_nl(r);
	*ret = take_ptr(s);
	return 0;
}

int topology_link_up(struct nl_sock *s, const char *interface)
{
	_cleanup_(rtnl_link_put_p) struct rtnl_link *old = rtnl_link_alloc();
	_cleanup_(rtnl_link_put_p) struct rtnl_link *new = rtnl_link_alloc();

	if (!old || !new)
		return -ENOMEM;
	rtnl_link_set_ifindex(old, (int)if_nametoindex(interface));
	rtnl_link_set_flags(new, IFF_UP);
	return from_nl(rtnl_link_change(s, old, new, 0));
}

int topology_bridge(struct nl_sock *s, const char *name)
{
	_cleanup_(rtnl_link_put_p) struct rtnl_link *link = rtnl_link_bridge_alloc();

	if (!link)
		return -ENOMEM;
	rtnl_link_set_name(link, name);
	rtnl_link_set_flags(link, IFF_UP);
	return from_nl(rtnl_link_add(s, link, NLM_F_CREATE | NLM_F_EXCL));
}

int topology_veth(struct nl_sock *s, const char *name, const char *bridge, int peer_ns,
		  const char *peer_name)
{
	_cleanup_(rtnl_link_put_p) struct rtnl_link *link = rtnl_link_veth_alloc();
	_cleanup_(rtnl_link_put_p) struct rtnl_link *peer = NULL;

	if (!link)
		return -ENOMEM;
	peer = rtnl_link_veth_get_peer(link); /* takes a reference */
	rtnl_link_set_name(link, name);
	rtnl_link_set_flags(link, IFF_UP);
	if (bridge)
		rtnl_link_set_master(link, (int)if_nametoindex(bridge));
	rtnl_link_set_name(peer, peer_name);
	rtnl_link_set_ns_fd(peer, peer_ns);
	return from_nl(rtnl_link_add(s, link, NLM_F_CREATE | NLM_F_EXCL));
}

int topology_address(struct nl_sock *s, const char *interface, const char *address, bool add)
{
	_cleanup_(rtnl_addr_put_p) struct rtnl_addr *addr = rtnl_addr_alloc();
	_cleanup_(nl_addr_put_p) struct nl_addr *local = NULL;
	int r;

	if (!addr)
		return -ENOMEM;
	r = nl_addr_parse(address, AF_UNSPEC, &local);
	if (r < 0)
		return from_nl(r);
	rtnl_addr_set_ifindex(addr, (int)if_nametoindex(interface));
	r = rtnl_addr_set_local(addr, local);
	if (r < 0)
		return from_nl(r);
	if (nl_addr_get_family(local) == AF_INET6)
		rtnl_addr_set_flags(addr, IFA_F_NODAD);
	return from_nl(add ? rtnl_addr_add(s, addr, NLM_F_EXCL) : rtnl_addr_delete(s, addr, 0));
}

int topology_address_exists(struct nl_sock *s, const char *interface, const char *address)
{
	_cleanup_(nl_addr_put_p) struct nl_addr *local = NULL;
	struct rtnl_addr *found;
	struct nl_cache *cache;
	int r;

	r = nl_addr_parse(address, AF_UNSPEC, &local);
	if (r < 0)
		return from_nl(r);
	r = rtnl_addr_alloc_cache(s, &cache);
	if (r < 0)
		return from_nl(r);
	found = rtnl_addr_get(cache, (int)if_nametoindex(interface), local);
	r = found != NULL;
	if (found)
		rtnl_addr_put(found);
	nl_cache_free(cache);
	return r;
}

int topology_route(struct nl_sock *s, const char *prefix, const char *via)
{
	_cleanup_(rtnl_route_put_p) struct rtnl_route *route = rtnl_route_alloc();
	_cleanup_(nl_addr_put_p) struct nl_addr *dst = NULL;
	_cleanup_(nl_addr_put_p) struct nl_addr *gateway = NULL;
	struct rtnl_nexthop *hop;
	int r;

	if (!route)
		return -ENOMEM;
	r = nl_addr_parse(via, AF_UNSPEC, &gateway);
	if (r < 0)
		return from_nl(r);
	r = nl_addr_parse(prefix ? prefix : "default", nl_addr_get_family(gateway), &dst);
	if (r < 0)
		return from_nl(r);
	hop = rtnl_route_nh_alloc();
	if (!hop)
		return -ENOMEM;
	rtnl_route_nh_set_gateway(hop, gateway);
	rtnl_route_add_nexthop(route, hop); /* the route owns it now */
	(void)rtnl_route_set_family(route, (uint8_t)nl_addr_get_family(gateway));
	r = rtnl_route_set_dst(route, dst);
	if (r < 0)
		return from_nl(r);
	return from_nl(rtnl_route_add(s, route, NLM_F_CREATE));
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/interface-item.h"
#include "daemon/interface.h"
#include "daemon/netlink-exchange.h"

enum {
	DUMP_TRIES = 5,
};

typedef struct nl_msg *nl_message;

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(nl_message, nlmsg_free)

struct finding {
	unsigned index;
	bool has_master, has_upper, has_default_route, has_nexthop_object;
	char other[IFNAMSIZ];
};

/* A veth's IFLA_LINK is its peer, which does not ride on it. */
static bool is_pair(struct nlattr *const *tb)
{
	struct nlattr *kind;

	if (tb[IFLA_LINK_NETNSID])
		return true;
	kind = tb[IFLA_LINKINFO] ? nla_find(nla_data(tb[IFLA_LINKINFO]), nla_len(tb[IFLA_LINKINFO]),
					    IFLA_INFO_KIND)
				 : NULL;
	return kind && !strncmp(nla_data(kind), "veth", (size_t)nla_len(kind));
}

static int on_link(const struct nlmsghdr *h, void *userdata)
{
	struct nlattr *tb[IFLA_MAX + 1];
	const struct ifinfomsg *link = nlmsg_data(h);
	struct finding *f = userdata;

	if (h->nlmsg_type != RTM_NEWLINK ||
	    nlmsg_parse((struct nlmsghdr *)h, sizeof(*link), tb, IFLA_MAX, NULL) < 0)
		return 0;
	if (link->ifi_index == (int)f->index)
		f->has_master = tb[IFLA_MASTER];
	else if (tb[IFLA_LINK] && nla_get_u32(tb[IFLA_LINK]) == f->index && !is_pair(tb)) {
		f->has_upper = true;
		if (tb[IFLA_IFNAME])
			(void)nla_strlcpy(f->other, tb[IFLA_IFNAME], sizeof(f->other));
	}
	return 0;
}

static int on_route(const struct nlmsghdr *h, void *userdata)
{
	struct finding *f = userdata;

	if (interface_item_belongs(h, f->index) <= 0)
		return 0;
	if (interface_item_is_default_route(h, f->index))
		f->has_default_route = true;
	if (interface_item_has_nexthop_object(h))
		f->has_nexthop_object = true;
	return 0;
}

static int look(struct finding *f)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = NULL;
	int r = netlink_exchange_open(NETLINK_ROUTE, &s);

	for (int i = 0; r == 0 && i < DUMP_TRIES; i++) {
		_cleanup_(nlmsg_free_p)
			nl_message m = nlmsg_alloc_simple(RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP);
		struct ifinfomsg any = { .ifi_family = AF_UNSPEC };

		if (!m || nlmsg_append(m, &any, sizeof(any), NLMSG_ALIGNTO) < 0)
			return -ENOMEM;
		r = netlink_exchange_dump(s, m, on_link, f);
		if (r == 0)
			r = interface_item_dump(s, RTM_GETROUTE, on_route, f);
		if (r != -EINTR)
			break;
		r = 0;
	}
	return r;
}

__attribute__((format(printf, 3, 4))) static int refuse(char reason[static INTERFACE_REASON_MAX],
							int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, INTERFACE_REASON_MAX, format, args);
	va_end(args);
	return error;
}

int interface_check(const char *name, bool keep_default_route,
		    char ret_reason[static INTERFACE_REASON_MAX])
{
	struct finding f = { .index = if_nametoindex(name) };
	int r;

	if (f.index == 0)
		return refuse(ret_reason, -ENODEV,
			      "%s: there is no such interface here: see `ip link`", name);
	r = look(&f);
	if (r < 0)
		return refuse(ret_reason, r, "%s: its links and routes cannot be read: %s", name,
			      strerror(-r));
	if (f.has_master)
		return refuse(ret_reason, -EBUSY,
			      "%s belongs to a bridge or bond: the fast path needs an interface of "
			      "its own: `ip link set %s nomaster`",
			      name, name);
	if (f.has_upper)
		return refuse(ret_reason, -EBUSY,
			      "%s is on top of %s: the fast path needs an interface of its own",
			      f.other, name);
	if (f.has_nexthop_object)
		return refuse(ret_reason, -EBUSY,
			      "%s has routes by nexthop objects, which cannot be moved: make them "
			      "plain routes",
			      name);
	if (keep_default_route && f.has_default_route)
		return refuse(ret_reason, -EBUSY,
			      "%s has the default route, so that a fault could cut this host off: "
			      "use another interface, or --force",
			      name);
	return 0;
}

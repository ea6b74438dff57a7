/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/interface-item.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

enum {
	MESSAGE_MAX = 16 * 1024,
	TICKS_PER_SECOND = 100, /* USER_HZ, in which rta_expires is told */
};

typedef struct nl_msg *nl_message;

DEFINE_CLEANUP(nl_message, nlmsg_free)

int interface_item_init(struct interface_item *i, const struct nlmsghdr *h)
{
	size_t len = h->nlmsg_len - NLMSG_HDRLEN;
	uint8_t *bytes = malloc(len ? len : 1);

	if (!bytes)
		return -ENOMEM;
	memcpy(bytes, nlmsg_data(h), len);
	*i = (struct interface_item){ h->nlmsg_type, bytes, len };
	return 0;
}

void interface_item_deinit(struct interface_item *i)
{
	free(i->bytes);
	*i = (struct interface_item){ 0 };
}

int interface_item_dump(struct nl_sock *s, uint16_t type, netlink_message_fn on_message,
			void *userdata)
{
	_cleanup_(nlmsg_free_p) nl_message m = nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP);
	struct rtmsg any = { .rtm_family = AF_UNSPEC }; /* longer than struct ifaddrmsg */

	if (!m ||
	    nlmsg_append(m, &any, type == RTM_GETADDR ? sizeof(struct ifaddrmsg) : sizeof(any),
			 NLMSG_ALIGNTO) < 0)
		return -ENOMEM;
	return netlink_exchange_dump(s, m, on_message, userdata);
}

static size_t header_len(uint16_t type)
{
	return type == RTM_NEWADDR ? sizeof(struct ifaddrmsg) : sizeof(struct rtmsg);
}

static struct nlattr *first_attribute(const uint8_t *bytes, uint16_t type)
{
	return (struct nlattr *)(bytes + NLMSG_ALIGN(header_len(type)));
}

static int attributes_len(size_t len, uint16_t type)
{
	size_t header = NLMSG_ALIGN(header_len(type));

	return len < header ? 0 : (int)(len - header);
}

static struct nlattr *find(const uint8_t *bytes, size_t len, uint16_t type, int attribute)
{
	return nla_find(first_attribute(bytes, type), attributes_len(len, type), attribute);
}

static bool hops_through(const struct nlattr *multipath, unsigned index)
{
	const struct rtnexthop *hop = nla_data(multipath);
	int left = nla_len(multipath);

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop))
		if (hop->rtnh_ifindex == (int)index)
			return true;
	return false;
}

static bool leads_through(const struct nlmsghdr *h, unsigned index)
{
	const uint8_t *bytes = nlmsg_data(h);
	size_t len = h->nlmsg_len - NLMSG_HDRLEN;
	const struct nlattr *interface = find(bytes, len, RTM_NEWROUTE, RTA_OIF);
	const struct nlattr *multipath = find(bytes, len, RTM_NEWROUTE, RTA_MULTIPATH);

	if (interface && nla_len(interface) >= (int)sizeof(uint32_t) &&
	    nla_get_u32(interface) == index)
		return true;
	return multipath && hops_through(multipath, index);
}

static bool is_route(const struct nlmsghdr *h)
{
	return h->nlmsg_type == RTM_NEWROUTE && h->nlmsg_len >= NLMSG_LENGTH(sizeof(struct rtmsg));
}

/* Every interface that is up gets one of its own (if_addr.h: IFAPROT_KERNEL_LL; Linux 5.18). */
static bool is_link_local_of_kernel(const struct nlmsghdr *h)
{
	const struct nlattr *protocol =
		find(nlmsg_data(h), h->nlmsg_len - NLMSG_HDRLEN, RTM_NEWADDR, IFA_PROTO);

	return protocol && nla_len(protocol) >= 1 && nla_get_u8(protocol) == IFAPROT_KERNEL_LL;
}

int interface_item_belongs(const struct nlmsghdr *h, unsigned index)
{
	const struct rtmsg *route = nlmsg_data(h);
	const struct ifaddrmsg *address = nlmsg_data(h);

	if (h->nlmsg_len > MESSAGE_MAX)
		return -EBADMSG;
	if (h->nlmsg_type == RTM_NEWADDR && h->nlmsg_len >= NLMSG_LENGTH(sizeof(*address)))
		return (address->ifa_family == AF_INET || address->ifa_family == AF_INET6) &&
		       address->ifa_index == index && !is_link_local_of_kernel(h);
	if (!is_route(h) || (route->rtm_family != AF_INET && route->rtm_family != AF_INET6))
		return 0;
	return route->rtm_type == RTN_UNICAST && route->rtm_protocol != RTPROT_KERNEL &&
	       route->rtm_protocol != RTPROT_REDIRECT && !(route->rtm_flags & RTM_F_CLONED) &&
	       leads_through(h, index);
}

bool interface_item_is_default_route(const struct nlmsghdr *h, unsigned index)
{
	const struct rtmsg *route = nlmsg_data(h);

	return is_route(h) && route->rtm_dst_len == 0 && route->rtm_table == RT_TABLE_MAIN &&
	       interface_item_belongs(h, index) > 0;
}

bool interface_item_has_nexthop_object(const struct nlmsghdr *h)
{
	return is_route(h) &&
	       find(nlmsg_data(h), h->nlmsg_len - NLMSG_HDRLEN, RTM_NEWROUTE, RTA_NH_ID) != NULL;
}

/* In the copy that is sent. */
static void patch_hops(struct nlattr *multipath, const struct interface_item_place *place)
{
	struct rtnexthop *hop = nla_data(multipath);
	int left = nla_len(multipath);

	for (; RTNH_OK(hop, left); left -= (int)RTNH_ALIGN(hop->rtnh_len), hop = RTNH_NEXT(hop)) {
		hop->rtnh_flags &= RTNH_F_ONLINK;
		if (hop->rtnh_ifindex == (int)place->saved_index)
			hop->rtnh_ifindex = (int)place->index;
	}
}

static int put_route_attribute(struct nl_msg *m, const struct nlattr *a,
			       const struct interface_item_place *place)
{
	const struct rta_cacheinfo *info = nla_data(a);

	switch (nla_type(a)) {
	case RTA_OIF:
		return nla_put_u32(m, RTA_OIF, place->index);
	case RTA_CACHEINFO: /* the kernel takes a lifetime in an attribute of its own */
		if (nla_len(a) < (int)sizeof(*info) || info->rta_expires <= 0)
			return 0;
		return nla_put_u32(m, RTA_EXPIRES, (uint32_t)info->rta_expires / TICKS_PER_SECOND);
	case RTA_IIF:
		return 0;
	case RTA_MULTIPATH:
		if (nla_put(m, RTA_MULTIPATH, nla_len(a), nla_data(a)) < 0)
			return -ENOMEM;
		patch_hops(nlmsg_find_attr(nlmsg_hdr(m), sizeof(struct rtmsg), RTA_MULTIPATH),
			   place);
		return 0;
	default:
		return nla_put(m, nla_type(a), nla_len(a), nla_data(a));
	}
}

static int put_address_attribute(struct nl_msg *m, const struct nlattr *a, uint8_t family,
				 const struct interface_item_place *place)
{
	if (nla_type(a) == IFA_LABEL && !place->is_original)
		return 0; /* it begins with the interface's name */
	if (nla_type(a) == IFA_FLAGS && nla_len(a) >= (int)sizeof(uint32_t))
		return nla_put_u32(m, IFA_FLAGS,
				   nla_get_u32(a) | (family == AF_INET6 ? IFA_F_NODAD : 0));
	return nla_put(m, nla_type(a), nla_len(a), nla_data(a));
}

static int append_header(const struct interface_item *i, struct nl_msg *m,
			 const struct interface_item_place *place)
{
	struct ifaddrmsg address;
	struct rtmsg route;

	if (i->type == RTM_NEWADDR) {
		memcpy(&address, i->bytes, sizeof(address));
		address.ifa_index = place->index;
		if (address.ifa_family == AF_INET6)
			address.ifa_flags |= IFA_F_NODAD;
		return nlmsg_append(m, &address, sizeof(address), NLMSG_ALIGNTO);
	}
	memcpy(&route, i->bytes, sizeof(route));
	route.rtm_flags &= RTNH_F_ONLINK; /* the rest is the kernel's finding */
	return nlmsg_append(m, &route, sizeof(route), NLMSG_ALIGNTO);
}

static int send_item(const struct interface_item *i, struct nl_sock *s, uint16_t type,
		     uint16_t flags, const struct interface_item_place *place)
{
	_cleanup_(nlmsg_free_p) nl_message m = nlmsg_alloc_size(MESSAGE_MAX + 256);
	struct nlattr *a = first_attribute(i->bytes, i->type);
	int left = attributes_len(i->len_bytes, i->type);

	if (!m || !nlmsg_put(m, NL_AUTO_PORT, NL_AUTO_SEQ, type, 0, NLM_F_REQUEST | flags) ||
	    append_header(i, m, place) < 0)
		return -ENOMEM;
	for (; nla_ok(a, left); a = nla_next(a, &left)) {
		int r = i->type == RTM_NEWADDR ? put_address_attribute(m, a, i->bytes[0], place)
					       : put_route_attribute(m, a, place);

		if (r < 0)
			return -ENOMEM;
	}
	return netlink_exchange_request(s, m);
}

int interface_item_add(const struct interface_item *i, struct nl_sock *s,
		       const struct interface_item_place *place)
{
	/* Appended: IPv6 has routes of one prefix and metric side by side. */
	uint16_t flags = i->type == RTM_NEWADDR ? NLM_F_CREATE | NLM_F_EXCL
						: NLM_F_CREATE | NLM_F_APPEND;
	int r = send_item(i, s, i->type, flags, place);

	return r == -EEXIST ? 0 : r;
}

int interface_item_remove(const struct interface_item *i, struct nl_sock *s,
			  const struct interface_item_place *place)
{
	int r = send_item(i, s, i->type == RTM_NEWADDR ? RTM_DELADDR : RTM_DELROUTE, 0, place);

	return r == -EADDRNOTAVAIL || r == -ESRCH ? 0 : r;
}

json_t *interface_item_to_json(const struct interface_item *i)
{
	_cleanup_free_ char *text = malloc(2 * i->len_bytes + 1);

	if (!text)
		return NULL;
	text[0] = '\0';
	for (size_t k = 0; k < i->len_bytes; k++)
		(void)snprintf(text + 2 * k, 3, "%02x", i->bytes[k]);
	return json_pack("{s:s,s:s}", "kind", i->type == RTM_NEWADDR ? "address" : "route",
			 "message", text);
}

static int digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

int interface_item_from_json(const json_t *j, struct interface_item *ret)
{
	struct interface_item i = { 0 };
	const char *kind, *text;
	size_t len;

	if (json_unpack((json_t *)j, "{s:s,s:s}", "kind", &kind, "message", &text) < 0)
		return -EBADMSG;
	i.type = !strcmp(kind, "address") ? RTM_NEWADDR : RTM_NEWROUTE;
	len = strlen(text);
	if (len % 2 || len / 2 < header_len(i.type) || len / 2 > MESSAGE_MAX)
		return -EBADMSG;
	i.len_bytes = len / 2;
	i.bytes = malloc(i.len_bytes);
	if (!i.bytes)
		return -ENOMEM;
	for (size_t k = 0; k < i.len_bytes; k++) {
		int high = digit(text[2 * k]), low = digit(text[2 * k + 1]);

		if (high < 0 || low < 0) {
			free(i.bytes);
			return -EBADMSG;
		}
		i.bytes[k] = (uint8_t)(high << 4 | low);
	}
	*ret = i;
	return 0;
}

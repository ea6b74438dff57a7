/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/reach.h"

#include <errno.h>
#include <linux/neighbour.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/cleanup.h"

enum {
	MESSAGE_MAX = 4096,
};

/* A request for one route or one neighbour, with room for an address. */
struct request {
	struct nlmsghdr header;
	union {
		struct rtmsg route;
		struct ndmsg neighbour;
	} body;
	struct rtattr attr;
	char addr[16];
};

_Static_assert(sizeof(struct rtmsg) == sizeof(struct ndmsg), "the attribute follows either");

/* The kernel answers inside send(): what is not there at once is an error. */
static int ask(struct request *q, const struct addr *addr, unsigned short attr,
	       char answer[static MESSAGE_MAX], size_t *ret_len)
{
	_cleanup_close_ int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	const struct nlmsghdr *h = (const struct nlmsghdr *)answer;
	size_t len = addr_len_bytes(addr);
	ssize_t n;

	if (fd < 0)
		return -errno;
	q->attr = (struct rtattr){ (unsigned short)RTA_LENGTH(len), attr };
	memcpy(q->addr, addr->bytes, len);
	q->header.nlmsg_len = (uint32_t)(offsetof(struct request, addr) + len);
	q->header.nlmsg_flags = NLM_F_REQUEST;
	if (send(fd, q, q->header.nlmsg_len, 0) < 0)
		return -errno;
	n = recv(fd, answer, MESSAGE_MAX, MSG_DONTWAIT);
	if (n < 0)
		return -errno;
	if ((size_t)n < sizeof(*h) || h->nlmsg_len > (size_t)n)
		return -EBADMSG;
	if (h->nlmsg_type == NLMSG_ERROR) {
		const struct nlmsgerr *e = NLMSG_DATA(h);

		return h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)) ? -EBADMSG : e->error;
	}
	*ret_len = h->nlmsg_len;
	return h->nlmsg_len < NLMSG_LENGTH(sizeof(struct rtmsg)) ? -EBADMSG : 0;
}

static int get_route(const struct addr *to, struct addr *ret_gateway, int *ret_interface)
{
	struct request q = {
		.header.nlmsg_type = RTM_GETROUTE,
		.body.route = { .rtm_family = (uint8_t)to->family,
				.rtm_dst_len = (uint8_t)(8 * addr_len_bytes(to)) },
	};
	_Alignas(struct nlmsghdr) char answer[MESSAGE_MAX] = "";
	const struct rtattr *a;
	size_t len = 0;
	int r = ask(&q, to, RTA_DST, answer, &len);

	if (r < 0)
		return r;
	*ret_gateway = (struct addr){ .family = AF_UNSPEC };
	*ret_interface = 0;
	len -= NLMSG_LENGTH(sizeof(struct rtmsg));
	for (a = RTM_RTA(NLMSG_DATA((struct nlmsghdr *)answer)); RTA_OK(a, len);
	     a = RTA_NEXT(a, len)) {
		if (a->rta_type == RTA_OIF && RTA_PAYLOAD(a) == sizeof(int))
			memcpy(ret_interface, RTA_DATA(a), sizeof(int));
		if (a->rta_type == RTA_GATEWAY && RTA_PAYLOAD(a) == addr_len_bytes(to)) {
			ret_gateway->family = to->family;
			memcpy(ret_gateway->bytes, RTA_DATA(a), RTA_PAYLOAD(a));
		}
	}
	return 0;
}

/* Since Linux 5.0; an unknown neighbour, or an older kernel, says nothing against the gateway. */
static bool is_silent(const struct addr *gateway, int interface)
{
	struct request q = {
		.header.nlmsg_type = RTM_GETNEIGH,
		.body.neighbour = { .ndm_family = (uint8_t)gateway->family,
				    .ndm_ifindex = interface },
	};
	_Alignas(struct nlmsghdr) char answer[MESSAGE_MAX] = "";
	const struct ndmsg *m;
	size_t len = 0;

	if (ask(&q, gateway, NDA_DST, answer, &len) < 0)
		return false;
	m = NLMSG_DATA((struct nlmsghdr *)answer);
	return m->ndm_state & (NUD_FAILED | NUD_INCOMPLETE);
}

/* IFF_RUNNING is gone when there is no carrier. */
static bool is_up(const char *name)
{
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct ifreq request = { 0 };

	memcpy(request.ifr_name, name, strnlen(name, IFNAMSIZ - 1));
	if (fd < 0 || ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return true;
	return (request.ifr_flags & IFF_UP) && (request.ifr_flags & IFF_RUNNING);
}

bool reach_is_ours(const struct addr *to, char text[static REACH_TEXT_MAX])
{
	char target[ADDR_STR_MAX], via[ADDR_STR_MAX], name[IFNAMSIZ] = "";
	struct addr gateway;
	int interface, r;

	addr_format(to, target);
	r = get_route(to, &gateway, &interface);
	if (r == -ENETUNREACH || r == -EHOSTUNREACH || r == -ENETDOWN) {
		(void)snprintf(text, REACH_TEXT_MAX, "this host has no route to %s", target);
		return true;
	}
	if (r < 0 || !if_indextoname((unsigned)interface, name))
		return false;
	if (!is_up(name)) {
		(void)snprintf(text, REACH_TEXT_MAX,
			       "interface %s towards %s is down or has no carrier", name, target);
		return true;
	}
	if (gateway.family != AF_UNSPEC && is_silent(&gateway, interface)) {
		(void)snprintf(text, REACH_TEXT_MAX, "gateway %s towards %s does not answer",
			       addr_format(&gateway, via), target);
		return true;
	}
	return false;
}

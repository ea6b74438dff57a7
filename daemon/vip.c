/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/vip.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/addr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/conf.h"
#include "daemon/netlink-exchange.h"

enum {
	/* Of the numbers that /etc/iproute2/rt_addrprotos leaves to user space (0-3 are the kernel's). */
	VIP_ADDRESS_PROTOCOL = 73,
	VIP_DUMP_TRIES = 5,
};

/* An address on an interface. */
struct vip {
	struct addr addr;
	uint8_t prefix_len;
	char interface[CONF_IFNAME_MAX];
	bool ours; /* in a dump: carries our address protocol */
};

struct vip_list {
	struct vip *items; /* owned */
	size_t n;
};

/* The addresses of one interface are on another one for a time. */
struct vip_redirect {
	char from[CONF_IFNAME_MAX], to[CONF_IFNAME_MAX];
};

struct vip_set {
	struct nl_sock *socket; /* owned */
	struct vip_list ours;
	struct vip_redirect *redirects; /* owned */
	size_t n_redirects;
};

typedef struct nl_msg *nl_message;
typedef struct rtnl_addr *rtnl_address;
typedef struct nl_addr *nl_address;

DEFINE_CLEANUP(struct vip_set *, vip_set_free)
DEFINE_CLEANUP(nl_message, nlmsg_free)
DEFINE_CLEANUP(rtnl_address, rtnl_addr_put)
DEFINE_CLEANUP(nl_address, nl_addr_put)

static void vip_list_deinit(struct vip_list *l)
{
	free(l->items);
	*l = (struct vip_list){ 0 };
}

static int vip_list_append(struct vip_list *l, const struct vip *vip)
{
	struct vip *items = reallocarray(l->items, l->n + 1, sizeof(*items));

	if (!items)
		return -ENOMEM;
	l->items = items;
	l->items[l->n++] = *vip;
	return 0;
}

/* interface NULL = any */
static struct vip *vip_list_find(const struct vip_list *l, const struct addr *addr,
				 const char *interface)
{
	for (size_t i = 0; i < l->n; i++) {
		if (addr_eq(&l->items[i].addr, addr) &&
		    (!interface || !strcmp(l->items[i].interface, interface)))
			return &l->items[i];
	}
	return NULL;
}

static void vip_list_remove(struct vip_list *l, struct vip *vip)
{
	size_t i = (size_t)(vip - l->items);

	memmove(vip, vip + 1, (l->n - i - 1) * sizeof(*vip));
	l->n--;
}

static int on_address(const struct nlmsghdr *header, void *userdata)
{
	struct nlattr *attributes[IFA_PROTO + 1];
	const struct ifaddrmsg *ifa = nlmsg_data(header);
	struct vip_list *list = userdata;
	struct nlattr *address;
	struct vip vip = { 0 };

	if (header->nlmsg_type != RTM_NEWADDR ||
	    nlmsg_parse((struct nlmsghdr *)(uintptr_t)header, sizeof(*ifa), attributes, IFA_PROTO,
			NULL) < 0)
		return 0;
	/* IFA_ADDRESS is the peer on a point-to-point interface; IPv6 has IFA_LOCAL only there. */
	address = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
	vip.addr.family = ifa->ifa_family;
	if (!address || addr_len_bytes(&vip.addr) == 0 ||
	    (size_t)nla_len(address) != addr_len_bytes(&vip.addr) ||
	    !if_indextoname(ifa->ifa_index, vip.interface))
		return 0;
	memcpy(vip.addr.bytes, nla_data(address), addr_len_bytes(&vip.addr));
	vip.prefix_len = ifa->ifa_prefixlen;
	vip.ours = attributes[IFA_PROTO] && nla_len(attributes[IFA_PROTO]) >= 1 &&
		   nla_get_u8(attributes[IFA_PROTO]) == VIP_ADDRESS_PROTOCOL;
	return vip_list_append(list, &vip);
}

static int dump(struct vip_set *v, struct vip_list *ret)
{
	for (int i = 0; i < VIP_DUMP_TRIES; i++) {
		_cleanup_(nlmsg_free_p) nl_message message =
			nlmsg_alloc_simple(RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP);
		_cleanup_(vip_list_deinit) struct vip_list list = { 0 };
		struct ifaddrmsg ifa = { .ifa_family = AF_UNSPEC };
		int error;

		if (!message || nlmsg_append(message, &ifa, sizeof(ifa), NLMSG_ALIGNTO) < 0)
			return -ENOMEM;
		error = netlink_exchange_dump(v->socket, message, on_address, &list);
		if (error == -EINTR)
			continue;
		if (error < 0)
			return error;
		*ret = list;
		list = (struct vip_list){ 0 };
		return 0;
	}
	return -EAGAIN;
}

/* add or delete. */
static int change(struct vip_set *v, const struct vip *vip, bool add)
{
	_cleanup_(nlmsg_free_p) nl_message message = NULL;
	_cleanup_(rtnl_addr_put_p) rtnl_address address = rtnl_addr_alloc();
	_cleanup_(nl_addr_put_p) nl_address local =
		nl_addr_build(vip->addr.family, vip->addr.bytes, addr_len_bytes(&vip->addr));
	unsigned index = if_nametoindex(vip->interface);

	if (!address || !local)
		return -ENOMEM;
	if (index == 0)
		return -ENODEV;
	nl_addr_set_prefixlen(local, vip->prefix_len);
	rtnl_addr_set_ifindex(address, (int)index);
	if (rtnl_addr_set_local(address, local) < 0)
		return -ENOMEM;
	if (add && vip->addr.family == AF_INET6) {
		/*
		 * Other gateways may hold the address too (ECMP), so no duplicate detection. Deprecated (preferred
		 * for no time), so that the host does not take it as the source of its own connections (RFC 6724).
		 */
		rtnl_addr_set_flags(address, IFA_F_NODAD);
		rtnl_addr_set_valid_lifetime(address, UINT32_MAX);
		rtnl_addr_set_preferred_lifetime(address, 0);
	}
	if (add ? rtnl_addr_build_add_request(address, NLM_F_CREATE | NLM_F_EXCL, &message)
		: rtnl_addr_build_delete_request(address, 0, &message))
		return -ENOMEM;
	/* Kernels before 5.18 ignore it. */
	if (add && nla_put_u8(message, IFA_PROTO, VIP_ADDRESS_PROTOCOL) < 0)
		return -ENOMEM;
	return netlink_exchange_request(v->socket, message);
}

int vip_set_new(struct vip_set **ret)
{
	_cleanup_(vip_set_free_p) struct vip_set *v = calloc(1, sizeof(*v));
	int r = v ? netlink_exchange_open(NETLINK_ROUTE, &v->socket) : -ENOMEM;

	if (r < 0)
		return r;
	*ret = take_ptr(v);
	return 0;
}

void vip_set_free(struct vip_set *v)
{
	if (!v)
		return;
	nl_socket_free(v->socket);
	vip_list_deinit(&v->ours);
	free(v->redirects);
	free(v);
}

static struct vip_redirect *find_redirect(const struct vip_set *v, const char *from)
{
	for (size_t i = 0; i < v->n_redirects; i++)
		if (!strcmp(v->redirects[i].from, from))
			return &v->redirects[i];
	return NULL;
}

static void rename_ours(struct vip_set *v, const char *from, const char *to)
{
	for (size_t i = 0; i < v->ours.n; i++)
		if (!strcmp(v->ours.items[i].interface, from))
			(void)snprintf(v->ours.items[i].interface,
				       sizeof(v->ours.items[i].interface), "%s", to);
}

int vip_set_redirect(struct vip_set *v, const char *from, const char *to)
{
	struct vip_redirect *r = find_redirect(v, from);

	if (!to) {
		if (!r)
			return 0;
		rename_ours(v, r->to, from);
		*r = v->redirects[--v->n_redirects];
		return 0;
	}
	if (!r) {
		struct vip_redirect *all =
			reallocarray(v->redirects, v->n_redirects + 1, sizeof(*all));

		if (!all)
			return -ENOMEM;
		v->redirects = all;
		r = &all[v->n_redirects++];
	}
	(void)snprintf(r->from, sizeof(r->from), "%s", from);
	(void)snprintf(r->to, sizeof(r->to), "%s", to);
	rename_ours(v, from, to);
	return 0;
}

static bool wanted_by(const struct vip_set *v, const struct conf_listener *l, struct vip *ret)
{
	const struct vip_redirect *r;

	if (l->address.family == AF_UNSPEC || !*l->vip_interface)
		return false;
	*ret = (struct vip){ .addr = l->address, .prefix_len = l->vip_prefix_len };
	r = find_redirect(v, l->vip_interface);
	memcpy(ret->interface, r ? r->to : l->vip_interface, sizeof(ret->interface));
	return true;
}

/* What the kernel marks as ours although the state file is gone is ours again. */
static int learn(struct vip_set *v, const struct vip_list *present)
{
	for (size_t i = 0; i < present->n; i++) {
		const struct vip *p = &present->items[i];

		if (p->ours && !vip_list_find(&v->ours, &p->addr, p->interface) &&
		    vip_list_append(&v->ours, p) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Is the address there, in a way that makes adding it wrong? Ours on another interface is about to go. */
static bool is_served(const struct vip_set *v, const struct vip_list *present, const struct vip *w)
{
	for (size_t i = 0; i < present->n; i++) {
		const struct vip *p = &present->items[i];

		if (!addr_eq(&p->addr, &w->addr))
			continue;
		if (!strcmp(p->interface, w->interface) ||
		    !vip_list_find(&v->ours, &p->addr, p->interface))
			return true;
	}
	return false;
}

__attribute__((format(printf, 2, 3))) static void explain(char **ret_error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	if (vasprintf(ret_error, format, args) < 0)
		*ret_error = NULL;
	va_end(args);
}

static void explain_add(const char *listener, const struct vip *w, int error, char **ret_error)
{
	char addr[ADDR_STR_MAX];
	const char *remedy = "";

	if (error == -ENODEV)
		remedy = "; correct vip-interface, or create the interface before ipvsd starts";
	else if (error == -EPERM)
		remedy = "; ipvsd needs CAP_NET_ADMIN";
	else if (error == -EACCES && w->addr.family == AF_INET6)
		remedy = "; IPv6 is disabled there, see sysctl net.ipv6.conf.*.disable_ipv6";
	explain(ret_error, "listener %s: cannot add %s/%u to %s: %s%s", listener,
		addr_format(&w->addr, addr), w->prefix_len, w->interface, strerror(-error), remedy);
}

static int add_one(struct vip_set *v, const struct conf_listener *l, const struct vip_list *present,
		   char **ret_error)
{
	struct vip w;
	int error;

	/* Two listeners on one address want it once. */
	if (!wanted_by(v, l, &w) || is_served(v, present, &w) ||
	    vip_list_find(&v->ours, &w.addr, w.interface))
		return 0;
	error = vip_list_append(&v->ours, &w);
	if (error < 0)
		return error;
	error = change(v, &w, true);
	if (error == 0)
		return 0;
	v->ours.n--;
	if (error == -EEXIST) /* somebody was faster: theirs */
		return 0;
	explain_add(l->name, &w, error, ret_error);
	return error;
}

/* Ours that are not there any more (an operator removed them, the interface went): to be added again. */
static void forget_lost(struct vip_set *v, const struct vip_list *present)
{
	for (size_t i = v->ours.n; i-- > 0;) {
		struct vip *o = &v->ours.items[i];

		if (!vip_list_find(present, &o->addr, o->interface))
			vip_list_remove(&v->ours, o);
	}
}

static int look(struct vip_set *v, struct vip_list *present, char **ret_error)
{
	int error = dump(v, present);

	*ret_error = NULL;
	if (error == 0)
		error = learn(v, present);
	if (error < 0)
		explain(ret_error, "cannot read the interfaces' addresses: %s", strerror(-error));
	else
		forget_lost(v, present);
	return error;
}

int vip_set_add_wanted(struct vip_set *v, const struct conf *conf, char **ret_error)
{
	_cleanup_(vip_list_deinit) struct vip_list present = { 0 };
	int error = look(v, &present, ret_error);
	size_t before = v->ours.n;

	for (size_t i = 0; i < conf->n_listeners && error == 0; i++)
		error = add_one(v, &conf->listeners[i], &present, ret_error);
	while (error < 0 && v->ours.n > before) {
		(void)change(v, &v->ours.items[v->ours.n - 1], false);
		v->ours.n--;
	}
	return error;
}

int vip_set_repair(struct vip_set *v, const struct conf *conf, size_t *ret_n, char **ret_error)
{
	_cleanup_(vip_list_deinit) struct vip_list present = { 0 };
	int ret = look(v, &present, ret_error);
	size_t before = v->ours.n;

	*ret_n = 0;
	if (ret < 0)
		return ret;
	for (size_t i = 0; i < conf->n_listeners; i++) {
		_cleanup_free_ char *why = NULL;
		int error = add_one(v, &conf->listeners[i], &present, &why);

		if (error == 0 || ret < 0)
			continue;
		ret = error;
		*ret_error = take_ptr(why);
	}
	*ret_n = v->ours.n - before;
	return ret;
}

static bool is_wanted(const struct vip_set *v, const struct conf *conf, const struct vip *vip)
{
	for (size_t i = 0; conf && i < conf->n_listeners; i++) {
		struct vip w;

		if (wanted_by(v, &conf->listeners[i], &w) && addr_eq(&w.addr, &vip->addr) &&
		    !strcmp(w.interface, vip->interface))
			return true;
	}
	return false;
}

void vip_set_remove_unwanted(struct vip_set *v, const struct conf *conf)
{
	_cleanup_(vip_list_deinit) struct vip_list present = { 0 };
	char addr[ADDR_STR_MAX];

	/* Without the dump the ones that the state file names are still known. */
	if (dump(v, &present) == 0)
		(void)learn(v, &present);
	for (size_t i = v->ours.n; i-- > 0;) {
		struct vip *o = &v->ours.items[i];
		int error;

		if (is_wanted(v, conf, o))
			continue;
		error = change(v, o, false);
		if (error < 0 && error != -EADDRNOTAVAIL && error != -ENODEV) {
			/* Kept in the list: the next call tries again. */
			log_warning("vip: cannot remove %s from %s: %s; ignoring",
				    addr_format(&o->addr, addr), o->interface, strerror(-error));
			continue;
		}
		vip_list_remove(&v->ours, o);
	}
}

json_t *vip_set_missing(struct vip_set *v, const struct conf *conf)
{
	_cleanup_(vip_list_deinit) struct vip_list present = { 0 };
	json_t *warnings = json_array();
	char addr[ADDR_STR_MAX];

	if (!warnings || dump(v, &present) < 0)
		return warnings;
	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];
		struct vip w;

		if (l->address.family == AF_UNSPEC || wanted_by(v, l, &w) ||
		    vip_list_find(&present, &l->address, NULL))
			continue;
		(void)json_array_append_new(
			warnings,
			json_sprintf(
				"listener %s: no interface has %s, so its packets do not reach "
				"IPVS unless a local route covers it; set vip-interface, or add "
				"the address",
				l->name, addr_format(&l->address, addr)));
	}
	return warnings;
}

json_t *vip_set_to_json(const struct vip_set *v)
{
	json_t *array = json_array();
	char addr[ADDR_STR_MAX];

	for (size_t i = 0; array && i < v->ours.n; i++) {
		const struct vip *o = &v->ours.items[i];

		if (json_array_append_new(array, json_pack("{s:s, s:i, s:s}", "address",
							   addr_format(&o->addr, addr), "prefix",
							   o->prefix_len, "interface",
							   o->interface)) < 0) {
			json_decref(array);
			return NULL;
		}
	}
	return array;
}

void vip_set_from_json(struct vip_set *v, const json_t *j)
{
	json_t *entry;
	size_t i;

	json_array_foreach (j, i, entry) {
		const char *addr = json_string_value(json_object_get(entry, "address"));
		const char *interface = json_string_value(json_object_get(entry, "interface"));
		json_int_t prefix = json_integer_value(json_object_get(entry, "prefix"));
		struct vip vip = { 0 };

		/* A damaged entry is left out: at worst an address of ours stays. */
		if (!addr || !interface || strlen(interface) >= sizeof(vip.interface) ||
		    addr_parse(addr, &vip.addr) < 0 || prefix < 0 ||
		    prefix > (json_int_t)addr_len_bytes(&vip.addr) * 8 ||
		    vip_list_find(&v->ours, &vip.addr, interface))
			continue;
		memcpy(vip.interface, interface, strlen(interface));
		vip.prefix_len = (uint8_t)prefix;
		(void)vip_list_append(&v->ours, &vip);
	}
}

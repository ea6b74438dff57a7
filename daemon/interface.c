/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/interface.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/interface-item.h"
#include "daemon/interface-link.h"
#include "daemon/netlink-exchange.h"

enum {
	DUMP_TRIES = 5,
	PASSES = 4, /* a route may need another one to be there first */
};

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)

void interface_state_deinit(struct interface_state *s)
{
	for (size_t i = 0; i < s->n; i++)
		interface_item_deinit(&s->items[i]);
	free(s->items);
	json_decref(s->settings);
	*s = INTERFACE_STATE_INIT;
}

static int append(struct interface_state *s, const struct nlmsghdr *h)
{
	struct interface_item *items = reallocarray(s->items, s->n + 1, sizeof(*items));
	int r;

	if (!items)
		return -ENOMEM;
	s->items = items;
	r = interface_item_init(&items[s->n], h);
	if (r == 0)
		s->n++;
	return r;
}

static int on_message(const struct nlmsghdr *h, void *userdata)
{
	struct interface_state *s = userdata;
	int r = interface_item_belongs(h, s->index);

	return r <= 0 ? r : append(s, h);
}

/* The kernel puts a new IPv6 address before those of its scope, and picks sources by that order. */
static void reverse_ipv6(struct interface_state *s)
{
	size_t low = 0, high = s->n;

	while (low < high && s->items[low].bytes[0] != AF_INET6)
		low++;
	for (; high - low >= 2; low++, high--) {
		struct interface_item item = s->items[low];

		s->items[low] = s->items[high - 1];
		s->items[high - 1] = item;
	}
}

static int save_items(struct nl_sock *socket, struct interface_state *s)
{
	int r = interface_item_dump(socket, RTM_GETADDR, on_message, s);

	/* A dump has IPv4 first. */
	reverse_ipv6(s);
	return r < 0 ? r : interface_item_dump(socket, RTM_GETROUTE, on_message, s);
}

int interface_save(const char *name, struct interface_state *ret)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *socket = NULL;
	int r = netlink_exchange_open(NETLINK_ROUTE, &socket);

	if (r < 0)
		return r;
	for (int i = 0; i < DUMP_TRIES; i++) {
		_cleanup_(interface_state_deinit) struct interface_state s = INTERFACE_STATE_INIT;

		s.index = if_nametoindex(name);
		if (s.index == 0)
			return -ENODEV;
		(void)snprintf(s.name, sizeof(s.name), "%s", name);
		r = save_items(socket, &s);
		if (r == -EINTR)
			continue;
		if (r == 0)
			r = interface_link_get(name, &s.mtu, &s.up);
		if (r == 0)
			r = interface_settings_read(name, &s.settings);
		if (r < 0)
			return r;
		*ret = s;
		s = INTERFACE_STATE_INIT;
		return 0;
	}
	return -EAGAIN;
}

/* From the last to the first: routes before the addresses that they need. */
int interface_strip(const struct interface_state *s, const char *from)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *socket = NULL;
	unsigned index = if_nametoindex(from);
	int ret = index ? netlink_exchange_open(NETLINK_ROUTE, &socket) : -ENODEV;

	if (ret < 0)
		return ret;
	for (size_t i = s->n; i-- > 0;) {
		const struct interface_item_place place = {
			.saved_index = s->index,
			.index = index,
			.is_original = !strcmp(from, s->name),
		};
		int r = interface_item_remove(&s->items[i], socket, &place);

		if (r < 0 && ret == 0)
			ret = r;
	}
	return ret;
}

/* One pass over those that are not there yet. Returns how many still are not. */
static size_t give_items(const struct interface_state *s, struct nl_sock *socket,
			 const struct interface_item_place *place, bool *given, int *ret_error)
{
	size_t left = 0;

	*ret_error = 0;
	for (size_t i = 0; i < s->n; i++) {
		int r;

		if (given[i])
			continue;
		r = interface_item_add(&s->items[i], socket, place);
		given[i] = r == 0;
		left += !given[i];
		if (r < 0 && *ret_error == 0)
			*ret_error = r;
	}
	return left;
}

int interface_give(const struct interface_state *s, const char *to, size_t *ret_failed)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *socket = NULL;
	_cleanup_free_ bool *given = calloc(s->n + 1, sizeof(*given));
	struct interface_item_place place = {
		.saved_index = s->index,
		.index = if_nametoindex(to),
		.is_original = !strcmp(to, s->name),
	};
	size_t left = s->n, before;
	int r, error = 0;

	if (ret_failed)
		*ret_failed = s->n;
	if (!given)
		return -ENOMEM;
	if (!place.index)
		return -ENODEV;
	/* The interface itself, if it is the same one, has kept its settings. */
	if (place.index != s->index)
		interface_settings_write(to, s->settings);
	r = interface_link_set(to, s->mtu, s->up || !place.is_original);
	if (r == 0)
		r = netlink_exchange_open(NETLINK_ROUTE, &socket);
	if (r < 0)
		return r;
	for (int pass = 0; pass < PASSES && left; pass++) {
		before = left;
		left = give_items(s, socket, &place, given, &error);
		if (left == before && pass > 0)
			break;
	}
	if (ret_failed)
		*ret_failed = left;
	return error;
}

json_t *interface_state_to_json(const struct interface_state *s)
{
	json_t *items = json_array();

	for (size_t i = 0; items && i < s->n; i++) {
		if (json_array_append_new(items, interface_item_to_json(&s->items[i])) < 0) {
			json_decref(items);
			return NULL;
		}
	}
	return json_pack("{s:s,s:I,s:I,s:b,s:o?,s:O?}", "name", s->name, "index",
			 (json_int_t)s->index, "mtu", (json_int_t)s->mtu, "up", s->up, "items",
			 items, "settings", s->settings);
}

static int parse_items(struct interface_state *s, const json_t *items)
{
	size_t n = json_array_size(items);

	s->items = calloc(n + 1, sizeof(*s->items));
	if (!s->items)
		return -ENOMEM;
	for (; s->n < n; s->n++) {
		int r = interface_item_from_json(json_array_get(items, s->n), &s->items[s->n]);

		if (r < 0)
			return r;
	}
	return 0;
}

int interface_state_from_json(const json_t *j, struct interface_state *ret)
{
	_cleanup_(interface_state_deinit) struct interface_state s = INTERFACE_STATE_INIT;
	json_int_t index, mtu;
	json_t *items, *settings;
	const char *name;
	int r, up;

	if (json_unpack((json_t *)j, "{s:s,s:I,s:I,s:b,s:o,s:o}", "name", &name, "index", &index,
			"mtu", &mtu, "up", &up, "items", &items, "settings", &settings) < 0 ||
	    !*name || strlen(name) >= sizeof(s.name) || index <= 0 || index > INT32_MAX ||
	    mtu < 0 || mtu > INT32_MAX || !json_is_array(items) || !json_is_object(settings))
		return -EBADMSG;
	(void)snprintf(s.name, sizeof(s.name), "%s", name);
	s.index = (unsigned)index;
	s.mtu = (unsigned)mtu;
	s.up = up;
	r = parse_items(&s, items);
	if (r < 0)
		return r;
	s.settings = json_incref(settings);
	*ret = s;
	s = INTERFACE_STATE_INIT;
	return 0;
}

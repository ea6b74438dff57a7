/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One address or route of an interface, as the kernel's message says it. See daemon/interface.h. */

#include <jansson.h>
#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/netlink-exchange.h"

struct interface_item {
	uint16_t type;	/* RTM_NEWADDR or RTM_NEWROUTE */
	uint8_t *bytes; /* owned: struct ifaddrmsg or rtmsg, and attributes */
	size_t len_bytes;
};

/* Where it is to be put, or taken from. */
struct interface_item_place {
	unsigned saved_index; /* of the interface in the message */
	unsigned index;
	bool is_original; /* labels fit */
};

/* Copies the message. -ENOMEM. */
int interface_item_init(struct interface_item *i, const struct nlmsghdr *h);
void interface_item_deinit(struct interface_item *i);

/* All addresses or routes of the host. */
int interface_item_dump(struct nl_sock *s, uint16_t type, netlink_message_fn on_message,
			void *userdata);

/* Is it this interface's, and not of the kernel's own making? 1 or 0; -EBADMSG. */
int interface_item_belongs(const struct nlmsghdr *h, unsigned index);

/* Is it a default route through this interface? */
bool interface_item_is_default_route(const struct nlmsghdr *h, unsigned index);

/* Is it a route by a nexthop object? */
bool interface_item_has_nexthop_object(const struct nlmsghdr *h);

/* It is there already: 0. */
int interface_item_add(const struct interface_item *i, struct nl_sock *s,
		       const struct interface_item_place *place);
/* It is not there: 0. */
int interface_item_remove(const struct interface_item *i, struct nl_sock *s,
			  const struct interface_item_place *place);

/* {"kind": "address", "message": "0a40..."} */
json_t *interface_item_to_json(const struct interface_item *i);
int interface_item_from_json(const json_t *j, struct interface_item *ret);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What makes an interface this host's: addresses, routes, MTU and settings, saved, given to another interface, and
 * given back exactly. Addresses and routes are kept as the kernel's own messages, so that no attribute is lost that
 * this program does not know. In the calling thread's network namespace.
 *
 * Not kept: what the kernel makes by itself (routes of addresses, cached routes) and multicast memberships. IPv6
 * addresses are given without duplicate address detection: the address has been this host's all the time.
 */

#include <jansson.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct interface_item; /* an address or a route */

struct interface_state {
	char name[IFNAMSIZ];
	unsigned index; /* when it was saved */
	unsigned mtu;
	bool up;
	struct interface_item *items; /* owned; addresses, then routes, as they must be added */
	size_t n;
	json_t *settings; /* owned; net.ipv4.conf.* and net.ipv6.conf.*, {"ipv4/rp_filter": "0"} */
};

#define INTERFACE_STATE_INIT ((struct interface_state){ 0 })

enum {
	INTERFACE_REASON_MAX = 200,
};

void interface_state_deinit(struct interface_state *s);

/*
 * Can it be given away? 0, or negative errno and the reason with its remedy: it is not there, it belongs to a bridge or
 * bond, others are built on it (VLANs), routes go by nexthop objects; with `keep_default_route`, the default route
 * leads through it.
 */
int interface_check(const char *name, bool keep_default_route,
		    char ret_reason[static INTERFACE_REASON_MAX]);

/* -ENODEV; -EAGAIN: it keeps changing. */
int interface_save(const char *name, struct interface_state *ret);

/* Takes the saved addresses and routes off this interface; what is not there is no error. -ENODEV. */
int interface_strip(const struct interface_state *s, const char *from);

/*
 * Puts settings, MTU, addresses and routes on this interface, and takes it up if it was. Goes on past what fails and
 * returns the first error; *ret_failed (may be NULL) counts them. -ENODEV.
 */
int interface_give(const struct interface_state *s, const char *to, size_t *ret_failed);

/* The interface must be down. */
int interface_rename(const char *from, const char *to);
int interface_set_up(const char *name, bool up);

json_t *interface_state_to_json(const struct interface_state *s);
/* Read with distrust: -EBADMSG. */
int interface_state_from_json(const json_t *j, struct interface_state *ret);

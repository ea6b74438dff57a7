/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Two gateways side by side, each in a network namespace of its own with one link to the test: the kernel's IPVS, which is
 * the oracle, and the plane under test. Both have the same addresses, on both layers; the test is every other host of
 * the link: it answers ARP and neighbour solicitations for all of them, sends frames and reads what comes back.
 *
 *   198.18.0.1/16, 2001:db8:1::1/64   the gateway      198.18.1.N, 2001:db8:1::1:N   targets, on the link
 *   198.18.0.254, 2001:db8:1::fe      the router to all clients (10.0.0.0/8, 2001:db8:c::/48)
 *   203.0.113.0/24, 2001:db8:203::/112   virtual addresses
 *
 * A frame and the frames that it caused are told apart from the next by an echo request to the gateway's own address: its
 * answer comes after them, since every part of the path keeps order.
 *
 * Functions return 0 or negative errno after a line on standard error.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ipvs/channel.h"
#include "tests/conformance/frames.h"

enum rig_plane {
	RIG_KERNEL,
	RIG_FASTPATH,
	_RIG_PLANE_MAX,
};

enum {
	RIG_OUTPUTS_MAX = 16,
	RIG_TARGETS_MAX = 16,
};

struct rig;

/* What a plane sent since the last barrier: ARP, ND, MLD and the barrier itself are not among it. */
struct rig_output {
	struct frame frames[RIG_OUTPUTS_MAX];
	size_t n;
	size_t lost; /* beyond RIG_OUTPUTS_MAX */
};

struct rig_options {
	const char *program; /* ipvsd-fastpath; NULL: a second kernel, to test the rig by itself */
	const char *directory; /* for the control socket */
};

int rig_new(const struct rig_options *o, struct rig **ret);
void rig_free(struct rig *r);

/* Borrowed. */
struct channel *rig_channel(struct rig *r, enum rig_plane p);

/* Sends frames (at most 8) in order to one plane, waits for all that they cause. -ETIMEDOUT: the plane is dead. */
int rig_exchange(struct rig *r, enum rig_plane p, const struct frame *frames, size_t n, bool v6,
		 struct rig_output *ret);

/* The plane's connections in the form of /proc/net/ip_vs_conn; owned by the caller. NULL on failure. */
char *rig_connections(struct rig *r, enum rig_plane p);

/* MAC addresses on the link. */
extern const uint8_t rig_gateway_mac[6], rig_router_mac[6];
void rig_target_mac(unsigned target, uint8_t ret[6]);

/* Addresses, by number. */
void rig_target(unsigned target, bool v6, struct addr *ret);
void rig_virtual(unsigned number, bool v6, struct addr *ret);
void rig_client(uint32_t number, bool v6, struct addr *ret);
void rig_router(bool v6, struct addr *ret);

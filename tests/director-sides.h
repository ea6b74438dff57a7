/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One connection of each family, and directors with nothing but the service it goes to. */

#include "director-rig.h"

enum {
	SIDES = 2,
};

/* Client, service, destination, and a router between. */
struct side {
	const char *client, *service, *dest, *router, *local, *client_host, *service_host,
		*dest_host;
	unsigned ip_header;
	uint8_t unreachable, too_big, time_exceeded; /* ICMP types */
};

extern const struct side sides[SIDES];

void sides_make_rig(struct rig *r, const struct side *side, uint8_t protocol,
		    const struct ipvs_dest *conf);
/* Of weight 1. */
void sides_make_udp_rig(struct rig *r, const struct side *side, enum ipvs_forward forward);

/* A UDP packet from the client to the service. */
struct frame_spec sides_request(const struct side *side);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "director-sides.h"

#include <netinet/in.h>

const struct side sides[SIDES] = {
	{ "198.51.100.7:40000", "203.0.113.10:80", "10.0.1.2:8080", "10.0.9.9", "192.0.2.1",
	  "198.51.100.7", "203.0.113.10", "10.0.1.2", 20, 3, 3, 11 },
	{ "[2001:db8:c::7]:40000", "[2001:db8::10]:80", "[2001:db8:1::2]:8080", "2001:db8:9::9",
	  "2001:db8:ffff::1", "2001:db8:c::7", "2001:db8::10", "2001:db8:1::2", 40, 1, 2, 3 },
};

void sides_make_rig(struct rig *r, const struct side *side, uint8_t protocol,
		    const struct ipvs_dest *conf)
{
	struct ipvs_service_key k = rig_key(protocol, side->service);

	rig_init(r, &(struct rig_config){ 0 });
	rig_service(r, &k, "rr", 0, 0);
	rig_dest_conf(r, &k, side->dest, conf);
	rig_locals(r, &side->local, 1);
}

void sides_make_udp_rig(struct rig *r, const struct side *side, enum ipvs_forward forward)
{
	sides_make_rig(r, side, IPPROTO_UDP,
		       &(struct ipvs_dest){ .forward = forward, .weight = 1 });
}

struct frame_spec sides_request(const struct side *side)
{
	return (struct frame_spec){ .src = side->client,
				    .dst = side->service,
				    .protocol = IPPROTO_UDP };
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The same table in three languages: services SCALE_VIP:SCALE_PORT + i, weighted round robin, NAT, each with its own
 * targets, no health checks. One target (scale_changed_*) has a weight of its own.
 */

#include "ipvs/ruleset.h"

#define SCALE_VIP "198.51.100.1"
#define SCALE_KEEPALIVED_CONF "/run/keepalived.conf"
#define SCALE_IPVSADM_RULES "/run/ipvsadm.rules"

enum {
	SCALE_PORT = 1000,
	SCALE_TARGET_PORT = 8080,
	SCALE_WEIGHT = 100,
};

struct scale {
	unsigned services, targets; /* targets of each service */
	unsigned changed_weight;    /* of the target in the middle of the last service */
	const char *reconcile;	    /* reconcile-interval */
};

/* Replace the file by rename. 0 or negative errno, said. services 0: the daemon without any listener. */
int scale_write_ipvsd(const struct scale *s, const char *path);
int scale_write_keepalived(const struct scale *s);
int scale_write_ipvsadm(const struct scale *s);

struct ipvs_service_key scale_service(unsigned service);
struct addr scale_target(unsigned service, unsigned target);
/* Which target of the last service has the weight of its own. */
unsigned scale_changed_target(const struct scale *s);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What only the fast path can be asked (ipvs/private.h). On a channel to the kernel every call answers -EOPNOTSUPP.
 * Errors are those of channel.h.
 */

#include "ipvs/channel.h"
#include "ipvs/private.h"

/* Source addresses of full NAT, both families. */
int channel_set_locals(struct channel *c, const struct addr *addrs, size_t n);
/* *ret is the caller's. */
int channel_get_locals(struct channel *c, struct addr **ret, size_t *ret_n);

/* rules NULL: everybody. */
int channel_set_rules(struct channel *c, const struct ipvs_service_key *key,
		      const struct private_rule *rules, size_t n);

int channel_set_options(struct channel *c, const struct private_options *o);
int channel_get_options(struct channel *c, struct private_options *ret);

/* Of d only the key counts. */
int channel_set_last_weight(struct channel *c, const struct ipvs_service_key *key,
			    const struct ipvs_dest *d, uint32_t last_weight);

/* All n, in as many messages as it takes. What became of them is counted in *ret, which an error leaves undefined. */
int channel_insert_conns(struct channel *c, const struct private_conn *conns, size_t n,
			 struct private_result *ret);

/* Negative ends the dump with that error. What is given is borrowed for the call. */
typedef int (*channel_on_conn)(void *userdata, const struct private_conn *conn);
typedef int (*channel_on_worker)(void *userdata, const struct private_worker *w,
				 const struct private_counters *counters);
typedef int (*channel_on_port)(void *userdata, const struct private_port *p,
			       const struct private_counters *counters);

/* Connections come and go meanwhile: one that was there throughout is among them. */
int channel_dump_conns(struct channel *c, channel_on_conn on_conn, void *userdata);
int channel_dump_workers(struct channel *c, channel_on_worker on_worker, void *userdata);
int channel_dump_ports(struct channel *c, channel_on_port on_port, void *userdata);

/* Ports that wait (--hold-ports). It may take seconds: the deadline is its own. 0 also where they are up. */
int channel_attach_ports(struct channel *c, usec_t timeout_usec);

/* hold: next hops stay as they are, for ten seconds at most; else they follow the routes again, from now on. */
int channel_hold_routes(struct channel *c, bool hold);

/* The heartbeat. */
int channel_get_status(struct channel *c, struct private_status *ret);

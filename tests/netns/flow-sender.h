/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Packets of any client to services of this network namespace, and who received them: sources are made up, and every
 * destination is this host (the namespace has `local` routes for them). Locally sent packets reach IPVS in LOCAL_OUT,
 * inside the system call that sends them, so that choices are made in the order of the calls.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/packet.h"

struct flow_sender;

/* Where UDP packets of flow_sender_udp() arrived. */
struct flow_arrival {
	bool arrived;
	uint8_t addr[16];
	uint16_t port_be;
};

enum {
	FLOW_SENDER_PORTS = 2,
	FLOW_SENDER_PORT = 8000, /* and the one behind it */
	FLOW_SENDER_BATCH_MAX = 500,
};

/* These fail the running test. Makes the routes: 10.9/16 and fd09::/16 for services, 10.1/16 and fd01::/16 behind. */
void flow_sender_new(struct flow_sender **ret);
void flow_sender_free(struct flow_sender *s);

/* Sends one packet per key, then tells where each arrived; n <= FLOW_SENDER_BATCH_MAX. */
void flow_sender_udp(struct flow_sender *s, const struct flow_key *keys, size_t n,
		     struct flow_arrival *rets);

/* One TCP segment over IPv4 with these flags (PACKET_TCP_*). */
void flow_sender_tcp(struct flow_sender *s, const struct flow_key *key, uint8_t flags);

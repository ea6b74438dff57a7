/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * ipvsd-fastpath on the gateway of a lab, in place of the kernel's IPVS: one port for each of the gateway's three
 * interfaces. What the daemon does when it moves traffic is done here by commands: addresses and routes go to the
 * exception interfaces, the kernel's own interfaces fall silent. The host needs no ip_vs.
 *
 * Functions fail the running cmocka test themselves.
 */

#include <stdint.h>

#include "ipvs/channel-unix.h"
#include "tests/lab/lab.h"
#include "tests/lab/process.h"

enum fastpath_ports {
	FASTPATH_AF_PACKET,
	FASTPATH_AF_PACKET_JUMBO, /* and MTU 9000 on all links */
	FASTPATH_AF_XDP,
	FASTPATH_TAP,
};

#define FASTPATH_SOCKET "/run/ipvsd/fastpath.sock"

struct fastpath_gateway {
	struct lab *lab; /* owned */
	struct lab_process process;
	struct channel *channel; /* owned */
	struct ipvs_ruleset rules;
};

/* workers: as --workers takes it. */
void fastpath_gateway_start(struct fastpath_gateway *g, enum fastpath_ports ports,
			    const char *workers, const struct lab_spec *spec);
void fastpath_gateway_stop(struct fastpath_gateway *g);

/* The same, as cmocka's tear-down; *state is the gateway. */
int fastpath_gateway_tear_down(void **state);

/* An address of each family, on the link to zone a, for full NAT. */
void fastpath_gateway_add_locals(struct fastpath_gateway *g);

/* The listeners' address of each family, which every gateway has. */
extern const char *const fastpath_vips[2];

/* Replaces the table: one service on LAB_VIP or LAB_VIP6 with the first targets of zone a as its destinations. */
struct fastpath_service {
	const char *vip;
	uint8_t protocol; /* IPPROTO_* */
	uint16_t port, dest_port;
	const char *scheduler;
	enum ipvs_forward forward;
	unsigned n_dests;
};
void fastpath_gateway_program(struct fastpath_gateway *g, const struct fastpath_service *services,
			      size_t n);

/* sh -c on a host; must succeed. printf-like. */
void fastpath_shell(const struct lab_host *h, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The sum of a worker counter ("forwarded-in") over all workers. */
uint64_t fastpath_counter(struct fastpath_gateway *g, const char *name);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Ethernet ports of DPDK: one receive and one transmit queue for each worker. The control thread opens, resets and
 * closes them; only workers receive and transmit (packet-worker.c), and only while `enabled` is set.
 *
 * What fails is logged here, with its remedy, for DPDK's own codes say little; the caller gets the code alone.
 */

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/packet.h"
#include "dpdk-fastpath/rss.h"

struct rte_mempool;

struct port_config {
	const char *spec;
	bool is_pci;
	unsigned n_queues;
	uint16_t queue_size;
	uint32_t mtu;		   /* 0 = as it has it */
	bool interrupts;	   /* ask for Rx interrupts */
	struct rss_slot *rss_slot; /* borrowed; where workers find `rss`; may be NULL */
};

struct port {
	struct port_config config;
	unsigned index; /* in the order of the command line: what director.h calls a port */
	uint16_t id;	/* DPDK's */
	bool opened;
	uint8_t mac[PACKET_MAC_LEN];
	uint16_t mtu;
	bool interrupts;	/* Rx interrupts work */
	bool checksum_verified; /* the port looks at IPv4 header checksums and says so in each mbuf */
	struct rte_mempool *pool; /* borrowed */
	struct rss rss;		  /* while the slot points to it */
	/*
	 * Cleared by port_disable() before the control thread stops the port; workers have let go of it once they have passed a
	 * quiescent state. `epoch` counts the starts: interrupt descriptors are new then.
	 */
	_Atomic bool enabled;
	_Atomic uint32_t epoch;
};

enum {
	PORT_BURST =
		64, /* of 32, a packet costs 2 to 4 ns more: a turn's own work, and fewer cache misses at a time */
};

/*
 * Attaches the device: MAC and MTU are known then, and how large its buffers must be. A PCI device may have been bound
 * to vfio-pci after DPDK's start.
 */
int port_attach(struct port *p, unsigned index, const struct port_config *c);
/* Bytes of data that a buffer of the pool must hold, headroom apart. */
uint16_t port_buffer_bytes(const struct port *p);
/* How many buffers its queues of one worker may hold. */
unsigned port_queue_buffers(const struct port *p);

/* The kernel's interface that a virtual device sits on; 0 = none. */
int port_kernel_interface(const struct port *p);

/* Queues, RSS, offloads; then it receives. Not yet enabled. */
int port_start(struct port *p, struct rte_mempool *pool);

/* Workers let go of it, and have when they have passed a quiescent state. */
void port_disable(struct port *p);

/* After a reset event: workers have let go of it. Configures and starts it as before. */
int port_reset(struct port *p);

void port_close(struct port *p);

/* Counters by name, as the driver has them ("rx_good_packets"); ENA's allowance counters are among them. */
struct port_counter {
	char name[64];
	uint64_t value;
};
/* *ret is owned by the caller. */
int port_counters(const struct port *p, struct port_counter **ret, size_t *ret_n);

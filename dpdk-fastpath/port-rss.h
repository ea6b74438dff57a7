/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Receive-side scaling of a port that has it: even over the workers' queues, and what it has become. */

#include <stdint.h>

struct port;
struct rte_eth_dev_info;

/* Before the start: what of its hashes is wanted, by RTE_ETH_RSS_*; 0 = it has none. */
uint64_t port_rss_wanted(const struct rte_eth_dev_info *info);

/* Entry i of the redirection table to queue i modulo n: the table's size is the device's (ENA: 128 or more). */
int port_rss_spread(const struct port *p, const struct rte_eth_dev_info *info);

/* Reads key and table back into p->rss. -ENOTSUP: the device does not tell, or has other queues than we think. */
int port_rss_read(struct port *p, const struct rte_eth_dev_info *info);

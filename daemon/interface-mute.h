/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * An AF_PACKET port sees copies: the kernel would handle every frame as well. So what comes in by a port's interface is
 * dropped behind the packet sockets' tap (net/core/dev.c, __netif_receive_skb_core(): taps first, then the ingress
 * hook), by a chain of nftables' netdev family without rules, whose policy is to drop. Our own table, replaced as a
 * whole in one transaction; it outlives this process, as the port does.
 */

#include <stddef.h>

/* These interfaces and no others. Negative errno; -EOPNOTSUPP: the kernel has no nftables. */
int interface_mute(const char *const *names, size_t n);

/* 0 also when none is. */
int interface_unmute(void);

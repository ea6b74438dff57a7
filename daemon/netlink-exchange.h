/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Requests and dumps on a netlink socket with the kernel's own errno, which libnl's codes would lose. Synchronous: the
 * kernel answers inside sendmsg(); a time limit is against surprises.
 */

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>

struct nl_msg;
struct nl_sock;

/* protocol: NETLINK_ROUTE, NETLINK_NETFILTER. -ENOMEM, -EIO. */
int netlink_exchange_open(int protocol, struct nl_sock **ret);

/* Sends, and waits for the acknowledgement: 0 or the kernel's negative errno. */
int netlink_exchange_request(struct nl_sock *s, struct nl_msg *m);

/*
 * Sends a dump request and calls on_message for each message of the answer. -EINTR: it changed meanwhile, and what came
 * is not to be believed. A negative return of on_message ends up as the result.
 */
typedef int (*netlink_message_fn)(const struct nlmsghdr *h, void *userdata);
int netlink_exchange_dump(struct nl_sock *s, struct nl_msg *m, netlink_message_fn on_message,
			  void *userdata);

/*
 * Sends several messages, one behind the other in buf, of which the last but one has NLM_F_ACK (nfnetlink does not
 * answer the end of a batch), with the sequence number `seq`. The first error of any of them, or 0.
 */
int netlink_exchange_batch(struct nl_sock *s, const void *buf, size_t len_bytes, unsigned seq);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A request channel to one IPVS plane: the kernel through AF_NETLINK, or ipvsd-fastpath through an AF_UNIX
 * seqpacket socket; the callers do not know which. Synchronous and bounded: the kernel answers inside send() (its
 * requests are handled in the sender's context), the fast path soon afterwards, and each call has a deadline. One thread.
 *
 * Errors are the kernel's own errno from nlmsgerr, negative (libnl's NLE_ codes would lose it).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "ipvs/codec.h"
#include "ipvs/plan.h"

struct channel;

/*
 * The kernel's plane in the calling thread's network namespace. Asks for the family by name, which loads ip_vs.
 * -ENOENT: the kernel has no ip_vs; -EPERM is reported by the first request.
 */
int channel_open_kernel(struct channel **ret);

/*
 * The fast path's plane (ipvs/channel-unix.h has what only this one can be asked). -ENOENT, -ECONNREFUSED: nobody
 * listens there; -EACCES, -ECONNRESET: not for us; -ETIMEDOUT. A call fails with -ETIMEDOUT after timeout_usec without
 * an answer, with -EPIPE or -ECONNRESET once the other side is gone: then open another channel.
 */
int channel_open_unix(const char *path, usec_t timeout_usec, struct channel **ret);

void channel_free(struct channel *c);

/*
 * The whole table, sorted, with live counters; restarted (bounded) on an interrupted dump. -EAGAIN when it never
 * settled. Finds the family again after ip_vs was reloaded; the other calls answer -ENOENT until then.
 */
int channel_dump(struct channel *c, struct ipvs_ruleset *ret);

/* The services alone, sorted, without their destinations: a quick look whether a dump still holds. -EINTR: look again. */
int channel_dump_services(struct channel *c, struct ipvs_ruleset *ret);

struct channel_result {
	int error; /* 0 or negative errno, per op */
};

/*
 * Sends all ops in batches with one ack barrier each; results[i] belongs to ops[i]. 0 when all were answered (some
 * perhaps with errors: see results and *ret_failed), else negative errno and the state is unknown: dump again.
 */
int channel_apply(struct channel *c, const struct plan *p, struct channel_result *results,
		  size_t *ret_failed);

int channel_get_timeouts(struct channel *c, struct ipvs_timeouts *ret);
int channel_set_timeouts(struct channel *c, const struct ipvs_timeouts *t);
int channel_get_info(struct channel *c, struct ipvs_info *ret);

/*
 * Changing requests (operations, timeouts) sent since the channel was opened, dumps not counted: for `status`, and for
 * the test that a no-op reload writes nothing.
 */
uint64_t channel_writes(const struct channel *c);

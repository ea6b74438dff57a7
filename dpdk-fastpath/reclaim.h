/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory that workers may still read: freed once each of them has passed a quiescent state (RCU QSBR). The control
 * thread calls all of this but for what reclaim_qsbr() is for.
 */

#include <systemd/sd-event.h>

struct reclaim;
struct rte_rcu_qsbr;

/* n_workers: their indices are the thread ids of the QSBR variable. The event loop is borrowed. */
int reclaim_new(sd_event *event, unsigned n_workers, struct reclaim **ret);
/* Frees what waits at once: the workers have stopped. */
void reclaim_free(struct reclaim *r);

/* For the workers: registration and reports. */
struct rte_rcu_qsbr *reclaim_qsbr(struct reclaim *r);

/* tables_config.retire; context is the struct reclaim. Without memory it waits for the workers instead. */
void reclaim_retire(void *context, void (*free_fn)(void *), void *object);

/* Returns when every worker has passed a quiescent state: within a few milliseconds. */
void reclaim_synchronize(struct reclaim *r);

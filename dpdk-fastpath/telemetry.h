/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Our commands on DPDK's telemetry socket, beside those of its libraries, for exporters that speak it:
 *	/ipvsd/stats		what all workers have counted together
 *	/ipvsd/workers		indices; /ipvsd/workers,INDEX: what that one has counted
 *	/ipvsd/services		names (the first 512); /ipvsd/services,NAME: one service's statistics
 *
 * DPDK calls from threads of its own. The answer is made on the control thread, which owns what it tells of, whenever its
 * loop comes round: a question waits for it for a second.
 */

#include <systemd/sd-event.h>

#include "dpdk-fastpath/answer.h"

struct tables;
struct telemetry;

/* One at a time. All borrowed until telemetry_free(). Negative errno. */
int telemetry_new(sd_event *event, const struct tables *tables, const struct answer_ops *ops,
		  void *context, struct telemetry **ret);
/* On the control thread. Questions are refused from then on. */
void telemetry_free(struct telemetry *t);

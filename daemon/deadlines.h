/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What time alone does to targets: ramps of slow start, ends of unhealthy.draining, evaluations of anomalies. As in AWS
 * they pass by the clock on the wall, while this daemon is down or the machine sleeps too; so the registry keeps them by
 * the wall clock, a clock that is set moves them, and the timer is one of CLOCK_BOOTTIME.
 */

struct manager;

/* sd_event's errors. */
int deadlines_init(struct manager *m);

/* The registry has changed: the next of its times is waited for, and then applied with all else that is waiting. */
void deadlines_watch(struct manager *m);

/* To be called now and then: was the wall clock set? That must neither end nor lengthen drains. */
void deadlines_follow_clock(struct manager *m);

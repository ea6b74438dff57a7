/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * How a worker without work lets go of its CPU. Where all ports have Rx interrupts it waits for one, a millisecond or two
 * at most, for frames of the kernel and of other workers, and calls, come without an interrupt; else it sleeps,
 * longer with each time that it finds nothing, up to IDLE_SLEEP_MAX_USEC, and after IDLE_QUIET_USEC without a frame up to
 * IDLE_QUIET_SLEEP_USEC: a sleep costs 15 us of CPU time on a virtual machine, so that shorter ones would take several
 * per cent of it. A worker with traffic never comes here: only IDLE_TURNS empty turns of its loop in a row make it sleep.
 *
 * The order: idle_arm(), one more turn (what came before the interrupt was armed gives none), idle_wait(),
 * idle_disarm(). Only idle_wait() touches no port.
 */

#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/options.h"

struct port;

enum {
	IDLE_TURNS = 256,
	IDLE_SLEEP_MIN_USEC = 5,
	IDLE_SLEEP_MAX_USEC = 200,
	IDLE_QUIET_USEC = 100000,
	IDLE_QUIET_SLEEP_USEC = 2000,
};

struct idle {
	struct port *ports; /* borrowed */
	unsigned n_ports, queue;
	unsigned empty_turns;
	uint32_t sleep_usec, slept_usec; /* the next one; all since the last frame */
	uint32_t epochs
		[OPTIONS_PORTS_MAX]; /* the start of each port whose interrupt we wait for; 0 = none */
	bool without[OPTIONS_PORTS_MAX]; /* it was tried, and failed: do without */
	bool armed;
};

/* On the worker's thread. */
void idle_init(struct idle *i, struct port *ports, unsigned n_ports, unsigned queue);

/* After each turn: n frames were handled. Is it time to sleep? */
static inline bool idle_wanted(struct idle *i, unsigned n)
{
	if (n > 0) {
		i->empty_turns = 0;
		i->sleep_usec = IDLE_SLEEP_MIN_USEC;
		i->slept_usec = 0;
		return false;
	}
	return ++i->empty_turns >= IDLE_TURNS;
}

void idle_arm(struct idle *i);
void idle_wait(struct idle *i);
void idle_disarm(struct idle *i);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/idle.h"

#include <errno.h>
#include <sys/prctl.h>
#include <time.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/port.h"

void idle_init(struct idle *i, struct port *ports, unsigned n_ports, unsigned queue)
{
	*i = (struct idle){ .ports = ports,
			    .n_ports = n_ports,
			    .queue = queue,
			    .sleep_usec = IDLE_SLEEP_MIN_USEC };
	/* Else each sleep lasts 50 us longer than it was asked to. */
	(void)prctl(PR_SET_TIMERSLACK, 1000UL, 0UL, 0UL, 0UL);
}

/* Waits for the queue's interrupt from now on; again after each start of the port, whose descriptors are new. */
static bool follow(struct idle *i, unsigned index)
{
	struct port *p = &i->ports[index];
	const uint32_t epoch = atomic_load_explicit(&p->epoch, memory_order_acquire);

	if (!p->interrupts || i->without[index])
		return false;
	if (i->epochs[index] == epoch)
		return true;
	if (rte_eth_dev_rx_intr_ctl_q(p->id, (uint16_t)i->queue, RTE_EPOLL_PER_THREAD,
				      RTE_INTR_EVENT_ADD, NULL) != 0) {
		i->without[index] = true;
		return false;
	}
	i->epochs[index] = epoch;
	return true;
}

void idle_arm(struct idle *i)
{
	i->armed = true;
	for (unsigned p = 0; p < i->n_ports && i->armed; p++) {
		if (!atomic_load_explicit(&i->ports[p].enabled, memory_order_acquire) ||
		    !follow(i, p)) {
			i->armed = false;
			break;
		}
		/* -ENOTSUP: the descriptor tells by itself, as that of net_tap does. */
		int r = rte_eth_dev_rx_intr_enable(i->ports[p].id, (uint16_t)i->queue);

		i->armed = r == 0 || r == -ENOTSUP;
	}
}

void idle_wait(struct idle *i)
{
	struct rte_epoll_event events[OPTIONS_PORTS_MAX];
	struct timespec pause = { .tv_nsec = (long)i->sleep_usec * 1000 };

	if (i->armed) {
		const bool quiet = i->slept_usec >= IDLE_QUIET_USEC;
		const int wait_msec = quiet ? IDLE_QUIET_SLEEP_USEC / 1000 : 1;

		(void)rte_epoll_wait(RTE_EPOLL_PER_THREAD, events, OPTIONS_PORTS_MAX, wait_msec);
		i->slept_usec += quiet ? 0 : 1000;
		return;
	}
	(void)nanosleep(&pause, NULL);
	if (i->slept_usec < IDLE_QUIET_USEC)
		i->slept_usec += i->sleep_usec;
	i->sleep_usec = MIN(i->sleep_usec * 2, i->slept_usec < IDLE_QUIET_USEC
						       ? (uint32_t)IDLE_SLEEP_MAX_USEC
						       : (uint32_t)IDLE_QUIET_SLEEP_USEC);
}

void idle_disarm(struct idle *i)
{
	if (!i->armed)
		return;
	for (unsigned p = 0; p < i->n_ports; p++)
		if (atomic_load_explicit(&i->ports[p].enabled, memory_order_acquire))
			(void)rte_eth_dev_rx_intr_disable(i->ports[p].id, (uint16_t)i->queue);
	i->armed = false;
}

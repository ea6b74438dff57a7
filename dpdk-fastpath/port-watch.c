/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/port-watch.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/eventfd.h>
#include <rte_ethdev.h>
#include <rte_timer.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "dpdk-fastpath/port.h"
#include "dpdk-fastpath/reclaim.h"

/* ENA's watchdog wants about a call a second (DPDK's guide); it looks for keep-alives of 3 s. */
#define TIMER_USEC (250 * USEC_PER_MSEC)
#define RETRY_USEC USEC_PER_SEC

struct watched {
	struct port *port; /* borrowed */
	int wake_fd;	   /* borrowed: port_watch.wake_fd */
	_Atomic bool reset_wanted;
	bool registered;
	usec_t retry_usec; /* not before */
};

struct port_watch {
	struct reclaim *reclaim;       /* borrowed */
	sd_event_source *timer, *wake; /* owned */
	int wake_fd;		       /* owned */
	size_t n;
	struct watched watched[];
};

/* Any thread, perhaps within a driver's interrupt handler. */
static int on_reset_event(uint16_t port_id, enum rte_eth_event_type event, void *userdata,
			  void *details)
{
	struct watched *w = userdata;

	(void)port_id;
	(void)event;
	(void)details;
	atomic_store(&w->reset_wanted, true);
	(void)eventfd_write(w->wake_fd, 1);
	return 0;
}

static void reset(struct port_watch *watch, struct watched *w)
{
	struct port *p = w->port;
	usec_t start = clock_monotonic_usec();

	if (start < w->retry_usec || !atomic_exchange(&w->reset_wanted, false))
		return;
	log_warning("port %s: the device asks to be reset", p->config.spec);
	port_disable(p);
	reclaim_synchronize(watch->reclaim);
	if (port_reset(p) < 0) {
		atomic_store(&w->reset_wanted, true);
		w->retry_usec = start + RETRY_USEC;
		return;
	}
	atomic_store(&p->enabled, true);
	log_notice("port %s: reset, works again after %llu ms", p->config.spec,
		   (unsigned long long)((clock_monotonic_usec() - start) / USEC_PER_MSEC));
}

static void look(struct port_watch *watch)
{
	for (size_t i = 0; i < watch->n; i++)
		reset(watch, &watch->watched[i]);
}

static int on_timer(sd_event_source *source, uint64_t usec, void *userdata)
{
	(void)rte_timer_manage(); /* without timers: an error that says so */
	look(userdata);
	if (sd_event_source_set_time(source, usec + TIMER_USEC) < 0)
		log_err("cannot set the timer of the ports' watchdogs");
	return 0;
}

static int on_wake(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	eventfd_t value;

	(void)source;
	(void)events;
	(void)eventfd_read(fd, &value);
	look(userdata);
	return 0;
}

void port_watch_free(struct port_watch *w)
{
	if (!w)
		return;
	for (size_t i = 0; i < w->n; i++)
		if (w->watched[i].registered)
			(void)rte_eth_dev_callback_unregister(w->watched[i].port->id,
							      RTE_ETH_EVENT_INTR_RESET,
							      on_reset_event, &w->watched[i]);
	sd_event_source_disable_unref(w->timer);
	sd_event_source_disable_unref(w->wake);
	cleanup_close(&w->wake_fd);
	free(w);
}

DEFINE_CLEANUP(struct port_watch *, port_watch_free)

int port_watch_new(sd_event *event, struct reclaim *reclaim, struct port *ports, size_t n_ports,
		   struct port_watch **ret)
{
	_cleanup_(port_watch_free_p) struct port_watch *w =
		calloc(1, sizeof(*w) + n_ports * sizeof(w->watched[0]));
	int r;

	if (!w)
		return -ENOMEM;
	w->reclaim = reclaim;
	w->n = n_ports;
	w->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (w->wake_fd < 0)
		return -errno;
	for (size_t i = 0; i < n_ports; i++) {
		struct watched *at = &w->watched[i];

		at->port = &ports[i];
		at->wake_fd = w->wake_fd;
		if (rte_eth_dev_callback_register(ports[i].id, RTE_ETH_EVENT_INTR_RESET,
						  on_reset_event, at) < 0)
			return -EIO;
		at->registered = true;
	}
	r = sd_event_add_io(event, &w->wake, w->wake_fd, EPOLLIN, on_wake, w);
	if (r >= 0)
		r = sd_event_add_time_relative(event, &w->timer, CLOCK_MONOTONIC, TIMER_USEC, 0,
					       on_timer, w);
	if (r >= 0)
		r = sd_event_source_set_enabled(w->timer, SD_EVENT_ON);
	if (r < 0)
		return r;
	*ret = take_ptr(w);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What ENA demands of the program that drives it (and no other driver minds): that rte_timer_manage() is called by the
 * thread that started the port, for its watchdog is an rte_timer, and that the port is reset when it asks for it by
 * RTE_ETH_EVENT_INTR_RESET. The event may come on any thread: it is noted there, and handled on the event loop, while
 * workers keep away from the port. Connections stay.
 */

#include <stddef.h>
#include <systemd/sd-event.h>

struct port;
struct port_watch;
struct reclaim;

/* Attached ports; borrowed. A port that cannot be reset is tried again every second. */
int port_watch_new(sd_event *event, struct reclaim *reclaim, struct port *ports, size_t n_ports,
		   struct port_watch **ret);
void port_watch_free(struct port_watch *w);

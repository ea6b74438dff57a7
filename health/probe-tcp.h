/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One TCP check: the target is well when it completes the handshake. The handshake's last ACK is held back and a
 * reset takes its place, so that the application behind the port is not woken for a connection that is gone.
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "health/probe.h"

/* Embedded by its owner; zero-initialised = not running. */
struct probe_tcp {
	int fd;			 /* owned while running */
	bool proxy;		 /* a PROXY header goes first; then the application is woken */
	sd_event_source *source; /* owned */
	probe_done_t done;
	void *userdata; /* borrowed */
};

void probe_tcp_start(struct probe_tcp *p, sd_event *event, const struct probe_spec *spec,
		     probe_done_t done, void *userdata);

/* Ends a running attempt without a call of done. Returns what a deadline means now. */
enum probe_outcome probe_tcp_cancel(struct probe_tcp *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One TCP check: the target is well when it completes the handshake. The handshake's last ACK is held back and a
 * reset takes its place, so that the application behind the port is not woken for a connection that is gone.
 */

#include "health/connector.h"

/* Embedded by its owner; zero-initialised = not running. */
struct probe_tcp {
	struct connection connection;
	probe_done_t done;
	void *userdata; /* borrowed */
};

void probe_tcp_start(struct probe_tcp *p, struct connector *connector,
		     const struct probe_spec *spec, probe_done_t done, void *userdata);

/* Ends a running attempt without a call of done. Returns what a deadline means now. */
enum probe_outcome probe_tcp_cancel(struct probe_tcp *p);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory that a test shares with one lab-server (server.c): the test writes orders, the server writes what it saw.
 * After new orders the test raises `generation` and writes the server's eventfd; the server sets `applied` to it.
 * Times are CLOCK_MONOTONIC, the same for all processes.
 */

#include <stdatomic.h>
#include <stdint.h>

enum {
	SERVER_PAGE_FD = 3, /* in the server process */
	SERVER_EVENT_FD = 4,
	SERVER_PROBES_MAX = 8192,
};

enum server_mode {
	SERVER_ANSWER, /* with `status` */
	SERVER_HANG,   /* accept, read, never answer */
	SERVER_RESET,  /* accept, then RST */
	SERVER_REFUSE, /* do not listen; connections that exist stay */
};

/* A request for /healthz, or a connection that was closed without one (a TCP check). */
struct server_probe {
	uint64_t at_usec;
	uint32_t status; /* what was answered; 0 = nothing */
};

struct server_page {
	_Atomic uint32_t generation, applied;
	_Atomic uint32_t mode;
	_Atomic uint32_t status;	/* of all paths, 200 at first */
	_Atomic uint32_t health_status; /* of /healthz, where not 0 */
	_Atomic uint64_t connections, requests, echo_connections;
	_Atomic uint64_t n_probes; /* ever; the last SERVER_PROBES_MAX are in the ring */
	struct server_probe probes[SERVER_PROBES_MAX];
};

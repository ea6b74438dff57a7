/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What runs on the targets: lab-server (server.c), whose faults are switched at run time, or nginx. Both listen on
 * LAB_HTTP_PORT for IPv4 and IPv6, answer / and /healthz with 200 and their name, and name themselves in X-Target;
 * lab-server also echoes on LAB_ECHO_PORT.
 */

#include "tests/lab/process.h"
#include "tests/lab/serverpage.h"

struct lab_host;

enum {
	LAB_HTTP_PORT = 8080,
	LAB_ECHO_PORT = 7,
};

struct lab_server {
	const struct lab_host *host; /* borrowed */
	struct lab_process process;
	struct server_page
		*page;	       /* owned mapping; survives a restart of the server. NULL = nginx */
	int page_fd, event_fd; /* owned */
};

#define LAB_SERVER_INIT                                                                            \
	((struct lab_server){ .process = LAB_PROCESS_INIT, .page_fd = -1, .event_fd = -1 })

/* Returns when the server listens. */
int lab_server_start(const struct lab_host *host, struct lab_server *ret);
int lab_nginx_start(const struct lab_host *host, struct lab_server *ret);

/* status 0 = leave as it is. Returns when the server has seen it. */
int lab_server_order(struct lab_server *s, enum server_mode mode, unsigned status);
/* What /healthz answers, whatever the other paths do; 0 = the same as they. */
void lab_server_order_health(struct lab_server *s, unsigned status);

/* SIGKILL; its connections are reset by the kernel. */
void lab_server_kill(struct lab_server *s);
/* After lab_server_kill(): the same server again. */
int lab_server_restart(struct lab_server *s);

void lab_server_deinit(struct lab_server *s);

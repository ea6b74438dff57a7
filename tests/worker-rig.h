/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The real health worker in a child process, and scripted servers. Nothing sleeps: every wait is a poll of the worker
 * and of the servers, with a deadline that is far longer than what is waited for. Failures are cmocka's.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "health/protocol.h"
#include "health/worker.h"
#include "tests/scripted-server.h"

enum {
	RESULTS_MAX = 512,
	SERVERS_MAX = 60,
	PATIENCE_MSEC = 10000,
};

struct rig {
	enum worker_kind kind;
	int fd, stderr_fd, pid_fd; /* owned */
	pid_t pid;
	struct scripted_server servers[SERVERS_MAX];
	size_t n_servers;
	struct protocol_result results[RESULTS_MAX];
	size_t n_results;
	struct protocol_heartbeat heartbeat; /* the latest */
	unsigned n_heartbeats, n_hellos;
	uint32_t hello_pid;
	bool closed; /* the worker's end */
};

/* Starts the worker; the caller says hello. */
void rig_init(struct rig *rig);
void rig_init_kind(struct rig *rig, enum worker_kind kind);

/* Workers that are started from now on get no io_uring, as in a container whose seccomp profile refuses it. */
void rig_refuse_rings(void);

/* Does the worker have one? Once it has said hello. */
bool rig_has_ring(const struct rig *rig);

/* Closes the daemon's end; where the worker still runs, expects that it exits with 0. */
void rig_deinit(struct rig *rig);

struct scripted_server *rig_server(struct rig *rig, int family, enum server_script script,
				   const char *answer);

/* One round of the loop; takes what the worker sent. */
void rig_pump(struct rig *rig);

/* The first result of this specification. */
const struct protocol_result *rig_wait_result(struct rig *rig, uint64_t id, uint32_t generation);

/* Until this many results in all, or this many more heartbeats, have come. */
void rig_wait_results(struct rig *rig, size_t n);
void rig_wait_heartbeats(struct rig *rig, unsigned more);

/* The exit status; waits for the end of the worker, for which the caller gave a reason. */
int rig_wait_exit(struct rig *rig);

/* The most memory that the worker has had (VmHWM). */
size_t rig_peak_kib(const struct rig *rig);

void rig_send(struct rig *rig, const void *record, size_t size);
void rig_send_hello(struct rig *rig);
void rig_send_del(struct rig *rig, uint64_t id);

/* A specification to change and to send: generation 1, an interval and a timeout of 2 s, 200-299, no texts. */
struct protocol_probe_record probe_make(uint64_t id, enum protocol_check check, const char *address,
					uint16_t port);

/* Appends a text, in the order of enum protocol_text; then sends. */
void probe_text(struct protocol_probe_record *r, enum protocol_text which, const char *text);
void rig_send_probe(struct rig *rig, const struct protocol_probe_record *r);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * ipvsd on the gateway of a lab: its configuration (/run/ipvsd.conf in the lab's own /run), the daemon with a
 * receiver for its sd_notify messages, the commands, and the kernel's table. The program is the
 * build's own daemon/ipvsd.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "ipvs/ruleset.h"
#include "tests/lab/process.h"

struct lab;
struct channel;

#define LAB_CONF_PATH "/run/ipvsd.conf"
#define LAB_STATE_DIRECTORY "/run/ipvsd-state"
#define LAB_CONTROL_SOCKET "/run/ipvsd/control.sock"

/* The [ipvsd] section that every test begins with; more keys of the section may follow. */
#define LAB_CONF_GLOBAL                                                                            \
	"[ipvsd]\n"                                                                                \
	"control-socket = " LAB_CONTROL_SOCKET "\n"                                                \
	"state-directory = " LAB_STATE_DIRECTORY "\n"                                              \
	"health-user = nobody\n"                                                                   \
	"vip-interface = public\n"

struct gateway;

int gateway_new(struct lab *lab, struct gateway **ret);
/* Kills the daemon. */
void gateway_free(struct gateway *g);

/* printf-like; replaces the file by rename. */
int gateway_configure(struct gateway *g, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Starts the daemon and returns when it has said READY=1; -ECHILD when it ended instead (g's log says why). */
int gateway_start(struct gateway *g);
/* The same with the program and its first arguments replaced, e.g. by setpriv … ipvsd. NULL-terminated. */
int gateway_start_as(struct gateway *g, const char *const *prefix);
/* Does not wait for READY. */
int gateway_launch(struct gateway *g, const char *const *prefix);
int gateway_wait_ready(struct gateway *g, usec_t timeout_usec);

/* Sends the signal and waits for the end; returns the exit status (128 + signal), or negative errno. */
int gateway_stop(struct gateway *g, int signal);
bool gateway_running(struct gateway *g);
pid_t gateway_pid(const struct gateway *g);

/* How often a message with this line ("READY=1", "RELOADING=1") came since gateway_launch(). */
unsigned gateway_notified(struct gateway *g, const char *line);

/* What the daemon wrote to standard error since gateway_launch(); owned by the caller. */
char *gateway_log(struct gateway *g);
bool gateway_log_has(struct gateway *g, const char *text);
/* Prints the log; for tests that fail. */
void gateway_print_log(struct gateway *g);

/* Resident memory of the daemon in KiB; 0 when it does not run. */
uint64_t gateway_rss_kib(struct gateway *g);

/* Runs `ipvsd ARGUMENT…` on the gateway; at most 8 arguments, the last one NULL. */
int gateway_command(struct gateway *g, struct lab_result *ret, ...) __attribute__((sentinel));

/*
 * A request on the control socket without a program: "GET", "/v1/status". body may be NULL. Returns the HTTP status
 * or negative errno; *ret_json (may be NULL) is owned by the caller, NULL when the answer is not JSON.
 */
int gateway_request(struct gateway *g, const char *method, const char *path, const char *body,
		    json_t **ret_json);

/* The kernel's table as the project's own channel reads it. */
int gateway_table(struct gateway *g, struct ipvs_ruleset *ret);
/* The destination's weight in the service "ADDRESS", port, TCP; -ENOENT when either is absent. */
int64_t gateway_weight(struct gateway *g, const char *vip, uint16_t port, const char *target);

/* Polls until gateway_weight() is `weight`; returns when that was seen (monotonic), or USEC_NEVER. */
usec_t gateway_wait_weight(struct gateway *g, const char *vip, const char *target, int64_t weight,
			   usec_t timeout_usec);

/* The same table as `ipvsadm -Sn` prints it: an independent reader. Lines sorted; owned by the caller. */
char *gateway_ipvsadm(struct gateway *g);

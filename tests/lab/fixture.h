/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What most tests of the product begin with: a lab, one lab-server a target, and a gateway with ipvsd. All functions
 * fail the running cmocka test themselves.
 */

#include "tests/lab/gateway.h"
#include "tests/lab/lab.h"
#include "tests/lab/loadgen.h"
#include "tests/lab/realserver.h"

/*
 * A fast schedule, under which unhealthy targets stay in the table with weight 0 for all to see; and the longest time
 * from a fault to weight 0 that it allows (issue: … + 100 ms).
 */
#define FIXTURE_INTERVAL_USEC (400 * USEC_PER_MSEC)
#define FIXTURE_TIMEOUT_USEC (200 * USEC_PER_MSEC)
#define FIXTURE_UNHEALTHY 2
#define FIXTURE_DETECTION_USEC                                                                     \
	(FIXTURE_INTERVAL_USEC * FIXTURE_UNHEALTHY + FIXTURE_TIMEOUT_USEC + 100 * USEC_PER_MSEC)

#define FIXTURE_CHECKS                                                                             \
	"health-check-protocol = http\n"                                                           \
	"health-check-path = /healthz\n"                                                           \
	"health-check-interval = 400ms\n"                                                          \
	"health-check-timeout = 200ms\n"                                                           \
	"healthy-threshold = 2\n"                                                                  \
	"unhealthy-threshold = 2\n"                                                                \
	"matcher = 200-299\n"                                                                      \
	"algorithm = round-robin\n"                                                                \
	"unhealthy-connection-termination = no\n"

/* Port 80 of LAB_VIP to blue, port 7 to echo; the groups follow. */
#define FIXTURE_LISTENERS                                                                          \
	"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = blue\n"                       \
	"[listener echo]\naddress = " LAB_VIP "\nport = 7\nforward = echo\n"

struct fixture {
	struct lab *lab;
	struct gateway *gateway;
	struct lab_server servers[LAB_ZONES * LAB_ZONE_TARGETS_MAX]; /* as lab->targets */
};

void fixture_init(struct fixture *f, unsigned targets_a, unsigned targets_b);
void fixture_deinit(struct fixture *f);

/* What is to come comes within this, on any machine. */
#define FIXTURE_SOON_USEC (20 * USEC_PER_SEC)

/* Starts the daemon and waits until all targets of `group` are healthy. */
void fixture_start(struct fixture *f, const char *group);
void fixture_wait_healthy(struct fixture *f, const char *group);

/*
 * What `status` says of a target of a group under "state", or under another key; "" when it is not there. Returns buf.
 */
enum {
	FIXTURE_STATE_MAX = 32,
	FIXTURE_TEXT_MAX = 160,
};
const char *fixture_text(struct fixture *f, const char *group, const char *address, const char *key,
			 char buf[static FIXTURE_TEXT_MAX]);
const char *fixture_state(struct fixture *f, const char *group, const char *address,
			  char buf[static FIXTURE_STATE_MAX]);

/* Until it has this state, for FIXTURE_SOON_USEC at most; then fails, with the daemon's log. */
void fixture_wait_state(struct fixture *f, const char *group, const char *address,
			const char *state);

/* Until the destination of port 80 of LAB_VIP has it in the kernel, for FIXTURE_SOON_USEC at most; then fails likewise. */
void fixture_wait_weight(struct fixture *f, const char *address, int64_t weight);

/* Until `status` has an alarm that begins so, or none; for FIXTURE_SOON_USEC at most. */
void fixture_wait_alarm(struct fixture *f, const char *begin, bool wanted);

/* Runs `ipvsd VERB` and demands this exit status; prints the output when it is another. */
void fixture_reload(struct fixture *f, int status, struct lab_result *ret);

/* 200 from the VIP over IPv4. Returns the target's name in buf. */
const char *fixture_get(struct fixture *f, const char *path, char buf[static LAB_TARGET_MAX]);

/*
 * Requests to port 80. Where none may fail, the time-out must be long: a guest that shares its CPUs stalls for
 * seconds at times.
 */
enum {
	FIXTURE_PATIENCE_SEC = 15,
};
struct lab_load *fixture_load(struct fixture *f, const char *vip, unsigned rate,
			      usec_t timeout_usec);
struct lab_echo *fixture_echo(struct fixture *f, unsigned connections);

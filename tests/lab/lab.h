/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A VPC in network namespaces, for tests that need root:
 *
 *   internet ---- router ==== public ==== gateway ==== zone-a ==== target a1, a2 …
 *   198.51.100.2  (VPC router            (runs ipvsd)
 *                  and internet                    ==== zone-b ==== target b1, b2 …
 *                  gateway)
 *
 * `====` is a subnet: a bridge in the router's namespace. IPv4 and IPv6 everywhere, no duplicate address detection.
 * The router sends the VIP prefixes and the zones to the gateway; targets answer through the gateway, or with
 * direct_return through the router. The gateway forwards, and knows nothing of IPVS yet.
 *
 * Nothing outlives the process: the namespaces have no name and are held by descriptors, /run is a tmpfs of the
 * process's own mount namespace, and child processes are killed when their parent thread ends. Call lab_new(),
 * lab_free() and lab_spawn() from the main thread only. One lab at a time.
 *
 * Functions return 0 or negative errno after a line on standard error.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	LAB_ZONES = 2,
	LAB_ZONE_TARGETS_MAX = 16,
	LAB_NAME_MAX = 16,
	LAB_ADDRESS_MAX = 48,
};

/* What the router sends to the gateway; ipvsd (or lab_address_add()) puts the addresses there. */
#define LAB_VIP "203.0.113.10"
#define LAB_VIP2 "203.0.113.11"
#define LAB_VIP6 "2001:db8:203::10"

struct lab_spec {
	unsigned targets[LAB_ZONES]; /* hosts in zone a, b; each at most LAB_ZONE_TARGETS_MAX */
	bool direct_return;
};

struct lab_host {
	char name[LAB_NAME_MAX]; /* "internet", "router", "gateway", "a1" … */
	int ns;			 /* owned descriptor of the network namespace */
	char address[LAB_ADDRESS_MAX];
	char address6[LAB_ADDRESS_MAX];
	unsigned zone; /* of targets */
};

struct lab {
	struct lab_host internet, router, gateway;
	struct lab_host targets[LAB_ZONES * LAB_ZONE_TARGETS_MAX]; /* zone a first */
	size_t n_targets;
	int home_net, home_mount, home_dir; /* owned; where the process came from */
};

int lab_new(const struct lab_spec *spec, struct lab **ret);
void lab_free(struct lab *lab);

/* By name ("a1"); NULL when there is none. Borrowed. */
struct lab_host *lab_host(struct lab *lab, const char *name);

/*
 * Moves the calling thread into the host's network namespace until lab_leave(). Sockets made there stay there.
 * *ret_back is -1 or a descriptor that lab_leave() closes.
 */
int lab_enter(const struct lab_host *h, int *ret_back);
void lab_leave(int *back);

#define _lab_leave_ _cleanup_(lab_leave)

/* A socket in the host's namespace: descriptor or negative errno. */
int lab_socket(const struct lab_host *h, int domain, int type, int protocol);

/* "203.0.113.10/32" on an interface of the host. -EEXIST / -EADDRNOTAVAIL are returned without a message. */
int lab_address_add(const struct lab_host *h, const char *interface, const char *address);
int lab_address_remove(const struct lab_host *h, const char *interface, const char *address);
/* 1 or 0, or negative errno. */
int lab_address_exists(const struct lab_host *h, const char *interface, const char *address);

int lab_sysctl_set(const struct lab_host *h, const char *path, const char *value);

/* Polls until check(userdata) is true: 0, or -ETIMEDOUT. */
int lab_wait_until(bool (*check)(void *), void *userdata, usec_t timeout_usec);
void lab_sleep(usec_t usec);

/* Prints "lab: …: strerror" when error is not 0; returns -error. */
int lab_fail(int error, const char *format, ...) __attribute__((format(printf, 2, 3)));

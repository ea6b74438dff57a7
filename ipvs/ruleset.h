/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * IPVS services and destinations as values: one type for what is desired and for what the kernel (or the fast path)
 * has. Enum values and flag bits are the kernel's, from include/uapi/linux/ip_vs.h. Pure.
 *
 * Order matters: dests are in dump order, which is the order of the kernel's list (head first). The kernel inserts a
 * new destination at the head; mh, sh and dh choose by position.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	IPVS_SCHED_MAX = 16,
	IPVS_PE_MAX = 17,

	IPVS_SVC_PERSISTENT = 0x1,
	IPVS_SVC_HASHED = 0x2, /* kernel-internal; stripped when a dump is decoded */
	IPVS_SVC_ONEPACKET = 0x4,
	IPVS_SVC_SCHED1 = 0x8,	/* sh-fallback, mh-fallback */
	IPVS_SVC_SCHED2 = 0x10, /* sh-port, mh-port */
	IPVS_SVC_SCHED3 = 0x20,

	/*
	 * The service that keeps the netfilter hooks of a family registered: scheduler none, no destination. The
	 * highest mark that ipvsadm can restore from what it saved: it reads marks as int.
	 */
	IPVS_HOOK_KEEPER_MARK = 0x7fffffff,
	/* The services that lead one probe each through its target: ipvs/desired.h. */
	IPVS_PROBE_MARK = 0x7e000000,
	IPVS_PROBE_MARKS = 1 << 24,
};

enum ipvs_forward {
	IPVS_FORWARD_MASQ = 0,
	IPVS_FORWARD_LOCAL = 1,
	IPVS_FORWARD_TUNNEL = 2,
	IPVS_FORWARD_ROUTE = 3,
	IPVS_FORWARD_BYPASS = 4,
	IPVS_FORWARD_FULL_NAT = 5, /* ours: the fast path's alone, never sent to the kernel */
};

enum ipvs_tunnel {
	IPVS_TUNNEL_IPIP = 0,
	IPVS_TUNNEL_GUE = 1,
	IPVS_TUNNEL_GRE = 2,
};

struct ipvs_stats {
	uint64_t conns, in_packets, out_packets, in_bytes, out_bytes;
	uint64_t cps, in_pps, out_pps, in_bps, out_bps;
};

/* A mark of 0 means "by address"; with a mark only family counts, and the other members are 0. */
struct ipvs_service_key {
	uint32_t fwmark;
	uint16_t family;
	uint8_t protocol; /* IPPROTO_* */
	uint16_t port;	  /* host order; 0 = every port */
	struct addr addr;
};

struct ipvs_dest {
	/* key */
	struct addr addr;
	uint16_t port; /* host order */
	/* configuration */
	enum ipvs_forward forward;
	uint32_t weight;
	uint32_t upper_threshold, lower_threshold;
	enum ipvs_tunnel tunnel;
	uint16_t tunnel_port; /* host order */
	uint16_t tunnel_flags;
	/* live, from a dump */
	uint32_t active_conns, inactive_conns, persistent_conns;
	struct ipvs_stats stats;
};

struct ipvs_service {
	struct ipvs_service_key key;
	/* configuration */
	char scheduler[IPVS_SCHED_MAX]; /* "none" = no scheduler */
	char pe[IPVS_PE_MAX];		/* persistence engine, "" = none */
	uint32_t flags;
	uint32_t timeout_sec; /* persistence */
	uint32_t netmask;     /* IPv4: in network order; IPv6: prefix length 1..128 */
	/* live, from a dump */
	struct ipvs_stats stats;
	/* owned */
	struct ipvs_dest *dests;
	size_t n_dests;
};

struct ipvs_ruleset {
	struct ipvs_service *services; /* owned; sorted by key after ipvs_ruleset_sort() */
	size_t n;
};

#define IPVS_RULESET_INIT ((struct ipvs_ruleset){ 0 })

void ipvs_ruleset_deinit(struct ipvs_ruleset *r);

/* Return a borrowed pointer, valid until the next append; NULL on lack of memory. */
struct ipvs_service *ipvs_ruleset_append(struct ipvs_ruleset *r,
					 const struct ipvs_service_key *key);
struct ipvs_dest *ipvs_service_append(struct ipvs_service *s, const struct ipvs_dest *dest);

int ipvs_ruleset_copy(const struct ipvs_ruleset *r, struct ipvs_ruleset *ret);
void ipvs_ruleset_sort(struct ipvs_ruleset *r);

int ipvs_service_key_cmp(const struct ipvs_service_key *a, const struct ipvs_service_key *b);
int ipvs_dest_key_cmp(const struct ipvs_dest *a, const struct ipvs_dest *b);

/* Binary search in a sorted ruleset; NULL when absent. Borrowed. */
struct ipvs_service *ipvs_ruleset_find(const struct ipvs_ruleset *r,
				       const struct ipvs_service_key *key);
struct ipvs_dest *ipvs_service_find(const struct ipvs_service *s, const struct addr *addr,
				    uint16_t port);

/*
 * Do the members under "configuration" agree? Keys, live values and destinations are not looked at; nor is what the
 * kernel keeps but does not use: timeout and netmask without the persistent flag, tunnel parameters without a tunnel.
 */
bool ipvs_service_conf_eq(const struct ipvs_service *a, const struct ipvs_service *b);
bool ipvs_dest_conf_eq(const struct ipvs_dest *a, const struct ipvs_dest *b);

/* Have they the same destinations, by key, in the same order? The quick answer to the usual case. */
bool ipvs_service_same_list(const struct ipvs_service *a, const struct ipvs_service *b);

/* mh, sh, dh: the choice depends on the order of the list. */
bool ipvs_scheduler_is_ordered(const char *scheduler);

enum {
	IPVS_KEY_STR_MAX = 80,
};

/* "tcp 203.0.113.10:80", "fwmark 7 ipv6"; returns buf. Port 0 means every port. */
const char *ipvs_service_key_format(const struct ipvs_service_key *k,
				    char buf[static IPVS_KEY_STR_MAX]);

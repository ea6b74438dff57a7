/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the kernel's IPVS messages cannot say: commands and top-level attributes from 64 on, on the unix socket alone. A
 * kernel never sees them: its commands end at 17 and its attributes at 6. Pure, as ipvs/codec.h, with the same errors
 * and the same promise about untrusted bytes.
 *
 * What an answer can grow to is bounded by its request, or it is a dump: of those a client has one at a time.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"
#include "ipvs/codec.h"
#include "ipvs/connrec.h"
#include "ipvs/ruleset.h"

enum {
	PRIVATE_FAMILY = 64, /* the id of "IPVS" on the unix socket, which GETFAMILY tells */
	PRIVATE_LOCALS_MAX = 4094,
	PRIVATE_RULES_MAX = 2048, /* of one service */
	PRIVATE_WORKERS_MAX = 64,
	PRIVATE_PORTS_MAX = 16,
	PRIVATE_COUNTERS_MAX = 512, /* of one worker or port */
	PRIVATE_NAME_MAX = 64,	    /* with the final NUL */
	PRIVATE_MAC_LEN = 6,
};

/* GET_* are answered with the command in brackets. */
enum private_command {
	PRIVATE_CMD_SET_LOCALS = 64, /* the whole set of source addresses of full NAT */
	PRIVATE_CMD_GET_LOCALS,	     /* dump [SET_LOCALS], several addresses a message */
	PRIVATE_CMD_SET_RULES,	     /* of one service, all of them */
	PRIVATE_CMD_SET_OPTIONS,     /* all of them */
	PRIVATE_CMD_GET_OPTIONS,     /* [SET_OPTIONS] */
	PRIVATE_CMD_SET_LAST_WEIGHT, /* of one destination */
	PRIVATE_CMD_NEW_CONNS,	     /* [CONNS_RESULT] */
	PRIVATE_CMD_GET_CONNS,	     /* dump [NEW_CONNS], several connections a message */
	PRIVATE_CMD_CONNS_RESULT,
	PRIVATE_CMD_GET_WORKERS, /* dump [NEW_WORKER] */
	PRIVATE_CMD_NEW_WORKER,
	PRIVATE_CMD_GET_PORTS, /* dump [NEW_PORT] */
	PRIVATE_CMD_NEW_PORT,
	PRIVATE_CMD_GET_STATUS, /* [SET_STATUS]; the heartbeat */
	PRIVATE_CMD_SET_STATUS,
	/*
	 * Takes the ports that the command line names, where it said that they are to wait (--hold-ports): acknowledged
	 * when they and their exception interfaces are up; before, GET_STATUS tells of no port. 0 also when they are.
	 */
	PRIVATE_CMD_ATTACH_PORTS,
	/*
	 * Addresses and routes are about to move from interface to interface: next hops stay as they are until
	 * FOLLOW_ROUTES, or for ten seconds if that does not come, whatever the routes are in between.
	 */
	PRIVATE_CMD_HOLD_ROUTES,
	PRIVATE_CMD_FOLLOW_ROUTES, /* acknowledged when all have been looked at */
	_PRIVATE_CMD_END,
};

/* SET_LOCALS as request and, with NLM_F_MULTI in h->flags, as one piece of the dump. */
int private_locals_request(void *buf, size_t size, const struct codec_header *h,
			   const struct addr *addrs, size_t n);
int private_locals_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct addr *addrs, size_t n);
/* -E2BIG: more than max of them. */
int private_parse_locals(const struct nlmsghdr *nlh, struct addr *ret, size_t max, size_t *ret_n);

/* Who may open connections to a service: any rule that fits. As a security group's ingress. */
struct private_rule {
	uint8_t protocol;	      /* IPPROTO_*; 0 = any */
	uint16_t port_low, port_high; /* of the service; host order */
	struct prefix peer;
};

/* rules NULL: everybody may. n == 0 with rules: nobody may. */
int private_rules_request(void *buf, size_t size, const struct codec_header *h,
			  const struct ipvs_service_key *key, const struct private_rule *rules,
			  size_t n);
/* *ret_restricted: false = everybody may, and there are no rules. -E2BIG. */
int private_parse_rules(const struct nlmsghdr *nlh, struct private_rule *ret, size_t max,
			size_t *ret_n, bool *ret_restricted);

/* dpdk-fastpath/snapshot.h says what they do. */
struct private_options {
	bool expire_nodest_conn, expire_quiescent_template, sloppy_tcp, sloppy_sctp, nat_icmp_send;
	bool reset_on_expiry, stateless_when_full;
	uint8_t conn_reuse_mode; /* 0..3 */
};

int private_options_request(void *buf, size_t size, const struct codec_header *h,
			    const struct private_options *o);
int private_options_reply(void *buf, size_t size, const struct codec_header *h,
			  const struct private_options *o);
/* All options must be there. */
int private_parse_options(const struct nlmsghdr *nlh, struct private_options *ret);

/* The weight that mh goes by while the weight is 0; service and destination by codec_parse_service() and _dest(). */
int private_last_weight_request(void *buf, size_t size, const struct codec_header *h,
				const struct ipvs_service_key *key, const struct ipvs_dest *d,
				uint32_t last_weight);
int private_parse_last_weight(const struct nlmsghdr *nlh, uint32_t *ret);

/*
 * A connection: what the sync protocol says of it, and what it cannot say. Here the destination of a tunnel may be of
 * another family than the client.
 */
struct private_conn {
	struct connrec record;
	uint32_t remaining_sec;
	struct addr local; /* full NAT; else AF_UNSPEC */
	uint16_t local_port;
};

/*
 * NEW_CONNS: as many of the n as fit, at least one, or -EMSGSIZE; *ret_taken says how many. A request with NLM_F_REQUEST
 * in h->flags, else a piece of the dump.
 */
int private_conns_message(void *buf, size_t size, const struct codec_header *h,
			  const struct private_conn *conns, size_t n, size_t *ret_taken);

/*
 * One at a time: *cursor begins at 0. 1: *ret is a connection, whose record borrows from the message; 0: no more;
 * -EBADMSG: this one makes no sense, the next may.
 */
int private_next_conn(const struct nlmsghdr *nlh, size_t *cursor, struct private_conn *ret);

enum private_outcome {
	PRIVATE_CONN_DONE,     /* it is there, now or already */
	PRIVATE_CONN_NO_DEST,  /* no such service or destination */
	PRIVATE_CONN_CONFLICT, /* it is there with another destination */
	PRIVATE_CONN_NO_LOCAL, /* full NAT from an address that is none of the source addresses */
	PRIVATE_CONN_FULL,
	PRIVATE_CONN_INVALID, /* a record that no plane of ours can hold */
	PRIVATE_CONN_FAILED,  /* for another reason, e.g. its worker does not answer */
	_PRIVATE_OUTCOME_MAX,
};

struct private_result {
	uint32_t counts[_PRIVATE_OUTCOME_MAX];
};

int private_result_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_result *r);
int private_parse_result(const struct nlmsghdr *nlh, struct private_result *ret);

struct private_counters {
	size_t n;
	struct private_counter {
		char name[PRIVATE_NAME_MAX];
		uint64_t value;
	} at[PRIVATE_COUNTERS_MAX];
};

struct private_worker {
	uint32_t index, lcore;
	uint64_t late_usec; /* since it last came round its loop */
};

struct private_port {
	uint32_t index;
	char name[PRIVATE_NAME_MAX];
	char driver[PRIVATE_NAME_MAX];
	uint8_t mac[PRIVATE_MAC_LEN];
	bool link_up;
	uint32_t speed_mbps; /* 0 = the port does not say */
	uint16_t mtu;
};

/* Without counters (NULL), and encoded without them where c is NULL. */
int private_worker_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_worker *w, const struct private_counters *c);
int private_parse_worker(const struct nlmsghdr *nlh, struct private_worker *ret,
			 struct private_counters *ret_counters);
int private_port_reply(void *buf, size_t size, const struct codec_header *h,
		       const struct private_port *p, const struct private_counters *c);
int private_parse_port(const struct nlmsghdr *nlh, struct private_port *ret,
		       struct private_counters *ret_counters);

struct private_status {
	uint32_t pid;
	usec_t uptime_usec;
	size_t n_workers, n_ports;
	struct private_worker workers[PRIVATE_WORKERS_MAX];
	struct private_port ports[PRIVATE_PORTS_MAX];
};

int private_status_reply(void *buf, size_t size, const struct codec_header *h,
			 const struct private_status *s);
int private_parse_status(const struct nlmsghdr *nlh, struct private_status *ret);

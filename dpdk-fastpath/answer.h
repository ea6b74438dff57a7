/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The server's half of the control socket: one datagram of requests in, changes of the tables and bytes of answers out,
 * as the kernel does it (netlink_rcv_skb() in net/netlink/af_netlink.c, genetlink.c, ip_vs_ctl.c): every message of a
 * datagram is handled, whatever became of those before it; an error is answered always, a success where NLM_F_ACK asks
 * for it; a client has one dump at a time (-EBUSY). Pure: what is not in the tables is asked of the caller's operations.
 *
 * Where it differs from the kernel:
 * - A message that the datagram cuts short gets -EBADMSG and ends it, where the kernel says nothing.
 * - A dump of services or destinations that a change overtakes ends at once with NLM_F_DUMP_INTR.
 * - Bytes that do not fit an attribute get -EBADMSG, where the kernel says -ERANGE or -EINVAL.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dpdk-fastpath/director.h"
#include "ipvs/private.h"

struct answer;
struct tables;

/* Where a dump of connections stands; zero at first, the operation's own. */
struct answer_cursor {
	uint32_t worker, index;
};

/* What the tables do not know. NULL: the commands that need it get -EOPNOTSUPP. */
struct answer_ops {
	/* Each on the worker that owns it; rets[i] is what director_import() says of conns[i]. */
	void (*import_conns)(void *context, const struct director_conn *conns, unsigned n,
			     int *rets);
	/* Up to n of them; 0 = no more; negative errno ends the dump with that error. */
	int (*export_conns)(void *context, struct answer_cursor *cursor, struct director_conn *ret,
			    unsigned n);
	/* -ENOENT behind the last. ret_counters may be NULL. */
	int (*worker)(void *context, unsigned index, struct private_worker *ret,
		      struct private_counters *ret_counters);
	int (*port)(void *context, unsigned index, struct private_port *ret,
		    struct private_counters *ret_counters);
	/* pid and uptime; workers and ports are asked of the two above. */
	int (*status)(void *context, struct private_status *ret);
	/* 0 also where it has been done. May take its time. */
	int (*attach_ports)(void *context);
	/* false: next hops follow the routes again, and do so when it returns. */
	void (*hold_routes)(void *context, bool hold);
};

struct answer_config {
	struct tables *tables;	      /* borrowed */
	const struct answer_ops *ops; /* borrowed */
	void *context;		      /* of ops */
	uint32_t conn_table_size;     /* what GET_INFO says */
};

/* -ENOMEM. */
int answer_new(const struct answer_config *config, struct answer **ret);
void answer_free(struct answer *a);

/* One client's state. Zero at first; nothing to release. */
struct answer_client {
	uint8_t dump; /* command of the running dump; 0 = none */
	uint32_t seq;
	size_t next;
	struct answer_cursor conns;
	struct ipvs_service_key key;
	uint64_t changes; /* of the lists when the dump began */
};

/* Messages one behind the other, for the caller to send in datagrams of whole ones. */
struct answer_buffer {
	uint8_t *bytes; /* owned */
	size_t len_bytes, allocated_bytes;
};

#define ANSWER_BUFFER_INIT ((struct answer_buffer){ 0 })

void answer_buffer_deinit(struct answer_buffer *b);

enum {
	ANSWER_PIECE_BYTES = 32 * 1024, /* of a dump, as the kernel's; or one longer message */
	ANSWER_MESSAGE_MAX = 60 * 1024, /* no message is longer; clients receive 64 KiB */
	ANSWER_BUFFER_MAX =
		4 * 1024 * 1024, /* answers to one datagram that is not hostile are far below */
};

/*
 * Handles the requests, appends what is to be answered at once, and publishes what changed. `bytes` are aligned to 4.
 * -ENOMEM; -ENOBUFS: more than ANSWER_BUFFER_MAX: the client is to be dropped, but what was changed has been changed.
 */
int answer_datagram(struct answer *a, struct answer_client *c, const void *bytes, size_t len,
		    struct answer_buffer *out);

/* Appends the next piece of the client's dump, where one runs (c->dump != 0): call it when `out` has been sent. */
int answer_continue(struct answer *a, struct answer_client *c, struct answer_buffer *out);

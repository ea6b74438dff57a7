/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The numbers of the private messages' attributes: for private-codec.c and private-parse.c alone. */

#include <netlink/attr.h>

/* Top level, beside IPVS_CMD_ATTR_*. Numbers in host order, ports in network order. */
enum {
	PRIVATE_ATTR_LOCAL = 64,  /* repeated: 4 or 16 bytes */
	PRIVATE_ATTR_RESTRICTED,  /* u8 */
	PRIVATE_ATTR_RULE,	  /* repeated: nest of PRIVATE_RULE_* */
	PRIVATE_ATTR_OPTIONS,	  /* nest of PRIVATE_OPTION_* */
	PRIVATE_ATTR_LAST_WEIGHT, /* u32 */
	PRIVATE_ATTR_CONN,	  /* repeated: nest of PRIVATE_CONN_ATTR_* */
	PRIVATE_ATTR_RESULT,	  /* nest of 1 + enum private_outcome, u32 each */
	PRIVATE_ATTR_WORKER,	  /* repeated in a status: nest of PRIVATE_WORKER_* */
	PRIVATE_ATTR_PORT,	  /* repeated in a status: nest of PRIVATE_PORT_* */
	PRIVATE_ATTR_PID,	  /* u32 */
	PRIVATE_ATTR_UPTIME_USEC, /* u64 */
	_PRIVATE_ATTR_END,
	PRIVATE_ATTR_MAX = _PRIVATE_ATTR_END - 1,
};

enum {
	PRIVATE_RULE_PROTOCOL = 1, /* u8 */
	PRIVATE_RULE_PORT_LOW,	   /* u16 */
	PRIVATE_RULE_PORT_HIGH,	   /* u16 */
	PRIVATE_RULE_PEER,	   /* 4 or 16 bytes */
	PRIVATE_RULE_PEER_BITS,	   /* u8 */
	_PRIVATE_RULE_END,
	PRIVATE_RULE_MAX = _PRIVATE_RULE_END - 1,
};

/* u8 each. */
enum {
	PRIVATE_OPTION_EXPIRE_NODEST_CONN = 1,
	PRIVATE_OPTION_EXPIRE_QUIESCENT_TEMPLATE,
	PRIVATE_OPTION_SLOPPY_TCP,
	PRIVATE_OPTION_SLOPPY_SCTP,
	PRIVATE_OPTION_NAT_ICMP_SEND,
	PRIVATE_OPTION_RESET_ON_EXPIRY,
	PRIVATE_OPTION_STATELESS_WHEN_FULL,
	PRIVATE_OPTION_CONN_REUSE_MODE,
	_PRIVATE_OPTION_END,
	PRIVATE_OPTION_MAX = _PRIVATE_OPTION_END - 1,
};

enum {
	PRIVATE_CONN_ATTR_RECORD = 1, /* connrec.h */
	PRIVATE_CONN_ATTR_REMAINING,  /* u32, seconds */
	PRIVATE_CONN_ATTR_LOCAL,      /* 4 or 16 bytes */
	PRIVATE_CONN_ATTR_LOCAL_PORT, /* u16 */
	PRIVATE_CONN_ATTR_DEST, /* 4 or 16 bytes; instead of the record's, which is zero then */
	_PRIVATE_CONN_ATTR_END,
	PRIVATE_CONN_ATTR_MAX = _PRIVATE_CONN_ATTR_END - 1,
};

enum {
	PRIVATE_WORKER_INDEX = 1, /* u32 */
	PRIVATE_WORKER_LCORE,	  /* u32 */
	PRIVATE_WORKER_LATE_USEC, /* u64 */
	PRIVATE_WORKER_COUNTER,	  /* repeated: nest of PRIVATE_COUNTER_* */
	_PRIVATE_WORKER_END,
	PRIVATE_WORKER_MAX = _PRIVATE_WORKER_END - 1,
};

enum {
	PRIVATE_PORT_INDEX = 1, /* u32 */
	PRIVATE_PORT_NAME,	/* string */
	PRIVATE_PORT_DRIVER,	/* string */
	PRIVATE_PORT_MAC,	/* 6 bytes */
	PRIVATE_PORT_LINK_UP,	/* u8 */
	PRIVATE_PORT_SPEED,	/* u32, Mbit/s */
	PRIVATE_PORT_MTU,	/* u16 */
	PRIVATE_PORT_COUNTER,	/* repeated: nest of PRIVATE_COUNTER_* */
	_PRIVATE_PORT_END,
	PRIVATE_PORT_MAX = _PRIVATE_PORT_END - 1,
};

enum {
	PRIVATE_COUNTER_NAME = 1, /* string */
	PRIVATE_COUNTER_VALUE,	  /* u64 */
	_PRIVATE_COUNTER_END,
	PRIVATE_COUNTER_MAX = _PRIVATE_COUNTER_END - 1,
};

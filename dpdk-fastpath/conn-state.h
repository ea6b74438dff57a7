/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The states of a connection and their timeouts, as the kernel's ip_vs_proto_tcp.c, _udp.c and _sctp.c have them
 * (numbers, tables, defaults; the same in 6.1, 6.12 and 7.3). Pure.
 */

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "dpdk-fastpath/packet.h"

enum conn_tcp_state {
	CONN_TCP_NONE,
	CONN_TCP_ESTABLISHED,
	CONN_TCP_SYN_SENT,
	CONN_TCP_SYN_RECV,
	CONN_TCP_FIN_WAIT,
	CONN_TCP_TIME_WAIT,
	CONN_TCP_CLOSE,
	CONN_TCP_CLOSE_WAIT,
	CONN_TCP_LAST_ACK,
	CONN_TCP_LISTEN,
	CONN_TCP_SYNACK,
	_CONN_TCP_STATE_MAX,
};

enum {
	CONN_UDP_NORMAL = 0,
};

enum conn_sctp_state {
	CONN_SCTP_NONE,
	CONN_SCTP_INIT1,
	CONN_SCTP_INIT,
	CONN_SCTP_COOKIE_SENT,
	CONN_SCTP_COOKIE_REPLIED,
	CONN_SCTP_COOKIE_WAIT,
	CONN_SCTP_COOKIE,
	CONN_SCTP_COOKIE_ECHOED,
	CONN_SCTP_ESTABLISHED,
	CONN_SCTP_SHUTDOWN_SENT,
	CONN_SCTP_SHUTDOWN_RECEIVED,
	CONN_SCTP_SHUTDOWN_ACK_SENT,
	CONN_SCTP_REJECTED,
	CONN_SCTP_CLOSED,
	_CONN_SCTP_STATE_MAX,
};

enum conn_direction {
	CONN_INPUT,	 /* from the client, of a connection whose answers pass here (nat) */
	CONN_OUTPUT,	 /* from the destination */
	CONN_INPUT_ONLY, /* from the client, answers go another way (direct, tunnels) */
	_CONN_DIRECTION_MAX,
};

/* In ticks of the flow table's wheel. Only three are settable, as with IPVS_CMD_SET_CONFIG. */
struct conn_timeouts {
	uint32_t tcp[_CONN_TCP_STATE_MAX];
	uint32_t sctp[_CONN_SCTP_STATE_MAX];
	uint32_t udp;
};

/* The kernel's defaults. */
void conn_timeouts_init(struct conn_timeouts *t, uint32_t tick_msec);
/* 0 = leave as is, as SET_CONFIG has it. */
void conn_timeouts_set(struct conn_timeouts *t, uint32_t tick_msec, uint32_t tcp_sec,
		       uint32_t tcp_fin_sec, uint32_t udp_sec);

/* Rows of conn_tcp_next: what a segment is to set_tcp_state(). */
enum conn_tcp_event {
	CONN_TCP_EVENT_NONE,
	CONN_TCP_EVENT_SYN,
	CONN_TCP_EVENT_FIN,
	CONN_TCP_EVENT_ACK,
	CONN_TCP_EVENT_RST,
	_CONN_TCP_EVENT_MAX,
};

/* For conn_state_next() alone: by packet.tcp_flags; the state that follows. */
extern const uint8_t conn_tcp_event[PACKET_TCP_FLAGS_MAX + 1];
extern const uint8_t conn_tcp_next[_CONN_DIRECTION_MAX][_CONN_TCP_EVENT_MAX][_CONN_TCP_STATE_MAX];
uint8_t conn_sctp_next(uint8_t state, enum conn_direction d, uint8_t chunk);

/* The state that follows. Unknown protocols stay as they are. */
static inline uint8_t conn_state_next(uint8_t protocol, uint8_t state, enum conn_direction d,
				      const struct packet *p)
{
	if (protocol == IPPROTO_TCP && state < _CONN_TCP_STATE_MAX)
		return conn_tcp_next[d][conn_tcp_event[p->tcp_flags & PACKET_TCP_FLAGS_MAX]][state];
	if (protocol == IPPROTO_SCTP)
		return conn_sctp_next(state, d, p->sctp_chunk);
	return state;
}

static inline uint32_t conn_state_timeout(const struct conn_timeouts *t, uint8_t protocol,
					  uint8_t state)
{
	if (protocol == IPPROTO_TCP)
		return t->tcp[state < _CONN_TCP_STATE_MAX ? state : CONN_TCP_NONE];
	if (protocol == IPPROTO_SCTP)
		return t->sctp[state < _CONN_SCTP_STATE_MAX ? state : CONN_SCTP_NONE];
	return t->udp;
}

/* Does a connection in this state count as active at its destination? UDP never does. */
bool conn_state_is_active(uint8_t protocol, uint8_t state);

/* May the packet make a connection: TCP with SYN (and neither ACK alone nor RST), any UDP, SCTP INIT. */
bool conn_state_may_start(const struct packet *p, bool sloppy);

/* TCP before the handshake's end, SCTP before COOKIE_ECHO: what a flood makes. */
bool conn_state_is_embryonic(uint8_t protocol, uint8_t state);

/* As /proc/net/ip_vs_conn names it. */
const char *conn_state_to_string(uint8_t protocol, uint8_t state);

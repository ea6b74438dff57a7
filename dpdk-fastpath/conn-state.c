/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/conn-state.h"

#include <netinet/in.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/packet.h"

enum {
	SCTP_MAX_RTO_SEC = 61, /* IP_VS_SCTP_MAX_RTO */
};

/* Rows of sctp_next. */
enum sctp_event {
	SCTP_EVENT_DATA, /* SACK, HEARTBEAT and unknown chunks, too */
	SCTP_EVENT_INIT,
	SCTP_EVENT_INIT_ACK,
	SCTP_EVENT_COOKIE_ECHO,
	SCTP_EVENT_COOKIE_ACK,
	SCTP_EVENT_SHUTDOWN,
	SCTP_EVENT_SHUTDOWN_ACK,
	SCTP_EVENT_SHUTDOWN_COMPLETE,
	SCTP_EVENT_ERROR,
	SCTP_EVENT_ABORT,
	_SCTP_EVENT_MAX,
};

/* RFC 9260, 3.2. Whatever is not named here is DATA to the kernel (sctp_events). */
enum sctp_chunk {
	SCTP_CHUNK_INIT = 1,
	SCTP_CHUNK_INIT_ACK = 2,
	SCTP_CHUNK_ABORT = 6,
	SCTP_CHUNK_SHUTDOWN = 7,
	SCTP_CHUNK_SHUTDOWN_ACK = 8,
	SCTP_CHUNK_ERROR = 9,
	SCTP_CHUNK_COOKIE_ECHO = 10,
	SCTP_CHUNK_COOKIE_ACK = 11,
	SCTP_CHUNK_SHUTDOWN_COMPLETE = 14,
	_SCTP_CHUNK_MAX,
	SCTP_CHUNK_NONE = 0xff, /* see struct packet */
};

static const uint8_t sctp_events[_SCTP_CHUNK_MAX] = {
	[SCTP_CHUNK_INIT] = SCTP_EVENT_INIT,
	[SCTP_CHUNK_INIT_ACK] = SCTP_EVENT_INIT_ACK,
	[SCTP_CHUNK_ABORT] = SCTP_EVENT_ABORT,
	[SCTP_CHUNK_SHUTDOWN] = SCTP_EVENT_SHUTDOWN,
	[SCTP_CHUNK_SHUTDOWN_ACK] = SCTP_EVENT_SHUTDOWN_ACK,
	[SCTP_CHUNK_ERROR] = SCTP_EVENT_ERROR,
	[SCTP_CHUNK_COOKIE_ECHO] = SCTP_EVENT_COOKIE_ECHO,
	[SCTP_CHUNK_COOKIE_ACK] = SCTP_EVENT_COOKIE_ACK,
	[SCTP_CHUNK_SHUTDOWN_COMPLETE] = SCTP_EVENT_SHUTDOWN_COMPLETE,
};

/* clang-format off */
#define NO CONN_TCP_NONE
#define ES CONN_TCP_ESTABLISHED
#define SS CONN_TCP_SYN_SENT
#define SR CONN_TCP_SYN_RECV
#define FW CONN_TCP_FIN_WAIT
#define TW CONN_TCP_TIME_WAIT
#define CL CONN_TCP_CLOSE
#define CW CONN_TCP_CLOSE_WAIT
#define LA CONN_TCP_LAST_ACK
#define LI CONN_TCP_LISTEN
#define SA CONN_TCP_SYNACK

/* tcp_states of ip_vs_proto_tcp.c; secure_tcp's table is not built. */
const uint8_t conn_tcp_next[_CONN_DIRECTION_MAX][_CONN_TCP_EVENT_MAX][_CONN_TCP_STATE_MAX] = {
	[CONN_INPUT] = {
		/*                       NO  ES  SS  SR  FW  TW  CL  CW  LA  LI  SA */
		[CONN_TCP_EVENT_NONE] = {CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL},
		[CONN_TCP_EVENT_SYN]  = {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
		[CONN_TCP_EVENT_FIN]  = {CL, CW, SS, TW, TW, TW, CL, CW, LA, LI, TW},
		[CONN_TCP_EVENT_ACK]  = {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
		[CONN_TCP_EVENT_RST]  = {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, SR},
	},
	[CONN_OUTPUT] = {
		[CONN_TCP_EVENT_NONE] = {CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL},
		[CONN_TCP_EVENT_SYN]  = {SS, ES, SS, SR, SS, SS, SS, SS, SS, LI, SR},
		[CONN_TCP_EVENT_FIN]  = {TW, FW, SS, TW, FW, TW, CL, TW, LA, LI, TW},
		[CONN_TCP_EVENT_ACK]  = {ES, ES, SS, ES, FW, TW, CL, CW, LA, ES, ES},
		[CONN_TCP_EVENT_RST]  = {CL, CL, SS, CL, CL, TW, CL, CL, CL, CL, CL},
	},
	[CONN_INPUT_ONLY] = {
		[CONN_TCP_EVENT_NONE] = {CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL},
		[CONN_TCP_EVENT_SYN]  = {SR, ES, ES, SR, SR, SR, SR, SR, SR, SR, SR},
		[CONN_TCP_EVENT_FIN]  = {CL, FW, SS, TW, FW, TW, CL, CW, LA, LI, TW},
		[CONN_TCP_EVENT_ACK]  = {ES, ES, SS, ES, FW, TW, CL, CW, CL, LI, ES},
		[CONN_TCP_EVENT_RST]  = {CL, CL, CL, SR, CL, CL, CL, CL, LA, LI, CL},
	},
};

#undef NO
#undef ES
#undef SS
#undef SR
#undef CL
#undef SA
#define NO CONN_SCTP_NONE
#define I1 CONN_SCTP_INIT1
#define IN CONN_SCTP_INIT
#define CS CONN_SCTP_COOKIE_SENT
#define CR CONN_SCTP_COOKIE_REPLIED
#define WA CONN_SCTP_COOKIE_WAIT
#define CO CONN_SCTP_COOKIE
#define CE CONN_SCTP_COOKIE_ECHOED
#define ES CONN_SCTP_ESTABLISHED
#define SS CONN_SCTP_SHUTDOWN_SENT
#define SR CONN_SCTP_SHUTDOWN_RECEIVED
#define SA CONN_SCTP_SHUTDOWN_ACK_SENT
#define RJ CONN_SCTP_REJECTED
#define CL CONN_SCTP_CLOSED

/* sctp_states of ip_vs_proto_sctp.c. */
static const uint8_t sctp_next[_CONN_DIRECTION_MAX][_SCTP_EVENT_MAX][_CONN_SCTP_STATE_MAX] = {
	[CONN_INPUT] = {
		/*                               NO  I1  IN  CS  CR  WA  CO  CE  ES  SS  SR  SA  RJ  CL */
		[SCTP_EVENT_DATA] =              {ES, I1, IN, CS, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_INIT] =              {I1, IN, IN, CS, CR, WA, CO, CE, ES, SS, SR, SA, IN, IN},
		[SCTP_EVENT_INIT_ACK] =          {WA, WA, WA, CS, CR, CO, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ECHO] =       {CR, IN, IN, CR, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ACK] =        {ES, I1, IN, CS, CR, WA, CO, ES, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN] =          {SR, I1, IN, CS, CR, WA, CO, CE, SR, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_ACK] =      {CL, IN, IN, CS, CR, WA, CO, CE, ES, CL, SR, CL, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_COMPLETE] = {CL, CL, CL, CS, CR, WA, CO, CE, ES, SS, SR, CL, RJ, CL},
		[SCTP_EVENT_ERROR] =             {CL, I1, IN, CS, CR, WA, CO, CL, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_ABORT] =             {CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL},
	},
	[CONN_OUTPUT] = {
		[SCTP_EVENT_DATA] =              {ES, I1, IN, CS, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_INIT] =              {WA, WA, WA, WA, WA, WA, WA, WA, ES, WA, WA, WA, WA, WA},
		[SCTP_EVENT_INIT_ACK] =          {CS, CS, CS, CS, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ECHO] =       {CE, CE, CE, CE, CE, CE, CE, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ACK] =        {ES, ES, ES, ES, ES, ES, ES, ES, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN] =          {SS, SS, SS, SS, SS, SS, SS, SS, SS, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_ACK] =      {SA, SA, SA, SA, SA, WA, CO, CE, ES, SA, SA, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_COMPLETE] = {CL, I1, IN, CS, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_ERROR] =             {CL, CL, CL, CL, CL, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_ABORT] =             {CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL, CL},
	},
	[CONN_INPUT_ONLY] = {
		[SCTP_EVENT_DATA] =              {ES, I1, IN, CS, CR, ES, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_INIT] =              {I1, IN, IN, IN, IN, IN, CO, CE, ES, SS, SR, SA, IN, IN},
		[SCTP_EVENT_INIT_ACK] =          {CE, CE, CE, CE, CE, CE, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ECHO] =       {ES, ES, ES, ES, ES, ES, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_COOKIE_ACK] =        {ES, I1, IN, ES, ES, WA, ES, ES, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN] =          {SR, I1, IN, CS, CR, WA, CO, CE, SR, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_ACK] =      {CL, IN, IN, CS, CR, WA, CO, CE, CL, CL, SR, CL, RJ, CL},
		[SCTP_EVENT_SHUTDOWN_COMPLETE] = {CL, CL, CL, CL, CL, WA, CO, CE, ES, SS, CL, CL, RJ, CL},
		[SCTP_EVENT_ERROR] =             {CL, I1, IN, CS, CR, WA, CO, CE, ES, SS, SR, SA, RJ, CL},
		[SCTP_EVENT_ABORT] =             {CL, CL, CL, CL, CL, RJ, CL, CL, CL, CL, CL, CL, CL, CL},
	},
};
/* clang-format on */

/* tcp_timeouts, tcp_state_active_table, tcp_state_name_table. */
static const struct {
	uint16_t timeout_sec;
	bool active;
	const char *name;
} tcp_states[_CONN_TCP_STATE_MAX] = {
	[CONN_TCP_NONE] = { 2, false, "NONE" },
	[CONN_TCP_ESTABLISHED] = { 15 * 60, true, "ESTABLISHED" },
	[CONN_TCP_SYN_SENT] = { 2 * 60, true, "SYN_SENT" },
	[CONN_TCP_SYN_RECV] = { 60, true, "SYN_RECV" },
	[CONN_TCP_FIN_WAIT] = { 2 * 60, false, "FIN_WAIT" },
	[CONN_TCP_TIME_WAIT] = { 2 * 60, false, "TIME_WAIT" },
	[CONN_TCP_CLOSE] = { 10, false, "CLOSE" },
	[CONN_TCP_CLOSE_WAIT] = { 60, false, "CLOSE_WAIT" },
	[CONN_TCP_LAST_ACK] = { 30, false, "LAST_ACK" },
	[CONN_TCP_LISTEN] = { 2 * 60, false, "LISTEN" },
	[CONN_TCP_SYNACK] = { 120, true, "SYNACK" },
};

/* sctp_timeouts, sctp_state_name_table. Active is ESTABLISHED alone (set_sctp_state). */
static const struct {
	uint16_t timeout_sec;
	const char *name;
} sctp_states[_CONN_SCTP_STATE_MAX] = {
	[CONN_SCTP_NONE] = { 2, "NONE" },
	[CONN_SCTP_INIT1] = { 4, "INIT1" },
	[CONN_SCTP_INIT] = { SCTP_MAX_RTO_SEC, "INIT" },
	[CONN_SCTP_COOKIE_SENT] = { SCTP_MAX_RTO_SEC, "C-SENT" },
	[CONN_SCTP_COOKIE_REPLIED] = { SCTP_MAX_RTO_SEC, "C-REPLIED" },
	[CONN_SCTP_COOKIE_WAIT] = { SCTP_MAX_RTO_SEC, "C-WAIT" },
	[CONN_SCTP_COOKIE] = { SCTP_MAX_RTO_SEC, "COOKIE" },
	[CONN_SCTP_COOKIE_ECHOED] = { SCTP_MAX_RTO_SEC, "C-ECHOED" },
	[CONN_SCTP_ESTABLISHED] = { 15 * 60, "ESTABLISHED" },
	[CONN_SCTP_SHUTDOWN_SENT] = { SCTP_MAX_RTO_SEC, "S-SENT" },
	[CONN_SCTP_SHUTDOWN_RECEIVED] = { SCTP_MAX_RTO_SEC, "S-RECEIVED" },
	[CONN_SCTP_SHUTDOWN_ACK_SENT] = { SCTP_MAX_RTO_SEC, "S-ACK-SENT" },
	[CONN_SCTP_REJECTED] = { 4, "REJECTED" },
	[CONN_SCTP_CLOSED] = { SCTP_MAX_RTO_SEC, "CLOSED" },
};

static const uint16_t udp_timeout_sec = 5 * 60; /* udp_timeouts */

/* Rounded up: nothing runs out before its time. */
static uint32_t ticks_of(uint32_t sec, uint32_t tick_msec)
{
	uint64_t ticks = ((uint64_t)sec * 1000 + tick_msec - 1) / tick_msec;

	return (uint32_t)MIN(ticks, (uint64_t)INT32_MAX);
}

void conn_timeouts_init(struct conn_timeouts *t, uint32_t tick_msec)
{
	for (unsigned i = 0; i < _CONN_TCP_STATE_MAX; i++)
		t->tcp[i] = ticks_of(tcp_states[i].timeout_sec, tick_msec);
	for (unsigned i = 0; i < _CONN_SCTP_STATE_MAX; i++)
		t->sctp[i] = ticks_of(sctp_states[i].timeout_sec, tick_msec);
	t->udp = ticks_of(udp_timeout_sec, tick_msec);
}

/* ip_vs_set_timeout() */
void conn_timeouts_set(struct conn_timeouts *t, uint32_t tick_msec, uint32_t tcp_sec,
		       uint32_t tcp_fin_sec, uint32_t udp_sec)
{
	if (tcp_sec)
		t->tcp[CONN_TCP_ESTABLISHED] = ticks_of(tcp_sec, tick_msec);
	if (tcp_fin_sec)
		t->tcp[CONN_TCP_FIN_WAIT] = ticks_of(tcp_fin_sec, tick_msec);
	if (udp_sec)
		t->udp = ticks_of(udp_sec, tick_msec);
}

/*
 * set_tcp_state() and tcp_state_idx(): RST goes before SYN, FIN and ACK; a segment with none of them closes. FIN is 1, SYN
 * 2, RST 4, ACK 16; 8 is not kept.
 */
const uint8_t conn_tcp_event[PACKET_TCP_FLAGS_MAX + 1] = {
	CONN_TCP_EVENT_NONE, CONN_TCP_EVENT_FIN, CONN_TCP_EVENT_SYN, CONN_TCP_EVENT_SYN,
	CONN_TCP_EVENT_RST,  CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST,
	CONN_TCP_EVENT_NONE, CONN_TCP_EVENT_FIN, CONN_TCP_EVENT_SYN, CONN_TCP_EVENT_SYN,
	CONN_TCP_EVENT_RST,  CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST,
	CONN_TCP_EVENT_ACK,  CONN_TCP_EVENT_FIN, CONN_TCP_EVENT_SYN, CONN_TCP_EVENT_SYN,
	CONN_TCP_EVENT_RST,  CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST,
	CONN_TCP_EVENT_ACK,  CONN_TCP_EVENT_FIN, CONN_TCP_EVENT_SYN, CONN_TCP_EVENT_SYN,
	CONN_TCP_EVENT_RST,  CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST, CONN_TCP_EVENT_RST,
};

uint8_t conn_sctp_next(uint8_t state, enum conn_direction d, uint8_t chunk)
{
	if (chunk == SCTP_CHUNK_NONE || state >= _CONN_SCTP_STATE_MAX)
		return state;
	return sctp_next[d][chunk < _SCTP_CHUNK_MAX ? sctp_events[chunk] : SCTP_EVENT_DATA][state];
}

/* UDP: every connection begins as inactive (__ip_vs_update_dest), and no state of UDP changes that. */
bool conn_state_is_active(uint8_t protocol, uint8_t state)
{
	if (protocol == IPPROTO_TCP)
		return state < _CONN_TCP_STATE_MAX && tcp_states[state].active;
	return protocol == IPPROTO_SCTP && state == CONN_SCTP_ESTABLISHED;
}

/* tcp_conn_schedule(), udp_conn_schedule(), sctp_conn_schedule(). SYN+ACK may, as in the kernel. */
bool conn_state_may_start(const struct packet *p, bool sloppy)
{
	if (p->kind != PACKET_FLOW)
		return false;
	switch (p->key.protocol) {
	case IPPROTO_TCP:
		return !(p->tcp_flags & PACKET_TCP_RST) &&
		       (sloppy || p->tcp_flags & PACKET_TCP_SYN);
	case IPPROTO_UDP:
		return true;
	case IPPROTO_SCTP:
		return p->sctp_chunk == SCTP_CHUNK_INIT ||
		       (sloppy && p->sctp_chunk != SCTP_CHUNK_NONE);
	default:
		return false;
	}
}

bool conn_state_is_embryonic(uint8_t protocol, uint8_t state)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return state == CONN_TCP_NONE || state == CONN_TCP_SYN_SENT ||
		       state == CONN_TCP_SYN_RECV || state == CONN_TCP_SYNACK;
	case IPPROTO_SCTP:
		return state <= CONN_SCTP_COOKIE && state != CONN_SCTP_COOKIE_REPLIED;
	default:
		return false;
	}
}

/* ip_vs_state_name() */
const char *conn_state_to_string(uint8_t protocol, uint8_t state)
{
	switch (protocol) {
	case IPPROTO_TCP:
		return state < _CONN_TCP_STATE_MAX ? tcp_states[state].name : "ERR!";
	case IPPROTO_UDP:
		return state == CONN_UDP_NORMAL ? "UDP" : "ERR!";
	case IPPROTO_SCTP:
		return state < _CONN_SCTP_STATE_MAX ? sctp_states[state].name : "ERR!";
	default:
		return "NONE";
	}
}

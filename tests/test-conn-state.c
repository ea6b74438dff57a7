/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The transitions are written down here a second time, as text, from ip_vs_proto_tcp.c and ip_vs_proto_sctp.c.
 */
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/conn-state.h"
#include "dpdk-fastpath/packet.h"

/* The place of the two letters at `at` in a list of such pairs. */
static uint8_t place_of(const char *list, const char *at)
{
	for (uint8_t i = 0; list[3 * i]; i++)
		if (strncmp(list + 3 * i, at, 2) == 0)
			return i;
	fail_msg("%.2s is no state", at);
	return 0;
}

struct row {
	enum conn_direction direction;
	uint8_t input; /* TCP flags or type of the chunk */
	const char *next;
};

static void check_rows(uint8_t protocol, const char *states, unsigned n_states,
		       const struct row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct packet p = { .kind = PACKET_FLOW, .sctp_chunk = 0xff };

		assert_int_equal(strlen(rows[i].next), 3 * n_states);
		if (protocol == IPPROTO_TCP)
			p.tcp_flags = rows[i].input;
		else
			p.sctp_chunk = rows[i].input;
		for (unsigned state = 0; state < n_states; state++) {
			uint8_t got =
				conn_state_next(protocol, (uint8_t)state, rows[i].direction, &p);

			if (got != place_of(states, rows[i].next + 3 * state))
				fail_msg("row %zu, state %u: %u", i, state, got);
		}
	}
}

static void test_tcp(void **state)
{
	static const char states[] = "NO ES SS SR FW TW CL CW LA LI SA ";
	static const struct row rows[] = {
		{ CONN_INPUT, PACKET_TCP_SYN, "SR ES ES SR SR SR SR SR SR SR SR " },
		{ CONN_INPUT, PACKET_TCP_FIN, "CL CW SS TW TW TW CL CW LA LI TW " },
		{ CONN_INPUT, PACKET_TCP_ACK, "ES ES SS ES FW TW CL CW CL LI ES " },
		{ CONN_INPUT, PACKET_TCP_RST, "CL CL CL SR CL CL CL CL LA LI SR " },
		{ CONN_OUTPUT, PACKET_TCP_SYN, "SS ES SS SR SS SS SS SS SS LI SR " },
		{ CONN_OUTPUT, PACKET_TCP_FIN, "TW FW SS TW FW TW CL TW LA LI TW " },
		{ CONN_OUTPUT, PACKET_TCP_ACK, "ES ES SS ES FW TW CL CW LA ES ES " },
		{ CONN_OUTPUT, PACKET_TCP_RST, "CL CL SS CL CL TW CL CL CL CL CL " },
		{ CONN_INPUT_ONLY, PACKET_TCP_SYN, "SR ES ES SR SR SR SR SR SR SR SR " },
		{ CONN_INPUT_ONLY, PACKET_TCP_FIN, "CL FW SS TW FW TW CL CW LA LI TW " },
		{ CONN_INPUT_ONLY, PACKET_TCP_ACK, "ES ES SS ES FW TW CL CW CL LI ES " },
		{ CONN_INPUT_ONLY, PACKET_TCP_RST, "CL CL CL SR CL CL CL CL LA LI CL " },
		{ CONN_INPUT, 0, "CL CL CL CL CL CL CL CL CL CL CL " },
		{ CONN_OUTPUT, 0x08, "CL CL CL CL CL CL CL CL CL CL CL " }, /* PSH */
	};
	/* What goes before what. */
	static const uint8_t equal[][2] = {
		{ PACKET_TCP_RST | PACKET_TCP_SYN | PACKET_TCP_FIN | PACKET_TCP_ACK,
		  PACKET_TCP_RST },
		{ PACKET_TCP_SYN | PACKET_TCP_FIN | PACKET_TCP_ACK, PACKET_TCP_SYN },
		{ PACKET_TCP_FIN | PACKET_TCP_ACK | 0x08, PACKET_TCP_FIN },
		{ PACKET_TCP_ACK | 0x08, PACKET_TCP_ACK },
	};

	(void)state;
	check_rows(IPPROTO_TCP, states, _CONN_TCP_STATE_MAX, rows, ARRAY_SIZE(rows));
	for (unsigned i = 0; i < ARRAY_SIZE(equal); i++)
		for (unsigned s = 0; s < _CONN_TCP_STATE_MAX; s++)
			for (unsigned d = 0; d <= CONN_INPUT_ONLY; d++) {
				struct packet a = { .tcp_flags = equal[i][0] },
					      b = { .tcp_flags = equal[i][1] };

				assert_int_equal(conn_state_next(IPPROTO_TCP, (uint8_t)s, d, &a),
						 conn_state_next(IPPROTO_TCP, (uint8_t)s, d, &b));
			}
}

/* Types of RFC 9260 and, for ECN, RFC 9260's appendix A. */
enum {
	DATA = 0,
	INIT,
	INIT_ACK,
	SACK,
	HEARTBEAT,
	HEARTBEAT_ACK,
	ABORT,
	SHUTDOWN,
	SHUTDOWN_ACK,
	ERROR,
	COOKIE_ECHO,
	COOKIE_ACK,
	ECNE,
	CWR,
	SHUTDOWN_COMPLETE,
	AUTH,
	ASCONF = 0xc1,
};

static void test_sctp(void **state)
{
	static const char states[] = "NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL ";
	static const struct row rows[] = {
		{ CONN_INPUT, DATA, "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT, INIT, "I1 IN IN CS CR CW CO CE ES SS SR SA IN IN " },
		{ CONN_INPUT, INIT_ACK, "CW CW CW CS CR CO CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT, COOKIE_ECHO, "CR IN IN CR CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT, COOKIE_ACK, "ES I1 IN CS CR CW CO ES ES SS SR SA RJ CL " },
		{ CONN_INPUT, SHUTDOWN, "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL " },
		{ CONN_INPUT, SHUTDOWN_ACK, "CL IN IN CS CR CW CO CE ES CL SR CL RJ CL " },
		{ CONN_INPUT, SHUTDOWN_COMPLETE, "CL CL CL CS CR CW CO CE ES SS SR CL RJ CL " },
		{ CONN_INPUT, ERROR, "CL I1 IN CS CR CW CO CL ES SS SR SA RJ CL " },
		{ CONN_INPUT, ABORT, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL " },
		{ CONN_OUTPUT, DATA, "ES I1 IN CS CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, INIT, "CW CW CW CW CW CW CW CW ES CW CW CW CW CW " },
		{ CONN_OUTPUT, INIT_ACK, "CS CS CS CS CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, COOKIE_ECHO, "CE CE CE CE CE CE CE CE ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, COOKIE_ACK, "ES ES ES ES ES ES ES ES ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, SHUTDOWN, "SS SS SS SS SS SS SS SS SS SS SR SA RJ CL " },
		{ CONN_OUTPUT, SHUTDOWN_ACK, "SA SA SA SA SA CW CO CE ES SA SA SA RJ CL " },
		{ CONN_OUTPUT, SHUTDOWN_COMPLETE, "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, ERROR, "CL CL CL CL CL CW CO CE ES SS SR SA RJ CL " },
		{ CONN_OUTPUT, ABORT, "CL RJ CL CL CL CL CL CL CL CL CL CL CL CL " },
		{ CONN_INPUT_ONLY, DATA, "ES I1 IN CS CR ES CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, INIT, "I1 IN IN IN IN IN CO CE ES SS SR SA IN IN " },
		{ CONN_INPUT_ONLY, INIT_ACK, "CE CE CE CE CE CE CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, COOKIE_ECHO, "ES ES ES ES ES ES CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, COOKIE_ACK, "ES I1 IN ES ES CW ES ES ES SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, SHUTDOWN, "SR I1 IN CS CR CW CO CE SR SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, SHUTDOWN_ACK, "CL IN IN CS CR CW CO CE CL CL SR CL RJ CL " },
		{ CONN_INPUT_ONLY, SHUTDOWN_COMPLETE,
		  "CL CL CL CL CL CW CO CE ES SS CL CL RJ CL " },
		{ CONN_INPUT_ONLY, ERROR, "CL I1 IN CS CR CW CO CE ES SS SR SA RJ CL " },
		{ CONN_INPUT_ONLY, ABORT, "CL CL CL CL CL RJ CL CL CL CL CL CL CL CL " },
		/* No chunk in reach: as it was. */
		{ CONN_INPUT, 0xff, "NO I1 IN CS CR CW CO CE ES SS SR SA RJ CL " },
	};
	static const uint8_t like_data[] = {
		SACK, HEARTBEAT, HEARTBEAT_ACK, ECNE, CWR, AUTH, ASCONF
	};

	(void)state;
	check_rows(IPPROTO_SCTP, states, _CONN_SCTP_STATE_MAX, rows, ARRAY_SIZE(rows));
	for (unsigned i = 0; i < ARRAY_SIZE(like_data); i++) {
		struct row row = rows[20]; /* input only, DATA */

		row.input = like_data[i];
		check_rows(IPPROTO_SCTP, states, _CONN_SCTP_STATE_MAX, &row, 1);
	}
}

/* The path of a usual connection, both ways and seen from one side. */
static void test_handshake(void **state)
{
	static const struct {
		enum conn_direction direction;
		uint8_t flags;
		const char *state;
	} steps[] = {
		{ CONN_INPUT, PACKET_TCP_SYN, "SYN_RECV" },
		{ CONN_OUTPUT, PACKET_TCP_SYN | PACKET_TCP_ACK, "SYN_RECV" },
		{ CONN_INPUT, PACKET_TCP_ACK, "ESTABLISHED" },
		{ CONN_OUTPUT, PACKET_TCP_FIN | PACKET_TCP_ACK, "FIN_WAIT" },
		{ CONN_INPUT, PACKET_TCP_FIN | PACKET_TCP_ACK, "TIME_WAIT" },
		{ CONN_INPUT_ONLY, PACKET_TCP_SYN, "SYN_RECV" },
		{ CONN_INPUT_ONLY, PACKET_TCP_ACK, "ESTABLISHED" },
		{ CONN_INPUT_ONLY, PACKET_TCP_FIN | PACKET_TCP_ACK, "FIN_WAIT" },
	};
	uint8_t s = CONN_TCP_NONE;

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(steps); i++) {
		struct packet p = { .tcp_flags = steps[i].flags };

		s = conn_state_next(IPPROTO_TCP, s, steps[i].direction, &p);
		assert_string_equal(conn_state_to_string(IPPROTO_TCP, s), steps[i].state);
	}
}

/* Seconds, active, embryonic, name: of each state. */
static void test_states(void **state)
{
	static const struct {
		uint8_t protocol, state;
		unsigned timeout_sec;
		bool active, embryonic;
		const char *name;
	} table[] = {
		{ IPPROTO_TCP, CONN_TCP_NONE, 2, false, true, "NONE" },
		{ IPPROTO_TCP, CONN_TCP_ESTABLISHED, 900, true, false, "ESTABLISHED" },
		{ IPPROTO_TCP, CONN_TCP_SYN_SENT, 120, true, true, "SYN_SENT" },
		{ IPPROTO_TCP, CONN_TCP_SYN_RECV, 60, true, true, "SYN_RECV" },
		{ IPPROTO_TCP, CONN_TCP_FIN_WAIT, 120, false, false, "FIN_WAIT" },
		{ IPPROTO_TCP, CONN_TCP_TIME_WAIT, 120, false, false, "TIME_WAIT" },
		{ IPPROTO_TCP, CONN_TCP_CLOSE, 10, false, false, "CLOSE" },
		{ IPPROTO_TCP, CONN_TCP_CLOSE_WAIT, 60, false, false, "CLOSE_WAIT" },
		{ IPPROTO_TCP, CONN_TCP_LAST_ACK, 30, false, false, "LAST_ACK" },
		{ IPPROTO_TCP, CONN_TCP_LISTEN, 120, false, false, "LISTEN" },
		{ IPPROTO_TCP, CONN_TCP_SYNACK, 120, true, true, "SYNACK" },
		{ IPPROTO_TCP, _CONN_TCP_STATE_MAX, 2, false, false, "ERR!" },
		{ IPPROTO_UDP, CONN_UDP_NORMAL, 300, false, false, "UDP" },
		{ IPPROTO_UDP, 1, 300, false, false, "ERR!" },
		{ IPPROTO_SCTP, CONN_SCTP_NONE, 2, false, true, "NONE" },
		{ IPPROTO_SCTP, CONN_SCTP_INIT1, 4, false, true, "INIT1" },
		{ IPPROTO_SCTP, CONN_SCTP_INIT, 61, false, true, "INIT" },
		{ IPPROTO_SCTP, CONN_SCTP_COOKIE_SENT, 61, false, true, "C-SENT" },
		{ IPPROTO_SCTP, CONN_SCTP_COOKIE_REPLIED, 61, false, false, "C-REPLIED" },
		{ IPPROTO_SCTP, CONN_SCTP_COOKIE_WAIT, 61, false, true, "C-WAIT" },
		{ IPPROTO_SCTP, CONN_SCTP_COOKIE, 61, false, true, "COOKIE" },
		{ IPPROTO_SCTP, CONN_SCTP_COOKIE_ECHOED, 61, false, false, "C-ECHOED" },
		{ IPPROTO_SCTP, CONN_SCTP_ESTABLISHED, 900, true, false, "ESTABLISHED" },
		{ IPPROTO_SCTP, CONN_SCTP_SHUTDOWN_SENT, 61, false, false, "S-SENT" },
		{ IPPROTO_SCTP, CONN_SCTP_SHUTDOWN_RECEIVED, 61, false, false, "S-RECEIVED" },
		{ IPPROTO_SCTP, CONN_SCTP_SHUTDOWN_ACK_SENT, 61, false, false, "S-ACK-SENT" },
		{ IPPROTO_SCTP, CONN_SCTP_REJECTED, 4, false, false, "REJECTED" },
		{ IPPROTO_SCTP, CONN_SCTP_CLOSED, 61, false, false, "CLOSED" },
		{ IPPROTO_SCTP, _CONN_SCTP_STATE_MAX, 2, false, false, "ERR!" },
		{ IPPROTO_ICMP, 0, 300, false, false, "NONE" },
	};
	struct conn_timeouts t;
	struct packet any = { .tcp_flags = PACKET_TCP_SYN, .sctp_chunk = INIT };

	(void)state;
	conn_timeouts_init(&t, 100);
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		uint8_t protocol = table[i].protocol, s = table[i].state;

		assert_int_equal(conn_state_timeout(&t, protocol, s), table[i].timeout_sec * 10);
		assert_int_equal(conn_state_is_active(protocol, s), table[i].active);
		assert_int_equal(conn_state_is_embryonic(protocol, s), table[i].embryonic);
		assert_string_equal(conn_state_to_string(protocol, s), table[i].name);
		if (strcmp(table[i].name, "ERR!") == 0)
			assert_int_equal(conn_state_next(protocol, s, CONN_INPUT, &any), s);
	}
	assert_int_equal(conn_state_next(IPPROTO_UDP, 0, CONN_OUTPUT, &any), CONN_UDP_NORMAL);
	assert_int_equal(conn_state_next(IPPROTO_ICMP, 9, CONN_INPUT, &any), 9);
}

static void test_set_timeouts(void **state)
{
	struct conn_timeouts t, before;

	(void)state;
	conn_timeouts_init(&before, 100);
	t = before;
	conn_timeouts_set(&t, 100, 0, 0, 0);
	assert_memory_equal(&t, &before, sizeof(t));
	conn_timeouts_set(&t, 100, 11, 22, 33);
	before.tcp[CONN_TCP_ESTABLISHED] = 110;
	before.tcp[CONN_TCP_FIN_WAIT] = 220;
	before.udp = 330;
	assert_memory_equal(&t, &before, sizeof(t));
	/* Rounded up; and as long as the wheel can tell at most. */
	conn_timeouts_set(&t, 300, 1, 0, UINT32_MAX);
	assert_int_equal(t.tcp[CONN_TCP_ESTABLISHED], 4);
	assert_int_equal(t.udp, INT32_MAX);
}

static void test_may_start(void **state)
{
	static const struct {
		uint8_t protocol, input, kind;
		bool strict, sloppy;
	} table[] = {
		{ IPPROTO_TCP, PACKET_TCP_SYN, PACKET_FLOW, true, true },
		{ IPPROTO_TCP, PACKET_TCP_SYN | PACKET_TCP_ACK, PACKET_FLOW, true, true },
		{ IPPROTO_TCP, PACKET_TCP_ACK, PACKET_FLOW, false, true },
		{ IPPROTO_TCP, PACKET_TCP_FIN | PACKET_TCP_ACK, PACKET_FLOW, false, true },
		{ IPPROTO_TCP, 0, PACKET_FLOW, false, true },
		{ IPPROTO_TCP, PACKET_TCP_RST, PACKET_FLOW, false, false },
		{ IPPROTO_TCP, PACKET_TCP_RST | PACKET_TCP_SYN, PACKET_FLOW, false, false },
		{ IPPROTO_TCP, PACKET_TCP_SYN, PACKET_FRAGMENT, false, false },
		{ IPPROTO_UDP, 0, PACKET_FLOW, true, true },
		{ IPPROTO_UDP, 0, PACKET_FRAGMENT, false, false },
		{ IPPROTO_SCTP, INIT, PACKET_FLOW, true, true },
		{ IPPROTO_SCTP, DATA, PACKET_FLOW, false, true },
		{ IPPROTO_SCTP, COOKIE_ECHO, PACKET_FLOW, false, true },
		{ IPPROTO_SCTP, 0xff, PACKET_FLOW, false, false },
		{ IPPROTO_ICMP, 0, PACKET_ICMP_ECHO, false, false },
	};

	(void)state;
	for (unsigned i = 0; i < ARRAY_SIZE(table); i++) {
		bool tcp = table[i].protocol == IPPROTO_TCP;
		struct packet p = {
			.kind = table[i].kind,
			.key.protocol = table[i].protocol,
			.tcp_flags = tcp ? table[i].input : 0,
			.sctp_chunk = tcp ? 0xff : table[i].input,
		};

		assert_int_equal(conn_state_may_start(&p, false), table[i].strict);
		assert_int_equal(conn_state_may_start(&p, true), table[i].sloppy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tcp),	     cmocka_unit_test(test_sctp),
		cmocka_unit_test(test_handshake),    cmocka_unit_test(test_states),
		cmocka_unit_test(test_set_timeouts), cmocka_unit_test(test_may_start),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/grpc-message.h"
#include "health/outcome.h"
#include "tests/worker-rig.h"

/* What the worker finds out about servers of HTTP/2 and gRPC in the clear, whose frames are written down here. */

#define SHORT_TIMEOUT_USEC (300 * USEC_PER_MSEC)
#define BYTES(s) s, sizeof(s) - 1

/* RFC 9113: length, type, flags, stream; RFC 7541: an indexed field, a literal one with an indexed or a new name. */
#define SETTINGS "\0\0\0\x04\0\0\0\0\0"
#define GOAWAY "\0\0\x08\x07\0\0\0\0\0\0\0\0\0\0\0\0\x0b"
#define RST_STREAM "\0\0\x04\x03\0\0\0\0\x01\0\0\0\x02"
#define STATUS_200_END "\0\0\x01\x01\x05\0\0\0\x01\x88"
#define STATUS_404_END "\0\0\x01\x01\x05\0\0\0\x01\x8d"
#define STATUS_200 "\0\0\x01\x01\x04\0\0\0\x01\x88"
#define STATUS_404 "\0\0\x01\x01\x04\0\0\0\x01\x8d"
#define GRPC_STATUS "\0\x0bgrpc-status"
#define TRAILER_0                                                                                  \
	"\0\0\x0f\x01\x05\0\0\0\x01" GRPC_STATUS "\x01"                                            \
	"0"
#define TRAILER_5                                                                                  \
	"\0\0\x0f\x01\x05\0\0\0\x01" GRPC_STATUS "\x01"                                            \
	"5"
#define TRAILER_X                                                                                  \
	"\0\0\x0f\x01\x05\0\0\0\x01" GRPC_STATUS "\x01"                                            \
	"x"
#define TRAILERS_ONLY_12                                                                           \
	"\0\0\x11\x01\x05\0\0\0\x01\x88" GRPC_STATUS "\x02"                                        \
	"12"
#define DATA_7 "\0\0\x07\0\0\0\0\0\x01"
#define DATA_2_END "\0\0\x02\0\x01\0\0\0\x01ok"
#define SERVING DATA_7 "\0\0\0\0\x02\x08\x01"
#define NOT_SERVING DATA_7 "\0\0\0\0\x02\x08\x02"
#define NO_MESSAGE DATA_7 "\0\0\0\0\x09\x08\x01"
#define MESSAGE "\0\0\x05\0\x01\0\0\0\x01\0\0\0\0\0" /* what the probe sends: an empty one */
#define OTHER "/AWS.ALB/healthcheck"

enum {
	HTTP = PROTOCOL_CHECK_HTTP,
	GRPC = PROTOCOL_CHECK_GRPC,
};

static const struct {
	const char *name;
	int check;
	const char *path;
	uint16_t matcher;
	const char *expect;
	enum server_script script;
	const char *answer;
	size_t answer_size;
	enum probe_outcome outcome;
	int32_t detail;
	bool to_deadline;
	bool early; /* it answers before the message has come */
} cases[] = {
	{ "h2", HTTP, "/", 200, "", SERVER_ANSWER_STAY, BYTES(SETTINGS STATUS_200_END), PROBE_OK,
	  200, false },
	{ "h2, 404", HTTP, "/", 200, "", SERVER_ANSWER_STAY, BYTES(SETTINGS STATUS_404_END),
	  PROBE_WRONG_STATUS, 404, false },
	{ "h2, body", HTTP, "/", 200, "ok", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 DATA_2_END), PROBE_OK, 200, false },
	{ "h2, wrong body", HTTP, "/", 200, "no", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 DATA_2_END), PROBE_WRONG_BODY, 0, false },
	{ "h2, another protocol", HTTP, "/", 200, "", SERVER_ANSWER_STAY,
	  BYTES("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n"), PROBE_BAD_RESPONSE, 0,
	  false },
	{ "h2, goes away", HTTP, "/", 200, "", SERVER_ANSWER_STAY, BYTES(SETTINGS GOAWAY),
	  PROBE_BAD_RESPONSE, 0, false },
	{ "h2, resets the stream", HTTP, "/", 200, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS RST_STREAM), PROBE_BAD_RESPONSE, 0, false },
	{ "h2, resets", HTTP, "/", 200, "", SERVER_ANSWER_RESET, BYTES(SETTINGS), PROBE_RESET, 0,
	  false },
	{ "h2, closes", HTTP, "/", 200, "", SERVER_ANSWER_HALF, BYTES(SETTINGS), PROBE_RESET, 0,
	  false },
	{ "h2, closes in the body", HTTP, "/", 200, "ok", SERVER_ANSWER_HALF,
	  BYTES(SETTINGS STATUS_200), PROBE_RESET, 0, false },
	{ "h2, says nothing", HTTP, "/", 200, "", SERVER_SILENT, BYTES(""), PROBE_HEADER_TIMEOUT, 0,
	  true },
	{ "h2, stops after the settings", HTTP, "/", 200, "", SERVER_ANSWER_STAY, BYTES(SETTINGS),
	  PROBE_HEADER_TIMEOUT, 0, true },
	{ "h2, stops in the body", HTTP, "/", 200, "ok", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200), PROBE_BODY_TIMEOUT, 0, true },
	{ "h2, stops in a body that nobody waits for", HTTP, "/", 200, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200), PROBE_OK, 200, false },
	{ "h2, 404, stops in the body", HTTP, "/", 200, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_404), PROBE_WRONG_STATUS, 404, false },
	/* gRPC: AWS's own check, of a method that nobody has; then the real one. */
	{ "grpc, no such method", GRPC, OTHER, 12, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS TRAILERS_ONLY_12), PROBE_OK, 12, false },
	{ "grpc, an early answer", GRPC, OTHER, 12, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS TRAILERS_ONLY_12), PROBE_OK, 12, false, true },
	{ "grpc, an early 404", GRPC, OTHER, 12, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_404_END), PROBE_WRONG_STATUS, 404, false, true },
	{ "grpc, wrong code", GRPC, OTHER, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS TRAILERS_ONLY_12), PROBE_WRONG_STATUS, 12, false },
	{ "grpc, another method's 0", GRPC, OTHER, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 NOT_SERVING TRAILER_0), PROBE_OK, 0, false },
	{ "serving", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 SERVING TRAILER_0), PROBE_OK, 0, false },
	{ "not serving", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 NOT_SERVING TRAILER_0), PROBE_NOT_SERVING, 2, false },
	{ "unknown service", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 TRAILER_5), PROBE_WRONG_STATUS, 5, false },
	{ "unknown service is what is wanted", GRPC, GRPC_HEALTH_CHECK, 5, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 TRAILER_5), PROBE_OK, 5, false },
	{ "no message", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 TRAILER_0), PROBE_BAD_RESPONSE, 0, false },
	{ "bad message", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 NO_MESSAGE TRAILER_0), PROBE_BAD_RESPONSE, 0, false },
	{ "no grpc-status", GRPC, OTHER, 0, "", SERVER_ANSWER_STAY, BYTES(SETTINGS STATUS_200_END),
	  PROBE_BAD_RESPONSE, 0, false },
	{ "grpc-status in letters", GRPC, OTHER, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 TRAILER_X), PROBE_BAD_RESPONSE, 0, false },
	{ "grpc, 404 of HTTP", GRPC, OTHER, 12, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_404_END), PROBE_WRONG_STATUS, 404, false },
	{ "grpc, HTTP/1.1", GRPC, OTHER, 12, "", SERVER_ANSWER_STAY,
	  BYTES("HTTP/1.1 200 OK\r\ngrpc-status: 12\r\nContent-Length: 0\r\n\r\n"),
	  PROBE_BAD_RESPONSE, 0, false },
	{ "grpc, stops before the trailer", GRPC, GRPC_HEALTH_CHECK, 0, "", SERVER_ANSWER_STAY,
	  BYTES(SETTINGS STATUS_200 SERVING), PROBE_BODY_TIMEOUT, 0, true },
};

static void add_case(struct rig *rig, size_t i)
{
	struct scripted_server *s = rig_server(rig, AF_INET, cases[i].script, cases[i].answer);
	struct protocol_probe_record p =
		probe_make(i, (enum protocol_check)cases[i].check, "127.0.0.1", s->port);

	s->request_end = MESSAGE;
	s->request_end_size = cases[i].check == HTTP || cases[i].early ? 0 : sizeof(MESSAGE) - 1;
	s->answer_size = cases[i].answer_size;
	p.probe.matcher[0] = (struct protocol_range){ cases[i].matcher, cases[i].matcher };
	if (cases[i].check == HTTP)
		p.probe.flags = PROTOCOL_PROBE_HTTP2;
	if (cases[i].to_deadline)
		p.probe.timeout_usec = SHORT_TIMEOUT_USEC;
	probe_text(&p, PROTOCOL_TEXT_PATH, cases[i].path);
	probe_text(&p, PROTOCOL_TEXT_EXPECT, cases[i].expect);
	rig_send_probe(rig, &p);
}

static void test_outcomes(void **state)
{
	static struct rig rig;

	(void)state;
	_Static_assert(ARRAY_SIZE(cases) <= SERVERS_MAX, "each has a server");
	rig_init(&rig);
	rig_send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		add_case(&rig, i);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct protocol_result *r = rig_wait_result(&rig, i, 1);

		if (r->outcome != cases[i].outcome ||
		    (r->detail != cases[i].detail && r->outcome != PROBE_RESET))
			fail_msg("%s: %s, detail %d", cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (cases[i].to_deadline)
			assert_true(r->duration_usec >= SHORT_TIMEOUT_USEC);
	}
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
	};

	log_init(LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

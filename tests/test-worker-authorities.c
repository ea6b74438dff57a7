/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "health/outcome.h"
#include "tests/certificates.h"
#include "tests/worker-rig.h"

/*
 * What a worker makes of the authorities that target groups have of their own. The system's are the other authority
 * here, so that a probe that took the wrong ones would be seen, whichever way.
 */

enum {
	HTTPS = PROTOCOL_CHECK_HTTPS,
	TLS = PROTOCOL_CHECK_TLS,
	GRPC = PROTOCOL_CHECK_GRPC,
	VERIFY = PROTOCOL_PROBE_VERIFY_CERTIFICATE,
	ISSUER_UNKNOWN = 20, /* X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY */
	EXPIRED = 10,	     /* X509_V_ERR_CERT_HAS_EXPIRED */
	NAME_MISMATCH = 62,  /* X509_V_ERR_HOSTNAME_MISMATCH */
};

/* Sets, by their numbers. */
enum {
	SYSTEM,
	RIGHT,
	WRONG,
	BOTH,
	PINNED, /* the certificate of the server itself */
	SPOILED,
	TRAILING, /* the right one, and a byte */
	_SET_MAX,
};

#define OK_ANSWER "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static void send_authority(struct rig *rig, uint64_t set, const void *der, size_t size)
{
	struct protocol_authority_record r;

	protocol_authority_init(&r, set, der, size);
	rig_send(rig, &r, r.authority.header.size);
}

static void send_authority_of(struct rig *rig, uint64_t set, enum certificate_authority which)
{
	const unsigned char *der;
	size_t size = certificate_authority_der(which, &der);

	send_authority(rig, set, der, size);
}

static void send_authorities_del(struct rig *rig, uint64_t set)
{
	struct protocol_authorities_del del = { .authorities = set };

	protocol_init(&del.header, PROTOCOL_AUTHORITIES_DEL, sizeof(del));
	rig_send(rig, &del, sizeof(del));
}

static void send_sets(struct rig *rig)
{
	unsigned char longer[PROTOCOL_CERTIFICATE_MAX];
	const unsigned char *der;
	size_t size;

	send_authority_of(rig, RIGHT, CERTIFICATE_AUTHORITY);
	send_authority_of(rig, WRONG, CERTIFICATE_AUTHORITY_OTHER);
	send_authority_of(rig, BOTH, CERTIFICATE_AUTHORITY_OTHER);
	send_authority_of(rig, BOTH, CERTIFICATE_AUTHORITY);
	size = certificate_der(CERTIFICATE_GOOD, &der);
	send_authority(rig, PINNED, der, size);
	send_authority_of(rig, SPOILED, CERTIFICATE_AUTHORITY);
	send_authority(rig, SPOILED, "\x30\x00", 2);
	send_authority_of(rig, SPOILED, CERTIFICATE_AUTHORITY);
	size = certificate_authority_der(CERTIFICATE_AUTHORITY, &der);
	memcpy(longer, der, size);
	longer[size] = 0;
	send_authority(rig, TRAILING, longer, size + 1);
}

static struct scripted_server *add_server(struct rig *rig, enum certificate certificate)
{
	struct scripted_server *s = rig_server(rig, AF_INET, SERVER_ANSWER, OK_ANSWER);

	s->tls = certificate_server(certificate);
	return s;
}

static struct protocol_probe_record make_probe(uint64_t id, int check, uint16_t port, uint64_t set)
{
	struct protocol_probe_record p =
		probe_make(id, (enum protocol_check)check, "127.0.0.1", port);

	p.probe.flags = VERIFY | (check == GRPC ? PROTOCOL_PROBE_TLS : 0);
	p.probe.authorities = set;
	if (check != TLS)
		probe_text(&p, PROTOCOL_TEXT_PATH, "/healthz");
	return p;
}

static const struct authority_case {
	const char *name;
	int check;
	enum certificate certificate;
	uint64_t set;
	const char *server_name;
	enum probe_outcome outcome;
	int32_t detail;
} cases[] = {
	{ "right", HTTPS, CERTIFICATE_GOOD, RIGHT, "", PROBE_OK, 200 },
	{ "right, tls", TLS, CERTIFICATE_GOOD, RIGHT, "", PROBE_OK, 0 },
	{ "right, by name", TLS, CERTIFICATE_GOOD, RIGHT, "www.example.com", PROBE_OK, 0 },
	{ "wrong", HTTPS, CERTIFICATE_GOOD, WRONG, "", PROBE_CERTIFICATE, ISSUER_UNKNOWN },
	{ "wrong, tls", TLS, CERTIFICATE_GOOD, WRONG, "", PROBE_CERTIFICATE, ISSUER_UNKNOWN },
	{ "wrong, grpc", GRPC, CERTIFICATE_GOOD, WRONG, "", PROBE_CERTIFICATE, ISSUER_UNKNOWN },
	{ "the system's", TLS, CERTIFICATE_GOOD, SYSTEM, "", PROBE_CERTIFICATE, ISSUER_UNKNOWN },
	{ "other, right", TLS, CERTIFICATE_OF_OTHER, WRONG, "", PROBE_OK, 0 },
	{ "other, the system's", TLS, CERTIFICATE_OF_OTHER, SYSTEM, "", PROBE_OK, 0 },
	{ "other, wrong", TLS, CERTIFICATE_OF_OTHER, RIGHT, "", PROBE_CERTIFICATE, ISSUER_UNKNOWN },
	{ "both", TLS, CERTIFICATE_GOOD, BOTH, "", PROBE_OK, 0 },
	{ "other, both", TLS, CERTIFICATE_OF_OTHER, BOTH, "", PROBE_OK, 0 },
	{ "its own certificate", TLS, CERTIFICATE_GOOD, PINNED, "", PROBE_OK, 0 },
	{ "another's certificate", TLS, CERTIFICATE_OF_OTHER, PINNED, "", PROBE_CERTIFICATE,
	  ISSUER_UNKNOWN },
	{ "expired", TLS, CERTIFICATE_EXPIRED, RIGHT, "", PROBE_CERTIFICATE, EXPIRED },
	{ "another name", TLS, CERTIFICATE_GOOD, RIGHT, "a.example.com", PROBE_CERTIFICATE,
	  NAME_MISMATCH },
	{ "another address", TLS, CERTIFICATE_WRONG_NAME, RIGHT, "", PROBE_CERTIFICATE,
	  NAME_MISMATCH },
	{ "spoiled", TLS, CERTIFICATE_GOOD, SPOILED, "", PROBE_INTERNAL_ERROR, EKEYREJECTED },
	{ "with a byte too many", TLS, CERTIFICATE_GOOD, TRAILING, "", PROBE_INTERNAL_ERROR,
	  EKEYREJECTED },
};

/* The cases with one certificate are probes of one server: one address, other authorities. */
static void test_outcomes(void **state)
{
	struct scripted_server *servers[_CERTIFICATE_MAX] = { NULL };
	static struct rig rig;
	char log[4096] = "";

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	send_sets(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scripted_server **s = &servers[cases[i].certificate];
		struct protocol_probe_record p;

		if (!*s)
			*s = add_server(&rig, cases[i].certificate);
		p = make_probe(i, cases[i].check, (*s)->port, cases[i].set);
		probe_text(&p, PROTOCOL_TEXT_SERVER_NAME, cases[i].server_name);
		rig_send_probe(&rig, &p);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct protocol_result *r = rig_wait_result(&rig, i, 1);

		if (r->outcome != cases[i].outcome || r->detail != cases[i].detail)
			fail_msg("%s: %s, detail %d", cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
	}
	assert_true(pread(rig.stderr_fd, log, sizeof(log) - 1, 0) > 0);
	puts(log);
	assert_non_null(strstr(log, "OpenSSL does not take a certificate in its "
				    "health-check-ca-file"));
	rig_deinit(&rig);
}

/* The next result of this specification that comes in time: on a busy machine a handshake may take too long. */
static enum probe_outcome wait_outcome(struct rig *rig, uint64_t id, uint32_t generation)
{
	for (size_t i = rig->n_results;; i++) {
		const struct protocol_result *r = &rig->results[i];

		rig_wait_results(rig, i + 1);
		if (r->id == id && r->generation == generation &&
		    !probe_outcome_is_timeout((enum probe_outcome)r->outcome))
			return (enum probe_outcome)r->outcome;
	}
}

/* Did any result of this probe say so? */
static bool has_outcome(const struct rig *rig, uint64_t id, enum probe_outcome outcome)
{
	for (size_t i = 0; i < rig->n_results; i++)
		if (rig->results[i].id == id && rig->results[i].outcome == outcome)
			return true;
	return false;
}

enum {
	FREQUENT_USEC = 100 * USEC_PER_MSEC,
};

static void set_frequent(struct protocol_probe_record *p, uint32_t generation)
{
	p->probe.generation = generation;
	p->probe.interval_usec = FREQUENT_USEC;
	p->probe.timeout_usec = FREQUENT_USEC;
}

/*
 * Another set takes a probe's over and the old one is taken back, many times: each result is of its own set, the probe
 * beside it goes on, and what was resumable is not resumed.
 */
static void test_exchange(void **state)
{
	static struct rig rig;
	struct scripted_server *s;
	struct protocol_probe_record p, beside;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	s = add_server(&rig, CERTIFICATE_GOOD);
	send_authority_of(&rig, 1000, CERTIFICATE_AUTHORITY);
	beside = make_probe(2, HTTPS, s->port, 1000);
	set_frequent(&beside, 1);
	rig_send_probe(&rig, &beside);
	p = make_probe(1, HTTPS, s->port, 0);
	set_frequent(&p, 1);
	p.probe.flags = 0; /* sessions are kept first */
	rig_send_probe(&rig, &p);
	while (s->resumed < 2)
		rig_wait_results(&rig, rig.n_results + 1);
	for (uint32_t set = 2; set < 10; set++) {
		bool right = set % 2;

		send_authority_of(&rig, set,
				  right ? CERTIFICATE_AUTHORITY : CERTIFICATE_AUTHORITY_OTHER);
		p.probe.flags = VERIFY | PROTOCOL_PROBE_HISTORY;
		p.probe.authorities = set;
		p.probe.generation = set;
		rig_send_probe(&rig, &p);
		send_authorities_del(&rig, set - 1);
		for (unsigned i = 0; i < 2; i++)
			assert_int_equal(wait_outcome(&rig, 1, set),
					 right ? PROBE_OK : PROBE_CERTIFICATE);
	}
	assert_true(has_outcome(&rig, 2, PROBE_OK));
	assert_false(has_outcome(&rig, 2, PROBE_CERTIFICATE));
	/* A set that no probe holds any more is gone: its number could be another's. */
	send_authorities_del(&rig, 9);
	rig_send_del(&rig, 1);
	send_authority_of(&rig, 9, CERTIFICATE_AUTHORITY_OTHER);
	p.probe.authorities = 9;
	p.probe.generation = 100;
	rig_send_probe(&rig, &p);
	assert_int_equal(wait_outcome(&rig, 1, 100), PROBE_CERTIFICATE);
	rig_deinit(&rig);
}

/* A probe's session of before its certificate was verified, or by another set, is not resumed. */
static void test_sessions(void **state)
{
	static struct rig rig;
	struct scripted_server *s;
	struct protocol_probe_record p;
	unsigned resumed = 0;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	s = add_server(&rig, CERTIFICATE_GOOD);
	send_authority_of(&rig, 1, CERTIFICATE_AUTHORITY);
	send_authority_of(&rig, 2, CERTIFICATE_AUTHORITY_OTHER);
	p = make_probe(1, HTTPS, s->port, 0);
	set_frequent(&p, 1);
	p.probe.flags = 0;
	rig_send_probe(&rig, &p);
	while (s->resumed < 2)
		rig_wait_results(&rig, rig.n_results + 1);
	p.probe.flags = VERIFY;
	for (uint32_t round = 2; round < 6; round++) {
		p.probe.generation = round;
		p.probe.authorities = 1 + round % 2;
		rig_send_probe(&rig, &p);
		assert_int_equal(wait_outcome(&rig, 1, round),
				 round % 2 ? PROBE_CERTIFICATE : PROBE_OK);
		if (round == 2) /* what ran before has ended */
			resumed = s->resumed;
	}
	assert_int_equal(s->resumed, resumed);
	rig_deinit(&rig);
}

/* What the daemon must not say ends the worker. */
static void test_refusals(void **state)
{
	static struct rig rig;
	struct protocol_probe_record p = make_probe(1, TLS, 1, 5);

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	rig_send_probe(&rig, &p); /* a set that is not there */
	assert_int_equal(rig_wait_exit(&rig), EXIT_FAILURE);
	rig_deinit(&rig);
	rig_init_kind(&rig, WORKER_EXEC);
	rig_send_hello(&rig);
	send_authority_of(&rig, 5, CERTIFICATE_AUTHORITY);
	assert_int_equal(rig_wait_exit(&rig), EXIT_FAILURE);
	rig_deinit(&rig);
	/* Taken back without ever having been there. */
	rig_init(&rig);
	rig_send_hello(&rig);
	send_authorities_del(&rig, 5);
	rig_wait_heartbeats(&rig, 1);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_exchange),
		cmocka_unit_test(test_sessions),
		cmocka_unit_test(test_refusals),
	};
	const char *authority;
	int r;

	log_init(LOG_INFO);
	(void)signal(SIGPIPE, SIG_IGN); /* of the servers */
	authority = certificate_trust(CERTIFICATE_AUTHORITY_OTHER);
	r = cmocka_run_group_tests(tests, NULL, NULL);
	(void)unlink(authority);
	return r;
}

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
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/probe-rig.h"

#define PATIENCE_USEC (10 * USEC_PER_SEC)
#define SHORT_USEC (100 * USEC_PER_MSEC)

enum {
	FLAGS = 2, /* places in a message */
	ANSWERS = 6,
	RECORDS_MAX = 200,
};

/* Answers each query over UDP by what `spoil` makes of an answer without error, and over TCP by one address. */
struct server {
	int udp_fd, tcp_fd, connection_fd;
	uint16_t port;
	void (*spoil)(uint8_t *message, size_t *n);
	bool stutter; /* over TCP a byte at a time */
	unsigned n_udp, n_tcp;
	uint8_t pending[600];
	size_t n_pending;
};

static void server_init(struct server *s, void (*spoil)(uint8_t *message, size_t *n))
{
	struct sockaddr_in sin = { .sin_family = AF_INET,
				   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };

	*s = (struct server){ .connection_fd = -1, .spoil = spoil };
	s->tcp_fd = probe_rig_bind(AF_INET, SOCK_STREAM, &s->port);
	assert_return_code(listen(s->tcp_fd, 4), errno);
	s->udp_fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	sin.sin_port = htons(s->port);
	assert_return_code(bind(s->udp_fd, (struct sockaddr *)&sin, sizeof(sin)), errno);
}

static void server_deinit(struct server *s)
{
	(void)close(s->udp_fd);
	(void)close(s->tcp_fd);
	cleanup_close(&s->connection_fd);
}

static size_t make_answer(uint8_t *message, size_t n)
{
	static const uint8_t record[] = "\xc0\x0c\x00\x01\x00\x01\x00\x00\x00\x3c\x00\x04\x0a\x00"
					"\x00\x07";

	message[FLAGS] |= 0x80;
	message[ANSWERS + 1] = 1;
	memcpy(message + n, record, sizeof(record) - 1);
	return n + sizeof(record) - 1;
}

static void serve_udp(struct server *s)
{
	struct sockaddr_storage from;
	socklen_t len = sizeof(from);
	uint8_t message[600];
	ssize_t got = recvfrom(s->udp_fd, message, 512, 0, (struct sockaddr *)&from, &len);
	size_t n;

	if (got < 0)
		return;
	s->n_udp++;
	n = make_answer(message, (size_t)got);
	if (s->spoil)
		s->spoil(message, &n);
	if (n)
		assert_int_equal(sendto(s->udp_fd, message, n, 0, (struct sockaddr *)&from, len),
				 n);
}

static void serve_tcp(struct server *s)
{
	uint8_t query[514];
	ssize_t got;
	size_t n;

	if (s->connection_fd < 0) {
		s->connection_fd = accept4(s->tcp_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
		return;
	}
	if (s->n_pending) {
		size_t size = s->stutter ? 1 : s->n_pending;

		assert_int_equal(send(s->connection_fd, s->pending, size, MSG_NOSIGNAL), size);
		s->n_pending -= size;
		memmove(s->pending, s->pending + size, s->n_pending);
		return;
	}
	got = recv(s->connection_fd, query, sizeof(query), 0);
	if (got <= 2)
		return;
	s->n_tcp++;
	assert_int_equal(got - 2, query[0] << 8 | query[1]);
	memcpy(s->pending + 2, query + 2, (size_t)got - 2);
	n = make_answer(s->pending + 2, (size_t)got - 2);
	s->pending[0] = 0;
	s->pending[1] = (uint8_t)n;
	s->n_pending = n + 2;
}

static void serve(void *userdata)
{
	serve_udp(userdata);
	serve_tcp(userdata);
}

static void spoil_id(uint8_t *message, size_t *n)
{
	(void)n;
	message[0] ^= 1;
}

static void spoil_code(uint8_t *message, size_t *n)
{
	(void)n;
	message[FLAGS + 1] |= 3;
}

static void spoil_length(uint8_t *message, size_t *n)
{
	(void)message;
	(*n)--;
}

static void spoil_truncated(uint8_t *message, size_t *n)
{
	(void)n;
	message[FLAGS] |= 0x02;
}

static void spoil_silent(uint8_t *message, size_t *n)
{
	(void)message;
	*n = 0;
}

static const struct {
	const char *name, *expect;
	void (*spoil)(uint8_t *message, size_t *n);
	bool stutter;
	enum probe_outcome outcome;
	int32_t detail;
	unsigned n_tcp;
	usec_t timeout_usec;
} cases[] = {
	{ "any answer", "", NULL, false, PROBE_OK, 0, 0, PATIENCE_USEC },
	{ "the address", "10.0.0.7", NULL, false, PROBE_OK, 0, 0, PATIENCE_USEC },
	{ "another address", "10.0.0.8", NULL, false, PROBE_WRONG_ANSWER, 0, 0, PATIENCE_USEC },
	{ "an error", "", spoil_code, false, PROBE_WRONG_ANSWER, 3, 0, PATIENCE_USEC },
	{ "the error that is wanted", "NXDOMAIN", spoil_code, false, PROBE_OK, 0, 0,
	  PATIENCE_USEC },
	{ "no error where one is wanted", "NXDOMAIN", NULL, false, PROBE_WRONG_ANSWER, 0, 0,
	  PATIENCE_USEC },
	{ "cut short", "", spoil_length, false, PROBE_BAD_RESPONSE, 0, 0, PATIENCE_USEC },
	{ "by TCP", "10.0.0.7", spoil_truncated, false, PROBE_OK, 0, 1, PATIENCE_USEC },
	{ "by TCP, byte by byte", "10.0.0.7", spoil_truncated, true, PROBE_OK, 0, 1,
	  PATIENCE_USEC },
	{ "by TCP, another address", "10.0.0.8", spoil_truncated, false, PROBE_WRONG_ANSWER, 0, 1,
	  PATIENCE_USEC },
	{ "an answer to another question", "", spoil_id, false, PROBE_TIMEOUT, 0, 0, SHORT_USEC },
	{ "silence", "", spoil_silent, false, PROBE_TIMEOUT, 0, 0, SHORT_USEC },
};

static void test_outcomes(void **state)
{
	struct probe_rig rig;

	(void)state;
	probe_rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct server s;

		server_init(&s, cases[i].spoil);
		s.stutter = cases[i].stutter;
		probe_rig_spec(&rig, PROTOCOL_CHECK_DNS, "127.0.0.1", s.port);
		probe_rig_text(&rig, PROTOCOL_TEXT_SEND, "www.example A", 13);
		probe_rig_text(&rig, PROTOCOL_TEXT_EXPECT, cases[i].expect,
			       strlen(cases[i].expect));
		probe_rig_run(&rig, cases[i].timeout_usec, serve, &s);
		if (rig.outcome != cases[i].outcome || rig.detail != cases[i].detail ||
		    s.n_udp != 1 || s.n_tcp != cases[i].n_tcp)
			fail_msg("%s: %s, detail %d, %u by UDP, %u by TCP", cases[i].name,
				 probe_outcome_to_string(rig.outcome), rig.detail, s.n_udp,
				 s.n_tcp);
		server_deinit(&s);
	}
	probe_rig_deinit(&rig);
}

/* What the configuration would have refused is our fault, not the target's; a closed port is the target's. */
static void test_failures(void **state)
{
	struct probe_rig rig;
	struct server s;

	(void)state;
	probe_rig_init(&rig);
	server_init(&s, NULL);
	server_deinit(&s);
	probe_rig_spec(&rig, PROTOCOL_CHECK_DNS, "127.0.0.1", s.port);
	probe_rig_text(&rig, PROTOCOL_TEXT_SEND, "a..b", 4);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_INTERNAL_ERROR);
	assert_int_equal(rig.detail, EINVAL);
	probe_rig_spec(&rig, PROTOCOL_CHECK_DNS, "127.0.0.1", s.port);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_REFUSED);
	probe_rig_deinit(&rig);
}

/* Everything that answers is dnsmasq: no scripted server remembers what the RFCs say and this code forgot. */
static pid_t start_dnsmasq(uint16_t port, const char *hosts)
{
	char port_arg[32], hosts_arg[64];
	char *argv[] = { (char *)"dnsmasq",
			 (char *)"--keep-in-foreground",
			 (char *)"--conf-file=/dev/null",
			 (char *)"--no-resolv",
			 (char *)"--no-hosts",
			 (char *)"--listen-address=127.0.0.1",
			 (char *)"--bind-interfaces",
			 (char *)"--pid-file=",
			 (char *)"--user=",
			 (char *)"--log-facility=/dev/null",
			 (char *)"--local=/example/",
			 (char *)"--host-record=one.example,10.0.0.1,2001:db8::1",
			 (char *)"--cname=alias.example,one.example",
			 port_arg,
			 hosts_arg,
			 NULL };
	char *envp[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid > 0)
		return pid;
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(port_arg, sizeof(port_arg), "--port=%u", port);
	(void)snprintf(hosts_arg, sizeof(hosts_arg), "--addn-hosts=%s", hosts);
	(void)execvpe(argv[0], argv, envp);
	_exit(127);
}

static enum probe_outcome ask(struct probe_rig *rig, uint16_t port, const char *send,
			      const char *expect)
{
	probe_rig_spec(rig, PROTOCOL_CHECK_DNS, "127.0.0.1", port);
	probe_rig_text(rig, PROTOCOL_TEXT_SEND, send, strlen(send));
	probe_rig_text(rig, PROTOCOL_TEXT_EXPECT, expect, strlen(expect));
	probe_rig_run(rig, PATIENCE_USEC, NULL, NULL);
	return rig->outcome;
}

/* The name `many` has so many addresses that no datagram holds them. */
static void write_hosts(char path[])
{
	int fd = mkstemp(path);
	FILE *f;

	assert_return_code(fd, errno);
	assert_return_code(fchmod(fd, 0644), errno);
	f = fdopen(fd, "w");
	assert_non_null(f);
	for (unsigned i = 1; i <= RECORDS_MAX; i++)
		(void)fprintf(f, "10.1.1.%u many.example\n", i);
	assert_int_equal(fclose(f), 0);
}

static void test_dnsmasq(void **state)
{
	char path[] = "/tmp/ipvsd-dns-XXXXXX";
	usec_t end = clock_monotonic_usec() + PATIENCE_USEC;
	struct probe_rig rig;
	struct server s;
	pid_t pid;

	(void)state;
	if (system("command -v dnsmasq >/dev/null 2>&1") != 0)
		skip();
	probe_rig_init(&rig);
	server_init(&s, NULL); /* for a port that both protocols have free */
	server_deinit(&s);
	write_hosts(path);
	pid = start_dnsmasq(s.port, path);
	while (ask(&rig, s.port, "one.example", "10.0.0.1") == PROBE_REFUSED)
		assert_true(clock_monotonic_usec() < end && waitpid(pid, NULL, WNOHANG) == 0);
	assert_int_equal(rig.outcome, PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "one.example", "2001:db8::1"), PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "one.example", "10.0.0.2"), PROBE_WRONG_ANSWER);
	assert_int_equal(ask(&rig, s.port, "alias.example A", "10.0.0.1"), PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "none.example A", "NXDOMAIN"), PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "none.example A", ""), PROBE_WRONG_ANSWER);
	assert_int_equal(rig.detail, 3);
	assert_int_equal(ask(&rig, s.port, "elsewhere.test A", "REFUSED"), PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "many.example A", "10.1.1.200"), PROBE_OK);
	assert_int_equal(ask(&rig, s.port, "many.example A", "10.1.1.201"), PROBE_WRONG_ANSWER);
	(void)kill(pid, SIGTERM);
	assert_int_equal(waitpid(pid, NULL, 0), pid);
	(void)unlink(path);
	probe_rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_outcomes),
		cmocka_unit_test(test_failures),
		cmocka_unit_test(test_dnsmasq),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

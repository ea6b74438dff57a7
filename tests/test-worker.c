/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "health/outcome.h"
#include "health/protocol.h"
#include "health/worker.h"
#include "tests/scripted-server.h"

/*
 * The real worker in a child process, against real sockets. Nothing here sleeps: every wait is a poll of the worker
 * and of the servers, with a deadline that is far longer than what is waited for.
 */

enum {
	RESULTS_MAX = 512,
	SERVERS_MAX = 40,
	PATIENCE_MSEC = 10000,
	STDERR_MAX = 4096,
};

#define SHORT_TIMEOUT_USEC (150 * USEC_PER_MSEC)

struct rig {
	int fd, stderr_fd, pid_fd;
	pid_t pid;
	struct scripted_server servers[SERVERS_MAX];
	size_t n_servers;
	struct protocol_result results[RESULTS_MAX];
	size_t n_results;
	struct protocol_heartbeat heartbeat;
	unsigned n_heartbeats, n_hellos;
	uint32_t hello_pid;
	bool closed; /* the worker's end */
};

static void rig_init(struct rig *rig)
{
	int pair[2];

	memset(rig, 0, sizeof(*rig));
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), errno);
	rig->stderr_fd = memfd_create("worker-stderr", MFD_CLOEXEC);
	assert_true(rig->stderr_fd >= 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0) {
		(void)dup2(rig->stderr_fd, STDERR_FILENO);
		_exit(worker_main(pair[1], "nobody"));
	}
	(void)close(pair[1]);
	rig->fd = pair[0];
	rig->pid_fd = (int)syscall(SYS_pidfd_open, rig->pid, 0);
	assert_true(rig->pid_fd >= 0);
}

static struct scripted_server *rig_server(struct rig *rig, int family, enum server_script script,
					  const char *answer)
{
	struct scripted_server *s = &rig->servers[rig->n_servers++];

	assert_true(rig->n_servers <= SERVERS_MAX);
	scripted_server_init(s, family, script, answer);
	return s;
}

/* The exit status; waits for the end of the worker, for which the caller gave a reason. */
static int rig_wait_exit(struct rig *rig)
{
	struct pollfd p = { .fd = rig->pid_fd, .events = POLLIN };
	int status;

	assert_int_equal(poll(&p, 1, PATIENCE_MSEC), 1);
	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

static void rig_deinit(struct rig *rig)
{
	if (rig->fd >= 0)
		(void)close(rig->fd);
	rig->fd = -1;
	if (rig->pid > 0)
		assert_int_equal(rig_wait_exit(rig), 0);
	for (size_t i = 0; i < rig->n_servers; i++)
		scripted_server_deinit(&rig->servers[i]);
	(void)close(rig->pid_fd);
	(void)close(rig->stderr_fd);
}

static void take_record(struct rig *rig, const void *record, size_t size)
{
	enum protocol_kind kind = 0;
	struct protocol_hello hello;

	assert_int_equal(protocol_check(record, size, &kind), 0);
	assert_true(kind == PROTOCOL_HELLO || rig->n_hellos == 1);
	switch (kind) {
	case PROTOCOL_HELLO:
		memcpy(&hello, record, sizeof(hello));
		rig->hello_pid = hello.pid;
		rig->n_hellos++;
		break;
	case PROTOCOL_RESULT:
		assert_true(rig->n_results < RESULTS_MAX);
		memcpy(&rig->results[rig->n_results++], record, sizeof(rig->results[0]));
		break;
	case PROTOCOL_HEARTBEAT:
		memcpy(&rig->heartbeat, record, sizeof(rig->heartbeat));
		rig->n_heartbeats++;
		break;
	default:
		fail_msg("the worker sent a record of kind %d", kind);
	}
}

static void drain_worker(struct rig *rig)
{
	char buffer[2048];
	ssize_t n;

	for (;;) {
		n = recv(rig->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			rig->closed = true;
			return;
		}
		take_record(rig, buffer, (size_t)n);
	}
}

static void pump(struct rig *rig)
{
	struct pollfd fds[1 + SERVERS_MAX * (1 + SERVER_CONNECTIONS_MAX)];
	size_t n = 0;

	fds[n++] = (struct pollfd){ .fd = rig->fd, .events = POLLIN };
	for (size_t i = 0; i < rig->n_servers; i++)
		n += scripted_server_poll_set(&rig->servers[i], fds + n);
	(void)poll(fds, n, 10);
	for (size_t i = 0; i < rig->n_servers; i++)
		scripted_server_step(&rig->servers[i], clock_monotonic_usec());
	drain_worker(rig);
}

static const struct protocol_result *find_result(const struct rig *rig, uint64_t id,
						 uint32_t generation)
{
	for (size_t i = 0; i < rig->n_results; i++)
		if (rig->results[i].id == id && rig->results[i].generation == generation)
			return &rig->results[i];
	return NULL;
}

/* The first of this specification. */
static const struct protocol_result *wait_result(struct rig *rig, uint64_t id, uint32_t generation)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;
	const struct protocol_result *r;

	while (!(r = find_result(rig, id, generation))) {
		pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("no result of probe %" PRIu64, id);
	}
	return r;
}

static void wait_results(struct rig *rig, size_t n)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;

	while (rig->n_results < n) {
		pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("%zu of %zu results came", rig->n_results, n);
	}
}

static void wait_heartbeats(struct rig *rig, unsigned more)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;
	unsigned n = rig->n_heartbeats + more;

	while (rig->n_heartbeats < n) {
		pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("no heartbeat");
	}
}

static void send_record(struct rig *rig, const void *record, size_t size)
{
	assert_int_equal(send(rig->fd, record, size, MSG_NOSIGNAL), size);
}

static void send_hello(struct rig *rig)
{
	struct protocol_hello hello = { .pid = (uint32_t)getpid() };

	protocol_init(&hello.header, PROTOCOL_HELLO, sizeof(hello));
	send_record(rig, &hello, sizeof(hello));
}

static struct protocol_probe probe_make(uint64_t id, enum protocol_check check, const char *address,
					uint16_t port)
{
	struct protocol_probe p = {
		.id = id,
		.generation = 1,
		.check = (uint8_t)check,
		.port = port,
		.interval_usec = 2 * USEC_PER_SEC,
		.timeout_usec = 2 * USEC_PER_SEC,
		.n_matcher = 1,
		.matcher = { { 200, 299 } },
		.path = "/healthz?a=b",
	};

	assert_int_equal(addr_parse(address, &p.addr), 0);
	protocol_init(&p.header, PROTOCOL_PROBE_SET, sizeof(p));
	return p;
}

static void send_del(struct rig *rig, uint64_t id)
{
	struct protocol_probe_del del = { .id = id };

	protocol_init(&del.header, PROTOCOL_PROBE_DEL, sizeof(del));
	send_record(rig, &del, sizeof(del));
}

#define OK_HEAD "HTTP/1.1 200 OK\r\n"
#define K(x) x x x x x x x x x x x x x x x x
#define FILLER K(K("0123456789abcde\n"))

static const struct {
	const char *name;
	enum server_script script;
	const char *answer, *filler;
	enum probe_outcome outcome;
	int32_t detail;
	bool to_deadline;
} http_cases[] = {
	{ "200", SERVER_ANSWER, OK_HEAD "Content-Length: 2\r\n\r\nok", NULL, PROBE_OK, 200, false },
	{ "200, connection left open", SERVER_ANSWER_STAY, OK_HEAD "Content-Length: 2\r\n\r\nok",
	  NULL, PROBE_OK, 200, false },
	{ "chunked", SERVER_ANSWER,
	  OK_HEAD "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", NULL, PROBE_OK, 200,
	  false },
	{ "body until close", SERVER_ANSWER, OK_HEAD "\r\nok", NULL, PROBE_OK, 200, false },
	{ "204", SERVER_ANSWER, "HTTP/1.1 204 No Content\r\n\r\n", NULL, PROBE_OK, 204, false },
	{ "HTTP/1.0", SERVER_ANSWER, "HTTP/1.0 200 OK\r\n\r\nok", NULL, PROBE_OK, 200, false },
	{ "100 first", SERVER_ANSWER,
	  "HTTP/1.1 100 Continue\r\n\r\n" OK_HEAD "Content-Length: 0\r\n\r\n", NULL, PROBE_OK, 200,
	  false },
	{ "404", SERVER_ANSWER, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", NULL,
	  PROBE_WRONG_STATUS, 404, false },
	{ "503 with body", SERVER_ANSWER, "HTTP/1.1 503 No\r\nContent-Length: 2\r\n\r\nno", NULL,
	  PROBE_WRONG_STATUS, 503, false },
	{ "300 is above the range", SERVER_ANSWER, "HTTP/1.1 300 No\r\nContent-Length: 0\r\n\r\n",
	  NULL, PROBE_WRONG_STATUS, 300, false },
	{ "redirects are not followed", SERVER_ANSWER,
	  "HTTP/1.1 301 No\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n", NULL,
	  PROBE_WRONG_STATUS, 301, false },
	{ "closes without a word", SERVER_ANSWER, "", NULL, PROBE_RESET, 0, false },
	{ "resets", SERVER_RESET, NULL, NULL, PROBE_RESET, ECONNRESET, false },
	{ "closes half way in the body", SERVER_ANSWER, OK_HEAD "Content-Length: 99\r\n\r\nok",
	  NULL, PROBE_RESET, 0, false },
	{ "closes in a chunk", SERVER_ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nff\r\nok",
	  NULL, PROBE_RESET, 0, false },
	{ "bad chunk", SERVER_ANSWER, OK_HEAD "Transfer-Encoding: chunked\r\n\r\nzz\r\nok", NULL,
	  PROBE_BAD_RESPONSE, 0, false },
	{ "HTTP/0.9", SERVER_ANSWER, "<html>hello</html>", NULL, PROBE_BAD_RESPONSE, 0, false },
	{ "another protocol", SERVER_ANSWER, "SSH-2.0-OpenSSH_9.2\r\n", NULL, PROBE_BAD_RESPONSE, 0,
	  false },
	{ "bytes", SERVER_ANSWER, "\x16\x03\x01\xff\xfe\n", NULL, PROBE_BAD_RESPONSE, 0, false },
	{ "endless headers", SERVER_ENDLESS, OK_HEAD, "X-More: yes\r\n", PROBE_BAD_RESPONSE, 0,
	  false },
	{ "one endless header", SERVER_ENDLESS, OK_HEAD "X-More: ", FILLER, PROBE_BAD_RESPONSE, 0,
	  false },
	{ "endless body, good status", SERVER_ENDLESS, OK_HEAD "\r\n", FILLER, PROBE_OK, 200,
	  false },
	{ "endless body, bad status", SERVER_ENDLESS, "HTTP/1.1 500 No\r\n\r\n", FILLER,
	  PROBE_WRONG_STATUS, 500, false },
	{ "says nothing", SERVER_SILENT, NULL, NULL, PROBE_TIMEOUT, 0, true },
	{ "stops in the headers", SERVER_ANSWER_STAY, OK_HEAD, NULL, PROBE_TIMEOUT, 0, true },
	{ "stops in the body", SERVER_ANSWER_STAY, OK_HEAD "Content-Length: 9\r\n\r\nok", NULL,
	  PROBE_TIMEOUT, 0, true },
	{ "a byte every 50 ms", SERVER_DRIP, OK_HEAD "Content-Length: 99\r\n\r\n", NULL,
	  PROBE_TIMEOUT, 0, true },
	{ "full backlog", SERVER_FULL_BACKLOG, NULL, NULL, PROBE_CONNECT_TIMEOUT, 0, true },
};

static void assert_at_deadline(const struct protocol_result *r, usec_t timeout_usec)
{
	assert_true(r->duration_usec >= timeout_usec);
	assert_true(r->duration_usec < timeout_usec + 500 * USEC_PER_MSEC);
}

static void test_http_outcomes(void **state)
{
	static struct rig rig;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(http_cases); i++) {
		struct scripted_server *s =
			rig_server(&rig, AF_INET, http_cases[i].script, http_cases[i].answer);
		struct protocol_probe p = probe_make(i, PROTOCOL_CHECK_HTTP, "127.0.0.1", s->port);

		s->filler = http_cases[i].filler;
		if (http_cases[i].to_deadline)
			p.timeout_usec = SHORT_TIMEOUT_USEC;
		send_record(&rig, &p, sizeof(p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(http_cases); i++) {
		const struct protocol_result *r = wait_result(&rig, i, 1);

		if (r->outcome != http_cases[i].outcome || r->detail != http_cases[i].detail)
			fail_msg("%s: %s, detail %d", http_cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (http_cases[i].to_deadline)
			assert_at_deadline(r, SHORT_TIMEOUT_USEC);
	}
	rig_deinit(&rig);
}

static void test_http_request(void **state)
{
	static const struct {
		int family;
		const char *address, *host_header;
		const char *host; /* NULL: the address and the port */
	} cases[] = {
		{ AF_INET, "127.0.0.1", "", NULL },
		{ AF_INET, "127.0.0.1", "www.example.com", "www.example.com" },
		{ AF_INET6, "::1", "", NULL },
	};
	static struct rig rig;

	(void)state;
	/* A proxy of the environment is not for probes. */
	assert_return_code(setenv("http_proxy", "http://127.0.0.1:1", 1), errno);
	rig_init(&rig);
	send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scripted_server *s = rig_server(&rig, cases[i].family, SERVER_ANSWER,
						       OK_HEAD "Content-Length: 0\r\n\r\n");
		struct protocol_probe p =
			probe_make(i, PROTOCOL_CHECK_HTTP, cases[i].address, s->port);

		strcpy(p.host_header, cases[i].host_header);
		strcpy(p.path, "/a/../b//?x=%20");
		send_record(&rig, &p, sizeof(p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct scripted_server *s = &rig.servers[i];
		char expected[512], where[ADDR_PORT_STR_MAX];
		struct addr a;

		assert_int_equal(wait_result(&rig, i, 1)->outcome, PROBE_OK);
		assert_int_equal(addr_parse(cases[i].address, &a), 0);
		(void)addr_port_format(&a, s->port, where);
		(void)snprintf(expected, sizeof(expected),
			       "GET /a/../b//?x=%%20 HTTP/1.1\r\nHost: %s\r\n"
			       "User-Agent: ipvsd/%s\r\nAccept: */*\r\nConnection: close\r\n\r\n",
			       cases[i].host ? cases[i].host : where, IPVSD_VERSION);
		assert_string_equal(s->last_request, expected);
	}
	assert_return_code(unsetenv("http_proxy"), errno);
	rig_deinit(&rig);
}

/* A port of loopback on which nothing listens: it was the kernel's choice a moment ago. */
static uint16_t closed_port(void)
{
	struct scripted_server s;

	scripted_server_init(&s, AF_INET, SERVER_SILENT, NULL);
	scripted_server_deinit(&s);
	return s.port;
}

enum place {
	PLACE_LISTENS,
	PLACE_CLOSED,
	PLACE_FULL,
};

static const struct {
	const char *name, *address;
	enum place place;
	const char *source, *interface;
	uint32_t mark;
	enum probe_outcome outcome;
	int32_t detail;
} connect_cases[] = {
	{ "listens", "127.0.0.1", PLACE_LISTENS, NULL, "", 0, PROBE_OK, 0 },
	{ "IPv6", "::1", PLACE_LISTENS, NULL, "", 0, PROBE_OK, 0 },
	{ "source address", "127.0.0.1", PLACE_LISTENS, "127.0.0.9", "", 0, PROBE_OK, 0 },
	{ "interface", "127.0.0.1", PLACE_LISTENS, NULL, "lo", 0, PROBE_OK, 0 },
	{ "closed", "127.0.0.1", PLACE_CLOSED, NULL, "", 0, PROBE_REFUSED, ECONNREFUSED },
	{ "full backlog", "127.0.0.1", PLACE_FULL, NULL, "", 0, PROBE_CONNECT_TIMEOUT, 0 },
	{ "no route", "2001:db8::1", PLACE_CLOSED, NULL, "lo", 0, PROBE_UNREACHABLE, ENETUNREACH },
	{ "a source that is not ours", "127.0.0.1", PLACE_LISTENS, "192.0.2.1", "", 0,
	  PROBE_INTERNAL_ERROR, EADDRNOTAVAIL },
	{ "no such interface", "127.0.0.1", PLACE_LISTENS, NULL, "nosuchif", 0,
	  PROBE_INTERNAL_ERROR, ENODEV },
	{ "a mark without the capability", "127.0.0.1", PLACE_LISTENS, NULL, "", 7,
	  PROBE_INTERNAL_ERROR, EPERM },
};

static void test_connect_outcomes(void **state)
{
	static const enum protocol_check checks[] = { PROTOCOL_CHECK_TCP, PROTOCOL_CHECK_HTTP };
	static struct rig rig;
	const struct protocol_result *r;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(connect_cases) * ARRAY_SIZE(checks); i++) {
		size_t c = i / ARRAY_SIZE(checks);
		struct protocol_probe p = probe_make(i, checks[i % ARRAY_SIZE(checks)],
						     connect_cases[c].address, closed_port());

		if (connect_cases[c].place != PLACE_CLOSED)
			p.port = rig_server(&rig, p.addr.family,
					    connect_cases[c].place == PLACE_FULL
						    ? SERVER_FULL_BACKLOG
						    : SERVER_ANSWER,
					    OK_HEAD "Content-Length: 0\r\n\r\n")
					 ->port;
		if (connect_cases[c].source)
			assert_int_equal(addr_parse(connect_cases[c].source, &p.source), 0);
		if (connect_cases[c].place == PLACE_FULL)
			p.timeout_usec = SHORT_TIMEOUT_USEC;
		p.firewall_mark = connect_cases[c].mark;
		strcpy(p.interface, connect_cases[c].interface);
		send_record(&rig, &p, sizeof(p));
	}
	for (size_t i = 0; i < ARRAY_SIZE(connect_cases) * ARRAY_SIZE(checks); i++) {
		size_t c = i / ARRAY_SIZE(checks);
		bool http = checks[i % ARRAY_SIZE(checks)] == PROTOCOL_CHECK_HTTP;
		enum probe_outcome outcome = connect_cases[c].outcome;

		r = wait_result(&rig, i, 1);
		if (r->outcome != outcome ||
		    r->detail != (http && outcome == PROBE_OK ? 200 : connect_cases[c].detail))
			fail_msg("%s, %s: %s, detail %d", connect_cases[c].name,
				 http ? "http" : "tcp",
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
		if (outcome == PROBE_CONNECT_TIMEOUT)
			assert_at_deadline(r, SHORT_TIMEOUT_USEC);
	}
	rig_deinit(&rig);
}

/* The due times of one probe are phase + n x interval, whatever the answers take, and none starts early. */
static void assert_fixed_rate(const struct rig *rig, uint64_t id, usec_t interval_usec)
{
	usec_t last = 0;
	size_t n = 0;

	for (size_t i = 0; i < rig->n_results; i++) {
		const struct protocol_result *r = &rig->results[i];

		if (r->id != id)
			continue;
		assert_true(r->start_usec >= r->due_usec);
		if (n++ > 1)
			assert_int_equal((r->due_usec - last) % interval_usec, 0);
		assert_true(r->due_usec > last);
		last = r->due_usec;
	}
	assert_true(n >= 5);
}

static void test_fixed_rate(void **state)
{
	static const usec_t interval_usec = 60 * USEC_PER_MSEC;
	static struct rig rig;
	struct scripted_server *quick, *silent;
	struct protocol_probe p;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	quick = rig_server(&rig, AF_INET, SERVER_ANSWER, OK_HEAD "Content-Length: 0\r\n\r\n");
	silent = rig_server(&rig, AF_INET, SERVER_SILENT, NULL);
	for (uint64_t id = 0; id < 3; id++) {
		p = probe_make(id, PROTOCOL_CHECK_HTTP, "127.0.0.1",
			       id == 0 ? quick->port : silent->port);
		p.interval_usec = interval_usec;
		/* Nothing is skipped where the timeout is the whole interval. */
		p.timeout_usec = id == 2 ? interval_usec : interval_usec / 2;
		send_record(&rig, &p, sizeof(p));
	}
	wait_results(&rig, 40);
	for (uint64_t id = 0; id < 3; id++)
		assert_fixed_rate(&rig, id, interval_usec);
	rig_deinit(&rig);
}

static void test_del_and_replace(void **state)
{
	static struct rig rig;
	struct scripted_server *s;
	struct protocol_probe p;
	size_t n;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	s = rig_server(&rig, AF_INET, SERVER_ANSWER, "HTTP/1.1 418 Teapot\r\n\r\n");
	p = probe_make(7, PROTOCOL_CHECK_HTTP, "127.0.0.1", s->port);
	p.interval_usec = p.timeout_usec = 20 * USEC_PER_MSEC;
	send_record(&rig, &p, sizeof(p));
	assert_int_equal(wait_result(&rig, 7, 1)->outcome, PROBE_WRONG_STATUS);
	p.generation = 2;
	p.has_history = 1;
	p.matcher[0] = (struct protocol_range){ 418, 418 };
	send_record(&rig, &p, sizeof(p));
	assert_int_equal(wait_result(&rig, 7, 2)->outcome, PROBE_OK);
	/* What was under way when the first was replaced is not reported. */
	wait_results(&rig, rig.n_results + 3);
	assert_int_equal(rig.results[rig.n_results - 1].generation, 2);
	send_del(&rig, 7);
	send_del(&rig, 8); /* never known */
	wait_heartbeats(&rig, 1);
	n = rig.n_results;
	wait_heartbeats(&rig, 1);
	assert_int_equal(rig.n_results, n);
	assert_int_equal(rig.heartbeat.probes, 0);
	assert_int_equal(rig.heartbeat.in_flight, 0);
	rig_deinit(&rig);
}

static void test_hello_and_heartbeat(void **state)
{
	static struct rig rig;
	usec_t first;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	wait_heartbeats(&rig, 1);
	assert_int_equal(rig.n_hellos, 1);
	assert_int_equal(rig.hello_pid, rig.pid);
	first = rig.heartbeat.now_usec;
	wait_heartbeats(&rig, 1);
	assert_true(rig.heartbeat.now_usec > first);
	assert_true(rig.heartbeat.now_usec <= clock_monotonic_usec());
	rig_deinit(&rig); /* closes the daemon's end; expects exit status 0 */
}

/* A daemon that does not read: the worker goes on probing, and what it found is there later, in order. */
static void test_slow_daemon(void **state)
{
	static struct rig rig;
	struct protocol_probe p;
	struct protocol_result last = { 0 }, r;
	struct pollfd nobody = { .fd = -1 };
	usec_t end;
	char buffer[2048];
	size_t n = 0;

	(void)state;
	rig_init(&rig);
	send_hello(&rig);
	for (uint64_t id = 0; id < 50; id++) {
		p = probe_make(id, PROTOCOL_CHECK_TCP, "127.0.0.1", closed_port());
		p.interval_usec = p.timeout_usec = 10 * USEC_PER_MSEC;
		send_record(&rig, &p, sizeof(p));
	}
	end = clock_monotonic_usec() + 300 * USEC_PER_MSEC;
	while (clock_monotonic_usec() < end)
		(void)poll(&nobody, 1, 10);
	while (n < 2000) {
		ssize_t size = recv(rig.fd, buffer, sizeof(buffer), 0);
		enum protocol_kind kind;

		assert_int_equal(protocol_check(buffer, (size_t)size, &kind), 0);
		if (kind != PROTOCOL_RESULT)
			continue;
		memcpy(&r, buffer, sizeof(r));
		assert_int_equal(r.outcome, PROBE_REFUSED);
		assert_true(r.start_usec + r.duration_usec + USEC_PER_MSEC >=
			    last.start_usec + last.duration_usec);
		last = r;
		n++;
	}
	rig_deinit(&rig);
}

static void expect_failure(struct rig *rig, const char *message)
{
	char text[STDERR_MAX] = { 0 };

	assert_int_equal(rig_wait_exit(rig), EXIT_FAILURE);
	assert_true(pread(rig->stderr_fd, text, sizeof(text) - 1, 0) > 0);
	if (!strstr(text, message))
		fail_msg("worker said: %s", text);
}

static void test_bad_records(void **state)
{
	enum { NO_HELLO, OLD_VERSION, BAD_KIND, WORKERS_KIND, SHORT, LONG, INSANE, N_CASES };
	static struct rig rig;

	(void)state;
	for (unsigned i = 0; i < N_CASES; i++) {
		struct protocol_probe p = probe_make(1, PROTOCOL_CHECK_TCP, "127.0.0.1", 1);
		struct protocol_heartbeat beat = { .now_usec = 1 };
		char large[4096] = { 0 };

		rig_init(&rig);
		if (i != NO_HELLO)
			send_hello(&rig);
		protocol_init(&beat.header, PROTOCOL_HEARTBEAT, sizeof(beat));
		if (i == OLD_VERSION)
			p.header.version = 0;
		if (i == BAD_KIND)
			p.header.kind = 99;
		if (i == INSANE)
			p.interval_usec = 0;
		memcpy(large, &p, sizeof(p));
		if (i == WORKERS_KIND)
			send_record(&rig, &beat, sizeof(beat));
		else
			send_record(&rig, large,
				    i == SHORT	? sizeof(p) - 1
				    : i == LONG ? sizeof(large)
						: sizeof(p));
		expect_failure(&rig, "health worker: bad record");
		rig_deinit(&rig);
	}
}

static bool status_has(const char *text, const char *field, const char *value)
{
	const char *line = strstr(text, field);

	assert_non_null(line);
	line += strlen(field);
	line += strspn(line, " \t");
	return strncmp(line, value, strlen(value)) == 0;
}

static void test_privileges(void **state)
{
	static const struct {
		const char *field, *value;
		bool as_root_only;
	} cases[] = {
		{ "\nNoNewPrivs:", "1\n", false },
		{ "\nSeccomp:", "2\n", false },
		{ "\nCapInh:", "0000000000000000\n", false },
		{ "\nCapPrm:", "0000000000000000\n", false },
		{ "\nCapEff:", "0000000000000000\n", false },
		{ "\nCapAmb:", "0000000000000000\n", false },
		{ "\nCapBnd:", "0000000000000000\n", true },
		{ "\nUid:", "65534\t65534\t65534\t65534\n", true },
		{ "\nGid:", "65534\t65534\t65534\t65534\n", true },
		{ "\nGroups:", "65534 \n", true },
	};
	static struct rig rig;
	char path[64], text[4096] = { 0 };
	_cleanup_fclose_ FILE *f = NULL;

	(void)state;
	rig_init(&rig);
	while (rig.n_hellos == 0) /* says it when its privileges are gone */
		pump(&rig);
	(void)snprintf(path, sizeof(path), "/proc/%d/status", rig.pid);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_true(fread(text, 1, sizeof(text) - 1, f) > 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		if (!cases[i].as_root_only || geteuid() == 0)
			if (!status_has(text, cases[i].field, cases[i].value))
				fail_msg("%s is not %s in %s", cases[i].field, cases[i].value,
					 text);
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hello_and_heartbeat), cmocka_unit_test(test_http_outcomes),
		cmocka_unit_test(test_http_request),	    cmocka_unit_test(test_connect_outcomes),
		cmocka_unit_test(test_fixed_rate),	    cmocka_unit_test(test_del_and_replace),
		cmocka_unit_test(test_slow_daemon),	    cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_privileges),
	};

	log_init(LOG_INFO);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

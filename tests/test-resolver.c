/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The resolver process behind its link, as the daemon runs it, against a real name server (dnsmasq) and one that does
 * what none should. Each test has a loopback address of its own for them.
 */

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/resolver-link.h"
#include "daemon/resolver.h"
#include "tests/temporary.h"

#define LIMIT_USEC (20 * USEC_PER_SEC)
#define TIMEOUT_USEC (60 * USEC_PER_MSEC) /* where nobody answers in time */
#define ANSWER_USEC (5 * USEC_PER_SEC)	  /* where somebody does: no busy machine takes so long */

enum {
	DNSMASQ_PORT = 5300,
	FAULTY_PORT = 5301,
	MANY = 1000,
};

enum fault {
	FAULT_SILENT,
	FAULT_GARBAGE,
	FAULT_OTHER_ID,
	FAULT_REFUSED,
	FAULT_FAILURE,
	FAULT_NO_RECORD_DATA, /* says an A record of four bytes, and ends */
	FAULT_POINTER_LOOP,
	FAULT_OTHER_NAME, /* answers what was not asked for */
	_FAULT_MAX,
};

struct fixture {
	char directory[TEMPORARY_MAX], address[24];
	sd_event *event;
	struct resolver_link *link;
	pid_t dnsmasq;
	int faulty_fd;
	sd_event_source *faulty;
	enum fault fault;
	uint32_t next_id, id; /* of the last answer */
	struct discovery_answer answer;
	struct discovery_item items[4096];
	unsigned n_answers, n_lost, n_lost_expected;
};

static void on_answer(uint32_t id, const struct discovery_answer *a, void *userdata)
{
	struct fixture *f = userdata;

	f->id = id;
	f->answer = *a;
	memcpy(f->items, a->items, a->n * sizeof(*a->items));
	f->n_answers++;
}

static void on_lost(const char *text, void *userdata)
{
	struct fixture *f = userdata;

	assert_non_null(strstr(text, "names keep their last answers"));
	f->n_lost++;
}

static int on_faulty(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	static const uint8_t garbage[] = "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xc0\x0c";
	static const uint8_t no_data[] = "\xc0\x0c\0\1\0\1\0\0\0\7\0\4";
	static const uint8_t loop[] = "\xc0\x1a\0\1\0\1\0\0\0\7\0\4\1\2\3\4";
	static const uint8_t other[] = "\5other\0\0\1\0\1\0\0\0\7\0\4\1\2\3\4";
	struct fixture *f = userdata;
	struct sockaddr_in peer;
	socklen_t len = sizeof(peer);
	uint8_t m[1024];
	ssize_t n;
	size_t question;

	(void)s;
	(void)revents;
	n = recvfrom(fd, m, 512, MSG_DONTWAIT, (struct sockaddr *)&peer, &len);
	if (n < 12 || f->fault == FAULT_SILENT)
		return 0;
	question = 12;
	while (m[question])
		question += m[question] + 1U;
	question += 5;
	m[2] = 0x81; /* an answer, to a question that asked for recursion */
	m[3] = 0x80;
	m[7] = m[9] = m[11] = 0; /* without other sections: what EDNS added is cut */
	n = (ssize_t)question;
#define ADD(bytes)                                                                                 \
	do {                                                                                       \
		memcpy(m + n, bytes, sizeof(bytes) - 1);                                           \
		n += (ssize_t)sizeof(bytes) - 1;                                                   \
		m[7] = 1;                                                                          \
	} while (0)
	switch (f->fault) {
	case FAULT_GARBAGE:
		memcpy(m + 2, garbage, sizeof(garbage));
		break;
	case FAULT_OTHER_ID:
		m[0] ^= 1;
		break;
	case FAULT_REFUSED:
		m[3] |= 5;
		break;
	case FAULT_FAILURE:
		m[3] |= 2;
		break;
	case FAULT_NO_RECORD_DATA:
		ADD(no_data);
		break;
	case FAULT_POINTER_LOOP:
		ADD(loop);
		break;
	default:
		ADD(other);
	}
	(void)sendto(fd, m, (size_t)n, 0, (struct sockaddr *)&peer, len);
	return 0;
}

static void start_faulty(struct fixture *f)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(FAULTY_PORT) };

	assert_int_equal(inet_pton(AF_INET, f->address, &a.sin_addr), 1);
	f->faulty_fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	assert_true(f->faulty_fd >= 0);
	assert_int_equal(bind(f->faulty_fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_true(sd_event_add_io(f->event, &f->faulty, f->faulty_fd, EPOLLIN, on_faulty, f) >=
		    0);
}

static char *text_of(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *text_of(const char *format, ...)
{
	char *text;
	va_list ap;

	va_start(ap, format);
	assert_true(vasprintf(&text, format, ap) > 0);
	va_end(ap);
	return text;
}

static void write_hosts(const struct fixture *f)
{
	_cleanup_free_ char *path = text_of("%s/hosts", f->directory);
	FILE *file = fopen(path, "we");

	assert_non_null(file);
	for (unsigned i = 1; i <= MANY; i++)
		(void)fprintf(file, "10.1.%u.%u many.test\n", i >> 8, i & 255);
	assert_int_equal(fclose(file), 0);
	assert_int_equal(chmod(path, 0644), 0);
	assert_int_equal(chmod(f->directory, 0755), 0);
}

/* It becomes a process of its own once it is bound, and says which in a file. */
static void start_dnsmasq(struct fixture *f)
{
	_cleanup_free_ char *listen = text_of("--listen-address=%s", f->address);
	_cleanup_free_ char *pid_file = text_of("--pid-file=%s/pid", f->directory);
	_cleanup_free_ char *hosts = text_of("--addn-hosts=%s/hosts", f->directory);
	char *const argv[] = { (char *)"dnsmasq",
			       listen,
			       pid_file,
			       hosts,
			       (char *)"--conf-file=/dev/null",
			       (char *)"--port=5300",
			       (char *)"--bind-interfaces",
			       (char *)"--no-resolv",
			       (char *)"--no-hosts",
			       (char *)"--user=root",
			       (char *)"--log-facility=/dev/null",
			       (char *)"--local-ttl=7",
			       (char *)"--local=/test/",
			       (char *)"--host-record=web.test,10.0.0.1,2001:db8::1",
			       (char *)"--host-record=a.test,10.0.0.11",
			       (char *)"--host-record=b.test,10.0.0.12",
			       (char *)"--host-record=c.test,10.0.0.13",
			       (char *)"--cname=alias.test,web.test",
			       (char *)"--srv-host=_http._tcp.svc.test,a.test,8080,1,5",
			       (char *)"--srv-host=_http._tcp.svc.test,b.test,8081,1,0",
			       (char *)"--srv-host=_http._tcp.svc.test,gone.test,8083,1,9",
			       (char *)"--srv-host=_http._tcp.svc.test,c.test,8082,2,7",
			       (char *)"--srv-host=_even._tcp.svc.test,a.test,1,0,0",
			       (char *)"--srv-host=_even._tcp.svc.test,b.test,2,0,0",
			       NULL };
	_cleanup_fclose_ FILE *file = NULL;
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		(void)execvp("dnsmasq", argv);
		(void)execv("/usr/sbin/dnsmasq", argv);
		_exit(127);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (status != 0)
		fail_msg("dnsmasq does not start: %d (Debian: dnsmasq-base)", status);
	file = fopen(pid_file + strlen("--pid-file="), "re");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%d", &f->dnsmasq), 1);
}

static void stop_dnsmasq(struct fixture *f)
{
	/* Its parent has left it to us, the subreaper. */
	if (f->dnsmasq > 0 && kill(f->dnsmasq, SIGKILL) == 0)
		(void)waitpid(f->dnsmasq, NULL, 0);
	f->dnsmasq = 0;
}

static void use_server(struct fixture *f, int port, usec_t timeout_usec)
{
	_cleanup_free_ char *servers = text_of("%s:%d", f->address, port);
	const struct resolver_settings s = { "nobody", servers, timeout_usec };
	bool changed;

	assert_int_equal(resolver_link_configure(f->link, &s, &changed), 0);
}

static int setup(void **state)
{
	const struct resolver_handlers handlers = { on_answer, on_lost, NULL };
	struct fixture *f = calloc(1, sizeof(*f));
	struct resolver_handlers mine = handlers;
	static unsigned n_tests;
	sigset_t child;

	*state = f;
	f->faulty_fd = -1;
	/* One for each test: a process of dnsmasq that serves a TCP connection outlives it, with its sockets. */
	(void)snprintf(f->address, sizeof(f->address), "127.%d.%d.%u", 64 + (getpid() >> 8) % 128,
		       getpid() & 255, ++n_tests);
	(void)sigemptyset(&child);
	(void)sigaddset(&child, SIGCHLD);
	if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0 ||
	    sigprocmask(SIG_BLOCK, &child, NULL) < 0 || temporary_make(f->directory) < 0 ||
	    sd_event_new(&f->event) < 0)
		return -1;
	mine.userdata = f;
	return resolver_link_new(f->event, &mine, &f->link);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	stop_dnsmasq(f);
	resolver_link_free(f->link);
	sd_event_source_disable_unref(f->faulty);
	cleanup_close(&f->faulty_fd);
	sd_event_unref(f->event);
	(void)temporary_remove(f->directory);
	free(f);
	return 0;
}

/* Runs the loop until the counter moves. */
static void wait_for(struct fixture *f, const unsigned *counter, unsigned value)
{
	usec_t end = clock_monotonic_usec() + LIMIT_USEC;

	while (*counter < value) {
		usec_t now = clock_monotonic_usec();

		if (now >= end || (counter != &f->n_lost && f->n_lost > f->n_lost_expected))
			fail_msg("nothing, or no process, within %d s",
				 (int)(LIMIT_USEC / USEC_PER_SEC));
		assert_true(sd_event_run(f->event, end - now) >= 0);
	}
}

/* The process may still be on its way out, or wait for its restart. */
static void send_question(struct fixture *f, const char *name, uint16_t family)
{
	usec_t end = clock_monotonic_usec() + LIMIT_USEC;
	int r;

	while ((r = resolver_link_ask(f->link, ++f->next_id, name, family, name[0] == '_')) < 0) {
		assert_true(r == -EAGAIN || r == -EHOSTDOWN);
		assert_true(clock_monotonic_usec() < end);
		assert_true(sd_event_run(f->event, 10 * USEC_PER_MSEC) >= 0);
	}
}

static enum discovery_status ask(struct fixture *f, const char *name, uint16_t family)
{
	f->n_answers = 0;
	send_question(f, name, family);
	wait_for(f, &f->n_answers, 1);
	assert_int_equal(f->id, f->next_id);
	return f->answer.status;
}

/* With a timeout so short that a busy machine may miss it, but not every time. */
static void ask_until(struct fixture *f, enum discovery_status expected)
{
	usec_t end = clock_monotonic_usec() + LIMIT_USEC;

	while (ask(f, "web.test.", AF_INET) != expected)
		assert_true(clock_monotonic_usec() < end);
}

static void assert_item(const struct fixture *f, const char *target, unsigned weight)
{
	char text[ADDR_PORT_STR_MAX];

	for (size_t i = 0; i < f->answer.n; i++) {
		addr_port_format(&f->items[i].addr, f->items[i].port, text);
		if (strcmp(text, target) == 0) {
			assert_int_equal(f->items[i].weight, weight);
			return;
		}
	}
	fail_msg("%s is not in the answer", target);
}

static void test_addresses(void **state)
{
	struct fixture *f = *state;

	write_hosts(f);
	start_dnsmasq(f);
	use_server(f, DNSMASQ_PORT, ANSWER_USEC);
	assert_int_equal(ask(f, "web.test", AF_INET), DISCOVERY_OK);
	assert_int_equal(f->answer.n, 1);
	assert_int_equal(f->answer.ttl_sec, 7);
	assert_item(f, "10.0.0.1:0", 100);
	assert_int_equal(ask(f, "web.test", AF_INET6), DISCOVERY_OK);
	assert_item(f, "[2001:db8::1]:0", 100);
	assert_int_equal(ask(f, "alias.test.", AF_INET), DISCOVERY_OK);
	assert_item(f, "10.0.0.1:0", 100);
	assert_int_equal(ask(f, "none.test.", AF_INET), DISCOVERY_NO_NAME);
	assert_int_equal(ask(f, "a.test", AF_INET6), DISCOVERY_NO_ADDRESS);
	assert_int_equal(f->answer.n, 0);
	assert_int_equal(f->n_lost, 0);
}

/* 16 KiB of addresses: cut off in the datagram, whole by TCP. */
static void test_a_thousand_addresses(void **state)
{
	struct fixture *f = *state;

	write_hosts(f);
	start_dnsmasq(f);
	use_server(f, DNSMASQ_PORT, ANSWER_USEC);
	assert_int_equal(ask(f, "many.test", AF_INET), DISCOVERY_OK);
	assert_int_equal(f->answer.n, MANY);
	assert_item(f, "10.1.3.232:0", 100);
}

static void test_services(void **state)
{
	struct fixture *f = *state;

	write_hosts(f);
	start_dnsmasq(f);
	use_server(f, DNSMASQ_PORT, ANSWER_USEC);
	/* Of the lowest priority, without the one whose name does not exist. */
	assert_int_equal(ask(f, "_http._tcp.svc.test", AF_INET), DISCOVERY_OK);
	assert_int_equal(f->answer.n, 2);
	assert_item(f, "10.0.0.11:8080", 5);
	assert_item(f, "10.0.0.12:8081", 1);
	assert_int_equal(ask(f, "_even._tcp.svc.test", AF_INET), DISCOVERY_OK);
	assert_item(f, "10.0.0.11:1", 100);
	assert_item(f, "10.0.0.12:2", 100);
	assert_int_equal(ask(f, "_http._tcp.svc.test", AF_INET6), DISCOVERY_NO_ADDRESS);
	assert_int_equal(ask(f, "_none._tcp.svc.test", AF_INET), DISCOVERY_NO_NAME);
}

static void test_many_questions_at_once(void **state)
{
	struct fixture *f = *state;

	write_hosts(f);
	start_dnsmasq(f);
	use_server(f, DNSMASQ_PORT, ANSWER_USEC);
	for (unsigned i = 0; i < 60; i++)
		send_question(f, i % 2 ? "web.test" : "_http._tcp.svc.test", AF_INET);
	wait_for(f, &f->n_answers, 60);
	assert_int_equal(f->n_lost, 0);
}

static void test_server_away_and_back(void **state)
{
	struct fixture *f = *state;
	enum discovery_status status;

	write_hosts(f);
	start_dnsmasq(f);
	use_server(f, DNSMASQ_PORT, ANSWER_USEC);
	assert_int_equal(ask(f, "web.test", AF_INET), DISCOVERY_OK);
	use_server(f, DNSMASQ_PORT, TIMEOUT_USEC);
	ask_until(f, DISCOVERY_OK);
	assert_int_equal(kill(f->dnsmasq, SIGSTOP), 0);
	assert_int_equal(ask(f, "web.test", AF_INET), DISCOVERY_TIMEOUT);
	assert_int_equal(kill(f->dnsmasq, SIGCONT), 0);
	ask_until(f, DISCOVERY_OK);
	stop_dnsmasq(f);
	status = ask(f, "web.test", AF_INET);
	assert_true(status == DISCOVERY_UNREACHABLE || status == DISCOVERY_TIMEOUT);
	start_dnsmasq(f);
	ask_until(f, DISCOVERY_OK);
	assert_int_equal(f->n_lost, 0);
}

static void test_faulty_server(void **state)
{
	static const enum discovery_status expected[_FAULT_MAX] = {
		[FAULT_SILENT] = DISCOVERY_TIMEOUT,
		[FAULT_GARBAGE] = DISCOVERY_TIMEOUT, /* no answer to what was asked */
		[FAULT_OTHER_ID] = DISCOVERY_TIMEOUT,
		/* c-ares goes on to the next server, and says no more when there is none. */
		[FAULT_REFUSED] = DISCOVERY_UNREACHABLE,
		[FAULT_FAILURE] = DISCOVERY_UNREACHABLE,
		[FAULT_NO_RECORD_DATA] = DISCOVERY_MALFORMED,
		[FAULT_POINTER_LOOP] = DISCOVERY_MALFORMED,
		[FAULT_OTHER_NAME] = DISCOVERY_NO_ADDRESS,
	};
	struct fixture *f = *state;

	start_faulty(f);
	for (unsigned late = 0; late < 2; late++) {
		use_server(f, FAULTY_PORT, late ? TIMEOUT_USEC : ANSWER_USEC);
		for (f->fault = 0; f->fault < _FAULT_MAX; f->fault++) {
			enum discovery_status status;

			if ((expected[f->fault] == DISCOVERY_TIMEOUT) != late)
				continue;
			status = ask(f, "web.test.", AF_INET);
			if (status != expected[f->fault])
				fail_msg("fault %d: %s", (int)f->fault,
					 discovery_status_to_string(status));
		}
		assert_int_equal(f->n_lost, 0);
		assert_int_equal(resolver_link_restarts(f->link), late); /* by use_server() */
	}
}

/* A process that ends, and one that only seems to live, are replaced. */
static void test_process_dies_or_hangs(void **state)
{
	struct fixture *f = *state;

	start_faulty(f);
	f->fault = FAULT_REFUSED;
	use_server(f, FAULTY_PORT, ANSWER_USEC);
	assert_int_equal(ask(f, "web.test.", AF_INET), DISCOVERY_UNREACHABLE);
	assert_int_equal(kill(resolver_link_pid(f->link), SIGKILL), 0);
	wait_for(f, &f->n_lost, 1);
	f->n_lost_expected = 2;
	/* Not at once: a process that cannot live is not started in a loop. */
	assert_true(resolver_link_ask(f->link, 0, "web.test.", AF_INET, false) < 0);
	assert_int_equal(ask(f, "web.test.", AF_INET), DISCOVERY_UNREACHABLE);
	assert_int_equal(resolver_link_restarts(f->link), 1);
	/* How long it may be silent follows from the timeout. */
	use_server(f, FAULTY_PORT, TIMEOUT_USEC);
	ask_until(f, DISCOVERY_UNREACHABLE);
	assert_int_equal(resolver_link_restarts(f->link), 2);
	assert_int_equal(kill(resolver_link_pid(f->link), SIGSTOP), 0);
	send_question(f, "web.test.", AF_INET);
	wait_for(f, &f->n_lost, 2);
	ask_until(f, DISCOVERY_UNREACHABLE);
	assert_int_equal(resolver_link_restarts(f->link), 3);
}

#define resolves(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		resolves(test_addresses),
		resolves(test_a_thousand_addresses),
		resolves(test_services),
		resolves(test_many_questions_at_once),
		resolves(test_server_away_and_back),
		resolves(test_faulty_server),
		resolves(test_process_dies_or_hangs),
	};

	/* The link starts /proc/self/exe, which is ipvsd for the daemon and this program here. */
	if (argc >= 4 && strcmp(argv[1], "resolver") == 0) {
		log_init(LOG_INFO);
		return resolver_main(3, argv[2], strtoul(argv[3], NULL, 10) * USEC_PER_MSEC,
				     argc > 4 ? argv[4] : NULL);
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What a probe costs: the real health worker against a server that listens on 127.0.0.0/8.
 *
 *   bench-worker tcp|http PORT PROBES INTERVAL_MSEC SECONDS
 *
 * Prints checks a second, worker CPU a check (user and system apart), its peak memory, and its latest start.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/log.h"
#include "health/outcome.h"
#include "health/protocol.h"
#include "health/worker.h"

struct bench {
	enum protocol_check check;
	uint16_t port;
	unsigned probes;
	usec_t interval_usec, length_usec;
	uint64_t checks, outcomes[_PROBE_OUTCOME_MAX];
	usec_t max_lateness_usec;
	uint64_t skipped;
};

static unsigned number(const char *text)
{
	return (unsigned)strtoul(text, NULL, 10);
}

static void send_specs(const struct bench *b, int fd)
{
	struct protocol_hello hello = { .pid = (uint32_t)getpid() };

	protocol_init(&hello.header, PROTOCOL_HELLO, sizeof(hello));
	(void)send(fd, &hello, sizeof(hello), 0);
	for (unsigned i = 0; i < b->probes; i++) {
		struct protocol_probe_record
			r = { .probe = {
				      .id = i,
				      .check = (uint8_t)b->check,
				      .port = b->port,
				      .addr = { .family = AF_INET,
						.bytes = { 127, 1, (uint8_t)(i / 250),
							   (uint8_t)(1 + i % 250) } },
				      .flags = PROTOCOL_PROBE_HISTORY,
				      .interval_usec = b->interval_usec,
				      .timeout_usec = b->interval_usec,
				      .n_matcher = 1,
				      .matcher = { { 200, 299 } },
			      } };

		protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
		(void)protocol_probe_append(&r, PROTOCOL_TEXT_PATH, "/", 1);
		if (send(fd, &r, r.probe.header.size, 0) < 0)
			perror("send");
	}
}

static void take_record(struct bench *b, const void *record, size_t size)
{
	union {
		struct protocol_result result;
		struct protocol_heartbeat heartbeat;
	} u;
	enum protocol_kind kind;

	if (protocol_check(record, size, &kind) < 0 || size > sizeof(u))
		return;
	memcpy(&u, record, size);
	if (kind == PROTOCOL_RESULT) {
		b->checks++;
		b->outcomes[u.result.outcome]++;
	} else if (kind == PROTOCOL_HEARTBEAT) {
		if (u.heartbeat.max_lateness_usec > b->max_lateness_usec)
			b->max_lateness_usec = u.heartbeat.max_lateness_usec;
		b->skipped = u.heartbeat.probes_skipped;
	}
}

static void read_results(struct bench *b, int fd)
{
	usec_t end = clock_monotonic_usec() + b->length_usec;

	while (clock_monotonic_usec() < end) {
		char bytes[PROTOCOL_DATAGRAM_MAX];
		ssize_t n = recv(fd, bytes, sizeof(bytes), 0);

		if (n <= 0)
			return;
		for (size_t at = 0, size; at < (size_t)n; at += size) {
			size = protocol_first_size(bytes + at, (size_t)n - at);
			take_record(b, bytes + at, size);
		}
	}
}

static void print(const struct bench *b, const struct rusage *ru)
{
	double user = (double)ru->ru_utime.tv_sec * 1e6 + (double)ru->ru_utime.tv_usec;
	double system = (double)ru->ru_stime.tv_sec * 1e6 + (double)ru->ru_stime.tv_usec;

	if (b->checks == 0)
		return;
	printf("%s: %.0f checks/s, %.1f us CPU a check (%.1f user, %.1f system), peak %ld KiB, "
	       "latest start %.1f ms late, %llu skipped;",
	       b->check == PROTOCOL_CHECK_TCP ? "tcp" : "http",
	       (double)b->checks * 1e6 / (double)b->length_usec,
	       (user + system) / (double)b->checks, user / (double)b->checks,
	       system / (double)b->checks, ru->ru_maxrss, (double)b->max_lateness_usec / 1e3,
	       (unsigned long long)b->skipped);
	for (int o = 0; o < _PROBE_OUTCOME_MAX; o++)
		if (b->outcomes[o])
			printf(" %s %llu", probe_outcome_to_string((enum probe_outcome)o),
			       (unsigned long long)b->outcomes[o]);
	printf("\n");
}

int main(int argc, char **argv)
{
	struct bench b = { 0 };
	struct rusage ru;
	int pair[2];
	pid_t pid;

	if (argc != 6) {
		fprintf(stderr, "usage: %s tcp|http PORT PROBES INTERVAL_MSEC SECONDS\n", argv[0]);
		return EXIT_FAILURE;
	}
	b.check = strcmp(argv[1], "tcp") == 0 ? PROTOCOL_CHECK_TCP : PROTOCOL_CHECK_HTTP;
	b.port = (uint16_t)number(argv[2]);
	b.probes = number(argv[3]);
	b.interval_usec = number(argv[4]) * USEC_PER_MSEC;
	b.length_usec = number(argv[5]) * USEC_PER_SEC;
	log_init(LOG_INFO);
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return EXIT_FAILURE;
	pid = fork();
	if (pid == 0)
		_exit(worker_main(pair[1], "nobody", WORKER_NETWORK));
	(void)close(pair[1]);
	send_specs(&b, pair[0]);
	read_results(&b, pair[0]);
	(void)close(pair[0]);
	if (pid < 0 || wait4(pid, NULL, 0, &ru) != pid)
		return EXIT_FAILURE;
	print(&b, &ru);
	return EXIT_SUCCESS;
}

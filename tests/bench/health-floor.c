/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The system calls of a tcp or http check and nothing else: the least that a program with epoll which makes a new
 * connection for each check can take, on this kernel.
 *
 *   health-floor tcp|http PORT TARGETS INTERVAL_MSEC SECONDS
 *
 * The same targets, options, grid of starts and order of calls as bench-worker's where it has no io_uring: connect,
 * send, recv, and connect(AF_UNSPEC), which resets; and some rest before each wait, as the worker takes it. No schedule,
 * no deadline, no parsing, no result.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"

enum {
	SOCKETS_MAX = 8192,
	EVENTS = 256,
};

#define SLOT_USEC (50 * USEC_PER_MSEC)
#define WARM_UP_USEC USEC_PER_SEC

static const char request[] =
	"GET / HTTP/1.1\r\nHost: 127.1.10.100:10000\r\nUser-Agent: ipvsd/0.1\r\n"
	"Accept: */*\r\nConnection: close\r\n\r\n";

struct floor {
	int epoll_fd;
	int fds[SOCKETS_MAX];
	bool sent[SOCKETS_MAX];
	unsigned n; /* sockets, each of them one check in a slot */
	bool http;
	uint16_t port;
	unsigned targets, next_target, left;
	uint64_t checks, failed;
};

static void sleep_until(usec_t at_usec)
{
	const struct timespec at = {
		.tv_sec = (time_t)(at_usec / USEC_PER_SEC),
		.tv_nsec = (long)(at_usec % USEC_PER_SEC) * 1000,
	};

	while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &at, NULL) == EINTR)
		;
}

static double cpu_usec(void)
{
	struct rusage u;

	(void)getrusage(RUSAGE_SELF, &u);
	return (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1e6 +
	       (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec);
}

static int open_socket(struct floor *f, unsigned i)
{
	const struct linger reset = { .l_onoff = 1 };
	const int seconds = 1;
	struct epoll_event wanted = { .events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = i };

	f->fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (f->fds[i] < 0 ||
	    setsockopt(f->fds[i], SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0 ||
	    setsockopt(f->fds[i], IPPROTO_TCP, TCP_DEFER_ACCEPT, &seconds, sizeof(seconds)) < 0 ||
	    epoll_ctl(f->epoll_fd, EPOLL_CTL_ADD, f->fds[i], &wanted) < 0)
		return -errno;
	return 0;
}

static void end_check(struct floor *f, unsigned i, bool good)
{
	const struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	(void)connect(f->fds[i], &nowhere, sizeof(nowhere));
	f->sent[i] = false;
	f->left--;
	f->checks++;
	f->failed += !good;
}

static void start_check(struct floor *f, unsigned i)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(f->port) };
	unsigned t = f->next_target;

	f->next_target = (t + 1) % f->targets;
	to.sin_addr.s_addr = htonl(0x7f010001U + (t / 250 << 8) + t % 250);
	if (connect(f->fds[i], (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		end_check(f, i, false);
}

static void on_event(struct floor *f, unsigned i, uint32_t events)
{
	char answer[8192];

	if (events & (EPOLLERR | EPOLLHUP))
		return; /* of the connection before */
	if (!f->http) {
		end_check(f, i, true);
	} else if (!f->sent[i]) {
		f->sent[i] = true;
		if (send(f->fds[i], request, sizeof(request) - 1, MSG_NOSIGNAL) < 0)
			end_check(f, i, false);
	} else if (events & EPOLLIN) {
		end_check(f, i, recv(f->fds[i], answer, sizeof(answer), 0) > 0);
	}
}

/* All checks of a slot, at once. */
static void run_slot(struct floor *f)
{
	struct epoll_event events[EVENTS];

	f->left = f->n;
	for (unsigned i = 0; i < f->n; i++)
		start_check(f, i);
	while (f->left > 0) {
		int n = epoll_wait(f->epoll_fd, events, EVENTS, 0);

		if (n == 0) {
			(void)poll(NULL, 0, 2);
			n = epoll_wait(f->epoll_fd, events, EVENTS, 1000);
		}
		if (n == 0) { /* no answer: reported as failed, and the slots after it are late */
			f->failed += f->left;
			return;
		}
		for (int j = 0; j < n; j++)
			on_event(f, events[j].data.u32, events[j].events);
	}
}

static void run_for(struct floor *f, usec_t usec)
{
	usec_t at = clock_monotonic_usec(), end = at + usec;

	for (; at < end; at += SLOT_USEC) {
		sleep_until(at);
		run_slot(f);
	}
}

int main(int argc, char **argv)
{
	static struct floor f;
	usec_t interval_usec;
	double before;
	int r = 0;

	if (argc != 6) {
		(void)fprintf(stderr, "usage: %s tcp|http PORT TARGETS INTERVAL_MSEC SECONDS\n",
			      argv[0]);
		return EXIT_FAILURE;
	}
	f.http = strcmp(argv[1], "http") == 0;
	f.port = (uint16_t)strtoul(argv[2], NULL, 10);
	f.targets = (unsigned)strtoul(argv[3], NULL, 10);
	interval_usec = strtoul(argv[4], NULL, 10) * USEC_PER_MSEC;
	f.n = (unsigned)MIN(f.targets * SLOT_USEC / interval_usec, (usec_t)SOCKETS_MAX);
	f.n = MAX(f.n, 1U);
	f.epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	for (unsigned i = 0; i < f.n && r == 0; i++)
		r = open_socket(&f, i);
	if (f.epoll_fd < 0 || r < 0) {
		(void)fprintf(stderr, "health-floor: no sockets\n");
		return EXIT_FAILURE;
	}
	run_for(&f, WARM_UP_USEC);
	f.checks = f.failed = 0;
	before = cpu_usec();
	run_for(&f, strtoul(argv[5], NULL, 10) * USEC_PER_SEC);
	printf("%.2f us CPU a check, %ju checks, %ju failed\n",
	       (cpu_usec() - before) / (double)MAX(f.checks, (uint64_t)1), (uintmax_t)f.checks,
	       (uintmax_t)f.failed);
	return f.failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

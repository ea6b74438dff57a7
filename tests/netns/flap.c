/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/netns/flap.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

enum {
	PORT = 8080,
	NET = 10 << 24 | 9 << 16,
	EVENTS = 256,
	CHANGE_INTERVALS = 10,
};

#define STEP_USEC (100 * USEC_PER_MSEC)
/* Between two looks at the table: to print it takes a second of an emulated processor. */
#define LOOK_USEC (500 * USEC_PER_MSEC)

DEFINE_CLEANUP(json_t *, json_decref)

struct flap {
	struct fixture *f; /* borrowed */
	unsigned n, changes, seed, n_wrong;
	usec_t interval_usec;
	_Atomic bool *down; /* owned; by address less NET */
	pthread_t thread;
	int listener, epoll; /* owned */
	_Atomic uint64_t probes;
	_Atomic bool ends;
};

static void serve(struct flap *x, int fd)
{
	static const char well[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"
				   "Connection: close\r\n\r\n";
	static const char ill[] = "HTTP/1.1 500 No\r\nContent-Length: 0\r\n"
				  "Connection: close\r\n\r\n";
	struct sockaddr_in sin = { 0 };
	socklen_t len = sizeof(sin);
	char request[1024];
	uint32_t i;

	/* Requests of a check come in one segment. */
	if (recv(fd, request, sizeof(request), MSG_DONTWAIT) > 0 &&
	    getsockname(fd, (struct sockaddr *)&sin, &len) == 0) {
		i = ntohl(sin.sin_addr.s_addr) - NET;
		atomic_fetch_add(&x->probes, 1);
		if (i < x->n && !atomic_load(&x->down[i]))
			(void)send(fd, well, sizeof(well) - 1, MSG_NOSIGNAL);
		else
			(void)send(fd, ill, sizeof(ill) - 1, MSG_NOSIGNAL);
	}
	close(fd);
}

static void accept_all(struct flap *x)
{
	struct epoll_event e = { .events = EPOLLIN };
	int fd;

	while ((fd = accept4(x->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0) {
		e.data.fd = fd;
		if (epoll_ctl(x->epoll, EPOLL_CTL_ADD, fd, &e) < 0)
			close(fd);
	}
}

static void *serve_all(void *userdata)
{
	struct flap *x = userdata;
	struct epoll_event events[EVENTS];

	while (!atomic_load(&x->ends)) {
		int n = epoll_wait(x->epoll, events, EVENTS, 100);

		for (int i = 0; i < n; i++) {
			if (events[i].data.fd == x->listener)
				accept_all(x);
			else
				serve(x, events[i].data.fd);
		}
	}
	return NULL;
}

static void ip(const struct lab_host *h, const char *a, const char *b, const char *c, const char *d,
	       const char *e)
{
	const char *const argv[] = { "ip", "route", "add", a, b, c, d, e, NULL };
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	assert_int_equal(lab_run(h, argv, &result), 0);
	if (result.status != 0)
		fail_msg("ip route add %s %s: %s", a, b, result.err);
}

static const char *name(unsigned i, char buf[static INET_ADDRSTRLEN])
{
	const struct in_addr a = { htonl(NET + i) };

	return inet_ntop(AF_INET, &a, buf, INET_ADDRSTRLEN);
}

static void configure(const struct flap *x)
{
	char *targets = NULL, text[INET_ADDRSTRLEN];
	size_t size;
	FILE *f = open_memstream(&targets, &size);

	assert_non_null(f);
	for (unsigned i = 0; i < x->n; i++)
		fprintf(f, " %s:%d weight=7\n", name(i, text), PORT);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(
		gateway_configure(x->f->gateway,
				  LAB_CONF_GLOBAL
				  "[listener web]\naddress = " LAB_VIP
				  "\nport = 80\nforward = flap\n"
				  "[target-group flap]\nalgorithm = round-robin\n"
				  "health-check-protocol = http\nhealth-check-interval = %lums\n"
				  "health-check-timeout = %lums\nhealthy-threshold = 2\n"
				  "unhealthy-threshold = 2\ntargets =%s",
				  (unsigned long)(x->interval_usec / USEC_PER_MSEC),
				  (unsigned long)(x->interval_usec / USEC_PER_MSEC), targets),
		0);
	free(targets);
}

struct flap *flap_new(struct fixture *f, unsigned n_targets, usec_t interval_usec)
{
	struct flap *x = calloc(1, sizeof(*x));
	struct sockaddr_in sin = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct lab_host *host = lab_host(f->lab, "a1");
	struct epoll_event e = { .events = EPOLLIN };

	assert_non_null(x);
	assert_true(n_targets <= FLAP_TARGETS_MAX);
	*x = (struct flap){
		.f = f, .n = n_targets, .seed = 20261122, .interval_usec = interval_usec
	};
	x->down = calloc(n_targets, sizeof(*x->down));
	assert_non_null(x->down);
	ip(&f->lab->gateway, "10.9.0.0/16", "via", host->address, NULL, NULL);
	ip(host, "local", "10.9.0.0/16", "dev", "lo", NULL);
	/* Beside the server of the lab, which listens on every address. */
	assert_int_equal(inet_pton(AF_INET, "0.0.0.0", &sin.sin_addr), 1);
	lab_server_kill(&f->servers[0]);
	x->listener = lab_socket(host, AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	assert_true(x->listener >= 0);
	assert_int_equal(
		setsockopt(x->listener, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)), 0);
	assert_int_equal(bind(x->listener, (struct sockaddr *)&sin, sizeof(sin)), 0);
	assert_int_equal(listen(x->listener, 4096), 0);
	x->epoll = epoll_create1(EPOLL_CLOEXEC);
	e.data.fd = x->listener;
	assert_int_equal(epoll_ctl(x->epoll, EPOLL_CTL_ADD, x->listener, &e), 0);
	assert_int_equal(pthread_create(&x->thread, NULL, serve_all, x), 0);
	configure(x);
	assert_int_equal(gateway_start(f->gateway), 0);
	return x;
}

void flap_free(struct flap *x)
{
	if (!x)
		return;
	atomic_store(&x->ends, true);
	(void)pthread_join(x->thread, NULL);
	close(x->listener);
	close(x->epoll);
	free(x->down);
	free(x);
}

void flap_set_interval(struct flap *x, usec_t interval_usec)
{
	x->interval_usec = interval_usec;
	configure(x);
	assert_int_equal(gateway_request(x->f->gateway, "POST", "/v1/reload", NULL, NULL), 200);
}

void flap_run(struct flap *x, usec_t usec)
{
	usec_t end = clock_monotonic_usec() + usec;
	double each = (double)STEP_USEC / (double)(CHANGE_INTERVALS * x->interval_usec);

	while (clock_monotonic_usec() < end) {
		for (unsigned k = 0; k < (unsigned)(x->n * each) + 1; k++) {
			unsigned i = (unsigned)rand_r(&x->seed) % x->n;

			atomic_store(&x->down[i], !atomic_load(&x->down[i]));
			x->changes++;
		}
		lab_sleep(STEP_USEC);
	}
}

/* "-a -t 203.0.113.10:80 -r 10.9.0.7:8080 -m -w 7", each well target once and nothing else. */
static bool is_settled(struct flap *x)
{
	static const char *const argv[] = { "ipvsadm", "-Sn", NULL };
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	bool *seen = calloc(x->n, sizeof(*seen));
	char *rest = NULL;

	x->n_wrong = 0;

	assert_non_null(seen);
	assert_int_equal(lab_run(&x->f->lab->gateway, argv, &result), 0);
	for (char *line = strtok_r(result.out, "\n", &rest); line;
	     line = strtok_r(NULL, "\n", &rest)) {
		unsigned a, b, port, weight, i;

		if (strncmp(line, "-a -t ", 6) != 0)
			continue;
		if (sscanf(line, "-a -t " LAB_VIP ":80 -r 10.9.%u.%u:%u -m -w %u", &a, &b, &port,
			   &weight) != 4 ||
		    (i = a << 8 | b) >= x->n || seen[i] || port != PORT || weight != 7) {
			x->n_wrong++;
			continue;
		}
		seen[i] = true;
	}
	for (unsigned i = 0; i < x->n; i++)
		x->n_wrong += seen[i] == atomic_load(&x->down[i]);
	free(seen);
	return x->n_wrong == 0;
}

usec_t flap_settle(struct flap *x, usec_t timeout_usec)
{
	usec_t start = clock_monotonic_usec(), now = start;

	for (; now - start < timeout_usec; now = clock_monotonic_usec()) {
		if (is_settled(x))
			return now - start;
		lab_sleep(LOOK_USEC);
	}
	print_message("# %u of %u targets are not in the table as they are\n", x->n_wrong, x->n);
	return USEC_NEVER;
}

void flap_print_health(const struct flap *x)
{
	static const char *const members[] = { "probes_started", "probes_skipped",
					       "results_dropped", "not_counted", "held" };
	_cleanup_(json_decref_p) json_t *status = NULL;
	const json_t *health, *lateness;

	assert_int_equal(gateway_request(x->f->gateway, "GET", "/v1/status", NULL, &status), 200);
	health = json_object_get(status, "health");
	lateness = json_object_get(health, "lateness_us");
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		printf("%s %lld, ", members[i],
		       (long long)json_integer_value(json_object_get(health, members[i])));
	printf("lateness p99 %lld ms\n",
	       (long long)json_integer_value(json_object_get(lateness, "p99")) / 1000);
}

unsigned flap_changes(const struct flap *x)
{
	return x->changes;
}

uint64_t flap_probes(const struct flap *x)
{
	return atomic_load(&x->probes);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-flap [TARGETS [SECONDS [INTERVAL]]]: ipvsd with many flapping targets on a real kernel. First nothing flaps,
 * which shows what the checks alone cost: where they would take more than three quarters of the machine, they are made
 * less often than every INTERVAL seconds, and the bench says so. Then, every ten seconds, nothing flaps until the
 * kernel's table is what the targets are; memory and processor time of the daemon are printed at each of these points.
 * Fails when it does not come to that, or when memory grows.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <cmocka.h>

#include "tests/netns/flap.h"

#define ROUND_USEC (10 * USEC_PER_SEC)
#define SETTLE_USEC (120 * USEC_PER_SEC)
#define SETTLE_INTERVALS 8
#define SLOW_INTERVALS 3
#define CHECKS_SHARE 0.75

static unsigned n_targets = 10000, n_seconds = 60, n_interval = 5;

/* Of the daemon, without its workers. */
static double cpu_seconds(pid_t pid)
{
	unsigned long user = 0, system = 0;
	char path[64];
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	f = fopen(path, "re");
	if (f) {
		(void)fscanf(f, "%*d (%*[^)]) %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
			     &user, &system);
		(void)fclose(f);
	}
	return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

/* Of all processors, since the start of the machine. */
static double busy_seconds(void)
{
	unsigned long long user = 0, nice = 0, system = 0, irq = 0, softirq = 0;
	FILE *f = fopen("/proc/stat", "re");

	if (f) {
		(void)fscanf(f, "cpu %llu %llu %llu %*u %*u %llu %llu", &user, &nice, &system, &irq,
			     &softirq);
		(void)fclose(f);
	}
	return (double)(user + nice + system + irq + softirq) / (double)sysconf(_SC_CLK_TCK);
}

static usec_t settle(struct flap *x)
{
	usec_t settled =
		flap_settle(x, MAX(SETTLE_USEC, SETTLE_INTERVALS * n_interval * USEC_PER_SEC));

	if (settled == USEC_NEVER) {
		flap_print_health(x);
		fail_msg("the table is not what the targets are");
	}
	return settled;
}

/* Returns the least interval, in seconds, with which checks take so much of this machine at most. */
static unsigned measure_checks(const struct fixture *f, const struct flap *x)
{
	double busy = busy_seconds(), daemon = cpu_seconds(gateway_pid(f->gateway)), each;
	double processors = (double)sysconf(_SC_NPROCESSORS_ONLN), seconds;
	usec_t start = clock_monotonic_usec();
	uint64_t probes = flap_probes(x);

	lab_sleep(MAX(ROUND_USEC, n_interval * USEC_PER_SEC));
	seconds = (double)(clock_monotonic_usec() - start) / USEC_PER_SEC;
	probes = flap_probes(x) - probes;
	busy = busy_seconds() - busy;
	daemon = cpu_seconds(gateway_pid(f->gateway)) - daemon;
	each = busy / (double)MAX(probes, 1);
	printf("checks alone, every %u s: %.0f a second, %.0f %% of the machine, %.0f us each; "
	       "of these the daemon %.0f us\n",
	       n_interval, (double)probes / seconds, 100 * busy / seconds / processors, 1e6 * each,
	       1e6 * daemon / (double)MAX(probes, 1));
	return (unsigned)(n_targets * each / processors / CHECKS_SHARE) + 1;
}

static void choose_interval(const struct fixture *f, struct flap *x)
{
	unsigned least;

	lab_sleep(n_interval * USEC_PER_SEC); /* the first checks are spread over it */
	least = measure_checks(f, x);

	if (least > n_interval) {
		printf("this machine does not bear that: every %u s\n", least);
		n_interval = least;
		flap_set_interval(x, n_interval * USEC_PER_SEC);
	}
	(void)fflush(stdout);
	(void)settle(x);
}

static void test_flapping(void **state)
{
	uint64_t first = 0, last = 0;
	bool slow = false;
	struct fixture f;
	struct flap *x;

	(void)state;
	fixture_init(&f, 1, 0);
	x = flap_new(&f, n_targets, n_interval * USEC_PER_SEC);
	(void)settle(x);
	choose_interval(&f, x);
	for (usec_t at = 0; at < n_seconds * USEC_PER_SEC; at += ROUND_USEC) {
		double before = cpu_seconds(gateway_pid(f.gateway));
		usec_t settled;

		flap_run(x, ROUND_USEC);
		settled = settle(x);
		last = gateway_rss_kib(f.gateway);
		first = first ? first : last;
		printf("%u targets, %u changes, %lu probes: settled after %.1f s, %lu KiB, "
		       "%.2f s of CPU\n",
		       n_targets, flap_changes(x), (unsigned long)flap_probes(x),
		       (double)settled / USEC_PER_SEC, (unsigned long)last,
		       cpu_seconds(gateway_pid(f.gateway)) - before);
		slow |= settled > SLOW_INTERVALS * n_interval * USEC_PER_SEC;
		(void)fflush(stdout);
	}
	/* On a busy machine failures of late checks do not count. The report itself takes memory. */
	if (slow)
		flap_print_health(x);
	assert_true(last <= first + first / 10);
	flap_free(x);
	fixture_deinit(&f);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flapping),
	};

	if (argc > 1)
		n_targets = (unsigned)atoi(argv[1]);
	if (argc > 2)
		n_seconds = (unsigned)atoi(argv[2]);
	if (argc > 3)
		n_interval = (unsigned)atoi(argv[3]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

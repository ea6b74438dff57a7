/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * bench-flap [TARGETS [SECONDS [INTERVAL]]]: ipvsd with many flapping targets on a real kernel. Every ten seconds nothing flaps
 * until the kernel's table is what the targets are; memory and processor time of the daemon are printed at each of
 * these points. Fails when it does not come to that, or when memory grows.
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

static void test_flapping(void **state)
{
	uint64_t first = 0, last = 0;
	struct fixture f;
	struct flap *x;

	(void)state;
	fixture_init(&f, 1, 0);
	x = flap_new(&f, n_targets, n_interval * USEC_PER_SEC);
	for (usec_t at = 0; at < n_seconds * USEC_PER_SEC; at += ROUND_USEC) {
		double before = cpu_seconds(gateway_pid(f.gateway));
		usec_t settled;

		flap_run(x, ROUND_USEC);
		settled = flap_settle(x, SETTLE_USEC);
		if (settled == USEC_NEVER)
			fail_msg("the table is not what the targets are");
		last = gateway_rss_kib(f.gateway);
		first = first ? first : last;
		printf("%u targets, %u changes, %lu probes: settled after %.1f s, %lu KiB, "
		       "%.2f s of CPU\n",
		       n_targets, flap_changes(x), (unsigned long)flap_probes(x),
		       (double)settled / USEC_PER_SEC, (unsigned long)last,
		       cpu_seconds(gateway_pid(f.gateway)) - before);
		(void)fflush(stdout);
	}
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

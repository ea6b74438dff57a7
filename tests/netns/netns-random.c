/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * A whole daemon under configurations by chance (tests/random-conf.h): what `ipvsd check` accepts a reload accepts, and a
 * start; what it refuses is refused, and changes nothing; workers take all that they are sent; no descriptor stays
 * behind. $IPVSD_TEST_SEED repeats a run, $IPVSD_TEST_RUNS makes it longer.
 */

#include <dirent.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "tests/certificates.h"
#include "tests/lab/fixture.h"
#include "tests/random-conf.h"

enum {
	RELOADS = 16,
	STARTS = 3,
};

#define OWN LAB_CONF_GLOBAL "health-exec-user = daemon\nlog-level = info\n"
#define SETTLE_USEC (60 * USEC_PER_SEC)

static const char base[] = OWN
	"[listener web]\naddress = " LAB_VIP "\nport = 80\nforward = blue\n"
	"[target-group blue]\ntargets = 10.0.1.10:8080 weight=3\n" FIXTURE_CHECKS;

static struct fixture f;
static unsigned seed;

DEFINE_CLEANUP(json_t *, json_decref)

static unsigned number_of(const char *name, unsigned otherwise)
{
	const char *text = getenv(name);

	return text ? (unsigned)strtoul(text, NULL, 10) : otherwise;
}

static int set_up(void **state)
{
	FILE *file = fopen(RANDOM_CONF_TARGETS_FILE, "we");

	(void)state;
	seed = number_of("IPVSD_TEST_SEED", 20261123);
	print_message("# seed %u\n", seed);
	assert_non_null(file);
	assert_true(fputs("10.0.1.13:8080 weight=7\n10.0.2.13 zone=b\n", file) >= 0);
	assert_int_equal(fclose(file), 0);
	certificate_write_authority(RANDOM_CONF_CA_FILE);
	fixture_init(&f, 1, 1);
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	return 0;
}

static void give_up(const char *what, json_t *answer)
{
	_cleanup_free_ char *text = answer ? json_dumps(answer, JSON_INDENT(1)) : NULL;
	char line[4096];
	FILE *file = fopen(LAB_CONF_PATH, "re");

	while (file && fgets(line, sizeof(line), file))
		print_message("# %s", line);
	if (file)
		(void)fclose(file);
	gateway_print_log(f.gateway);
	fail_msg("%s: %s", what, text ? text : "");
}

/* 200 and true, or another status. */
static void reload(bool valid)
{
	_cleanup_(json_decref_p) json_t *answer = NULL, *status = NULL;
	int r = gateway_request(f.gateway, "POST", "/v1/reload", NULL, &answer);

	if (!gateway_running(f.gateway))
		give_up("the daemon is gone", answer);
	if ((r == 200) != valid)
		give_up(valid ? "refused, and valid" : "accepted, and not valid", answer);
	r = gateway_request(f.gateway, "GET", "/v1/status", NULL, &status);
	if (r != 200)
		give_up("no status", status);
}

static unsigned count_descriptors(void)
{
	char path[64];
	unsigned n = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)gateway_pid(f.gateway));
	dir = opendir(path);
	assert_non_null(dir);
	while (readdir(dir))
		n++;
	(void)closedir(dir);
	return n;
}

static void settle(unsigned descriptors)
{
	usec_t end = clock_monotonic_usec() + SETTLE_USEC;

	while (count_descriptors() > descriptors) {
		if (clock_monotonic_usec() > end)
			give_up("descriptors stay open", NULL);
		lab_sleep(100 * USEC_PER_MSEC);
	}
}

/* All that was sent to workers so far was taken. */
static void back_to_base(void)
{
	assert_int_equal(gateway_configure(f.gateway, "%s", base), 0);
	reload(true);
	if (gateway_log_has(f.gateway, "bad record"))
		give_up("a worker was sent what it does not take", NULL);
}

static void test_reload(void **state)
{
	unsigned runs = number_of("IPVSD_TEST_RUNS", RELOADS), valid = 0, descriptors;

	(void)state;
	assert_int_equal(gateway_configure(f.gateway, "%s", base), 0);
	fixture_start(&f, "blue");
	back_to_base();
	descriptors = count_descriptors();
	for (unsigned i = 0; i < runs; i++) {
		struct random_conf c;

		print_message("# %u: seed %u\n", i, seed);
		random_conf_init(&c, OWN, &seed);
		if (i % 4 == 0) {
			_cleanup_free_ char *text = random_conf_text(&c);

			assert_int_equal(gateway_configure(f.gateway, "%s", text), 0);
			reload(random_conf_check(LAB_CONF_PATH));
		}
		valid += random_conf_mend(&c, LAB_CONF_PATH) == 0;
		reload(true);
		random_conf_deinit(&c);
	}
	print_message("# %u of %u were valid at once\n", valid, runs);
	back_to_base();
	settle(descriptors);
	/* With AddressSanitizer a leak makes another status of it. */
	assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
}

static void test_start(void **state)
{
	unsigned runs = number_of("IPVSD_TEST_RUNS", STARTS);

	(void)state;
	for (unsigned i = 0; i < runs; i++) {
		struct random_conf c;

		print_message("# %u: seed %u\n", i, seed);
		random_conf_init(&c, OWN, &seed);
		(void)random_conf_mend(&c, LAB_CONF_PATH);
		random_conf_deinit(&c);
		if (gateway_start(f.gateway) < 0)
			give_up("does not start", NULL);
		back_to_base(); /* its stop waits for nothing */
		assert_int_equal(gateway_stop(f.gateway, SIGTERM), 0);
	}
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_reload, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_start, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/probe-rig.h"

#define PATIENCE_USEC (10 * USEC_PER_SEC)

static void write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return;
	(void)!write(fd, text, strlen(text));
	(void)close(fd);
}

static bool lo_up(void)
{
	struct ifreq lo = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	bool up = fd >= 0 && ioctl(fd, SIOCSIFFLAGS, &lo) == 0;

	if (fd >= 0)
		(void)close(fd);
	return up;
}

static bool may_ping(void)
{
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_ICMP);

	if (fd >= 0)
		(void)close(fd);
	return fd >= 0;
}

/* A network of its own, whose sysctls are this process's, with root's rights or as root of a user namespace. */
static int setup(void **state)
{
	char map[32];
	gid_t gid = getegid();

	(void)state;
	(void)snprintf(map, sizeof(map), "%u %u 1", (unsigned)gid, (unsigned)gid);
	if (unshare(CLONE_NEWNET) < 0 && unshare(CLONE_NEWUSER | CLONE_NEWNET) == 0) {
		write_file("/proc/self/setgroups", "deny");
		write_file("/proc/self/gid_map", map);
	}
	(void)lo_up();
	(void)snprintf(map, sizeof(map), "%u %u", (unsigned)gid, (unsigned)gid);
	write_file("/proc/sys/net/ipv4/ping_group_range", map);
	return 0;
}

/* A route that is not there is known at once; where no socket is allowed, nothing is said about the target. */
static void test_failures(void **state)
{
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "192.0.2.1", 0);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_UNREACHABLE);
	assert_int_equal(rig.detail, ENETUNREACH);
	/* To an address of this host through a target that there is no way to. */
	probe_rig_spec(&rig, PROTOCOL_CHECK_UDP, "127.0.0.1", 9);
	probe_rig_text(&rig, PROTOCOL_TEXT_THROUGH, "192.0.2.1", 9);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_UNREACHABLE);
	assert_int_equal(rig.detail, ENETUNREACH);
	write_file("/proc/sys/net/ipv4/ping_group_range", "1 0");
	if (!may_ping()) { /* what a mapped user may write is less */
		probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "127.0.0.1", 0);
		probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
		assert_int_equal(rig.outcome, PROBE_INTERNAL_ERROR);
		assert_int_equal(rig.detail, EACCES);
	}
	probe_rig_deinit(&rig);
}

static void test_loopback(void **state)
{
	static const char *const addresses[] = { "127.0.0.1", "::1", "127.9.8.7" };
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(addresses); i++) {
		probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, addresses[i], 0);
		probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
		assert_int_equal(rig.outcome, PROBE_OK);
		assert_int_equal(rig.detail, 0);
	}
	probe_rig_deinit(&rig);
}

/* A cancelled attempt leaves nothing; the next one is not answered by the first one's reply. */
static void test_cancel(void **state)
{
	struct probe_rig rig;

	(void)state;
	if (!may_ping())
		skip();
	probe_rig_init(&rig);
	probe_rig_spec(&rig, PROTOCOL_CHECK_ICMP, "127.0.0.1", 0);
	probe_rig_run(&rig, 0, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_TIMEOUT);
	probe_rig_run(&rig, PATIENCE_USEC, NULL, NULL);
	assert_int_equal(rig.outcome, PROBE_OK);
	probe_rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_loopback),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_failures),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}

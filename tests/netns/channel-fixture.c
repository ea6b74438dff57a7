/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "channel-fixture.h"

#include <net/if.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/random-ruleset.h"

/* Before its first address a namespace has no local routing table, and the kernel refuses every destination. */
static int loopback_up(void)
{
	struct ifreq request = { .ifr_name = "lo", .ifr_flags = IFF_UP };
	_cleanup_close_ int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	return fd < 0 ? -1 : ioctl(fd, SIOCSIFFLAGS, &request);
}

int channel_set_up(void **state)
{
	struct channel *c;

	if (unshare(CLONE_NEWNET) < 0 || loopback_up() < 0 || channel_open_kernel(&c) < 0)
		return -1;
	*state = c;
	return 0;
}

int channel_tear_down(void **state)
{
	channel_free(*state);
	return 0;
}

void dump(struct channel *c, struct ipvs_ruleset *ret)
{
	*ret = IPVS_RULESET_INIT;
	assert_int_equal(channel_dump(c, ret), 0);
}

size_t reconcile(struct channel *c, const struct ipvs_ruleset *desired,
		 const struct plan_ownership *owned)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t failed = SIZE_MAX;

	dump(c, &actual);
	assert_int_equal(plan_compute(&actual, desired, owned, &p), 0);
	results = calloc(p.n + 1, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(c, &p, results, &failed), 0);
	for (size_t i = 0, shown = 0; failed && i < p.n && shown < 10; i++) {
		_cleanup_free_ char *text = plan_op_describe(&p.ops[i]);

		if (results[i].error && ++shown)
			print_error("%s: %s\n", text, strerror(-results[i].error));
	}
	assert_int_equal(failed, 0);
	return p.n;
}

void assert_same(const char *what, const struct ipvs_ruleset *got,
		 const struct ipvs_ruleset *expected)
{
	if (same_ruleset(got, expected))
		return;
	print_ruleset(what, got);
	print_ruleset("expected", expected);
	fail_msg("%s differs", what);
}

struct ipvs_service *add_service(struct ipvs_ruleset *r, const char *address, uint16_t port,
				 const char *scheduler)
{
	struct ipvs_service_key key = { .protocol = IPPROTO_TCP, .port = port };
	struct ipvs_service *s;

	assert_int_equal(addr_parse(address, &key.addr), 0);
	key.family = key.addr.family;
	s = ipvs_ruleset_append(r, &key);
	assert_non_null(s);
	strcpy(s->scheduler, scheduler);
	s->netmask = key.family == AF_INET6 ? 128 : UINT32_MAX;
	return s;
}

void add_dests(struct ipvs_service *s, unsigned n)
{
	for (unsigned i = n; i > 0; i--) {
		struct ipvs_dest d = { .port = 8080, .weight = i };

		d.addr.family = AF_INET;
		d.addr.bytes[0] = 10;
		d.addr.bytes[1] = 1;
		d.addr.bytes[2] = (uint8_t)(i >> 8);
		d.addr.bytes[3] = (uint8_t)i;
		assert_non_null(ipvs_service_append(s, &d));
	}
}

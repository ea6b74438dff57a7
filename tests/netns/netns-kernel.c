/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Sysctls and modules on a kernel with IPVS, in a network namespace of this process. */

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/kernel.h"

enum {
	VALUE_MAX = 32,
};

struct fixture {
	struct conf conf;
	struct conf_listener listener;
	struct conf_group group;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	/* ip_vs first: a namespace that is older than the module gets its sysctls late. */
	if (!f || system("modprobe ip_vs") != 0 || unshare(CLONE_NEWNET) < 0)
		return -1;
	f->conf.listeners = &f->listener;
	f->conf.n_listeners = 1;
	f->listener.family = AF_INET;
	f->conf.groups = &f->group;
	f->conf.n_groups = 1;
	f->group.in_use = true;
	f->group.forwarding = CONF_FORWARDING_NAT;
	(void)strcpy(f->group.algorithm.scheduler, "wlc");
	f->conf.global.sysctls = CONF_KERNEL_SET;
	f->conf.global.modules = CONF_KERNEL_REPORT;
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	free(*state);
	return 0;
}

static void put(const char *name, const char *value)
{
	char path[128];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(write(fd, value, strlen(value)), strlen(value));
	(void)close(fd);
}

static int get(const char *name)
{
	char path[128], value[VALUE_MAX] = "";
	_cleanup_fclose_ FILE *f = NULL;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s", name);
	f = fopen(path, "re");
	assert_non_null(f);
	assert_non_null(fgets(value, sizeof(value), f));
	return atoi(value);
}

/* Borrowed from the array; NULL when there is none of this name. */
static const json_t *find(const json_t *findings, const char *name)
{
	const json_t *finding;
	size_t i;

	json_array_foreach (findings, i, finding) {
		if (!strcmp(json_string_value(json_object_get(finding, "name")), name))
			return finding;
	}
	return NULL;
}

static void test_set(void **state)
{
	struct fixture *f = *state;
	json_t *findings;
	const json_t *finding;

	put("ipv4/ip_forward", "0");
	put("ipv4/vs/conntrack", "1");
	put("ipv4/vs/conn_reuse_mode", "0");
	findings = kernel_prepare(&f->conf);
	assert_non_null(findings);
	assert_int_equal(get("ipv4/ip_forward"), 1);
	assert_int_equal(get("ipv4/vs/conntrack"), 0);
	assert_int_equal(get("ipv4/vs/conn_reuse_mode"), 1);
	assert_int_equal(get("ipv4/vs/expire_nodest_conn"), 1);
	finding = find(findings, "net.ipv4.vs.conntrack");
	assert_non_null(finding);
	assert_true(json_is_true(json_object_get(finding, "done")));
	assert_string_equal(json_string_value(json_object_get(finding, "actual")), "1");
	assert_null(find(findings, "net.ipv6.conf.all.forwarding")); /* no IPv6 listener */
	json_decref(findings);

	/* All is as it must be: nothing to say. */
	findings = kernel_prepare(&f->conf);
	assert_int_equal(json_array_size(findings), 0);
	json_decref(findings);
}

static void test_needs(void **state)
{
	struct fixture *f = *state;

	f->listener.family = AF_INET6;
	f->group.forwarding = CONF_FORWARDING_DIRECT;
	put("ipv4/ip_forward", "0");
	put("ipv6/conf/all/forwarding", "0");
	json_decref(kernel_prepare(&f->conf));
	assert_int_equal(get("ipv4/ip_forward"), 0);
	assert_int_equal(get("ipv6/conf/all/forwarding"), 0); /* answers do not pass */
	assert_int_equal(get("ipv4/vs/conn_reuse_mode"), 3);
	assert_int_equal(get("ipv4/vs/expire_quiescent_template"), 0);

	f->group.forwarding = CONF_FORWARDING_NAT;
	f->group.stickiness = true;
	json_decref(kernel_prepare(&f->conf));
	assert_int_equal(get("ipv6/conf/all/forwarding"), 1);
	assert_int_equal(get("ipv4/vs/expire_quiescent_template"), 1);
}

static void test_report(void **state)
{
	struct fixture *f = *state;
	const json_t *finding;
	json_t *findings;

	f->conf.global.sysctls = CONF_KERNEL_REPORT;
	put("ipv4/vs/conntrack", "1");
	findings = kernel_prepare(&f->conf);
	finding = find(findings, "net.ipv4.vs.conntrack");
	assert_non_null(finding);
	assert_false(json_is_true(json_object_get(finding, "done")));
	assert_string_equal(json_string_value(json_object_get(finding, "remedy")),
			    "sysctl -w net.ipv4.vs.conntrack=0");
	assert_int_equal(get("ipv4/vs/conntrack"), 1);
	json_decref(findings);

	f->conf.global.sysctls = CONF_KERNEL_IGNORE;
	findings = kernel_prepare(&f->conf);
	assert_int_equal(json_array_size(findings), 0);
	json_decref(findings);
}

static void test_modules(void **state)
{
	struct fixture *f = *state;
	json_t *findings;

	f->conf.global.sysctls = CONF_KERNEL_IGNORE;
	(void)strcpy(f->group.algorithm.scheduler, "nosuch");
	for (int policy = CONF_KERNEL_SET; policy <= CONF_KERNEL_REPORT; policy++) {
		f->conf.global.modules = (enum conf_kernel_policy)policy;
		findings = kernel_prepare(&f->conf);
		assert_int_equal(json_array_size(findings), 1);
		assert_non_null(find(findings, "ip_vs_nosuch"));
		json_decref(findings);
	}
	(void)strcpy(f->group.algorithm.scheduler, "dh");
	f->conf.global.modules = CONF_KERNEL_SET;
	findings = kernel_prepare(&f->conf);
	assert_int_equal(json_array_size(findings), 0);
	assert_int_equal(access("/sys/module/ip_vs_dh", F_OK), 0);
	json_decref(findings);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_set, setup, teardown),
		cmocka_unit_test_setup_teardown(test_needs, setup, teardown),
		cmocka_unit_test_setup_teardown(test_report, setup, teardown),
		cmocka_unit_test_setup_teardown(test_modules, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* VIPs on real interfaces, in a network namespace of this process; `ip` is the independent reader. */

#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "daemon/vip.h"

enum {
	LISTENERS_MAX = 4,
	OUTPUT_MAX = 4096,
};

struct fixture {
	struct vip_set *set;
	struct conf conf;
	struct conf_listener listeners[LISTENERS_MAX];
};

static void run(const char *command)
{
	if (system(command) != 0)
		fail_msg("%s failed", command);
}

/* A fresh namespace with two links. */
static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || unshare(CLONE_NEWNET) < 0)
		return -1;
	run("ip link add d0 type veth peer name d1 && ip link set d0 up && "
	    "ip link set d1 up && ip link set lo up");
	f->conf.listeners = f->listeners;
	*state = f;
	return vip_set_new(&f->set);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	vip_set_free(f->set);
	free(f);
	return 0;
}

static void add_listener(struct fixture *f, const char *address, unsigned prefix,
			 const char *interface)
{
	struct conf_listener *l = &f->listeners[f->conf.n_listeners++];

	(void)snprintf(l->name, sizeof(l->name), "l%zu", f->conf.n_listeners);
	assert_int_equal(addr_parse(address, &l->address), 0);
	l->family = l->address.family;
	l->vip_prefix_len = (uint8_t)prefix;
	(void)snprintf(l->vip_interface, sizeof(l->vip_interface), "%s", interface);
}

/* Does `ip -o addr show dev INTERFACE` have this text on a line? */
static bool interface_has(const char *interface, const char *text)
{
	char command[96], line[OUTPUT_MAX];
	bool found = false;
	FILE *f;

	(void)snprintf(command, sizeof(command), "ip -o addr show dev %s", interface);
	f = popen(command, "re");
	assert_non_null(f);
	while (fgets(line, sizeof(line), f))
		found = found || strstr(line, text);
	assert_int_equal(pclose(f), 0);
	return found;
}

static void add_wanted(struct fixture *f)
{
	char *error = NULL;

	if (vip_set_add_wanted(f->set, &f->conf, &error) < 0)
		fail_msg("%s", error ? error : "no memory");
}

static void test_add_and_remove(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	add_listener(f, "203.0.113.10", 32, "d0");
	add_listener(f, "2001:db8:203::10", 128, "d0");
	add_listener(f, "203.0.113.10", 32, "d0"); /* another port of the same address */
	add_wanted(f);
	assert_true(interface_has("d0", "inet 203.0.113.10/32 scope global"));
	/* Usable at once, and never the source of the host's own connections. */
	assert_true(
		interface_has("d0", "inet6 2001:db8:203::10/128 scope global nodad deprecated"));
	add_wanted(f); /* idempotent */

	j = vip_set_to_json(f->set);
	assert_int_equal(json_array_size(j), 2);
	json_decref(j);

	f->conf.n_listeners = 1;
	vip_set_remove_unwanted(f->set, &f->conf);
	assert_true(interface_has("d0", "203.0.113.10/32"));
	assert_false(interface_has("d0", "2001:db8:203::10"));
	vip_set_remove_unwanted(f->set, NULL);
	assert_false(interface_has("d0", "203.0.113.10"));
}

static void test_foreign_address_stays(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	run("ip addr add 203.0.113.10/24 dev d1");
	add_listener(f, "203.0.113.10", 32, "d0");
	add_wanted(f);
	assert_false(interface_has("d0", "203.0.113.10"));
	j = vip_set_to_json(f->set);
	assert_int_equal(json_array_size(j), 0);
	json_decref(j);
	vip_set_remove_unwanted(f->set, NULL);
	assert_true(interface_has("d1", "203.0.113.10/24"));
}

static void test_lost_address_is_added_again(void **state)
{
	struct fixture *f = *state;

	add_listener(f, "203.0.113.10", 32, "d0");
	add_wanted(f);
	run("ip addr del 203.0.113.10/32 dev d0");
	add_wanted(f);
	assert_true(interface_has("d0", "203.0.113.10/32"));
}

/* The state file's knowledge, and without it the kernel's mark, survive the process. */
static void test_ownership_survives(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	add_listener(f, "203.0.113.10", 32, "d0");
	add_wanted(f);
	j = vip_set_to_json(f->set);
	vip_set_free(f->set);
	assert_int_equal(vip_set_new(&f->set), 0);
	vip_set_from_json(f->set, j);
	json_decref(j);
	vip_set_remove_unwanted(f->set, NULL);
	assert_false(interface_has("d0", "203.0.113.10"));

	add_wanted(f);
	vip_set_free(f->set);
	assert_int_equal(vip_set_new(&f->set), 0);
	vip_set_remove_unwanted(f->set, NULL); /* IFA_PROTO: every kernel that we support has it */
	assert_false(interface_has("d0", "203.0.113.10"));
}

static void test_move_between_interfaces(void **state)
{
	struct fixture *f = *state;

	add_listener(f, "203.0.113.10", 32, "d0");
	add_wanted(f);
	(void)strcpy(f->listeners[0].vip_interface, "d1");
	add_wanted(f);
	vip_set_remove_unwanted(f->set, &f->conf);
	assert_false(interface_has("d0", "203.0.113.10"));
	assert_true(interface_has("d1", "203.0.113.10/32"));
}

static void test_failure_takes_back(void **state)
{
	struct fixture *f = *state;
	char *error = NULL;

	add_listener(f, "203.0.113.10", 32, "d0");
	add_listener(f, "203.0.113.11", 32, "nowhere");
	assert_int_equal(vip_set_add_wanted(f->set, &f->conf, &error), -ENODEV);
	assert_non_null(error);
	assert_non_null(strstr(error, "listener l2: cannot add 203.0.113.11/32 to nowhere"));
	assert_non_null(strstr(error, "vip-interface"));
	free(error);
	assert_false(interface_has("d0", "203.0.113.10"));
}

/* An interface that is gone costs its own addresses only, and those of the others stay this time. */
static void test_repair(void **state)
{
	struct fixture *f = *state;
	char *error = NULL;
	size_t n = 9;

	add_listener(f, "203.0.113.11", 32, "nowhere");
	add_listener(f, "203.0.113.10", 32, "d0");
	assert_int_equal(vip_set_repair(f->set, &f->conf, &n, &error), -ENODEV);
	assert_int_equal(n, 1);
	assert_non_null(error);
	assert_non_null(strstr(error, "listener l1: cannot add 203.0.113.11/32 to nowhere"));
	free(error);
	assert_true(interface_has("d0", "203.0.113.10/32"));

	f->listeners[0] = f->listeners[1];
	f->conf.n_listeners = 1;
	assert_int_equal(vip_set_repair(f->set, &f->conf, &n, &error), 0);
	assert_int_equal(n, 0);
	run("ip addr del 203.0.113.10/32 dev d0");
	assert_int_equal(vip_set_repair(f->set, &f->conf, &n, &error), 0);
	assert_int_equal(n, 1);
	assert_true(interface_has("d0", "203.0.113.10/32"));
}

static void test_missing_is_told(void **state)
{
	struct fixture *f = *state;
	json_t *j;

	run("ip addr add 203.0.113.10/32 dev d1");
	add_listener(f, "203.0.113.10", 32, "");
	add_listener(f, "203.0.113.11", 32, "");
	j = vip_set_missing(f->set, &f->conf);
	assert_int_equal(json_array_size(j), 1);
	assert_non_null(strstr(json_string_value(json_array_get(j, 0)), "203.0.113.11"));
	json_decref(j);
}

static void test_damaged_state_is_ignored(void **state)
{
	struct fixture *f = *state;
	json_t *j = json_loads("[1, {}, {\"address\":\"x\",\"prefix\":32,\"interface\":\"d0\"},"
			       "{\"address\":\"10.0.0.1\",\"prefix\":33,\"interface\":\"d0\"},"
			       "{\"address\":\"10.0.0.1\",\"prefix\":32,"
			       "\"interface\":\"much-too-long-a-name\"}]",
			       0, NULL);

	assert_non_null(j);
	vip_set_from_json(f->set, j);
	json_decref(j);
	j = vip_set_to_json(f->set);
	assert_int_equal(json_array_size(j), 0);
	json_decref(j);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_add_and_remove, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign_address_stays, setup, teardown),
		cmocka_unit_test_setup_teardown(test_lost_address_is_added_again, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ownership_survives, setup, teardown),
		cmocka_unit_test_setup_teardown(test_move_between_interfaces, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure_takes_back, setup, teardown),
		cmocka_unit_test_setup_teardown(test_repair, setup, teardown),
		cmocka_unit_test_setup_teardown(test_missing_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged_state_is_ignored, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

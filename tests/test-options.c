/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/options.h"

enum {
	ARGUMENTS_MAX = 40,
};

/* Splits at spaces; the words live in `copy`. */
static int parse(const char *line, char *copy, struct options *ret, enum options_action *ret_action,
		 char error[static OPTIONS_ERROR_MAX])
{
	char *argv[ARGUMENTS_MAX] = { (char *)(uintptr_t) "ipvsd-fastpath" };
	int argc = 1;
	char *rest = NULL;

	strcpy(copy, line);
	for (char *word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		assert_true(argc < ARGUMENTS_MAX - 1);
		argv[argc++] = word;
	}
	return options_parse(argc, argv, ret, ret_action, error);
}

static void test_defaults(void **state)
{
	char copy[256], error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	(void)state;
	assert_int_equal(parse("--port net_ring0", copy, &o, &action, error), 0);
	assert_int_equal(action, OPTIONS_RUN);
	assert_string_equal(o.control, "/run/ipvsd/fastpath.sock");
	assert_string_equal(o.exception_interface, "ipvsd0");
	assert_int_equal(o.n_ports, 1);
	assert_string_equal(o.ports[0].spec, "net_ring0");
	assert_false(o.ports[0].is_pci);
	assert_int_equal(o.n_workers, 0);
	assert_int_equal(o.max_connections, 1000000);
	assert_int_equal(o.supervisor_fd, -1);
	assert_true(o.hugepages && o.idle_sleep && o.telemetry);
	assert_false(o.hold_ports);
}

static void test_everything(void **state)
{
	char copy[512], error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	(void)state;
	assert_int_equal(
		parse("--port 00:06.0 --port=net_af_packet0,iface=eth1 --workers 1,3-5,1 --control "
		      "/x "
		      "--exception-interface none --max-connections 2000 --queue-size 64 --mtu "
		      "9001 "
		      "--memory 100 --no-hugepages --no-idle-sleep --no-telemetry --hold-ports "
		      "--supervisor-fd 3",
		      copy, &o, &action, error),
		0);
	assert_int_equal(o.n_ports, 2);
	assert_string_equal(o.ports[0].spec, "0000:00:06.0");
	assert_true(o.ports[0].is_pci);
	assert_string_equal(o.ports[1].spec, "net_af_packet0,iface=eth1");
	assert_int_equal(o.n_workers, 5);
	for (size_t i = 0; i < 5; i++)
		assert_int_equal(o.workers[i], ((const uint16_t[]){ 1, 3, 4, 5, 1 })[i]);
	assert_string_equal(o.control, "/x");
	assert_string_equal(o.exception_interface, "");
	assert_int_equal(o.max_connections, 2000);
	assert_int_equal(o.queue_size, 64);
	assert_int_equal(o.mtu, 9001);
	assert_int_equal(o.memory_mib, 100);
	assert_int_equal(o.supervisor_fd, 3);
	assert_false(o.hugepages || o.idle_sleep || o.telemetry);
	assert_true(o.hold_ports);
}

static void test_actions(void **state)
{
	char copy[64], error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	(void)state;
	assert_int_equal(parse("--help", copy, &o, &action, error), 0);
	assert_int_equal(action, OPTIONS_HELP);
	assert_int_equal(parse("--version", copy, &o, &action, error), 0);
	assert_int_equal(action, OPTIONS_VERSION);
}

/* What is said about what is wrong names the argument. */
static void test_errors(void **state)
{
	static const struct {
		const char *line, *text;
	} cases[] = {
		{ "", "no --port" },
		{ "--port", "--port: needs a value" },
		{ "--port eth0", "--port eth0: neither a PCI address" },
		{ "--port 0:6.0", "neither a PCI address" },
		{ "--port 0000:00:06.0.1", "neither a PCI address" },
		{ "--port 0000:00:06.0 --port 00:06.0", "the device 0000:00:06.0 is given twice" },
		{ "--port net_tap0 --port net_tap0,iface=x", "the device net_tap0 is given twice" },
		{ "--port net_tap0 --workers x", "--workers x: not a list of CPUs" },
		{ "--port net_tap0 --workers 1,", "not a list of CPUs" },
		{ "--port net_tap0 --workers 1;2", "not a list of CPUs" },
		{ "--port net_tap0 --workers 3-1", "not a range of CPUs" },
		{ "--port net_tap0 --workers 0-32", "more than 32 workers" },
		{ "--port net_tap0 --workers 70000", "not a list of CPUs" },
		{ "--port net_tap0 --queue-size 63",
		  "--queue-size 63: not a number from 64 to 32768" },
		{ "--port net_tap0 --queue-size 99999", "not a number from" },
		{ "--port net_tap0 --mtu 1500x", "--mtu 1500x: not a number from 1280 to 9216" },
		{ "--port net_tap0 --memory -1", "--memory -1: not a number from" },
		{ "--port net_tap0 --max-connections 99999999999999999999", "not a number from" },
		{ "--port net_tap0 --exception-interface a/b", "not a name of an interface" },
		{ "--port net_tap0 --exception-interface 0123456789abcdef", "not a name of" },
		{ "--port net_tap0 --nonsense", "--nonsense: not an option" },
		{ "--port net_tap0 stray", "stray: not an option" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char copy[256], error[OPTIONS_ERROR_MAX] = "";
		enum options_action action;
		struct options o;

		if (parse(cases[i].line, copy, &o, &action, error) != -EINVAL ||
		    !strstr(error, cases[i].text))
			fail_msg("\"%s\": \"%s\" lacks \"%s\"", cases[i].line, error,
				 cases[i].text);
	}
}

static void test_too_many_ports(void **state)
{
	char line[512] = "", copy[512], error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	(void)state;
	for (size_t i = 0; i < OPTIONS_PORTS_MAX; i++)
		(void)sprintf(line + strlen(line), "--port net_tap%zu ", i);
	assert_int_equal(parse(line, copy, &o, &action, error), 0);
	assert_int_equal(o.n_ports, OPTIONS_PORTS_MAX);
	strcat(line, "--port net_tap99");
	assert_int_equal(parse(line, copy, &o, &action, error), -EINVAL);
}

static void test_long_values(void **state)
{
	char line[1024] = "--port net_tap0,", copy[1024], error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	(void)state;
	memset(line + strlen(line), 'x', OPTIONS_SPEC_MAX);
	assert_int_equal(parse(line, copy, &o, &action, error), -EINVAL);
	memset(line, 0, sizeof(line));
	strcpy(line, "--port net_tap0 --control /");
	memset(line + strlen(line), 'x', 108);
	assert_int_equal(parse(line, copy, &o, &action, error), -EINVAL);
	assert_non_null(strstr(error, "--control: a path of 1 to 107 characters"));
}

static void test_exception_names(void **state)
{
	static const struct {
		const char *base;
		size_t index;
		const char *name; /* NULL: too long */
	} cases[] = {
		{ "ipvsd0", 0, "ipvsd0" },
		{ "ipvsd0", 1, "ipvsd1" },
		{ "ipvsd9", 2, "ipvsd11" },
		{ "lb", 0, "lb" },
		{ "lb", 1, "lb1" },
		{ "a1b", 3, "a1b3" },
		{ "0123456789abcde", 0, "0123456789abcde" },
		{ "0123456789abcde", 1, NULL },
		{ "0123456789abcdef", 0, NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char name[IFNAMSIZ] = "";
		int r = options_exception_name(cases[i].base, cases[i].index, name);

		assert_int_equal(r, cases[i].name ? 0 : -ENAMETOOLONG);
		if (cases[i].name)
			assert_string_equal(name, cases[i].name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),	cmocka_unit_test(test_everything),
		cmocka_unit_test(test_actions),		cmocka_unit_test(test_errors),
		cmocka_unit_test(test_too_many_ports),	cmocka_unit_test(test_long_values),
		cmocka_unit_test(test_exception_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Both planes on one gateway: the traffic goes from kernel IPVS to ipvsd-fastpath and back, by order and when the
 * program is killed or hangs or never comes up, and the gateway's interfaces are afterwards as they were. Real kernel
 * IPVS, real ipvsd-fastpath on AF_PACKET or AF_XDP ports.
 */

#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "tests/lab/fixture.h"
#include "tests/netns/plane-order.h"

enum {
	RATE = 20,
	DROPS_MAX = 40, /* a third of a second's packets */
	COMMAND_MAX = 512,
};

/* So many that more than one meets the time between the planes, which would make a target unhealthy. */
#define CHECKS                                                                                     \
	"health-check-protocol = http\nhealth-check-path = /healthz\nhealth-check-interval = "     \
	"200ms\nhealth-check-timeout = 200ms\nhealthy-threshold = 2\nunhealthy-threshold = 2\n"    \
	"algorithm = round-robin\nunhealthy-connection-termination = no\n"

static struct fixture f;
static const char *driver = "net_af_packet", *global_keys = "";

DEFINE_CLEANUP(json_t *, json_decref)

static void shell(const struct lab_host *h, const char *command)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	const char *const argv[] = { "sh", "-ec", command, NULL };

	assert_int_equal(lab_run(h, argv, &result), 0);
	if (result.status != 0)
		fail_msg("%s: %s\n-> %d\n%s%s", h->name, command, result.status, result.out,
			 result.err);
}

static int set_up(void **state)
{
	(void)state;
	fixture_init(&f, 1, 1);
	/* veth leaves checksums to hardware that is not there. */
	shell(&f.lab->internet, "ethtool -K eth0 tx off tso off gso off >/dev/null");
	for (size_t i = 0; i < f.lab->n_targets; i++)
		shell(&f.lab->targets[i], "ethtool -K eth0 tx off tso off gso off >/dev/null");
	/* Things to lose: a second address, an MTU, routes. */
	shell(&f.lab->gateway,
	      "ip address add 10.0.0.77/24 dev public; ip link set dev public mtu 1450; "
	      "ip route add 192.0.2.0/24 via 10.0.0.1 metric 5 mtu 1300; ip -6 "
	      "route add 2001:db8:ffff::/48 via 2001:db8::1");
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	fixture_deinit(&f);
	global_keys = "";
	return 0;
}

static void configure(const char *extra, unsigned weight_a, unsigned weight_b)
{
	char program[LAB_PATH_MAX];

	assert_int_equal(
		gateway_configure(f.gateway,
				  LAB_CONF_GLOBAL
				  "%s" FIXTURE_LISTENERS
				  "[target-group blue]\ntargets = 10.0.1.10:8080 weight=%u\n"
				  " 10.0.2.10:8080 weight=%u\n" CHECKS
				  "[target-group echo]\ntargets = 10.0.1.10:7\n"
				  "health-check-protocol = none\n"
				  "[fastpath]\nprogram = %s\nports = %s0,iface=public "
				  "%s1,iface=zone-a %s2,iface=zone-b\n"
				  "lcores = 0\nhugepages = no\nmemory = 128\n"
				  "max-connections = 16384\n%s",
				  global_keys, weight_a, weight_b,
				  lab_program("../dpdk-fastpath/ipvsd-fastpath", program), driver,
				  driver, driver, extra),
		0);
}

/* Addresses, routes and MTU of the gateway, as iproute2 has them. */
static char *look(void)
{
	static const char *const argv[] = {
		"sh", "-c",
		"ip -o link | sed 's/^[0-9]*: //; s/link-netnsid.*//; s/qlen.*//'; ip -o address | "
		"sed 's/^[0-9]*: //'; ip route show table all | grep -v '^local\\|^broadcast'; ip "
		"-6 "
		"route show table all | grep -v '^local\\|^multicast\\|^anycast'; nft list ruleset",
		NULL
	};
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	char *text;

	assert_int_equal(lab_run(&f.lab->gateway, argv, &result), 0);
	text = result.out;
	result.out = NULL;
	return text;
}

static void assert_same(const char *before)
{
	_cleanup_free_ char *now = look();

	if (strcmp(now, before) == 0)
		return;
	(void)fprintf(stderr, "now:\n%s\nbefore:\n%s\n", now, before);
	gateway_print_log(f.gateway);
	fail();
}

/* No target was taken for ill because its probes were lost between the planes. */
static void assert_all_healthy(void)
{
	if (!gateway_log_has(f.gateway, "healthy -> unhealthy") &&
	    !gateway_log_has(f.gateway, "fails open"))
		return;
	plane_print_events(&f);
	fail();
}

static void test_on_and_off(void **state)
{
	_cleanup_free_ char *before = NULL;
	char target[LAB_TARGET_MAX];
	usec_t from_usec, to_usec;
	struct lab_load *load;

	(void)state;
	configure("", 1, 1);
	fixture_start(&f, "blue");
	before = look();
	plane_assert_traffic(&f, false);
	load = fixture_load(&f, LAB_VIP, RATE, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	plane_order(&f, "on", 0);
	plane_assert_traffic(&f, true);
	lab_load_stop(load);
	lab_load_free(load);
	/* The way to each destination is known before the first packet comes, or some milliseconds later. */
	print_message("# %ld packets dropped without a next hop\n",
		      (long)plane_counter(&f, "drop-next-hop"));
	assert_in_range(plane_counter(&f, "drop-next-hop"), 0, DROPS_MAX);
	assert_int_equal(lab_address_exists(&f.lab->gateway, "ipvsd0", "10.0.0.77/24"), 1);
	assert_int_equal(lab_address_exists(&f.lab->gateway, "public", "10.0.0.10/24"), 0);
	plane_order(&f, "on", 0); /* it is */
	load = fixture_load(&f, LAB_VIP, RATE, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	lab_sleep(USEC_PER_SEC);
	from_usec = clock_monotonic_usec();
	plane_order(&f, "off", 0);
	to_usec = clock_monotonic_usec();
	lab_sleep(USEC_PER_SEC);
	lab_load_stop(load);
	/* Connections that the fast path had are lost: they do not go with the traffic. */
	assert_int_equal(lab_load_failed_outside(load, from_usec, to_usec), 0);
	lab_load_free(load);
	assert_same(before);
	plane_assert_traffic(&f, false);
	(void)fixture_get(&f, "/", target);
	plane_order(&f, "off", 0);
	assert_same(before);
	assert_all_healthy();
}

/* The program gets the signal under load; the kernel has the traffic again, and everything is as before. */
static void assert_survives(int signal, const char *reason)
{
	_cleanup_free_ char *before = NULL;
	struct lab_load *load;
	usec_t fault_usec;

	configure("", 1, 1);
	fixture_start(&f, "blue");
	before = look();
	plane_order(&f, "on", 0);
	load = fixture_load(&f, LAB_VIP, RATE, USEC_PER_SEC);
	lab_sleep(USEC_PER_SEC);
	fault_usec = clock_monotonic_usec();
	assert_int_equal(kill(plane_process(&f), signal), 0);
	plane_assert_back(&f, load, fault_usec, RATE);
	assert_true(plane_has_state(&f, "off"));
	assert_true(plane_reason_has(&f, reason));
	assert_same(before);
}

static void test_killed(void **state)
{
	(void)state;
	assert_survives(SIGKILL, "killed by signal 9");
	assert_all_healthy();
}

static void test_hung(void **state)
{
	(void)state;
	assert_survives(SIGSTOP, "does not answer");
	assert_all_healthy();
}

static void test_worker_hung(void **state)
{
	_cleanup_free_ char *before = NULL;
	pid_t holder;
	int status;

	(void)state;
	configure("", 1, 1);
	fixture_start(&f, "blue");
	before = look();
	plane_order(&f, "on", 0);
	plane_assert_traffic(&f, true);
	holder = plane_hold_worker(&f);
	plane_wait_state(&f, "off");
	assert_true(plane_reason_has(&f, "stands still"));
	assert_int_equal(waitpid(holder, &status, 0), holder);
	assert_int_equal(status, 0);
	plane_assert_traffic(&f, false);
	assert_same(before);
	assert_all_healthy();
}

/* However much there is to put back, the daemon answers meanwhile: it may take the kernel seconds. */
static void test_much_to_restore(void **state)
{
	_cleanup_free_ char *before = NULL;
	usec_t fault_usec, took_usec, longest_usec = 0;

	(void)state;
	configure("", 1, 1);
	fixture_start(&f, "blue");
	shell(&f.lab->gateway, "for i in 0 1 2 3; do for j in $(seq 0 249); do echo route add "
			       "198.18.$i.$j/32 via 10.0.0.1; done; done | ip -batch -");
	before = look();
	plane_order(&f, "on", 0);
	fault_usec = clock_monotonic_usec();
	assert_int_equal(kill(plane_process(&f), SIGKILL), 0);
	/* What asks the fast path itself would wait for it. */
	while (!gateway_log_has(f.gateway, "off: ")) {
		usec_t asked_usec = clock_monotonic_usec();

		assert_int_equal(gateway_request(f.gateway, "GET", "/v1/events", NULL, NULL), 200);
		longest_usec = MAX(longest_usec, clock_monotonic_usec() - asked_usec);
		assert_true(asked_usec < fault_usec + 20 * USEC_PER_SEC);
		lab_sleep(5 * USEC_PER_MSEC);
	}
	took_usec = clock_monotonic_usec() - fault_usec;
	print_message("# restored after %lu ms; the longest answer took %lu ms\n",
		      (unsigned long)(took_usec / USEC_PER_MSEC),
		      (unsigned long)(longest_usec / USEC_PER_MSEC));
	assert_same(before);
	assert_true(longest_usec < took_usec / 2);
}

/* Enabled: it comes back by itself; a weight and a drain reach it; its connections are seen. */
static void test_enabled(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	_cleanup_(json_decref_p) json_t *status = NULL;
	char buf[FIXTURE_STATE_MAX];
	pid_t first;

	(void)state;
	configure("enabled = yes\n", 1, 1);
	fixture_start(&f, "blue");
	plane_wait_state(&f, "active");
	plane_assert_traffic(&f, true);
	first = plane_process(&f);
	assert_int_equal(kill(first, SIGKILL), 0);
	plane_wait_state(&f, "waiting");
	plane_assert_traffic(&f, false);
	plane_wait_state(&f, "active");
	assert_int_not_equal(plane_process(&f), first);
	plane_assert_traffic(&f, true);

	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/drain",
					 "{\"group\": \"blue\", \"target\": \"10.0.1.10:8080\"}",
					 NULL),
			 200);
	plane_wait_served_by(&f, "b1");
	/* Health, too. */
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/undrain",
					 "{\"group\": \"blue\", \"target\": \"10.0.1.10:8080\"}",
					 NULL),
			 200);
	lab_server_order_health(&f.servers[1], 500);
	assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.2.10", 0, FIXTURE_SOON_USEC) !=
		    USEC_NEVER);
	plane_wait_served_by(&f, "a1");
	assert_string_equal(fixture_state(&f, "blue", "10.0.2.10", buf), "unhealthy");
	assert_int_equal(gateway_request(f.gateway, "GET", "/v1/status", NULL, &status), 200);
	assert_string_equal(json_string_value(json_object_get(status, "plane")), "fast path");
	assert_true(json_integer_value(
			    json_object_get(json_array_get(json_object_get(status, "listeners"), 0),
					    "connections")) >= 26);

	/* Who leaves and has closed connections alone, on either plane, is not waited for. */
	assert_int_equal(gateway_request(f.gateway, "POST", "/v1/deregister",
					 "{\"group\": \"blue\", \"target\": \"10.0.1.10:8080\"}",
					 NULL),
			 200);
	assert_true(gateway_wait_weight(f.gateway, LAB_VIP, "10.0.1.10", -ENOENT,
					10 * USEC_PER_SEC) != USEC_NEVER);

	/* Off by configuration. */
	configure("", 1, 1);
	fixture_reload(&f, 0, &result);
	plane_wait_state(&f, "off");
	plane_assert_traffic(&f, false);
}

/* The daemon goes and comes: the fast path has the traffic all the time, and the new daemon has the fast path. */
static bool is_suspected(void *userdata)
{
	(void)userdata;
	return gateway_log_has(f.gateway, "most of its connections are half open: probing it now");
}

/* Checks go to the target's own address, connections to the VIP, which it does not have: it answers none of them. */
static void test_half_open(void **state)
{
	struct lab_load *load;

	(void)state;
	global_keys = "passive-health-interval = 1s\n";
	configure("[listener one-way]\naddress = " LAB_VIP2 "\nport = 80\nforward = one-way\n"
		  "[target-group one-way]\ntargets = 10.0.1.10:80\nforwarding = direct\n"
		  "health-check-port = 8080\npassive-minimum-connections = 5\n" CHECKS,
		  1, 1);
	fixture_start(&f, "one-way");
	plane_order(&f, "on", 0);
	assert_false(is_suspected(NULL));
	load = fixture_load(&f, LAB_VIP2, RATE, 500 * USEC_PER_MSEC);
	assert_int_equal(lab_wait_until(is_suspected, NULL, FIXTURE_SOON_USEC), 0);
	lab_load_stop(load);
	lab_load_free(load);
	assert_true(plane_has_state(&f, "active"));
	assert_all_healthy();
}

static void test_daemon_restarts(void **state)
{
	static const int signals[] = { SIGTERM, SIGKILL };
	_cleanup_free_ char *before = NULL;
	struct lab_load *load;
	pid_t pid;

	(void)state;
	configure("", 1, 1);
	fixture_start(&f, "blue");
	before = look();
	plane_order(&f, "on", 0);
	pid = plane_process(&f);
	load = fixture_load(&f, LAB_VIP, RATE, FIXTURE_PATIENCE_SEC * USEC_PER_SEC);
	for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
		assert_true(gateway_stop(f.gateway, signals[i]) >= 0);
		lab_sleep(500 * USEC_PER_MSEC);
		assert_int_equal(kill(pid, 0), 0);
		assert_int_equal(gateway_start(f.gateway), 0);
		plane_wait_state(&f, "active");
		assert_int_equal(plane_process(&f), pid);
		plane_assert_traffic(&f, true);
	}
	lab_load_stop(load);
	assert_int_equal(lab_load_failed_outside(load, USEC_NEVER, USEC_NEVER), 0);
	lab_load_free(load);
	/* Both die: the next daemon finds it and puts everything back. */
	assert_true(gateway_stop(f.gateway, SIGKILL) >= 0);
	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(gateway_start(f.gateway), 0);
	plane_wait_state(&f, "off");
	assert_same(before);
	plane_assert_traffic(&f, false);
}

/* Every fault before it has the traffic costs none. */
static void test_cannot(void **state)
{
	static const struct {
		const char *extra, *reason;
	} cases[] = {
		{ "memory = 1000000\n", "lower memory" },
		{ "hugepages = yes\n", "huge pages" },
		{ "lcores = 77\n", "" },
		{ "program = /bin/true\n", "exited with status 0" },
		{ "program = /bin/nothing\n", "No such file" },
		{ "ports = net_af_packet0,iface=nothing\n", "no such interface" },
		{ "ports = 0000:ff:1f.7\n", "no such PCI device" },
		{ "ports = nonsense\n", "neither a PCI address" },
	};
	_cleanup_free_ char *before = NULL;
	char program[LAB_PATH_MAX];

	(void)state;
	configure("", 1, 1);
	fixture_start(&f, "blue");
	before = look();
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
		const char *extra = cases[i].extra;
		bool has_ports = strstr(extra, "ports"), has_program = strstr(extra, "program"),
		     has_memory = strstr(extra, "memory"), has_cores = strstr(extra, "lcores"),
		     has_pages = strstr(extra, "hugepages");

		assert_int_equal(
			gateway_configure(
				f.gateway,
				LAB_CONF_GLOBAL FIXTURE_LISTENERS
				"[target-group blue]\ntargets = 10.0.1.10:8080 "
				"10.0.2.10:8080\n" FIXTURE_CHECKS
				"[target-group echo]\ntargets = 10.0.1.10:7\n"
				"health-check-protocol = none\n[fastpath]\n%s%s%s%s%s%s%s%s",
				has_program ? "" : "program = ",
				has_program
					? ""
					: lab_program("../dpdk-fastpath/ipvsd-fastpath", program),
				has_program ? "" : "\n",
				has_ports ? "" : "ports = net_af_packet0,iface=public\n",
				has_memory ? "" : "memory = 128\n", has_cores ? "" : "lcores = 0\n",
				has_pages ? "" : "hugepages = no\n", extra),
			0);
		fixture_reload(&f, 0, &result);
		plane_order(&f, "on", 1);
		if (!plane_reason_has(&f, cases[i].reason)) {
			gateway_print_log(f.gateway);
			fail_msg("case %zu", i);
		}
		assert_same(before);
		plane_assert_traffic(&f, false);
	}
}

static void admit(const char *groups)
{
	char program[LAB_PATH_MAX];

	assert_int_equal(
		gateway_configure(f.gateway,
				  LAB_CONF_GLOBAL
				  "[listener web]\naddress = " LAB_VIP "\nport = 80\n"
				  "forward = blue\n%s"
				  "[target-group blue]\ntargets = 10.0.1.10:8080\n" FIXTURE_CHECKS
				  "[fastpath]\nprogram = %s\nports = %s0,iface=public "
				  "%s1,iface=zone-a %s2,iface=zone-b\n"
				  "lcores = 0\nhugepages = no\nmemory = 128\n"
				  "max-connections = 16384\n",
				  groups, lab_program("../dpdk-fastpath/ipvsd-fastpath", program),
				  driver, driver, driver),
		0);
}

#define GROUP(rule) "security-groups = s\n[security-group s]\ningress = " rule "\n"

static void assert_admitted(bool internet, bool router)
{
	const struct lab_url url = { LAB_VIP, 80, "/" };
	const struct lab_host *from[] = { &f.lab->internet, &f.lab->router };
	bool expected[] = { internet, router };

	for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
		struct lab_reply reply;

		/* A refused client asks once and once again. */
		assert_int_equal(lab_http_get(from[i], &url,
					      expected[i] ? 10 * USEC_PER_SEC
							  : 1500 * USEC_PER_MSEC,
					      &reply, NULL),
				 0);
		if (reply.outcome == (expected[i] ? LAB_ANSWERED : LAB_TIMED_OUT))
			continue;
		gateway_print_log(f.gateway);
		fail_msg("%s: %s", from[i]->name, lab_outcome_to_string(reply.outcome));
	}
}

static void assert_status_says(const char *text)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;

	assert_int_equal(gateway_command(f.gateway, &result, "fastpath", "--socket",
					 LAB_CONTROL_SOCKET, "status", NULL),
			 0);
	if (!strstr(result.out, text))
		fail_msg("no \"%s\" in: %s", text, result.out);
}

/* Who may come: by the fast path, from the first packet on, after a reload and from daemon to daemon. */
static void test_security_groups(void **state)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT, again = result,
						       third = result;
	const struct lab_url url = { LAB_VIP, 80, "/slow?bytes=400000&rate=100000" };
	struct lab_download old;

	(void)state;
	shell(&f.lab->router, "ethtool -K public tx off >/dev/null"); /* a client here */
	admit(GROUP("tcp 80 from 198.51.100.0/24"));
	fixture_start(&f, "blue");
	assert_status_says("NOT enforced (the kernel plane admits everybody) of listeners: web");
	assert_admitted(true, true);
	plane_order(&f, "on", 0);
	assert_admitted(true, false);
	assert_true(plane_counter(&f, "drop-rules") >= 2);
	assert_status_says("enforced of listeners: web");
	assert_status_says("drop-rules");

	/* The other way round: who is connected stays. */
	assert_int_equal(lab_download_start(&old, &f.lab->internet, &url, 20 * USEC_PER_SEC), 0);
	while (atomic_load(&old.received_bytes) == 0)
		lab_sleep(5 * USEC_PER_MSEC);
	admit(GROUP("tcp 80 from 10.0.0.1"));
	fixture_reload(&f, 0, &result);
	assert_non_null(strstr(result.out, "admit to tcp of listener web: 1 rules"));
	assert_admitted(false, true);
	lab_download_wait(&old);
	assert_string_equal(lab_outcome_to_string(old.reply.outcome), "answered");
	assert_int_equal(old.reply.body_bytes, 400000);
	fixture_reload(&f, 0, &again);
	assert_null(strstr(again.out, "admit"));

	/* A daemon that finds the program does not know what it was told. */
	assert_true(gateway_stop(f.gateway, SIGKILL) >= 0);
	admit("");
	assert_int_equal(gateway_start(f.gateway), 0);
	plane_wait_state(&f, "active");
	assert_admitted(true, true);
	admit(GROUP("udp from 0.0.0.0/0"));
	fixture_reload(&f, 0, &third);
	assert_admitted(false, false);
	plane_order(&f, "off", 0);
	assert_admitted(true, true);
}

static void test_af_xdp(void **state)
{
	_cleanup_free_ char *before = NULL;

	(void)state;
	driver = "net_af_xdp";
	configure("", 1, 1);
	fixture_start(&f, "blue");
	shell(&f.lab->gateway, "for i in public zone-a zone-b; do ethtool -L $i rx 2 tx 2; done");
	plane_order(&f, "on", 1);
	assert_true(plane_reason_has(&f, "receive queues"));
	shell(&f.lab->gateway, "for i in public zone-a zone-b; do ethtool -L $i rx 1 tx 1; done");
	before = look();
	plane_order(&f, "on", 0);
	plane_assert_traffic(&f, true);
	assert_int_equal(kill(plane_process(&f), SIGKILL), 0);
	plane_wait_state(&f, "off");
	plane_assert_traffic(&f, false);
	plane_order(&f, "on", 0);
	plane_assert_traffic(&f, true);
	plane_order(&f, "off", 0);
	assert_same(before);
	plane_assert_traffic(&f, false);
	driver = "net_af_packet";
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_on_and_off, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_killed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hung, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_worker_hung, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_much_to_restore, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_enabled, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_half_open, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_daemon_restarts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_cannot, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_security_groups, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_af_xdp, set_up, tear_down),
	};

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/netns/fastpath-gateway.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/cleanup.h"

enum {
	SPEC_MAX = 128,
	N_PORTS = 3,
};

/* To start, or to end, on a machine that does much else. */
#define START_TIMEOUT_USEC (60 * USEC_PER_SEC)
#define CHANNEL_TIMEOUT_USEC (20 * USEC_PER_SEC)

static const char *const interfaces[N_PORTS] = { "public", "zone-a", "zone-b" };

const char *const fastpath_vips[2] = { LAB_VIP, LAB_VIP6 };

void fastpath_shell(const struct lab_host *h, const char *format, ...)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	_cleanup_free_ char *command = NULL;
	const char *argv[] = { "sh", "-ec", NULL, NULL };
	va_list ap;
	int n;

	va_start(ap, format);
	n = vasprintf(&command, format, ap);
	va_end(ap);
	assert_true(n > 0);
	argv[2] = command;
	assert_int_equal(lab_run(h, argv, &result), 0);
	if (result.status != 0)
		fail_msg("%s: %s\n-> %d\n%s%s", h->name, command, result.status, result.out,
			 result.err);
}

/* veth leaves checksums to hardware that is not there. */
static void fill_in_checksums(struct lab *lab)
{
	fastpath_shell(&lab->internet, "ethtool -K eth0 tx off tso off gso off >/dev/null");
	for (size_t i = 0; i < lab->n_targets; i++)
		fastpath_shell(&lab->targets[i],
			       "ethtool -K eth0 tx off tso off gso off >/dev/null");
}

static void enlarge_links(struct lab *lab)
{
	fastpath_shell(&lab->internet, "ip link set eth0 mtu 9000");
	fastpath_shell(&lab->router, "for i in $(ip -o link show | cut -d: -f2 | cut -d@ -f1); do"
				     " [ $i = lo ] || ip link set $i mtu 9000; done");
	for (size_t i = 0; i < lab->n_targets; i++)
		fastpath_shell(&lab->targets[i], "ip link set eth0 mtu 9000");
	for (size_t i = 0; i < N_PORTS; i++)
		fastpath_shell(&lab->gateway, "ip link set %s mtu 9000", interfaces[i]);
}

/* What comes in by the old interfaces is the program's alone; packet sockets see it before the chain does. */
static void silence_kernel(struct lab *lab)
{
	for (size_t i = 0; i < N_PORTS; i++)
		fastpath_shell(
			&lab->gateway,
			"ip addr flush dev %s; nft add table netdev t; "
			"nft 'add chain netdev t c%zu { type filter hook ingress device \"%s\" "
			"priority 0; policy drop; }'; echo 1 > "
			"/proc/sys/net/ipv6/conf/%s/disable_ipv6",
			interfaces[i], i, interfaces[i], interfaces[i]);
}

static void move_addresses(struct lab *lab)
{
	fastpath_shell(
		&lab->gateway,
		"ip addr add 10.0.0.10/24 dev ipvsd0; ip addr add 2001:db8::a/64 dev ipvsd0 nodad;"
		"ip addr add 10.0.1.5/24 dev ipvsd1; ip addr add 2001:db8:0:1::5/64 dev ipvsd1 "
		"nodad;"
		"ip addr add 10.0.2.5/24 dev ipvsd2; ip addr add 2001:db8:0:2::5/64 dev ipvsd2 "
		"nodad;"
		"ip addr add " LAB_VIP "/32 dev ipvsd0; ip addr add " LAB_VIP2 "/32 dev ipvsd0;"
		"ip addr add " LAB_VIP6 "/128 dev ipvsd0 nodad;"
		"ip route replace default via 10.0.0.1; ip -6 route replace default via "
		"2001:db8::1");
}

/* The bridges' ports towards the gateway are the program's own TAP interfaces then. */
static void plug_taps(struct lab *lab)
{
	for (size_t i = 0; i < N_PORTS; i++) {
		/* Another MAC: a bridge takes frames to that of its port for its own. */
		fastpath_shell(
			&lab->gateway,
			"ip link set t%zu down; ip link set t%zu address 02:00:00:00:ff:0%zu; "
			"ip link set t%zu netns /proc/%d/fd/%d",
			i, i, i, i, (int)getpid(), lab->router.ns);
		fastpath_shell(&lab->router,
			       "ip link set gw-%s down; ip link set t%zu master %s up",
			       interfaces[i], i, interfaces[i]);
	}
}

static void format_port(enum fastpath_ports ports, const char *workers, size_t i,
			char ret[static SPEC_MAX])
{
	const unsigned n = strchr(workers, ',') || strchr(workers, '-') ? 2 : 1;

	switch (ports) {
	case FASTPATH_AF_PACKET:
		(void)snprintf(ret, SPEC_MAX, "net_af_packet%zu,iface=%s,qpairs=%u", i,
			       interfaces[i], n);
		break;
	case FASTPATH_AF_PACKET_JUMBO:
		(void)snprintf(ret, SPEC_MAX,
			       "net_af_packet%zu,iface=%s,framesz=16384,blocksz=65536,qpairs=%u", i,
			       interfaces[i], n);
		break;
	case FASTPATH_AF_XDP:
		(void)snprintf(ret, SPEC_MAX, "net_af_xdp%zu,iface=%s", i, interfaces[i]);
		break;
	case FASTPATH_TAP:
		(void)snprintf(ret, SPEC_MAX, "net_tap%zu,iface=t%zu", i, i);
		break;
	}
}

static bool answers(void *userdata)
{
	struct fastpath_gateway *g = userdata;

	return !lab_process_running(&g->process) ||
	       channel_open_unix(FASTPATH_SOCKET, CHANNEL_TIMEOUT_USEC, &g->channel) == 0;
}

static void launch(struct fastpath_gateway *g, enum fastpath_ports ports, const char *workers)
{
	char program[LAB_PATH_MAX], specs[N_PORTS][SPEC_MAX];
	const char *argv[] = { lab_program("../dpdk-fastpath/ipvsd-fastpath", program),
			       "--no-hugepages",
			       "--control",
			       FASTPATH_SOCKET,
			       "--workers",
			       workers,
			       "--max-connections",
			       "100000",
			       "--queue-size",
			       ports == FASTPATH_AF_XDP ? "256" : "1024",
			       "--port",
			       specs[0],
			       "--port",
			       specs[1],
			       "--port",
			       specs[2],
			       NULL };

	for (size_t i = 0; i < N_PORTS; i++)
		format_port(ports, workers, i, specs[i]);
	assert_int_equal(lab_spawn(&g->lab->gateway, argv, NULL, &g->process), 0);
	(void)lab_wait_until(answers, g, START_TIMEOUT_USEC);
	if (!g->channel) {
		_cleanup_free_ char *log = lab_output_read(g->process.err);

		fail_msg("ipvsd-fastpath did not start:\n%s", log ? log : "");
	}
}

void fastpath_gateway_start(struct fastpath_gateway *g, enum fastpath_ports ports,
			    const char *workers, const struct lab_spec *spec)
{
	*g = (struct fastpath_gateway){ .process = LAB_PROCESS_INIT, .rules = IPVS_RULESET_INIT };
	assert_int_equal(lab_new(spec, &g->lab), 0);
	fill_in_checksums(g->lab);
	if (ports == FASTPATH_AF_PACKET_JUMBO)
		enlarge_links(g->lab);
	launch(g, ports, workers);
	silence_kernel(g->lab);
	if (ports == FASTPATH_TAP)
		plug_taps(g->lab);
	move_addresses(g->lab);
}

void fastpath_gateway_stop(struct fastpath_gateway *g)
{
	channel_free(g->channel);
	if (lab_process_running(&g->process)) {
		(void)lab_process_signal(&g->process, SIGTERM);
		assert_int_equal(lab_process_wait(&g->process, START_TIMEOUT_USEC), 0);
		if (g->process.status != 0) {
			_cleanup_free_ char *log = lab_output_read(g->process.err);

			fail_msg("ipvsd-fastpath ended with %d:\n%s", g->process.status,
				 log ? log : "");
		}
	}
	lab_process_deinit(&g->process);
	ipvs_ruleset_deinit(&g->rules);
	lab_free(g->lab);
}

int fastpath_gateway_tear_down(void **state)
{
	fastpath_gateway_stop(*state);
	return 0;
}

void fastpath_gateway_add_locals(struct fastpath_gateway *g)
{
	const struct addr locals[] = {
		{ .family = AF_INET, .bytes = { 10, 0, 1, 6 } },
		{ .family = AF_INET6,
		  .bytes = { 0x20, 1, 0x0d, 0xb8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 6 } },
	};

	assert_int_equal(channel_set_locals(g->channel, locals, ARRAY_SIZE(locals)), 0);
	fastpath_shell(&g->lab->gateway, "ip addr add 10.0.1.6/32 dev ipvsd1; "
					 "ip addr add 2001:db8:0:1::6/128 dev ipvsd1 nodad");
}

static void add_service(struct fastpath_gateway *g, const struct fastpath_service *wanted,
			struct ipvs_ruleset *r)
{
	struct ipvs_service_key key = { .protocol = wanted->protocol, .port = wanted->port };
	struct ipvs_service *s;

	assert_int_equal(addr_parse(wanted->vip, &key.addr), 0);
	key.family = key.addr.family;
	s = ipvs_ruleset_append(r, &key);
	assert_non_null(s);
	(void)snprintf(s->scheduler, sizeof(s->scheduler), "%s", wanted->scheduler);
	s->netmask = key.family == AF_INET6 ? 128 : UINT32_MAX;
	for (unsigned i = 0; i < wanted->n_dests; i++) {
		const struct lab_host *h = &g->lab->targets[i];
		struct ipvs_dest d = { .port = wanted->dest_port,
				       .weight = 1,
				       .forward = wanted->forward };

		assert_int_equal(
			addr_parse(key.family == AF_INET6 ? h->address6 : h->address, &d.addr), 0);
		assert_non_null(ipvs_service_append(s, &d));
	}
}

void fastpath_gateway_program(struct fastpath_gateway *g, const struct fastpath_service *services,
			      size_t n)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset wanted = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	const struct plan_ownership all = { .exclusive = true };
	size_t failed = SIZE_MAX;

	for (size_t i = 0; i < n; i++)
		add_service(g, &services[i], &wanted);
	ipvs_ruleset_sort(&wanted);
	assert_int_equal(channel_dump(g->channel, &actual), 0);
	assert_int_equal(plan_compute(&actual, &wanted, &all, &plan), 0);
	results = calloc(plan.n + 1, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(g->channel, &plan, results, &failed), 0);
	for (size_t i = 0; i < plan.n; i++)
		assert_int_equal(results[i].error, 0);
	assert_int_equal(failed, 0);
}

struct search {
	const char *name;
	uint64_t sum;
};

static int on_worker(void *userdata, const struct private_worker *w,
		     const struct private_counters *counters)
{
	struct search *s = userdata;

	(void)w;
	for (size_t i = 0; i < counters->n; i++)
		if (!strcmp(counters->at[i].name, s->name))
			s->sum += counters->at[i].value;
	return 0;
}

uint64_t fastpath_counter(struct fastpath_gateway *g, const char *name)
{
	struct search s = { .name = name };

	assert_int_equal(channel_dump_workers(g->channel, on_worker, &s), 0);
	return s.sum;
}

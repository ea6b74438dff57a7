/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control socket as the daemon meets it: our own channel, planner and apply code against the real tables behind a
 * real socket. What holds for the channel to the kernel (netns/netns-channel.c) holds here.
 */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "control-rig.h"
#include "ipvs/channel-unix.h"
#include "ipvs/plan.h"
#include "random-ruleset.h"

enum {
	RANDOM_STEPS = 300,
	LARGE_DESTS = 4000,
	CONNS = 3000,
	CLIENTS = 70, /* more than are admitted */
};

static const usec_t TIMEOUT = 20 * USEC_PER_SEC;

struct fixture {
	struct control_rig rig;
	struct channel *channel;
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	control_rig_init(&f->rig);
	control_rig_start(&f->rig);
	*state = f;
	return channel_open_unix(f->rig.path, TIMEOUT, &f->channel);
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	channel_free(f->channel);
	control_rig_stop(&f->rig);
	control_rig_deinit(&f->rig);
	free(f);
	return 0;
}

static void dump(struct channel *c, struct ipvs_ruleset *ret)
{
	*ret = IPVS_RULESET_INIT;
	assert_int_equal(channel_dump(c, ret), 0);
}

static void assert_same(const struct ipvs_ruleset *got, const struct ipvs_ruleset *expected)
{
	if (same_ruleset(got, expected))
		return;
	print_ruleset("the fast path's table", got);
	print_ruleset("expected", expected);
	fail_msg("the tables differ");
}

/* Everything must succeed. Returns the operations. */
static size_t reconcile(struct channel *c, const struct ipvs_ruleset *desired,
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
	for (size_t i = 0; i < p.n; i++) {
		_cleanup_free_ char *text = plan_op_describe(&p.ops[i]);

		if (results[i].error)
			print_error("%s: %s\n", text, strerror(-results[i].error));
	}
	assert_int_equal(failed, 0);
	return p.n;
}

static struct ipvs_service *add_service(struct ipvs_ruleset *r, const char *text, uint16_t port,
					const char *scheduler)
{
	struct ipvs_service_key key = { .protocol = IPPROTO_TCP, .port = port };
	struct ipvs_service *s;

	assert_int_equal(addr_parse(text, &key.addr), 0);
	key.family = key.addr.family;
	s = ipvs_ruleset_append(r, &key);
	assert_non_null(s);
	strcpy(s->scheduler, scheduler);
	s->netmask = key.family == AF_INET6 ? 128 : UINT32_MAX;
	return s;
}

static void add_dests(struct ipvs_service *s, unsigned n)
{
	for (unsigned i = n; i > 0; i--) {
		struct ipvs_dest d = { .port = (uint16_t)i, .weight = i };

		assert_int_equal(addr_parse("10.1.0.1", &d.addr), 0);
		assert_non_null(ipvs_service_append(s, &d));
	}
}

static void test_random(void **state)
{
	static const char *const schedulers[] = { "rr",	 "wrr", "lc", "wlc", "sed",  "nq",   "fo",
						  "ovf", "sh",	"dh", "mh",  "twos", "none", NULL };
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset now = IPVS_RULESET_INIT;
	const char *seed_text = getenv("IPVSD_TEST_SEED");
	struct random random = { .state = (uint64_t)time(NULL),
				 .schedulers = schedulers,
				 .fastpath = true };
	uint64_t writes = 0;

	if (seed_text)
		random.state = strtoull(seed_text, NULL, 10);
	print_message("IPVSD_TEST_SEED=%llu\n", (unsigned long long)random.state);
	for (unsigned i = 0; i < RANDOM_STEPS; i++) {
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
		_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset expected = IPVS_RULESET_INIT;
		_cleanup_free_ struct ipvs_service_key *keys = NULL;
		struct plan_ownership owned = { .exclusive = random_below(&random, 3) == 0 };

		if (random_below(&random, 8) == 0)
			random_ruleset(&random, &desired);
		else
			random_mutation(&random, &now, &desired);
		keys = random_keys(&random, &now, &owned.n);
		owned.keys = keys;
		expected_ruleset(&now, &desired, &owned, &expected);
		writes += reconcile(f->channel, &desired, &owned);
		ipvs_ruleset_deinit(&now);
		dump(f->channel, &now);
		assert_same(&now, &expected);
		assert_int_equal(reconcile(f->channel, &desired, &owned), 0);
		assert_int_equal(channel_writes(f->channel), writes);
	}
	assert_true(writes > RANDOM_STEPS);
}

/* More than one send and one dump's piece can carry, then as many errors. */
static void test_large(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan p = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t failed = 0;

	add_dests(add_service(&r, "10.9.0.1", 80, "mh"), LARGE_DESTS);
	assert_int_equal(reconcile(f->channel, &r, &(struct plan_ownership){ 0 }), LARGE_DESTS + 2);
	dump(f->channel, &after);
	assert_same(&after, &r);

	assert_int_equal(plan_compute(&(struct ipvs_ruleset){ 0 }, &r,
				      &(struct plan_ownership){ 0 }, &p),
			 0);
	results = calloc(p.n, sizeof(*results));
	assert_non_null(results);
	assert_int_equal(channel_apply(f->channel, &p, results, &failed), 0);
	assert_int_equal(failed, LARGE_DESTS + 1); /* all but the last SET_SERVICE */
	for (size_t i = 0; i + 1 < p.n; i++)
		assert_int_equal(results[i].error, -EEXIST);
}

/* The keepers, which have neither scheduler nor destination: the planner drives them here too. */
static void test_keepers(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset actual = IPVS_RULESET_INIT;

	for (unsigned i = 0; i < 2; i++) {
		struct ipvs_service_key key = { .fwmark = IPVS_HOOK_KEEPER_MARK,
						.family = i ? AF_INET6 : AF_INET };
		struct ipvs_service *s = ipvs_ruleset_append(&r, &key);

		assert_non_null(s);
		strcpy(s->scheduler, "none");
		s->netmask = i ? 128 : UINT32_MAX;
	}
	ipvs_ruleset_sort(&r);
	assert_int_equal(reconcile(f->channel, &r, &(struct plan_ownership){ 0 }), 2);
	dump(f->channel, &actual);
	assert_same(&actual, &r);
	assert_int_equal(reconcile(f->channel, &r, &(struct plan_ownership){ .exclusive = true }),
			 0);
	assert_int_equal(reconcile(f->channel, &(struct ipvs_ruleset){ 0 },
				   &(struct plan_ownership){ .exclusive = true }),
			 2);
}

static void test_timeouts_and_info(void **state)
{
	struct fixture *f = *state;
	struct ipvs_timeouts t = { .tcp_sec = 777, .udp_sec = 33 }, got = { 0 };
	struct ipvs_info info = { 0 };

	assert_int_equal(channel_set_timeouts(f->channel, &t), 0);
	assert_int_equal(channel_get_timeouts(f->channel, &got), 0);
	assert_int_equal(got.tcp_sec, 777);
	assert_int_equal(got.tcp_fin_sec, 120);
	assert_int_equal(got.udp_sec, 33);
	assert_int_equal(channel_get_info(f->channel, &info), 0);
	assert_int_equal(info.version, 0x010201);
	assert_true(info.conn_table_size >= 256);
	t.tcp_sec = UINT32_MAX;
	assert_int_equal(channel_set_timeouts(f->channel, &t), -EINVAL);
	assert_int_equal(channel_writes(f->channel), 2);
}

static void test_locals(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ struct addr *addrs = calloc(2000, sizeof(*addrs)), *got = NULL;
	size_t n = 9;

	assert_non_null(addrs);
	assert_int_equal(channel_get_locals(f->channel, &got, &n), 0);
	assert_int_equal(n, 0);
	free(got);
	got = NULL;
	for (unsigned i = 0; i < 2000; i++) {
		addrs[i].family = i % 2 ? AF_INET6 : AF_INET;
		addrs[i].bytes[0] = i % 2 ? 0xfd : 10;
		addrs[i].bytes[2] = (uint8_t)(i >> 8);
		addrs[i].bytes[3] = (uint8_t)i;
		if (i % 2 == 0)
			addrs[i].bytes[1] = 7;
	}
	assert_int_equal(channel_set_locals(f->channel, addrs, 2000), 0);
	assert_int_equal(channel_get_locals(f->channel, &got, &n), 0);
	assert_int_equal(n, 2000);
	/* All of them, in whatever order. */
	for (unsigned i = 0; i < 2000; i++) {
		bool found = false;

		for (unsigned k = 0; k < 2000 && !found; k++)
			found = addr_eq(&got[k], &addrs[i]);
		assert_true(found);
	}
	addrs[1] = addrs[3];
	assert_int_equal(channel_set_locals(f->channel, addrs, 2000), -EEXIST);
}

/* Options come back as they were set; rules and weights are taken, of what is there. */
static void test_settings(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "mh");
	struct private_options o = { .sloppy_tcp = true,
				     .reset_on_expiry = true,
				     .conn_reuse_mode = 2 };
	struct private_options got = { 0 };
	struct private_rule rule = { IPPROTO_TCP, 80, 80, { .len = 8 } };
	struct ipvs_service_key key = s->key;
	struct flow_key packet = { .protocol = IPPROTO_TCP, .family = AF_INET };
	struct ipvs_dest d;

	add_dests(s, 2);
	d = s->dests[0];
	reconcile(f->channel, &r, &(struct plan_ownership){ 0 });
	assert_int_equal(channel_set_options(f->channel, &o), 0);
	assert_int_equal(channel_get_options(f->channel, &got), 0);
	assert_memory_equal(&got, &o, sizeof(o));

	assert_int_equal(addr_parse("10.0.0.0", &rule.peer.addr), 0);
	assert_int_equal(channel_set_rules(f->channel, &key, &rule, 1), 0);
	assert_int_equal(channel_set_last_weight(f->channel, &key, &d, 5), 0);
	d.port = 9999;
	assert_int_equal(channel_set_last_weight(f->channel, &key, &d, 5), -ENOENT);
	key.port = 81;
	assert_int_equal(channel_set_rules(f->channel, &key, &rule, 1), -ESRCH);
	assert_int_equal(channel_set_last_weight(f->channel, &key, &d, 5), -ESRCH);

	/* What workers have of it: the thread has answered, and changes nothing meanwhile. */
	memcpy(packet.dst, s->key.addr.bytes, sizeof(packet.dst));
	packet.dst_port_be = htons(80);
	packet.src[0] = 10;
	for (unsigned i = 0; i < 2; i++) {
		const struct snapshot *snapshot = tables_snapshot(f->rig.tables);
		const struct service_view *v = snapshot_find_service(snapshot, &packet);

		assert_true(snapshot->options.sloppy_tcp);
		assert_non_null(v);
		assert_int_equal(v->rules == NULL, i);
		/* No rules at all are everybody's. */
		assert_int_equal(channel_set_rules(f->channel, &s->key, NULL, 0), 0);
	}
}

struct seen {
	bool client[65536];
	size_t n;
};

static int on_conn(void *userdata, const struct private_conn *c)
{
	struct seen *seen = userdata;

	assert_false(seen->client[c->record.client_port]);
	seen->client[c->record.client_port] = true;
	seen->n++;
	assert_int_equal(c->record.protocol, IPPROTO_TCP);
	assert_int_equal(c->record.state, CONN_TCP_ESTABLISHED);
	assert_int_equal(c->record.flags & CONNREC_FWD_MASK, IPVS_FORWARD_ROUTE);
	assert_int_equal(c->record.dest_port, 1);
	assert_int_equal(c->record.timeout_sec, 900);
	assert_true(c->remaining_sec >= 699 && c->remaining_sec <= 700);
	assert_int_equal(c->local.family, AF_UNSPEC);
	return 0;
}

static int stop_at_ten(void *userdata, const struct private_conn *c)
{
	unsigned *n = userdata;

	(void)c;
	return ++*n == 10 ? -ECANCELED : 0;
}

/* In, in more than one message, and out again. */
static void test_conns(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_free_ struct private_conn *conns = calloc(CONNS, sizeof(*conns));
	_cleanup_free_ struct seen *seen = calloc(1, sizeof(*seen));
	struct ipvs_service *s = add_service(&r, "10.9.0.1", 80, "wlc");
	struct private_result result;
	unsigned n = 0;

	assert_true(conns && seen);
	add_dests(s, 1);
	s->dests[0].forward = IPVS_FORWARD_ROUTE;
	reconcile(f->channel, &r, &(struct plan_ownership){ 0 });
	for (unsigned i = 0; i < CONNS; i++) {
		conns[i] = (struct private_conn){
			.record = { .protocol = IPPROTO_TCP,
				    .state = CONN_TCP_ESTABLISHED,
				    .flags = IPVS_FORWARD_ROUTE,
				    .client_port = (uint16_t)(1000 + i),
				    .virtual_port = 80,
				    .dest_port = 1,
				    .timeout_sec = 900,
				    .virtual = s->key.addr,
				    .dest = s->dests[0].addr },
			.remaining_sec = 700,
		};
		assert_int_equal(addr_parse("192.0.2.1", &conns[i].record.client), 0);
	}
	conns[7].record.dest_port = 2; /* a destination that is not there */
	assert_int_equal(channel_insert_conns(f->channel, conns, CONNS, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], CONNS - 1);
	assert_int_equal(result.counts[PRIVATE_CONN_NO_DEST], 1);
	assert_int_equal(channel_dump_conns(f->channel, on_conn, seen), 0);
	assert_int_equal(seen->n, CONNS - 1);

	dump(f->channel, &after);
	assert_int_equal(after.services[0].dests[0].active_conns, CONNS - 1);

	/* An error of the caller's ends the dump, and leaves the channel usable. */
	assert_int_equal(channel_dump_conns(f->channel, stop_at_ten, &n), -ECANCELED);
	assert_int_equal(n, 10);
	assert_int_equal(channel_insert_conns(f->channel, conns, 0, &result), 0);
}

static int on_worker(void *userdata, const struct private_worker *w,
		     const struct private_counters *c)
{
	unsigned *n = userdata;

	assert_int_equal(w->index, *n);
	assert_int_equal(w->lcore, 10 + *n);
	assert_int_equal(c->n, 20);
	assert_string_equal(c->at[19].name, "counter-19");
	assert_true(c->at[19].value == ((uint64_t)*n << 32 | 19));
	++*n;
	return 0;
}

static int on_port(void *userdata, const struct private_port *p, const struct private_counters *c)
{
	unsigned *n = userdata;

	assert_int_equal(p->index, *n);
	assert_string_equal(p->driver, "net_null");
	assert_int_equal(p->link_up, *n == 0);
	assert_int_equal(c->n, PRIVATE_COUNTERS_MAX);
	++*n;
	return 0;
}

static void test_statistics(void **state)
{
	struct fixture *f = *state;
	_cleanup_free_ struct private_status *s = calloc(1, sizeof(*s));
	unsigned n = 0;

	assert_non_null(s);
	assert_int_equal(channel_dump_workers(f->channel, on_worker, &n), 0);
	assert_int_equal(n, CONTROL_RIG_WORKERS);
	n = 0;
	assert_int_equal(channel_dump_ports(f->channel, on_port, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(channel_get_status(f->channel, s), 0);
	assert_int_equal(s->pid, getpid());
	assert_int_equal(s->n_workers, CONTROL_RIG_WORKERS);
	assert_int_equal(s->n_ports, 2);
	assert_true(s->ports[0].link_up && !s->ports[1].link_up);
	assert_int_equal(channel_attach_ports(f->channel, TIMEOUT), 0);
}

/* A client of no manners: what it sends is its own affair, and it reads nothing. */
static int rude_client(const struct fixture *f)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, f->rig.path, strlen(f->rig.path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void send_until_full(int fd, const void *bytes, size_t len, unsigned at_most)
{
	for (unsigned i = 0; i < at_most; i++)
		if (send(fd, bytes, len, MSG_NOSIGNAL) < 0)
			break;
}

/* Those that never read, in a dump or with requests by the thousand, do not keep others waiting. */
static void test_hostile(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_free_ uint8_t *junk = malloc(100 * 1024);
	_Alignas(8) uint8_t request[1024];
	struct codec_header h = { .family = PRIVATE_FAMILY, .flags = NLM_F_DUMP, .seq = 1 };
	int fds[6], n;
	size_t used = 0;

	assert_non_null(junk);
	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), LARGE_DESTS);
	reconcile(f->channel, &r, &(struct plan_ownership){ 0 });
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = rude_client(f);

	/* 0: dumps, one after the other. */
	n = codec_dest_request(request, sizeof(request), &h, IPVS_CMD_GET_DEST, &r.services[0].key,
			       NULL);
	assert_true(n > 0);
	send_until_full(fds[0], request, (size_t)n, 1000);
	/* 1: half of a message, and goes. */
	send_until_full(fds[1], request, (size_t)n / 2, 1);
	(void)close(fds[1]);
	fds[1] = -1;
	/* 2: noise. */
	for (unsigned i = 0; i < 100 * 1024; i++)
		junk[i] = (uint8_t)(i * 2654435761U >> 13);
	send_until_full(fds[2], junk, 100 * 1024, 1000);
	/* 3: large answers by the thousand; it is dropped, or not read from. */
	h.flags = 0;
	while (used + 64 < 100 * 1024) {
		n = codec_plain_request(junk + used, 64, &h, PRIVATE_CMD_GET_STATUS);
		assert_true(n > 0);
		used += (size_t)n;
	}
	send_until_full(fds[3], junk, used, 1000);
	/* 4: nothing at all. 5: an empty datagram. */
	send_until_full(fds[5], junk, 0, 1);

	dump(f->channel, &after);
	assert_same(&after, &r);
	assert_int_equal(channel_get_timeouts(f->channel, &(struct ipvs_timeouts){ 0 }), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	dump(f->channel, &after);
}

/* A dump that nobody reads waits, and goes on where it was; in full. */
static void test_back_pressure(void **state)
{
	struct fixture *f = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_Alignas(8) static uint8_t rx[64 * 1024];
	struct codec_header h = { .family = PRIVATE_FAMILY, .flags = NLM_F_DUMP, .seq = 77 };
	int n, fd = rude_client(f), small = 1;
	unsigned dests = 0;
	bool done = false;

	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), LARGE_DESTS);
	reconcile(f->channel, &r, &(struct plan_ownership){ 0 });
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	n = codec_dest_request(rx, sizeof(rx), &h, IPVS_CMD_GET_DEST, &r.services[0].key, NULL);
	assert_int_equal(send(fd, rx, (size_t)n, 0), n);
	/* Once this is answered the dump has come as far as it can. */
	assert_int_equal(channel_get_timeouts(f->channel, &(struct ipvs_timeouts){ 0 }), 0);
	while (!done) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)rx;
		ssize_t len;

		assert_int_equal(poll(&p, 1, 20000), 1);
		len = recv(fd, rx, sizeof(rx), MSG_TRUNC);
		assert_true(len > 0 && (size_t)len <= sizeof(rx));
		for (; NLMSG_OK(nlh, (size_t)len); nlh = NLMSG_NEXT(nlh, len)) {
			assert_int_equal(nlh->nlmsg_seq, 77);
			done = nlh->nlmsg_type == NLMSG_DONE;
			dests += !done;
		}
		assert_int_equal(len, 0);
	}
	assert_int_equal(dests, LARGE_DESTS);
	(void)close(fd);
}

/* No more clients than there are places for; and a place that is left can be taken. */
static void test_many_clients(void **state)
{
	struct fixture *f = *state;
	struct channel *channels[CLIENTS] = { f->channel };
	unsigned admitted = 1;

	while (admitted < CLIENTS &&
	       channel_open_unix(f->rig.path, TIMEOUT, &channels[admitted]) == 0)
		admitted++;
	assert_int_equal(admitted, 64);
	channel_free(channels[--admitted]);
	/* The server may not have seen it go yet, but what it does in turn: once it has answered, it has. */
	assert_int_equal(channel_get_timeouts(f->channel, &(struct ipvs_timeouts){ 0 }), 0);
	assert_int_equal(channel_get_timeouts(f->channel, &(struct ipvs_timeouts){ 0 }), 0);
	assert_int_equal(channel_open_unix(f->rig.path, TIMEOUT, &channels[admitted]), 0);
	admitted++;
	while (admitted > 1)
		channel_free(channels[--admitted]);
}

static void test_path(void **state)
{
	struct fixture *f = *state;
	struct control_server *other = NULL;
	struct channel *c = NULL;
	char longer[200], file[128];
	int fd;

	assert_int_equal(control_server_new(f->rig.event, f->rig.answer, f->rig.path, (gid_t)-1,
					    &other),
			 -EADDRINUSE);
	(void)snprintf(file, sizeof(file), "%s/file", f->rig.folder);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(control_server_new(f->rig.event, f->rig.answer, file, (gid_t)-1, &other),
			 -EEXIST);
	assert_int_equal(channel_open_unix(file, TIMEOUT, &c), -ECONNREFUSED);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(channel_open_unix(file, TIMEOUT, &c), -ENOENT);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_server_new(f->rig.event, f->rig.answer, longer, (gid_t)-1, &other),
			 -ENAMETOOLONG);
	assert_int_equal(channel_open_unix(longer, TIMEOUT, &c), -ENAMETOOLONG);
}

/* A socket that a dead process left. */
static void test_stale(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct control_server *s = NULL;
	sd_event *event = NULL;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", f->rig.folder);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(control_server_new(event, f->rig.answer, address.sun_path, (gid_t)-1, &s),
			 0);
	control_server_free(s);
	assert_int_equal(access(address.sun_path, F_OK), -1);
	(void)sd_event_unref(event);
}

/* The other side is gone, or says nothing: neither hangs. */
static void test_gone(void **state)
{
	struct fixture *f = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct channel *c = NULL;
	struct ipvs_ruleset r;
	int r2, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	usec_t begin;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent", f->rig.folder);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	begin = clock_monotonic_usec();
	assert_int_equal(channel_open_unix(address.sun_path, 50 * USEC_PER_MSEC, &c), -ETIMEDOUT);
	assert_true(clock_monotonic_usec() - begin < 10 * USEC_PER_SEC);
	(void)close(fd);
	(void)unlink(address.sun_path);

	control_rig_stop(&f->rig);
	r2 = channel_dump(f->channel, &r);
	assert_true(r2 == -EPIPE || r2 == -ECONNRESET);
	control_rig_start(&f->rig);
}

/* What a process of that user and group gets: 0 or negative errno. */
static int open_as(const char *path, uid_t uid, gid_t gid)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct channel *c = NULL;
		int r;

		if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
			_exit(255);
		r = channel_open_unix(path, TIMEOUT, &c);
		channel_free(c);
		_exit(-r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return -WEXITSTATUS(status);
}

static void test_peers(void **state)
{
	const uid_t nobody = 65534, other = 65533;
	struct fixture *f = *state;
	struct stat st;
	int r;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(f->rig.folder, 0711), 0);
	assert_int_equal(stat(f->rig.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(open_as(f->rig.path, nobody, nobody), -EACCES);
	/* The file's mode is not all that keeps them out. */
	assert_int_equal(chmod(f->rig.path, 0666), 0);
	r = open_as(f->rig.path, nobody, nobody);
	assert_true(r == -ECONNRESET || r == -EPIPE);

	control_rig_stop(&f->rig);
	f->rig.gid = other;
	control_rig_start(&f->rig);
	assert_int_equal(chmod(f->rig.folder, 0711), 0);
	assert_int_equal(stat(f->rig.path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(st.st_gid, other);
	assert_int_equal(open_as(f->rig.path, nobody, nobody), -EACCES);
	assert_int_equal(open_as(f->rig.path, nobody, other), 0);
}

#define server_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		server_test(test_random),	server_test(test_large),
		server_test(test_keepers),	server_test(test_timeouts_and_info),
		server_test(test_locals),	server_test(test_settings),
		server_test(test_conns),	server_test(test_statistics),
		server_test(test_hostile),	server_test(test_back_pressure),
		server_test(test_many_clients), server_test(test_path),
		server_test(test_stale),	server_test(test_gone),
		server_test(test_peers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

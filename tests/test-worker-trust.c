/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "conf/authorities.h"
#include "daemon/worker-trust.h"
#include "health/outcome.h"
#include "tests/certificates.h"
#include "tests/pool-rig.h"
#include "tests/scripted-server.h"

/*
 * What goes to a worker about authorities, record by record; then real worker processes, which are this program, that
 * are killed, and whose targets' authorities change.
 */

enum {
	PROBES_MAX = 10000,
	PATIENCE_SEC = 20,
};

#define INTERVAL_USEC (100 * USEC_PER_MSEC)

/* So many certificates of 3 bytes each. */
static struct authorities *make_set(size_t n)
{
	static const unsigned char der[] = { 0x30, 1, 'x' };
	struct authorities *a = calloc(1, sizeof(*a) + n * sizeof(der));

	assert_non_null(a);
	a->refs = 1;
	a->n = n;
	a->size = n * sizeof(der);
	for (size_t i = 0; i < n; i++)
		memcpy(a->der + i * sizeof(der), der, sizeof(der));
	return a;
}

struct wire {
	struct worker_trust trust;
	int ours, theirs;
};

static void wire_init(struct wire *w)
{
	int pair[2];

	*w = (struct wire){ 0 };
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), errno);
	w->ours = pair[0];
	w->theirs = pair[1];
}

static void wire_deinit(struct wire *w)
{
	worker_trust_deinit(&w->trust);
	(void)close(w->ours);
	(void)close(w->theirs);
}

/* probes: a digit each, the number of its set; '0' = none. */
static void want(struct wire *w, const char *probes, const struct worker_authorities *all,
		 size_t n_all)
{
	struct protocol_probe records[16], *pointers[16];
	size_t n = strlen(probes);

	assert_true(n <= ARRAY_SIZE(records));
	for (size_t i = 0; i < n; i++) {
		records[i] = (struct protocol_probe){ .authorities = (uint64_t)(probes[i] - '0') };
		pointers[i] = &records[i];
	}
	assert_int_equal(worker_trust_want(&w->trust, pointers, n, all, n_all), 0);
}

/* What came since: "+1" is a certificate of set 1, "-2" takes back set 2. */
static const char *received(struct wire *w, char buf[static 256])
{
	union {
		struct protocol_header header;
		struct protocol_authority_record authority;
		struct protocol_authorities_del del;
	} u;
	enum protocol_kind kind;
	ssize_t n;
	char *p = buf;

	*p = '\0';
	while ((n = recv(w->theirs, &u, sizeof(u), MSG_DONTWAIT)) > 0) {
		assert_int_equal(protocol_check(&u, (size_t)n, &kind), 0);
		assert_true(kind == PROTOCOL_AUTHORITY || kind == PROTOCOL_AUTHORITIES_DEL);
		p += sprintf(p, "%c%" PRIu64, kind == PROTOCOL_AUTHORITY ? '+' : '-',
			     kind == PROTOCOL_AUTHORITY ? u.authority.authority.authorities
							: u.del.authorities);
	}
	return buf;
}

static void test_records(void **state)
{
	struct authorities *sets[4] = { NULL, make_set(1), make_set(2), make_set(3) };
	const struct worker_authorities all[] = {
		{ 3, sets[3] }, { 1, sets[1] }, { 3, sets[3] }, { 2, sets[2] }
	};
	static const struct {
		const char *probes, *sent, *taken_back;
		bool restart; /* before */
	} steps[] = {
		{ "000", "", "", false },
		{ "0110", "+1", "", false },
		{ "0110", "", "", false },
		{ "3131", "+3+3+3", "", false },
		{ "33", "", "-1", false },
		{ "32", "+2+2", "", false },
		{ "32", "+3+3+3+2+2", "", true },
		{ "1", "+1", "-2-3", false },
		{ "0", "", "", true }, /* the new worker never had it */
		{ "22222222", "+2+2", "", false },
		{ "", "", "-2", false },
	};
	char buf[256];
	struct wire w;

	(void)state;
	wire_init(&w);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		want(&w, steps[i].probes, all, ARRAY_SIZE(all));
		if (steps[i].restart)
			worker_trust_restart(&w.trust);
		assert_int_equal(worker_trust_send(&w.trust, w.ours), 0);
		assert_string_equal(received(&w, buf), steps[i].sent);
		assert_int_equal(worker_trust_take_back(&w.trust, w.ours), 0);
		assert_string_equal(received(&w, buf), steps[i].taken_back);
	}
	wire_deinit(&w);
	for (size_t i = 1; i < ARRAY_SIZE(sets); i++) {
		assert_int_equal(sets[i]->refs, 1);
		authorities_unref(sets[i]);
	}
}

/* The socket takes some of a set at a time: nothing is sent twice or left out, whatever becomes of it meanwhile. */
static void test_full_socket(void **state)
{
	struct authorities *set = make_set(20000);
	const struct worker_authorities all = { 7, set };
	char buf[256];
	size_t n = 0;
	struct wire w;
	int r;

	(void)state;
	wire_init(&w);
	want(&w, "7", &all, 1);
	while ((r = worker_trust_send(&w.trust, w.ours)) != 0) {
		char record[64];

		assert_int_equal(r, -EAGAIN);
		assert_int_equal(worker_trust_take_back(&w.trust, w.ours), 0);
		while (recv(w.theirs, record, sizeof(record), MSG_DONTWAIT) > 0)
			n++;
	}
	assert_true(n > 0 && n < set->n);
	while (recv(w.theirs, &r, sizeof(r), MSG_DONTWAIT) > 0)
		n++;
	assert_int_equal(n, set->n);
	/* Dropped when a part of it is there. */
	worker_trust_restart(&w.trust);
	assert_int_equal(worker_trust_send(&w.trust, w.ours), -EAGAIN);
	want(&w, "", NULL, 0);
	assert_int_equal(worker_trust_take_back(&w.trust, w.ours), -EAGAIN);
	while (recv(w.theirs, &r, sizeof(r), MSG_DONTWAIT) > 0)
		;
	assert_int_equal(worker_trust_take_back(&w.trust, w.ours), 0);
	assert_string_equal(received(&w, buf), "-7");
	wire_deinit(&w);
	assert_int_equal(set->refs, 1);
	authorities_unref(set);
}

/* Ten thousand targets of one group: its certificates go over once, and are in memory once. */
static void test_many_targets(void **state)
{
	struct authorities *set = make_set(3);
	const struct worker_authorities all = { 1, set };
	struct protocol_probe *records = calloc(PROBES_MAX, sizeof(*records));
	struct protocol_probe **pointers = calloc(PROBES_MAX, sizeof(struct protocol_probe *));
	char buf[256];
	struct wire w;

	(void)state;
	assert_non_null(records);
	assert_non_null(pointers);
	wire_init(&w);
	for (size_t i = 0; i < PROBES_MAX; i++) {
		records[i].authorities = 1;
		pointers[i] = &records[i];
	}
	assert_int_equal(worker_trust_want(&w.trust, pointers, PROBES_MAX, &all, 1), 0);
	assert_int_equal(worker_trust_send(&w.trust, w.ours), 0);
	assert_string_equal(received(&w, buf), "+1+1+1");
	assert_int_equal(set->refs, 2);
	wire_deinit(&w);
	free(pointers);
	free(records);
	authorities_unref(set);
}

struct rig {
	struct pool_rig pool;
	struct scripted_server server;
	struct authorities *sets[_CERTIFICATE_AUTHORITY_MAX];
	unsigned results[3]; /* of the generation that is wanted, by id */
	uint32_t generations[3];
	enum probe_outcome outcomes[3];
	unsigned n_false; /* outcomes that are not those */
};

static void on_result(unsigned worker, const struct protocol_result *result, void *userdata)
{
	struct rig *rig = userdata;

	(void)worker;
	assert_true(result->id < ARRAY_SIZE(rig->results));
	assert_int_equal(result->generation, rig->generations[result->id]);
	rig->results[result->id]++;
	/* On a busy machine a handshake may take too long. */
	if (!probe_outcome_is_timeout((enum probe_outcome)result->outcome))
		rig->n_false += result->outcome != rig->outcomes[result->id];
}

static struct authorities *authorities_of(enum certificate_authority which)
{
	const unsigned char *der;
	size_t size = certificate_authority_der(which, &der);
	struct authorities *a = calloc(1, sizeof(*a) + size);

	assert_non_null(a);
	a->refs = a->n = 1;
	a->size = size;
	memcpy(a->der, der, size);
	return a;
}

static void rig_init(struct rig *rig)
{
	*rig = (struct rig){ 0 };
	scripted_server_init(&rig->server, AF_INET, SERVER_SILENT, NULL);
	rig->server.tls = certificate_server(CERTIFICATE_GOOD);
	rig->sets[0] = authorities_of(CERTIFICATE_AUTHORITY);
	rig->sets[1] = authorities_of(CERTIFICATE_AUTHORITY_OTHER);
	pool_rig_init(&rig->pool,
		      &(struct worker_handlers){ .on_result = on_result, .userdata = rig });
}

static void rig_deinit(struct rig *rig)
{
	pool_rig_deinit(&rig->pool);
	scripted_server_deinit(&rig->server);
	for (size_t i = 0; i < ARRAY_SIZE(rig->sets); i++) {
		assert_int_equal(rig->sets[i]->refs, 1);
		authorities_unref(rig->sets[i]);
	}
}

/* One probe for each number, by the set whose number that is; odd numbers are the right authority's. */
static void sync_probes(struct rig *rig, const uint64_t *numbers, size_t n)
{
	struct protocol_probe *probes[3];
	struct worker_authorities all[3];

	for (size_t i = 0; i < n; i++) {
		probes[i] = pool_rig_probe(&(struct protocol_probe){
			.id = i,
			.generation = (uint32_t)numbers[i],
			.check = PROTOCOL_CHECK_TLS,
			.port = rig->server.port,
			.interval_usec = INTERVAL_USEC,
			.timeout_usec = INTERVAL_USEC,
			.flags = PROTOCOL_PROBE_VERIFY_CERTIFICATE | PROTOCOL_PROBE_HISTORY,
			.authorities = numbers[i],
		});
		all[i] = (struct worker_authorities){ numbers[i], rig->sets[numbers[i] % 2 == 0] };
		rig->generations[i] = probes[i]->generation;
		rig->outcomes[i] = numbers[i] % 2 ? PROBE_OK : PROBE_CERTIFICATE;
	}
	pool_rig_sync(&rig->pool, 1, &(struct worker_task){ probes, n, all, n });
}

static void wait_for_more(struct rig *rig, unsigned id, unsigned more)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_SEC * USEC_PER_SEC;
	unsigned wanted = rig->results[id] + more;

	while (rig->results[id] < wanted) {
		pool_rig_step(&rig->pool, 5);
		scripted_server_step(&rig->server, 0);
		if (clock_monotonic_usec() > end)
			fail_msg("no result of probe %u", id);
	}
}

static pid_t worker_pid(const struct rig *rig)
{
	return pool_rig_status(&rig->pool, 0).pid;
}

/* Three groups on one address; then one has other certificates, while the others go on in the same process. */
static void test_change(void **state)
{
	static struct rig rig;
	pid_t pid;

	(void)state;
	rig_init(&rig);
	sync_probes(&rig, (const uint64_t[]){ 1, 2, 1 }, 3);
	wait_for_more(&rig, 0, 2);
	wait_for_more(&rig, 1, 2);
	pid = worker_pid(&rig);
	for (uint64_t number = 3; number < 9; number++) {
		sync_probes(&rig, (const uint64_t[]){ 1, 2, number }, 3);
		wait_for_more(&rig, 2, 2);
	}
	wait_for_more(&rig, 0, 1);
	wait_for_more(&rig, 1, 1);
	assert_int_equal(rig.n_false, 0);
	assert_int_equal(rig.pool.troubles, 0);
	assert_int_equal(worker_pid(&rig), pid);
	assert_int_equal(rig.server.resumed, 0);
	rig_deinit(&rig);
}

/* The next worker gets what is wanted by then. */
static void test_killed(void **state)
{
	static struct rig rig;
	pid_t pid;

	(void)state;
	rig_init(&rig);
	sync_probes(&rig, (const uint64_t[]){ 1, 2 }, 2);
	wait_for_more(&rig, 0, 2);
	pid = worker_pid(&rig);
	assert_return_code(kill(pid, SIGKILL), errno);
	while (rig.pool.troubles == 0)
		pool_rig_step(&rig.pool, 5);
	wait_for_more(&rig, 0, 2);
	wait_for_more(&rig, 1, 2);
	assert_int_not_equal(worker_pid(&rig), pid);
	/* Changed while there was none. */
	assert_return_code(kill(worker_pid(&rig), SIGKILL), errno);
	while (rig.pool.troubles == 1)
		pool_rig_step(&rig.pool, 5);
	sync_probes(&rig, (const uint64_t[]){ 4, 5 }, 2);
	wait_for_more(&rig, 0, 2);
	wait_for_more(&rig, 1, 2);
	assert_int_equal(rig.n_false, 0);
	assert_int_equal(rig.pool.troubles, 2);
	rig_deinit(&rig);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_records),	     cmocka_unit_test(test_full_socket),
		cmocka_unit_test(test_many_targets), cmocka_unit_test(test_change),
		cmocka_unit_test(test_killed),
	};
	int r;

	(void)signal(SIGPIPE, SIG_IGN); /* of the server */
	r = pool_rig_main(argc, argv);
	if (r >= 0)
		return r;
	return cmocka_run_group_tests(tests, NULL, NULL);
}

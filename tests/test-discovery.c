/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Answers over simulated time against a slow model, and the rules of daemon/discovery.h one by one. */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/discovery.h"

#define SEC USEC_PER_SEC
#define WALL (1000000 * SEC)

static const struct discovery_settings usual = {
	.min_ttl_usec = 5 * SEC,
	.max_ttl_usec = 300 * SEC,
	.absent_answers = 3,
	.max_targets = 256,
};

static struct discovery_item item(unsigned host, uint16_t port, uint16_t weight)
{
	struct discovery_item i = { .port = port, .weight = weight };

	i.addr.family = AF_INET;
	i.addr.bytes[0] = 10;
	i.addr.bytes[2] = (uint8_t)(host >> 8);
	i.addr.bytes[3] = (uint8_t)host;
	return i;
}

/* "1 2 9": the addresses 10.0.0.1, 10.0.0.2, 10.0.0.9. */
static size_t items_of(const char *list, struct discovery_item *items)
{
	size_t n = 0;

	for (; *list; list++)
		if (*list != ' ')
			items[n++] = item((unsigned)(*list - '0'), 80, 100);
	return n;
}

static bool take_list(struct discovery *d, const struct discovery_settings *s, const char *list,
		      uint32_t ttl, usec_t now)
{
	struct discovery_item items[64];
	const struct discovery_answer a = { DISCOVERY_OK, ttl, items, items_of(list, items) };
	bool changed = false;

	assert_int_equal(discovery_take(d, s, &a, now, WALL + now, 0, &changed), 0);
	return changed;
}

static bool take_status(struct discovery *d, const struct discovery_settings *s,
			enum discovery_status status, usec_t now)
{
	const struct discovery_answer a = { .status = status, .ttl_sec = UINT32_MAX };
	bool changed = false;

	assert_int_equal(discovery_take(d, s, &a, now, WALL + now, 0, &changed), 0);
	return changed;
}

static void assert_list(const struct discovery *d, const char *list)
{
	struct discovery_item items[64];
	size_t n = items_of(list, items);

	assert_int_equal(d->n, n);
	for (size_t i = 0; i < n; i++)
		assert_true(addr_eq(&d->items[i].addr, &items[i].addr));
}

static void test_join_and_leave(void **state)
{
	struct discovery d = { .family = AF_INET };

	(void)state;
	assert_true(take_list(&d, &usual, "21", 60, 0));
	assert_list(&d, "12");
	assert_int_equal(d.status, DISCOVERY_OK);
	assert_int_equal(d.due_usec, 60 * SEC);
	/* A new address joins at once, the one that it takes the place of leaves with the third answer. */
	assert_true(take_list(&d, &usual, "13", 60, 60 * SEC));
	assert_list(&d, "123");
	assert_false(take_list(&d, &usual, "13", 60, 120 * SEC));
	assert_true(take_list(&d, &usual, "13", 60, 180 * SEC));
	assert_list(&d, "13");
	discovery_deinit(&d);
}

/* Of five addresses the server gives two at a time, by turns: all five stay, and nothing changes. */
static void test_subsets_by_turns(void **state)
{
	static const char *const turns[] = { "12", "34", "51", "23", "45" };
	struct discovery d = { .family = AF_INET };
	unsigned changes = 0;

	(void)state;
	for (unsigned i = 0; i < 100; i++)
		changes += take_list(&d, &usual, turns[i % 5], 5, i * 5 * SEC);
	assert_list(&d, "12345");
	assert_int_equal(changes, 3);
	discovery_deinit(&d);
}

static void test_failures_take_nothing(void **state)
{
	struct discovery d = { .family = AF_INET };
	usec_t now = 0, waits[8];

	(void)state;
	assert_true(take_list(&d, &usual, "12", 60, now));
	for (unsigned i = 0; i < 1000; i++) {
		now = d.due_usec;
		assert_false(take_status(&d, &usual, DISCOVERY_TIMEOUT + i % 6, now));
		assert_true(discovery_status_is_failure(d.status));
		assert_list(&d, "12");
		if (i < ARRAY_SIZE(waits))
			waits[i] = (d.due_usec - now) / SEC;
		assert_int_equal(d.n_failures, MIN(i + 1, 1000U));
	}
	for (unsigned i = 0; i < ARRAY_SIZE(waits); i++)
		assert_int_equal(waits[i], MIN(1U << i, 60U));
	/* The age of the answer is its own, not that of the failures. */
	assert_int_equal(d.answered_wall_usec, WALL);
	assert_false(take_list(&d, &usual, "12", 60, now));
	assert_int_equal(d.n_failures, 0);
	discovery_deinit(&d);
}

static void test_empty_stays_or_drains(void **state)
{
	struct discovery_settings drains = usual;
	struct discovery d = { .family = AF_INET }, e = { .family = AF_INET };
	usec_t now;

	(void)state;
	drains.drain_after_usec = 30 * SEC;
	(void)take_list(&d, &usual, "12", 60, 0);
	(void)take_list(&e, &drains, "12", 60, 0);
	for (now = 60 * SEC; now < 4000 * SEC; now = d.due_usec)
		assert_false(take_status(&d, &usual, DISCOVERY_NO_NAME, now));
	assert_list(&d, "12");
	assert_false(take_status(&e, &drains, DISCOVERY_NO_ADDRESS, 60 * SEC));
	/* A failure in between neither drains nor starts the time anew. */
	assert_false(take_status(&e, &drains, DISCOVERY_TIMEOUT, 65 * SEC));
	assert_false(take_status(&e, &drains, DISCOVERY_NO_NAME, 89 * SEC));
	assert_int_equal(e.due_usec, 90 * SEC); /* when they are to leave, not later */
	assert_false(take_status(&e, &drains, DISCOVERY_TIMEOUT, 91 * SEC));
	assert_true(take_status(&e, &drains, DISCOVERY_NO_NAME, 92 * SEC));
	assert_int_equal(e.n, 0);
	assert_true(take_list(&e, &drains, "3", 60, 200 * SEC));
	assert_int_equal(e.empty_usec, 0);
	discovery_deinit(&d);
	discovery_deinit(&e);
}

static void test_time_to_live(void **state)
{
	static const struct {
		uint32_t ttl;
		usec_t wait_sec;
	} cases[] = {
		{ 0, 5 }, { 4, 5 }, { 6, 6 }, { 299, 299 }, { 301, 300 }, { UINT32_MAX, 300 }
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct discovery d = { .family = AF_INET };
		struct discovery_item one = item(1, 0, 100);
		const struct discovery_answer a = { DISCOVERY_OK, cases[i].ttl, &one, 1 };
		bool changed;

		(void)take_list(&d, &usual, "1", cases[i].ttl, 7 * SEC);
		assert_int_equal(d.due_usec, (7 + cases[i].wait_sec) * SEC);
		/* The spread is upward, and less than a tenth. */
		assert_int_equal(discovery_take(&d, &usual, &a, 0, WALL, UINT32_MAX, &changed), 0);
		assert_in_range(d.due_usec, cases[i].wait_sec * SEC,
				cases[i].wait_sec * SEC * 11 / 10);
		assert_true(d.due_usec > cases[i].wait_sec * SEC);
		discovery_deinit(&d);
	}
}

static void test_unusable_addresses(void **state)
{
	static const char *const unusable[] = { "0.0.0.0", "224.0.0.1", "255.255.255.255", "::1" };
	struct discovery d = { .family = AF_INET }, e = { .family = AF_INET6 };
	struct discovery_item items[ARRAY_SIZE(unusable) + 1];
	struct discovery_answer a = { DISCOVERY_OK, 60, items, ARRAY_SIZE(unusable) };
	bool changed;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(unusable); i++) {
		items[i] = (struct discovery_item){ .port = 80, .weight = 1 };
		assert_int_equal(addr_parse(unusable[i], &items[i].addr), 0);
	}
	/* Only these: it is as if there was none, and what was there stays. */
	(void)take_list(&d, &usual, "1", 60, 0);
	for (unsigned i = 0; i < 10; i++)
		assert_int_equal(discovery_take(&d, &usual, &a, SEC, WALL, 0, &changed), 0);
	assert_int_equal(d.status, DISCOVERY_NO_ADDRESS);
	assert_list(&d, "1");
	/* One among them is taken. */
	items[a.n++] = item(1, 80, 100);
	assert_int_equal(discovery_take(&d, &usual, &a, SEC, WALL, 0, &changed), 0);
	assert_int_equal(d.status, DISCOVERY_OK);
	assert_list(&d, "1");
	/* Link-local addresses mean nothing without an interface. */
	assert_int_equal(addr_parse("fe80::1", &items[0].addr), 0);
	assert_int_equal(addr_parse("2001:db8::1", &items[1].addr), 0);
	assert_int_equal(discovery_take(&e, &usual, &a, SEC, WALL, 0, &changed), 0);
	assert_int_equal(e.n, 2); /* and ::1 */
	discovery_deinit(&d);
	discovery_deinit(&e);
}

/* More addresses than may be taken: those that are in stay in, whatever the order of the answer. */
static void test_bound(void **state)
{
	struct discovery_settings few = usual;
	struct discovery d = { .family = AF_INET };

	(void)state;
	few.max_targets = 3;
	assert_true(take_list(&d, &few, "9753", 60, 0));
	assert_list(&d, "357");
	assert_int_equal(d.n_left_out, 1);
	assert_false(take_list(&d, &few, "123456789", 60, 0));
	assert_list(&d, "357");
	assert_int_equal(d.n_left_out, 6);
	/* One that the answer has goes before one that it lacks. */
	assert_true(take_list(&d, &few, "135", 60, 0));
	assert_list(&d, "135");
	assert_int_equal(d.n_left_out, 0);
	discovery_deinit(&d);
}

static void test_ports_and_weights(void **state)
{
	struct discovery_item items[] = { item(1, 81, 7), item(1, 80, 5), item(1, 80, 9) };
	struct discovery_answer a = { DISCOVERY_OK, 60, items, 3 };
	struct discovery d = { .family = AF_INET };
	bool changed;

	(void)state;
	assert_int_equal(discovery_take(&d, &usual, &a, 0, WALL, 0, &changed), 0);
	assert_true(changed);
	assert_int_equal(d.n, 2); /* one address, two ports; a repetition is one */
	assert_int_equal(d.items[0].port, 80);
	assert_int_equal(d.items[1].weight, 7);
	items[0].weight = 8;
	assert_int_equal(discovery_take(&d, &usual, &a, 0, WALL, 0, &changed), 0);
	assert_true(changed);
	assert_int_equal(d.items[1].weight, 8);
	assert_int_equal(discovery_take(&d, &usual, &a, 0, WALL, 0, &changed), 0);
	assert_false(changed);
	/* Name servers give their records by turns: a repetition with another weight must not flap. */
	assert_int_equal(d.items[0].weight, 9);
	items[1].weight = 9;
	items[2].weight = 5;
	assert_int_equal(discovery_take(&d, &usual, &a, 0, WALL, 0, &changed), 0);
	assert_false(changed);
	discovery_deinit(&d);
}

static void test_restore(void **state)
{
	struct discovery_item items[] = { item(3, 0, 1), item(1, 0, 1), item(3, 0, 1) };
	struct discovery d = { .family = AF_INET };

	(void)state;
	assert_int_equal(discovery_restore(&d, items, 3, 60, 5), 0);
	assert_list(&d, "13");
	assert_int_equal(d.status, DISCOVERY_WAITING);
	assert_int_equal(d.due_usec, 0);
	assert_false(take_status(&d, &usual, DISCOVERY_UNREACHABLE, 0));
	assert_list(&d, "13");
	assert_int_equal(d.answered_wall_usec, 5);
	discovery_deinit(&d);
}

/* The model: for each of 64 hosts how many answers in a row lacked it, 255 = not there. */
struct model {
	uint8_t absent[64];
	usec_t empty_since;
};

static void model_take(struct model *m, const struct discovery_settings *s, uint64_t set,
		       enum discovery_status status, usec_t now)
{
	if (status == DISCOVERY_OK && set) {
		m->empty_since = 0;
		for (unsigned i = 0; i < 64; i++) {
			if (set >> i & 1)
				m->absent[i] = 0;
			else if (m->absent[i] != 255 && ++m->absent[i] >= s->absent_answers)
				m->absent[i] = 255;
		}
	} else if (!discovery_status_is_failure(status)) {
		if (!m->empty_since)
			m->empty_since = now;
		if (s->drain_after_usec && now - m->empty_since >= s->drain_after_usec)
			memset(m->absent, 255, sizeof(m->absent));
	}
}

static uint32_t next_random(uint64_t *seed)
{
	*seed = *seed * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*seed >> 32);
}

static void assert_as_model(const struct discovery *d, const struct model *m)
{
	size_t n = 0;

	for (unsigned i = 0; i < 64; i++) {
		const struct discovery_item wanted = item(i + 1, 80, 100);

		if (m->absent[i] == 255)
			continue;
		assert_true(n < d->n);
		assert_true(addr_eq(&d->items[n++].addr, &wanted.addr));
	}
	assert_int_equal(d->n, n);
}

static void run_model(uint64_t seed)
{
	struct discovery_settings s = usual;
	struct discovery d = { .family = AF_INET };
	struct model m = { .empty_since = 0 };
	usec_t now = 1;

	memset(m.absent, 255, sizeof(m.absent));
	s.absent_answers = 1 + next_random(&seed) % 4;
	s.drain_after_usec = next_random(&seed) % 2 ? next_random(&seed) % 200 * SEC : 0;
	for (unsigned step = 0; step < 300; step++) {
		enum discovery_status status =
			next_random(&seed) % 3
				? DISCOVERY_OK
				: 1 + next_random(&seed) % (_DISCOVERY_STATUS_MAX - 1);
		uint64_t set = next_random(&seed) & next_random(&seed);
		struct discovery_item items[64];
		struct discovery_answer a = { status, next_random(&seed) % 400, items, 0 };
		size_t n_before = d.n;
		bool changed;

		set |= (uint64_t)(next_random(&seed) & next_random(&seed)) << 32;
		if (next_random(&seed) % 16 == 0)
			set = 0;
		for (unsigned i = 64; i-- > 0;)
			if (status == DISCOVERY_OK && set >> i & 1)
				items[a.n++] = item(i + 1, 80, 100);
		assert_int_equal(discovery_take(&d, &s, &a, now, WALL + now, next_random(&seed),
						&changed),
				 0);
		model_take(&m, &s, set, status, now);
		assert_as_model(&d, &m);
		assert_true(changed || d.n == n_before);
		assert_in_range(d.due_usec, now, now + 330 * SEC);
		now = d.due_usec;
	}
	discovery_deinit(&d);
}

static void test_against_model(void **state)
{
	(void)state;
	for (uint64_t seed = 1; seed <= 200; seed++)
		run_model(seed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_join_and_leave),
		cmocka_unit_test(test_subsets_by_turns),
		cmocka_unit_test(test_failures_take_nothing),
		cmocka_unit_test(test_empty_stays_or_drains),
		cmocka_unit_test(test_time_to_live),
		cmocka_unit_test(test_unusable_addresses),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_ports_and_weights),
		cmocka_unit_test(test_restore),
		cmocka_unit_test(test_against_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

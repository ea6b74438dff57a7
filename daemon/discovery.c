/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/discovery.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define RETRY_FIRST_USEC USEC_PER_SEC
#define RETRY_LAST_USEC (60 * USEC_PER_SEC)

void discovery_deinit(struct discovery *d)
{
	free(d->items);
	d->items = NULL;
	d->n = 0;
}

bool discovery_is_for(const struct discovery *d, const char *name, uint16_t family)
{
	return d->family == family && strcasecmp(d->name, name) == 0;
}

int discovery_cmp(const struct discovery *a, const struct discovery *b)
{
	int c = strcasecmp(a->name, b->name);

	return c ? c : (a->family > b->family) - (a->family < b->family);
}

static int item_cmp(const void *a, const void *b)
{
	const struct discovery_item *x = a, *y = b;
	int c = addr_cmp(&x->addr, &y->addr);

	return c ? c : x->port - y->port;
}

/* What no name may give: it would be taken for another host, or for none. */
static bool item_is_usable(const struct discovery_item *i, uint16_t family)
{
	return i->addr.family == family && addr_is_host(&i->addr) &&
	       !(family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&i->addr.in6));
}

/* A sorted copy without repetitions; of several weights the greatest, whatever the order of the answer. */
static int sort_items(const struct discovery *d, const struct discovery_item *items, size_t n,
		      struct discovery_item **ret, size_t *ret_n)
{
	struct discovery_item *sorted = calloc(n + 1, sizeof(*sorted));
	size_t n_usable = 0, n_sorted = 0;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (item_is_usable(&items[i], d->family))
			sorted[n_usable++] = items[i];
	qsort(sorted, n_usable, sizeof(*sorted), item_cmp);
	for (size_t i = 0; i < n_usable; i++) {
		if (n_sorted && item_cmp(&sorted[n_sorted - 1], &sorted[i]) == 0) {
			sorted[n_sorted - 1].weight =
				MAX(sorted[n_sorted - 1].weight, sorted[i].weight);
			continue;
		}
		sorted[n_sorted] = sorted[i];
		sorted[n_sorted++].absent = 0;
	}
	*ret = sorted;
	*ret_n = n_sorted;
	return 0;
}

static struct discovery_item *find(struct discovery_item *items, size_t n,
				   const struct discovery_item *like)
{
	return n ? bsearch(like, items, n, sizeof(*items), item_cmp) : NULL;
}

/*
 * At most `max`, and those first that are here already: a name with more addresses than that must not exchange its
 * targets with every answer. Of those that an answer lacked, the longest lacking leave first.
 */
struct choice {
	struct discovery_item item;
	bool held;
};

static int choice_rank_cmp(const void *a, const void *b)
{
	const struct choice *x = a, *y = b;

	if (!x->item.absent != !y->item.absent)
		return x->item.absent ? 1 : -1;
	if (x->item.absent != y->item.absent)
		return x->item.absent < y->item.absent ? -1 : 1;
	if (x->held != y->held)
		return x->held ? -1 : 1;
	return item_cmp(&x->item, &y->item);
}

static size_t choose(struct discovery *d, const struct discovery_settings *s,
		     struct discovery_item *answer, size_t n_answer, struct choice *choices)
{
	size_t n = 0;

	for (size_t i = 0; i < n_answer; i++) {
		choices[n].item = answer[i];
		choices[n++].held = find(d->items, d->n, &answer[i]) != NULL;
	}
	for (size_t i = 0; i < d->n; i++) {
		if (find(answer, n_answer, &d->items[i]) ||
		    d->items[i].absent + 1 >= s->absent_answers)
			continue;
		choices[n].item = d->items[i];
		choices[n].item.absent++;
		choices[n++].held = true;
	}
	return n;
}

static bool items_differ(const struct discovery *d, const struct discovery_item *items, size_t n)
{
	if (n != d->n)
		return true;
	for (size_t i = 0; i < n; i++)
		if (item_cmp(&items[i], &d->items[i]) != 0 || items[i].weight != d->items[i].weight)
			return true;
	return false;
}

static int merge(struct discovery *d, const struct discovery_settings *s,
		 const struct discovery_answer *a, bool *ret_changed)
{
	_cleanup_free_ struct discovery_item *answer = NULL;
	_cleanup_free_ struct choice *choices = NULL;
	struct discovery_item *items;
	size_t n_answer, n, n_present = 0;
	int r;

	r = sort_items(d, a->items, a->n, &answer, &n_answer);
	if (r < 0)
		return r;
	choices = calloc(n_answer + d->n + 1, sizeof(*choices));
	if (!choices)
		return -ENOMEM;
	n = choose(d, s, answer, n_answer, choices);
	qsort(choices, n, sizeof(*choices), choice_rank_cmp);
	n = MIN(n, s->max_targets);
	items = calloc(n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		items[i] = choices[i].item;
		n_present += items[i].absent == 0;
	}
	qsort(items, n, sizeof(*items), item_cmp);
	d->n_left_out = n_answer - n_present;
	*ret_changed = items_differ(d, items, n);
	free(d->items);
	d->items = items;
	d->n = n;
	return 0;
}

static usec_t clamp_ttl(const struct discovery_settings *s, uint32_t ttl_sec)
{
	return MAX(MIN(ttl_sec * USEC_PER_SEC, s->max_ttl_usec), s->min_ttl_usec);
}

static usec_t retry_usec(unsigned n_failures, usec_t first_usec)
{
	usec_t last = MAX(RETRY_LAST_USEC, first_usec);
	unsigned doublings = n_failures > 0 ? n_failures - 1 : 0;

	return doublings < 10 ? MIN(first_usec << doublings, last) : last;
}

/* Up to a tenth more, so that names that were asked for together do not stay together. */
static usec_t spread(usec_t usec, uint32_t random)
{
	return usec + usec / 10 * (random >> 16) / 65536;
}

static bool is_empty(enum discovery_status s)
{
	return s == DISCOVERY_NO_NAME || s == DISCOVERY_NO_ADDRESS;
}

/* No addresses, and the server is sure of it. */
static void take_empty(struct discovery *d, const struct discovery_settings *s, usec_t now_usec,
		       bool *ret_changed)
{
	d->n_left_out = 0;
	if (!d->empty_usec)
		d->empty_usec = now_usec;
	if (!s->drain_after_usec || !d->n || now_usec - d->empty_usec < s->drain_after_usec)
		return;
	discovery_deinit(d);
	*ret_changed = true;
}

/* Addresses that cannot be targets are none. */
static enum discovery_status status_of(const struct discovery *d, const struct discovery_answer *a)
{
	if (a->status != DISCOVERY_OK)
		return a->status;
	for (size_t i = 0; i < a->n; i++)
		if (item_is_usable(&a->items[i], d->family))
			return DISCOVERY_OK;
	return DISCOVERY_NO_ADDRESS;
}

int discovery_take(struct discovery *d, const struct discovery_settings *s,
		   const struct discovery_answer *a, usec_t now_usec, usec_t now_wall_usec,
		   uint32_t random, bool *ret_changed)
{
	enum discovery_status status = status_of(d, a);
	bool changed = false;
	usec_t wait;
	int r = 0;

	assert(a->status != DISCOVERY_WAITING);
	d->asked = false;
	if (status == DISCOVERY_OK) {
		r = merge(d, s, a, &changed);
		wait = r < 0 ? RETRY_FIRST_USEC : clamp_ttl(s, a->ttl_sec);
		d->n_failures = 0;
		d->empty_usec = 0;
		if (r == 0) {
			d->ttl_sec = a->ttl_sec;
			d->answered_wall_usec = now_wall_usec;
		}
	} else {
		d->n_failures = MIN(d->n_failures + 1, 1000U);
		if (is_empty(status))
			take_empty(d, s, now_usec, &changed);
		wait = retry_usec(d->n_failures,
				  is_empty(status) ? s->min_ttl_usec : RETRY_FIRST_USEC);
		/* What is to leave leaves when it is due, not a minute later. */
		if (d->empty_usec && d->n && s->drain_after_usec &&
		    d->empty_usec + s->drain_after_usec > now_usec)
			wait = MIN(wait, d->empty_usec + s->drain_after_usec - now_usec);
	}
	d->status = r < 0 ? d->status : status;
	d->due_usec = now_usec + spread(wait, random);
	*ret_changed = changed;
	return r;
}

int discovery_restore(struct discovery *d, const struct discovery_item *items, size_t n,
		      uint32_t ttl_sec, usec_t answered_wall_usec)
{
	struct discovery_item *sorted;
	size_t n_sorted;
	int r = sort_items(d, items, MIN(n, (size_t)DISCOVERY_ITEMS_MAX), &sorted, &n_sorted);

	if (r < 0)
		return r;
	free(d->items);
	d->items = sorted;
	d->n = n_sorted;
	d->ttl_sec = ttl_sec;
	d->answered_wall_usec = answered_wall_usec;
	return 0;
}

bool discovery_status_is_failure(enum discovery_status s)
{
	return s >= DISCOVERY_TIMEOUT;
}

static const struct {
	const char *name, *description;
} statuses[_DISCOVERY_STATUS_MAX] = {
	[DISCOVERY_WAITING] = { "waiting", "no answer yet" },
	[DISCOVERY_OK] = { "ok", "answered" },
	[DISCOVERY_NO_NAME] = { "no-name", "the name does not exist" },
	[DISCOVERY_NO_ADDRESS] = { "no-address", "the name has no address of this family" },
	[DISCOVERY_TIMEOUT] = { "timeout", "no name server answers in time" },
	[DISCOVERY_SERVER_FAILURE] = { "server-failure", "the name server failed" },
	[DISCOVERY_REFUSED] = { "refused", "the name server refuses to answer" },
	[DISCOVERY_UNREACHABLE] = { "unreachable",
				    "no name server can be reached, or all refuse or fail" },
	[DISCOVERY_MALFORMED] = { "malformed", "the answer is malformed" },
	[DISCOVERY_NO_RESOLVER] = { "no-resolver", "the resolver process is not there" },
};

const char *discovery_status_describe(enum discovery_status s)
{
	return statuses[s].description;
}

const char *discovery_status_to_string(enum discovery_status s)
{
	return statuses[s].name;
}

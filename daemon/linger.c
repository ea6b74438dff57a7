/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/linger.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "ipvs/desired.h"

void linger_set_deinit(struct linger_set *s)
{
	free(s->items);
	*s = LINGER_SET_INIT;
}

int linger_set_add(struct linger_set *s, const struct linger_entry *e)
{
	struct linger_entry *grown = reallocarray(s->items, s->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	s->items = grown;
	s->items[s->n++] = *e;
	return 0;
}

int linger_set_copy(const struct linger_set *from, struct linger_set *ret)
{
	struct linger_set s = LINGER_SET_INIT;

	if (from->n) {
		s.items = calloc(from->n, sizeof(*s.items));
		if (!s.items)
			return -ENOMEM;
		memcpy(s.items, from->items, from->n * sizeof(*s.items));
		s.n = from->n;
	}
	*ret = s;
	return 0;
}

static bool has_entry(const struct linger_set *s, const struct ipvs_service_key *key,
		      const struct ipvs_dest *d)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].port == d->port && addr_eq(&s->items[i].addr, &d->addr) &&
		    ipvs_service_key_cmp(&s->items[i].service, key) == 0)
			return true;
	return false;
}

/* The longest deregistration delay of the groups that this service forwarded to. */
static usec_t delay_of(const struct conf *conf, const struct ipvs_service_key *key)
{
	usec_t delay = 0;

	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		if (!desired_service_is_of(l, key))
			continue;
		for (size_t j = 0; j < l->n_forwards; j++)
			delay = MAX(delay,
				    conf->groups[l->forwards[j].group].deregistration_delay_usec);
	}
	return delay;
}

static int note_service(struct linger_set *s, const struct conf *conf,
			const struct ipvs_service *actual, const struct ipvs_service *before,
			const struct ipvs_service *after, usec_t now_usec)
{
	usec_t delay = delay_of(conf, &before->key);

	for (size_t i = 0; i < before->n_dests; i++) {
		const struct ipvs_dest *d = &before->dests[i];
		const struct ipvs_dest *live = ipvs_service_find(actual, &d->addr, d->port);
		const struct linger_entry entry = {
			.service = before->key,
			.addr = d->addr,
			.port = d->port,
			.deadline_usec = now_usec + delay,
		};

		if (!live || !(live->active_conns + live->inactive_conns) ||
		    ipvs_service_find(after, &d->addr, d->port) || has_entry(s, &before->key, d))
			continue;
		if (linger_set_add(s, &entry) < 0)
			return -ENOMEM;
	}
	return 0;
}

bool linger_any_leaves(const struct ipvs_ruleset *before, const struct ipvs_ruleset *after)
{
	for (size_t i = 0; i < before->n; i++) {
		const struct ipvs_service *b = &before->services[i];
		const struct ipvs_service *a = ipvs_ruleset_find(after, &b->key);

		if (!a || ipvs_service_same_list(a, b))
			continue;
		for (size_t j = 0; j < b->n_dests; j++)
			if (!ipvs_service_find(a, &b->dests[j].addr, b->dests[j].port))
				return true;
	}
	return false;
}

int linger_note(struct linger_set *s, const struct conf *conf, const struct ipvs_ruleset *actual,
		const struct ipvs_ruleset *before, const struct ipvs_ruleset *after,
		usec_t now_usec)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct linger_entry *e = &s->items[i];
		const struct ipvs_service *service = ipvs_ruleset_find(after, &e->service);

		if (service && !ipvs_service_find(service, &e->addr, e->port))
			s->items[n++] = *e;
	}
	s->n = n;
	for (size_t i = 0; i < before->n; i++) {
		const struct ipvs_service *b = &before->services[i];
		const struct ipvs_service *a = ipvs_ruleset_find(actual, &b->key);
		const struct ipvs_service *d = ipvs_ruleset_find(after, &b->key);

		if (a && d && !ipvs_service_same_list(b, d) &&
		    note_service(s, conf, a, b, d, now_usec) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Before the next destination of the kernel's list that the desired one has too; at the end if there is none. */
static size_t place_of(const struct ipvs_service *actual, const struct ipvs_dest *d,
		       const struct ipvs_service *desired)
{
	for (size_t i = (size_t)(d - actual->dests) + 1; i < actual->n_dests; i++) {
		const struct ipvs_dest *next =
			ipvs_service_find(desired, &actual->dests[i].addr, actual->dests[i].port);

		if (next)
			return (size_t)(next - desired->dests);
	}
	return desired->n_dests;
}

static int merge_entry(const struct linger_entry *e, const struct ipvs_ruleset *actual,
		       struct ipvs_ruleset *desired)
{
	const struct ipvs_service *from = ipvs_ruleset_find(actual, &e->service);
	struct ipvs_service *to = ipvs_ruleset_find(desired, &e->service);
	const struct ipvs_dest *d;
	struct ipvs_dest kept;
	size_t at;

	if (!from || !to || ipvs_service_find(to, &e->addr, e->port))
		return 0;
	d = ipvs_service_find(from, &e->addr, e->port);
	if (!d)
		return 0;
	kept = *d;
	kept.weight = 0;
	at = place_of(from, d, to);
	if (!ipvs_service_append(to, &kept))
		return -ENOMEM;
	memmove(&to->dests[at + 1], &to->dests[at], (to->n_dests - at - 1) * sizeof(kept));
	to->dests[at] = kept;
	return 0;
}

int linger_merge(const struct linger_set *s, const struct ipvs_ruleset *actual,
		 struct ipvs_ruleset *desired)
{
	for (size_t i = 0; i < s->n; i++) {
		int r = merge_entry(&s->items[i], actual, desired);

		if (r < 0)
			return r;
	}
	return 0;
}

bool linger_finish(struct linger_set *s, const struct ipvs_ruleset *actual, linger_idle_fn idle,
		   void *userdata, usec_t now_usec)
{
	size_t n = 0, before = s->n;

	for (size_t i = 0; i < s->n; i++) {
		const struct linger_entry *e = &s->items[i];
		const struct ipvs_service *service = ipvs_ruleset_find(actual, &e->service);
		const struct ipvs_dest *d = service ? ipvs_service_find(service, &e->addr, e->port)
						    : NULL;

		if (d && now_usec < e->deadline_usec && !idle(d, userdata))
			s->items[n++] = *e;
	}
	s->n = n;
	return n != before;
}

int linger_keep(struct linger_set *s, const struct ipvs_service *actual, const struct addr *addr,
		uint16_t port)
{
	const struct ipvs_dest *d = ipvs_service_find(actual, addr, port ? port : actual->key.port);
	struct linger_entry e = { .service = actual->key, .deadline_usec = LINGER_UNTIL_IDLE };

	if (!d || !(d->active_conns + d->inactive_conns) || has_entry(s, &actual->key, d))
		return 0;
	e.addr = d->addr;
	e.port = d->port;
	return linger_set_add(s, &e);
}

void linger_forget(struct linger_set *s, const struct ipvs_ruleset *desired)
{
	size_t n = 0;

	for (size_t i = 0; i < s->n; i++) {
		const struct linger_entry *e = &s->items[i];
		const struct ipvs_service *service = ipvs_ruleset_find(desired, &e->service);

		if (!service || !ipvs_service_find(service, &e->addr, e->port))
			s->items[n++] = *e;
	}
	s->n = n;
}

void linger_shift(struct linger_set *s, int64_t by_usec)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->items[i].deadline_usec != LINGER_UNTIL_IDLE)
			s->items[i].deadline_usec += (usec_t)by_usec;
}

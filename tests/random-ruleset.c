/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "random-ruleset.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

/* xorshift64*, Vigna 2014. */
uint32_t random_below(struct random *r, uint32_t n)
{
	assert(n > 0);
	r->state ^= r->state >> 12;
	r->state ^= r->state << 25;
	r->state ^= r->state >> 27;
	return (uint32_t)((r->state * 0x2545f4914f6cdd1dULL) >> 32) % n;
}

static bool one_in(struct random *r, uint32_t n)
{
	return random_below(r, n) == 0;
}

static struct addr random_addr(struct random *r, uint16_t family, uint8_t net, uint32_t n)
{
	struct addr a = { .family = family };

	if (family == AF_INET) {
		a.bytes[0] = 10;
		a.bytes[1] = net;
		a.bytes[3] = (uint8_t)(1 + random_below(r, n));
	} else {
		a.bytes[0] = 0xfd;
		a.bytes[1] = net;
		a.bytes[15] = (uint8_t)(1 + random_below(r, n));
	}
	return a;
}

static struct ipvs_service_key random_key(struct random *r)
{
	static const uint8_t protocols[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP };
	struct ipvs_service_key k = { .family = one_in(r, 3) ? AF_INET6 : AF_INET };

	if (one_in(r, 5)) {
		k.fwmark = r->fastpath || one_in(r, 3) ? IPVS_HOOK_KEEPER_MARK
						       : 1 + random_below(r, 3);
		return k;
	}
	k.addr = random_addr(r, k.family, 9, 3);
	k.protocol = protocols[random_below(r, ARRAY_SIZE(protocols))];
	k.port = (uint16_t)(80 * random_below(r, 3));
	return k;
}

static void random_service_conf(struct random *r, struct ipvs_service *s)
{
	bool v6 = s->key.family == AF_INET6;
	size_t n = 0;

	while (r->schedulers[n])
		n++;
	*s = (struct ipvs_service){ .key = s->key, .dests = s->dests, .n_dests = s->n_dests };
	strcpy(s->scheduler, r->schedulers[random_below(r, (uint32_t)n)]);
	if (r->fastpath && s->key.fwmark)
		strcpy(s->scheduler, "none");
	s->netmask = v6 ? 128 : UINT32_MAX;
	s->flags = random_below(r, 8) * IPVS_SVC_SCHED1;
	if (one_in(r, 4))
		s->flags |= IPVS_SVC_ONEPACKET;
	if (one_in(r, 3) || (!s->key.fwmark && s->key.port == 0)) {
		s->flags |= IPVS_SVC_PERSISTENT;
		s->timeout_sec = 1 + random_below(r, 1000);
		s->netmask = v6 ? 1 + random_below(r, 128)
				: htonl(UINT32_MAX << random_below(r, 25));
	}
}

static void random_dest_conf(struct random *r, const struct ipvs_service *s, struct ipvs_dest *d)
{
	static const enum ipvs_forward forwards[] = { IPVS_FORWARD_MASQ, IPVS_FORWARD_ROUTE,
						      IPVS_FORWARD_TUNNEL, IPVS_FORWARD_FULL_NAT };

	*d = (struct ipvs_dest){ .addr = d->addr, .port = d->port };
	d->weight = one_in(r, 4) ? 0 : random_below(r, 100);
	d->forward = forwards[random_below(r, ARRAY_SIZE(forwards) - !r->fastpath)];
	if (d->addr.family != s->key.family)
		d->forward = IPVS_FORWARD_TUNNEL;
	if (d->forward == IPVS_FORWARD_TUNNEL) {
		d->tunnel = random_below(r, 3);
		if (d->tunnel == IPVS_TUNNEL_GUE)
			d->tunnel_port = (uint16_t)(1 + random_below(r, 65535));
		if (d->tunnel != IPVS_TUNNEL_IPIP)
			d->tunnel_flags = (uint16_t)random_below(r, 3);
	}
	if (one_in(r, 4)) {
		d->upper_threshold = 1 + random_below(r, 1000);
		d->lower_threshold = random_below(r, d->upper_threshold + 1);
	}
}

static void add_random_dests(struct random *r, struct ipvs_service *s, uint32_t n)
{
	for (; n > 0; n--) {
		uint16_t family = s->key.family;
		struct ipvs_dest d = { 0 };

		if (one_in(r, 8))
			family = family == AF_INET ? AF_INET6 : AF_INET;
		d.addr = random_addr(r, family, 1, 8);
		d.port = (uint16_t)(8000 + random_below(r, 2));
		random_dest_conf(r, s, &d);
		if (!ipvs_service_find(s, &d.addr, d.port))
			assert(ipvs_service_append(s, &d));
	}
}

static void add_random_services(struct random *r, struct ipvs_ruleset *set, uint32_t n)
{
	for (; n > 0; n--) {
		struct ipvs_service_key key = random_key(r);
		struct ipvs_service *s;

		ipvs_ruleset_sort(set);
		if (ipvs_ruleset_find(set, &key))
			continue;
		s = ipvs_ruleset_append(set, &key);
		assert(s);
		random_service_conf(r, s);
		if (key.fwmark != IPVS_HOOK_KEEPER_MARK)
			add_random_dests(r, s, random_below(r, 10));
	}
	ipvs_ruleset_sort(set);
}

void random_ruleset(struct random *r, struct ipvs_ruleset *ret)
{
	*ret = IPVS_RULESET_INIT;
	add_random_services(r, ret, random_below(r, 8));
}

static void swap_dests(struct random *r, struct ipvs_service *s)
{
	size_t a = random_below(r, (uint32_t)s->n_dests), b = random_below(r, (uint32_t)s->n_dests);
	struct ipvs_dest d = s->dests[a];

	s->dests[a] = s->dests[b];
	s->dests[b] = d;
}

static void mutate_service(struct random *r, struct ipvs_service *s)
{
	if (one_in(r, 4))
		random_service_conf(r, s);
	for (size_t i = 0; i < s->n_dests;) {
		if (one_in(r, 5)) {
			s->dests[i] = s->dests[--s->n_dests];
			continue;
		}
		if (one_in(r, 4))
			random_dest_conf(r, s, &s->dests[i]);
		i++;
	}
	if (s->key.fwmark != IPVS_HOOK_KEEPER_MARK)
		add_random_dests(r, s, random_below(r, 4));
	for (uint32_t n = random_below(r, 3); n > 0 && s->n_dests > 0; n--)
		swap_dests(r, s);
}

static void remove_service(struct ipvs_ruleset *set, size_t i)
{
	free(set->services[i].dests);
	memmove(&set->services[i], &set->services[i + 1],
		(set->n - i - 1) * sizeof(set->services[0]));
	set->n--;
}

void random_mutation(struct random *r, const struct ipvs_ruleset *from, struct ipvs_ruleset *ret)
{
	assert(ipvs_ruleset_copy(from, ret) == 0);
	for (size_t i = 0; i < ret->n;) {
		if (one_in(r, 5)) {
			remove_service(ret, i);
			continue;
		}
		if (!one_in(r, 3))
			mutate_service(r, &ret->services[i]);
		i++;
	}
	add_random_services(r, ret, random_below(r, 3));
}

struct ipvs_service_key *random_keys(struct random *r, const struct ipvs_ruleset *from,
				     size_t *ret_n)
{
	struct ipvs_service_key *keys = calloc(from->n + 1, sizeof(*keys));
	size_t n = 0;

	assert(keys);
	for (size_t i = 0; i < from->n; i++)
		if (one_in(r, 2))
			keys[n++] = from->services[i].key;
	*ret_n = n;
	return keys;
}

static bool is_owned(const struct plan_ownership *owned, const struct ipvs_service_key *key)
{
	bool found = owned->exclusive;

	for (size_t i = 0; i < owned->n; i++)
		found = found || ipvs_service_key_cmp(&owned->keys[i], key) == 0;
	return found;
}

static bool has_key(const struct ipvs_ruleset *r, const struct ipvs_service_key *key)
{
	for (size_t i = 0; i < r->n; i++)
		if (ipvs_service_key_cmp(&r->services[i].key, key) == 0)
			return true;
	return false;
}

void expected_ruleset(const struct ipvs_ruleset *actual, const struct ipvs_ruleset *desired,
		      const struct plan_ownership *owned, struct ipvs_ruleset *ret)
{
	assert(ipvs_ruleset_copy(actual, ret) == 0);
	for (size_t i = 0; i < ret->n;) {
		const struct ipvs_service_key *key = &ret->services[i].key;

		if (has_key(desired, key) || is_owned(owned, key))
			remove_service(ret, i);
		else
			i++;
	}
	for (size_t i = 0; i < desired->n; i++) {
		const struct ipvs_service *from = &desired->services[i];
		struct ipvs_service *to = ipvs_ruleset_append(ret, &from->key);

		assert(to);
		*to = *from;
		to->dests = NULL;
		to->n_dests = 0;
		for (size_t k = 0; k < from->n_dests; k++)
			assert(ipvs_service_append(to, &from->dests[k]));
	}
	ipvs_ruleset_sort(ret);
}

bool same_service(const struct ipvs_service *a, const struct ipvs_service *b)
{
	bool ordered = ipvs_scheduler_is_ordered(a->scheduler);

	if (ipvs_service_key_cmp(&a->key, &b->key) != 0 || !ipvs_service_conf_eq(a, b) ||
	    a->n_dests != b->n_dests)
		return false;
	for (size_t i = 0; i < a->n_dests; i++) {
		const struct ipvs_dest *d = &a->dests[i];
		const struct ipvs_dest *o = ordered ? &b->dests[i]
						    : ipvs_service_find(b, &d->addr, d->port);

		if (!o || ipvs_dest_key_cmp(d, o) != 0 || !ipvs_dest_conf_eq(d, o))
			return false;
	}
	return true;
}

bool same_ruleset(const struct ipvs_ruleset *a, const struct ipvs_ruleset *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!same_service(&a->services[i], &b->services[i]))
			return false;
	return true;
}

void print_ruleset(const char *title, const struct ipvs_ruleset *r)
{
	fprintf(stderr, "# %s\n", title);
	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *s = &r->services[i];
		char text[IPVS_KEY_STR_MAX], where[ADDR_PORT_STR_MAX];

		fprintf(stderr, "#  %s %s flags %#x timeout %u netmask %#x\n",
			ipvs_service_key_format(&s->key, text), s->scheduler, s->flags,
			s->timeout_sec, s->netmask);
		for (size_t k = 0; k < s->n_dests; k++) {
			const struct ipvs_dest *d = &s->dests[k];

			fprintf(stderr,
				"#    %s forward %u weight %u limits %u %u tunnel %u %u %u\n",
				addr_port_format(&d->addr, d->port, where), d->forward, d->weight,
				d->upper_threshold, d->lower_threshold, d->tunnel, d->tunnel_port,
				d->tunnel_flags);
		}
	}
}

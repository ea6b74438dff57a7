/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/ruleset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

void ipvs_ruleset_deinit(struct ipvs_ruleset *r)
{
	for (size_t i = 0; i < r->n; i++)
		free(r->services[i].dests);
	free(r->services);
	*r = IPVS_RULESET_INIT;
}

/*
 * The capacity is not stored: an array of n members has room for the next power of two, so it must grow exactly
 * when n is a power of two (or 0). ipvs_ruleset_copy() allocates by the same rule.
 */
static void *array_grow(void *array, size_t n, size_t member_bytes)
{
	if (n & (n - 1))
		return array;
	return reallocarray(array, n ? n * 2 : 1, member_bytes);
}

static size_t array_capacity(size_t n)
{
	size_t capacity = 1;

	while (capacity < n)
		capacity *= 2;
	return capacity;
}

struct ipvs_service *ipvs_ruleset_append(struct ipvs_ruleset *r, const struct ipvs_service_key *key)
{
	struct ipvs_service *services = array_grow(r->services, r->n, sizeof(*services));

	if (!services)
		return NULL;
	r->services = services;
	services[r->n] = (struct ipvs_service){ .key = *key };
	return &services[r->n++];
}

struct ipvs_dest *ipvs_service_append(struct ipvs_service *s, const struct ipvs_dest *dest)
{
	struct ipvs_dest *dests = array_grow(s->dests, s->n_dests, sizeof(*dests));

	if (!dests)
		return NULL;
	s->dests = dests;
	dests[s->n_dests] = *dest;
	return &dests[s->n_dests++];
}

int ipvs_ruleset_copy(const struct ipvs_ruleset *r, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset copy = IPVS_RULESET_INIT;

	for (size_t i = 0; i < r->n; i++) {
		const struct ipvs_service *from = &r->services[i];
		struct ipvs_service *to = ipvs_ruleset_append(&copy, &from->key);

		if (!to)
			return -ENOMEM;
		*to = *from;
		to->dests = NULL;
		to->n_dests = 0;
		if (from->n_dests == 0)
			continue;
		to->dests = reallocarray(NULL, array_capacity(from->n_dests), sizeof(*to->dests));
		if (!to->dests)
			return -ENOMEM;
		memcpy(to->dests, from->dests, from->n_dests * sizeof(*to->dests));
		to->n_dests = from->n_dests;
	}
	*ret = copy;
	copy = IPVS_RULESET_INIT;
	return 0;
}

static int number_cmp(uint32_t a, uint32_t b)
{
	return (a > b) - (a < b);
}

int ipvs_service_key_cmp(const struct ipvs_service_key *a, const struct ipvs_service_key *b)
{
	int r = number_cmp(a->fwmark, b->fwmark);

	if (r == 0)
		r = number_cmp(a->family, b->family);
	if (r == 0)
		r = addr_cmp(&a->addr, &b->addr);
	if (r == 0)
		r = number_cmp(a->port, b->port);
	if (r == 0)
		r = number_cmp(a->protocol, b->protocol);
	return r;
}

int ipvs_dest_key_cmp(const struct ipvs_dest *a, const struct ipvs_dest *b)
{
	int r = addr_cmp(&a->addr, &b->addr);

	return r ? r : number_cmp(a->port, b->port);
}

static int service_cmp(const void *a, const void *b)
{
	return ipvs_service_key_cmp(&((const struct ipvs_service *)a)->key,
				    &((const struct ipvs_service *)b)->key);
}

void ipvs_ruleset_sort(struct ipvs_ruleset *r)
{
	if (r->n > 1)
		qsort(r->services, r->n, sizeof(*r->services), service_cmp);
}

struct ipvs_service *ipvs_ruleset_find(const struct ipvs_ruleset *r,
				       const struct ipvs_service_key *key)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		int c = ipvs_service_key_cmp(key, &r->services[mid].key);

		if (c == 0)
			return &r->services[mid];
		if (c < 0)
			high = mid;
		else
			low = mid + 1;
	}
	return NULL;
}

struct ipvs_dest *ipvs_service_find(const struct ipvs_service *s, const struct addr *addr,
				    uint16_t port)
{
	for (size_t i = 0; i < s->n_dests; i++)
		if (s->dests[i].port == port && addr_eq(&s->dests[i].addr, addr))
			return &s->dests[i];
	return NULL;
}

bool ipvs_service_conf_eq(const struct ipvs_service *a, const struct ipvs_service *b)
{
	if (strcmp(a->scheduler, b->scheduler) != 0 || strcmp(a->pe, b->pe) != 0 ||
	    a->flags != b->flags)
		return false;
	return !(a->flags & IPVS_SVC_PERSISTENT) ||
	       (a->timeout_sec == b->timeout_sec && a->netmask == b->netmask);
}

static bool tunnel_eq(const struct ipvs_dest *a, const struct ipvs_dest *b)
{
	if (a->tunnel != b->tunnel)
		return false;
	if (a->tunnel == IPVS_TUNNEL_GUE && a->tunnel_port != b->tunnel_port)
		return false;
	return a->tunnel == IPVS_TUNNEL_IPIP || a->tunnel_flags == b->tunnel_flags;
}

bool ipvs_dest_conf_eq(const struct ipvs_dest *a, const struct ipvs_dest *b)
{
	if (a->forward != b->forward || a->weight != b->weight ||
	    a->upper_threshold != b->upper_threshold || a->lower_threshold != b->lower_threshold)
		return false;
	return a->forward != IPVS_FORWARD_TUNNEL || tunnel_eq(a, b);
}

/* All bytes, since an IPv4 address has zeros behind it: a reload compares all lists three times. */
static bool dest_key_eq(const struct ipvs_dest *a, const struct ipvs_dest *b)
{
	return a->port == b->port && a->addr.family == b->addr.family &&
	       memcmp(a->addr.bytes, b->addr.bytes, sizeof(a->addr.bytes)) == 0;
}

bool ipvs_service_same_list(const struct ipvs_service *a, const struct ipvs_service *b)
{
	if (a->n_dests != b->n_dests)
		return false;
	for (size_t i = 0; i < a->n_dests; i++)
		if (!dest_key_eq(&a->dests[i], &b->dests[i]))
			return false;
	return true;
}

bool ipvs_scheduler_is_ordered(const char *scheduler)
{
	return strcmp(scheduler, "mh") == 0 || strcmp(scheduler, "sh") == 0 ||
	       strcmp(scheduler, "dh") == 0;
}

const char *ipvs_service_key_format(const struct ipvs_service_key *k,
				    char buf[static IPVS_KEY_STR_MAX])
{
	char where[ADDR_PORT_STR_MAX], number[16];
	const char *protocol = number;

	if (k->fwmark) {
		(void)snprintf(buf, IPVS_KEY_STR_MAX, "fwmark %u %s", k->fwmark,
			       k->family == AF_INET6 ? "ipv6" : "ipv4");
		return buf;
	}
	switch (k->protocol) {
	case IPPROTO_TCP:
		protocol = "tcp";
		break;
	case IPPROTO_UDP:
		protocol = "udp";
		break;
	case IPPROTO_SCTP:
		protocol = "sctp";
		break;
	default:
		(void)snprintf(number, sizeof(number), "protocol %u", k->protocol);
	}
	(void)snprintf(buf, IPVS_KEY_STR_MAX, "%s %s", protocol,
		       addr_port_format(&k->addr, k->port, where));
	return buf;
}

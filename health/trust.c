/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/trust.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>

#include "health/tls-store.h"

struct trust_set {
	uint64_t number;
	struct tls_store *store; /* a reference */
};

static int set_cmp(const void *a, const void *b)
{
	const struct trust_set *x = a, *y = b;

	return (x->number > y->number) - (x->number < y->number);
}

static void set_free(void *set)
{
	struct trust_set *s = set;

	tls_store_unref(s->store);
	free(s);
}

static struct trust_set *find(const struct trust *t, uint64_t number)
{
	const struct trust_set key = { .number = number };
	struct trust_set **found = tfind(&key, &t->sets, set_cmp);

	return found ? *found : NULL;
}

static struct trust_set *make(struct trust *t, uint64_t number)
{
	struct trust_set *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->number = number;
	s->store = tls_store_new();
	if (s->store && tsearch(s, &t->sets, set_cmp))
		return s;
	set_free(s);
	return NULL;
}

int trust_add(struct trust *t, uint64_t number, const void *certificate, size_t size)
{
	struct trust_set *s = find(t, number);

	if (!s)
		s = make(t, number);
	if (!s)
		return -ENOMEM;
	tls_store_add(s->store, certificate, size);
	return 0;
}

void trust_del(struct trust *t, uint64_t number)
{
	struct trust_set *s = find(t, number);

	if (!s)
		return;
	(void)tdelete(s, &t->sets, set_cmp);
	set_free(s);
}

struct tls_store *trust_find(const struct trust *t, uint64_t number)
{
	const struct trust_set *s = find(t, number);

	return s ? s->store : NULL;
}

void trust_deinit(struct trust *t)
{
	tdestroy(t->sets, set_free);
	t->sets = NULL;
}

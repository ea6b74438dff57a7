/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/dest-finder.h"

#include <errno.h>
#include <stdlib.h>

#include "ipvs/ruleset.h"

void dest_finder_deinit(struct dest_finder *f)
{
	free(f->sorted);
	f->sorted = NULL;
}

static int dest_ptr_cmp(const void *a, const void *b)
{
	const struct ipvs_dest *const *x = a, *const *y = b;

	return ipvs_dest_key_cmp(*x, *y);
}

static int sort(struct dest_finder *f)
{
	const struct ipvs_service *s = f->service;

	f->sorted = calloc(s->n_dests + 1, sizeof(*f->sorted));
	if (!f->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_dests; i++)
		f->sorted[i] = &s->dests[i];
	qsort(f->sorted, s->n_dests, sizeof(*f->sorted), dest_ptr_cmp);
	return 0;
}

int dest_finder_find(struct dest_finder *f, const struct ipvs_dest *like,
		     const struct ipvs_dest **ret)
{
	const struct ipvs_service *s = f->service;
	const struct ipvs_dest **found;

	if (f->next < s->n_dests && ipvs_dest_key_cmp(&s->dests[f->next], like) == 0) {
		*ret = &s->dests[f->next++];
		return 0;
	}
	if (!f->sorted && sort(f) < 0)
		return -ENOMEM;
	found = bsearch(&like, f->sorted, s->n_dests, sizeof(*f->sorted), dest_ptr_cmp);
	*ret = found ? *found : NULL;
	if (found)
		f->next = (size_t)(*found - s->dests) + 1;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* By which numbers workers know the authorities of groups. */

#include "conf/authorities.h"
#include "daemon/registry.h"

/* What these certificates are known by among the first n groups; 0 = not known. */
static uint64_t find_authorities(const struct registry *r, size_t n, const struct authorities *a)
{
	for (size_t i = 0; i < n; i++)
		if (r->groups[i].authorities && authorities_eq(r->groups[i].trusted, a))
			return r->groups[i].authorities;
	return 0;
}

void registry_number_authorities(struct registry *r, const struct registry *old)
{
	r->last_authorities = old->last_authorities;
	for (size_t i = 0; i < r->n; i++) {
		struct target_group *g = &r->groups[i];
		const struct authorities *a = g->trusted;
		const struct target_group *known;

		if (!a)
			continue;
		/* Mostly it has what it had. */
		known = registry_find_group_near(old, g->name, i);
		if (known && known->authorities && authorities_eq(known->trusted, a))
			g->authorities = known->authorities;
		if (!g->authorities)
			g->authorities = find_authorities(old, old->n, a);
		if (!g->authorities)
			g->authorities = find_authorities(r, i, a);
		if (!g->authorities)
			g->authorities = ++r->last_authorities;
	}
}

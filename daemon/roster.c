/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/roster.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/assign.h"
#include "daemon/discovery.h"

void roster_deinit(struct roster *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->groups[i].own);
		free(r->groups[i].sources);
	}
	free(r->groups);
	*r = ROSTER_INIT;
}

struct roster_families roster_families(const struct conf *c, size_t group)
{
	struct roster_families f = { false, false };

	for (size_t i = 0; i < c->n_listeners; i++) {
		const struct conf_listener *l = &c->listeners[i];

		for (size_t j = 0; j < l->n_forwards; j++) {
			if (l->forwards[j].group != group)
				continue;
			f.ipv4 = f.ipv4 || l->family == AF_INET;
			f.ipv6 = f.ipv6 || l->family == AF_INET6;
		}
	}
	return f;
}

struct builder {
	const struct conf_group *conf;
	struct roster_group *group;
	uint16_t port; /* of targets without one */
	struct roster_families families;
	const struct discovery *const *names;
	size_t n_names;
	bool may_repeat;
};

static int append(struct roster_group *g, const struct conf_target *t,
		  const struct roster_source *source)
{
	void *targets = g->own, *sources = g->sources;
	size_t n = g->n;
	struct conf_target *target = assign_append(&targets, &n, sizeof(*target));
	struct roster_source *s;

	g->targets = g->own = targets;
	if (!target)
		return -ENOMEM;
	n = g->n;
	s = assign_append(&sources, &n, sizeof(*s));
	g->sources = sources;
	if (!s)
		return -ENOMEM;
	*target = *t;
	target->host = NULL;
	*s = *source;
	g->n = n;
	return 0;
}

static int name_cmp(const void *a, const void *b)
{
	const struct discovery *const *x = a, *const *y = b;

	return discovery_cmp(*x, *y);
}

/* like: what goes for every address of the name. */
static int append_name(struct builder *b, const char *name, uint16_t family,
		       const struct conf_target *like, bool in_file)
{
	const struct discovery *const *found;
	struct discovery key = { .family = family };
	const struct discovery *wanted = &key;
	bool takes_port = b->conf->forwarding == CONF_FORWARDING_NAT ||
			  b->conf->forwarding == CONF_FORWARDING_FULL_NAT;

	if (strlen(name) >= sizeof(key.name))
		return 0;
	strcpy(key.name, name);
	found = b->n_names ? bsearch(&wanted, b->names, b->n_names, sizeof(wanted), name_cmp)
			   : NULL;
	for (size_t i = 0; found && i < (*found)->n; i++) {
		const struct discovery_item *item = &(*found)->items[i];
		const struct roster_source source = { *found, in_file };
		struct conf_target t = *like;
		int r;

		t.addr = item->addr;
		if ((*found)->service) {
			t.weight = item->weight;
			t.port = takes_port ? item->port : 0;
		}
		r = append(b->group, &t, &source);
		if (r < 0)
			return r;
		b->may_repeat = true;
	}
	return 0;
}

static int append_in_families(struct builder *b, const char *name, const struct conf_target *like,
			      bool in_file)
{
	int r = b->families.ipv4 ? append_name(b, name, AF_INET, like, in_file) : 0;

	if (r == 0 && b->families.ipv6)
		r = append_name(b, name, AF_INET6, like, in_file);
	return r;
}

static int append_targets(struct builder *b, const struct conf_target *targets, size_t n,
			  bool in_file)
{
	const struct roster_source written = { NULL, in_file };
	int r = 0;

	for (size_t i = 0; r == 0 && i < n; i++)
		r = targets[i].host ? append_in_families(b, targets[i].host, &targets[i], in_file)
				    : append(b->group, &targets[i], &written);
	return r;
}

struct placed {
	const struct conf_target *target;
	uint16_t port;
	size_t order;
};

static int placed_cmp(const void *a, const void *b)
{
	const struct placed *x = a, *y = b;
	int c = addr_cmp(&x->target->addr, &y->target->addr);

	if (!c)
		c = x->port - y->port;
	return c ? c : (x->order > y->order) - (x->order < y->order);
}

/* Several names may lead to one host. */
static int drop_repeated(struct builder *b)
{
	struct roster_group *g = b->group;
	_cleanup_free_ struct placed *sorted = calloc(g->n + 1, sizeof(*sorted));
	_cleanup_free_ bool *drop = calloc(g->n + 1, sizeof(*drop));
	size_t n = 0;

	if (!sorted || !drop)
		return -ENOMEM;
	for (size_t i = 0; i < g->n; i++)
		sorted[i] = (struct placed){ &g->targets[i],
					     g->targets[i].port ? g->targets[i].port : b->port, i };
	qsort(sorted, g->n, sizeof(*sorted), placed_cmp);
	for (size_t i = 1; i < g->n; i++)
		drop[sorted[i].order] =
			sorted[i].port == sorted[i - 1].port &&
			addr_eq(&sorted[i].target->addr, &sorted[i - 1].target->addr);
	for (size_t i = 0; i < g->n; i++) {
		if (drop[i])
			continue;
		g->own[n] = g->own[i];
		g->sources[n++] = g->sources[i];
	}
	g->n = n;
	return 0;
}

/* Ten thousand targets are built from at each start and reload, and mostly there is nothing to be looked up. */
static bool is_configuration(const struct conf_group *c, const struct roster_file *file)
{
	if (file->targets || conf_group_dns_name(c))
		return false;
	for (size_t i = 0; i < c->n_targets; i++)
		if (c->targets[i].host)
			return false;
	return true;
}

static int build_group(struct builder *b, const struct roster_file *file)
{
	const struct conf_group *c = b->conf;
	size_t n_written = c->n_targets - c->n_file_targets;
	const char *name = conf_group_dns_name(c);
	const struct conf_target found = { .origin = c->origin,
					   .weight = CONF_TARGET_WEIGHT_DEFAULT };
	int r;

	r = append_targets(b, c->targets, n_written, false);
	if (r == 0 && file->targets)
		r = append_targets(b, file->targets, file->n, true);
	else if (r == 0 && c->n_file_targets > 0)
		r = append_targets(b, c->targets + n_written, c->n_file_targets, true);
	if (r == 0 && name)
		r = append_in_families(b, name, &found, false);
	return r == 0 && b->may_repeat ? drop_repeated(b) : r;
}

static int build_all(struct roster *r, const struct conf *c, const struct roster_file *files,
		     const struct discovery *const *names, size_t n_names)
{
	r->groups = calloc(c->n_groups + 1, sizeof(*r->groups));
	if (!r->groups)
		return -ENOMEM;
	r->n = c->n_groups;
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_group *g = &c->groups[i];
		int e = 0;

		if (is_configuration(g, &files[i])) {
			r->groups[i] = (struct roster_group){
				.targets = g->targets,
				.n = g->n_targets,
				.n_written = g->n_targets - g->n_file_targets,
			};
		} else {
			struct builder b = {
				.conf = g,
				.group = &r->groups[i],
				.port = g->port ? g->port : conf_group_listener_port(c, i),
				.families = roster_families(c, i),
				.names = names,
				.n_names = n_names,
			};

			e = build_group(&b, &files[i]);
		}
		r->groups[i].authorities = g->check.authorities;
		if (e < 0)
			return e;
	}
	return 0;
}

int roster_build(const struct conf *c, const struct roster_file *files,
		 const struct discovery *const *names, size_t n_names, struct roster *ret)
{
	struct roster built = ROSTER_INIT;
	int r = build_all(&built, c, files, names, n_names);

	if (r < 0)
		roster_deinit(&built);
	else
		*ret = built;
	return r;
}

static const struct roster_source *source_of(const struct roster_group *g, size_t i)
{
	static const struct roster_source written = { NULL, false }, in_file = { NULL, true };

	if (g->sources)
		return &g->sources[i];
	return i < g->n_written ? &written : &in_file;
}

static uint16_t port_of(const struct conf_group *conf, const struct conf_target *t)
{
	return t->port ? t->port : conf->port;
}

const struct roster_source *roster_find(const struct roster *r, const struct conf *c, size_t group,
					const struct addr *addr, uint16_t port, size_t hint)
{
	const struct roster_group *g;

	if (group >= r->n)
		return NULL;
	g = &r->groups[group];
	for (size_t k = 0; k < g->n; k++) {
		size_t i = (hint + k) % g->n;

		if (port_of(&c->groups[group], &g->targets[i]) == port &&
		    addr_eq(&g->targets[i].addr, addr))
			return source_of(g, i);
	}
	return NULL;
}

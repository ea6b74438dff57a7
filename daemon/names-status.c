/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What `ipvsd status` says of names and targets-files. */

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/authorities.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/rfc3339.h"

json_t *names_target_source(const struct names *n, size_t g, const struct addr *addr, uint16_t port,
			    size_t hint)
{
	const struct roster_source *s =
		roster_find(&n->roster, n->manager->conf, g, addr, port, hint);

	if (!s)
		return NULL;
	if (s->name)
		return json_sprintf("dns:%s", s->name->name);
	return json_string(s->in_file ? "targets-file" : "config");
}

static json_t *wall_to_json(usec_t wall_usec)
{
	char text[RFC3339_MAX];

	return wall_usec ? json_string(rfc3339_format(wall_usec, text)) : json_null();
}

static json_t *age_to_json(usec_t wall_usec)
{
	usec_t now = clock_wall_usec();

	if (!wall_usec)
		return json_null();
	return json_integer((json_int_t)((now > wall_usec ? now - wall_usec : 0) / USEC_PER_SEC));
}

static json_t *lookup_to_json(const struct lookup *l)
{
	const struct discovery *d = &l->discovery;
	usec_t now = clock_monotonic_usec();
	size_t n_absent = 0;

	for (size_t i = 0; i < d->n; i++)
		n_absent += d->items[i].absent > 0;
	return json_pack("{s:s+,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:o,s:o,s:I,s:b,s:I}", "source",
			 "dns:", d->name, "family", d->family == AF_INET ? "ipv4" : "ipv6",
			 "status", discovery_status_to_string(d->status), "description",
			 discovery_status_describe(d->status), "targets", (json_int_t)d->n,
			 "absent", (json_int_t)n_absent, "left_out", (json_int_t)d->n_left_out,
			 "ttl_seconds", (json_int_t)d->ttl_sec, "answered",
			 wall_to_json(d->answered_wall_usec), "age_seconds",
			 age_to_json(d->answered_wall_usec), "failures", (json_int_t)d->n_failures,
			 "asked", d->asked, "next_ms",
			 (json_int_t)(d->due_usec > now ? (d->due_usec - now) / USEC_PER_MSEC : 0));
}

static const char *status_of(const struct followed_file *f)
{
	if (followed_file_is_being_written(f))
		return "being-written";
	if (f->error)
		return "bad";
	return f->watch ? "ok" : "not-watched";
}

static json_t *file_to_json(const struct targets_file *f)
{
	return json_pack("{s:s,s:s,s:s,s:s?,s:I,s:o,s:o}", "source", "targets-file", "path",
			 f->file.path, "status", status_of(&f->file), "description", f->file.error,
			 "targets", (json_int_t)f->n, "answered",
			 wall_to_json(f->file.read_wall_usec), "age_seconds",
			 age_to_json(f->file.read_wall_usec));
}

static bool names_it(const struct conf_target *targets, size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (targets[i].host && strcasecmp(targets[i].host, name) == 0)
			return true;
	return false;
}

static bool group_asks(const struct names *n, size_t group, const struct discovery *d)
{
	const struct conf *c = n->manager->conf;
	const struct conf_group *g = &c->groups[group];
	const struct targets_file *f = names_find_file(n, g);
	const struct roster_families families = roster_families(c, group);
	const char *name = conf_group_dns_name(g);

	if (!(d->family == AF_INET ? families.ipv4 : families.ipv6))
		return false;
	return (name && strcasecmp(name, d->name) == 0) ||
	       names_it(g->targets, g->n_targets - g->n_file_targets, d->name) ||
	       (f && names_it(f->targets, f->n, d->name));
}

/* Of all groups that name the file: the first one, and how many more. */
static void add_ca_file_alarm(const struct authorities_file *f, json_t *list)
{
	char more[32] = "";

	if (f->n_groups > 1)
		(void)snprintf(more, sizeof(more), " and %zu more", f->n_groups - 1);
	(void)json_array_append_new(
		list, json_sprintf("group %s%s: the health-check-ca-file is bad, and %s: %s",
				   f->file.group, more,
				   f->authorities ? "its last good authorities stay in effect"
						  : "targets are not probed",
				   f->file.error));
}

void names_add_alarms(const struct names *n, json_t *list)
{
	for (size_t i = 0; i < n->n_ca_files; i++)
		if (n->ca_files[i]->file.error)
			add_ca_file_alarm(n->ca_files[i], list);
	for (size_t i = 0; i < n->n_files; i++) {
		const struct targets_file *f = n->files[i];

		if (f->file.error)
			(void)json_array_append_new(
				list, json_sprintf("group %s: the targets-file is bad, and %s: %s",
						   f->file.group,
						   f->n ? "its last good list stays in effect"
							: "gives no targets",
						   f->file.error));
	}
}

json_t *names_group_authorities(const struct names *n, size_t g)
{
	const struct authorities_file *f = names_find_ca_file(n, &n->manager->conf->groups[g]);

	if (!f)
		return json_null();
	return json_pack("{s:s,s:s,s:s?,s:I,s:o,s:o}", "path", f->file.path, "status",
			 status_of(&f->file), "description", f->file.error, "certificates",
			 (json_int_t)(f->authorities ? f->authorities->n : 0), "read",
			 wall_to_json(f->file.read_wall_usec), "age_seconds",
			 age_to_json(f->file.read_wall_usec));
}

json_t *names_group_sources(const struct names *n, size_t g)
{
	const struct targets_file *f = names_find_file(n, &n->manager->conf->groups[g]);
	json_t *list = json_array();

	if (list && f)
		(void)json_array_append_new(list, file_to_json(f));
	for (size_t i = 0; list && i < n->n_lookups; i++)
		if (group_asks(n, g, &n->lookups[i]->discovery))
			(void)json_array_append_new(list, lookup_to_json(n->lookups[i]));
	return list;
}

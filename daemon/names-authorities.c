/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * Files of authorities while the daemon runs: watched, and taken as a whole or not at all. Where there was no good one
 * since the start, the group's targets are not probed: a fault of ours says nothing about them, so that they keep their
 * state, and nothing else may verify them.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/authorities.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/rfc3339.h"

#define KIND "ca-file"

static void file_free(struct authorities_file *f)
{
	if (!f)
		return;
	followed_file_deinit(&f->file);
	authorities_unref(f->authorities);
	free(f);
}

void names_free_authorities(struct names *n)
{
	for (size_t i = 0; i < n->n_ca_files; i++)
		file_free(n->ca_files[i]);
	free(n->ca_files);
	n->ca_files = NULL;
	n->n_ca_files = 0;
}

static struct authorities_file *find(struct authorities_file *const *files, size_t n,
				     const char *path)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(files[i]->file.path, path) == 0)
			return files[i];
	return NULL;
}

const struct authorities_file *names_find_ca_file(const struct names *n, const struct conf_group *g)
{
	return g->check.ca_file && conf_check_verifies(&g->check)
		       ? find(n->ca_files, n->n_ca_files, g->check.ca_file)
		       : NULL;
}

/* Of a configuration that is not in effect yet: what is being written may be half of it, though whole certificates. */
static bool is_kept(const struct authorities_file *f, const struct authorities *read)
{
	return f->authorities && (!read || followed_file_is_being_written(&f->file));
}

struct authorities *names_choose_authorities(const struct names *n, const struct conf *c,
					     const struct conf_group *g)
{
	const struct authorities_file *f = names_find_ca_file(n, g);

	return f && (c == n->manager->conf || is_kept(f, g->check.authorities))
		       ? f->authorities
		       : g->check.authorities;
}

/* a: a reference, which it takes. */
static void take(struct authorities_file *f, struct authorities *a)
{
	authorities_unref(f->authorities);
	f->authorities = a;
	f->file.read_wall_usec = clock_wall_usec();
}

static void complain(struct authorities_file *f, const struct diag_list *diags)
{
	struct manager *m = f->file.names->manager;
	char time[RFC3339_MAX];

	if (!followed_file_condemn(&f->file, diags))
		return;
	if (f->authorities)
		manager_event(m, LOG_WARNING, KIND, f->file.group,
			      "%s; certificates are verified by the authorities of %s: %zu",
			      f->file.error, rfc3339_format(f->file.read_wall_usec, time),
			      f->authorities->n);
	else
		manager_event(m, LOG_ERR, KIND, f->file.group,
			      "%s; targets keep their states and are not probed until it is good",
			      f->file.error);
}

static void on_change(struct file_watch *w, void *userdata)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct authorities_file *f = userdata;
	struct authorities *fresh;
	bool same;

	(void)w;
	if (f->file.names->manager->stopping)
		return;
	if (load_authorities(f->file.path, &diags, &fresh) < 0) {
		complain(f, &diags);
		return;
	}
	followed_file_forgive(&f->file);
	same = f->authorities && authorities_eq(f->authorities, fresh);
	take(f, fresh);
	if (!same)
		names_apply_soon(f->file.names);
}

static int file_new(struct names *names, const struct conf_group *g, struct authorities_file **ret)
{
	struct authorities_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	if (followed_file_init(&f->file, names, KIND, g->name, g->check.ca_file, on_change, f) <
	    0) {
		file_free(f);
		return -ENOMEM;
	}
	if (!g->check.authorities) /* a start beside a bad one; or it has become good meanwhile */
		on_change(f->file.watch, f);
	*ret = f;
	return 0;
}

/* The file that g names, in its place among the first *n of `files`. */
static int follow(struct names *names, const struct conf_group *g, struct authorities_file **files,
		  size_t *n)
{
	struct authorities_file *f = find(files, *n, g->check.ca_file);

	if (f) {
		f->n_groups++;
		return 0;
	}
	f = find(names->ca_files, names->n_ca_files, g->check.ca_file);
	if (!f && file_new(names, g, &f) < 0)
		return -ENOMEM;
	f->n_groups = 1;
	(void)snprintf(f->file.group, sizeof(f->file.group), "%s", g->name);
	files[(*n)++] = f;
	if (!g->check.authorities || is_kept(f, g->check.authorities))
		return 0;
	followed_file_forgive(&f->file);
	take(f, authorities_ref(g->check.authorities));
	return 0;
}

int names_follow_authorities(struct names *n)
{
	const struct conf *c = n->manager->conf;
	struct authorities_file **files =
		calloc(c->n_groups + 1, sizeof(struct authorities_file *));
	size_t n_files = 0;
	int r = 0;

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_health_check *check = &c->groups[i].check;

		if (check->ca_file && conf_check_verifies(check) &&
		    follow(n, &c->groups[i], files, &n_files) < 0)
			r = -ENOMEM;
	}
	for (size_t i = 0; i < n->n_ca_files; i++)
		if (find(files, n_files, n->ca_files[i]->file.path) != n->ca_files[i])
			file_free(n->ca_files[i]);
	free(n->ca_files);
	n->ca_files = files;
	n->n_ca_files = n_files;
	return r;
}

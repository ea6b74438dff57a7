/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Targets-files while the daemon runs: watched, read as a whole, taken as a whole or not at all. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "conf/targets-file.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/rfc3339.h"

static void file_free(struct targets_file *f)
{
	if (!f)
		return;
	followed_file_deinit(&f->file);
	targets_file_free(f->targets, f->n);
	free(f);
}

void names_free_files(struct names *n)
{
	for (size_t i = 0; i < n->n_files; i++)
		file_free(n->files[i]);
	free(n->files);
	n->files = NULL;
	n->n_files = 0;
}

const struct targets_file *names_find_file(const struct names *n, const struct conf_group *g)
{
	for (size_t i = 0; g->targets_file && i < n->n_files; i++)
		if (strcmp(n->files[i]->file.group, g->name) == 0 &&
		    strcmp(n->files[i]->file.path, g->targets_file) == 0)
			return n->files[i];
	return NULL;
}

bool names_file_is_kept(const struct targets_file *f, const struct conf_group *g)
{
	return f->n && (!g->n_file_targets || followed_file_is_being_written(&f->file));
}

static bool targets_eq(const struct conf_target *a, size_t n_a, const struct conf_target *b,
		       size_t n_b)
{
	if (n_a != n_b)
		return false;
	for (size_t i = 0; i < n_a; i++) {
		if (!a[i].host != !b[i].host || (a[i].host && strcmp(a[i].host, b[i].host) != 0) ||
		    !addr_eq(&a[i].addr, &b[i].addr) || a[i].port != b[i].port ||
		    a[i].weight != b[i].weight || strcmp(a[i].zone, b[i].zone) != 0)
			return false;
	}
	return true;
}

static void take(struct targets_file *f, struct conf_target *targets, size_t n)
{
	targets_file_free(f->targets, f->n);
	f->targets = targets;
	f->n = n;
	f->file.read_wall_usec = clock_wall_usec();
	f->unsaved = true;
	names_save_soon(f->file.names);
}

static int copy_targets(struct targets_file *f, const struct conf_target *targets, size_t n)
{
	struct conf_target *copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = targets[i];
		copy[i].origin.path = f->file.path;
		if (copy[i].host) {
			copy[i].host = strdup(targets[i].host);
			if (!copy[i].host) {
				targets_file_free(copy, i);
				return -ENOMEM;
			}
		}
	}
	take(f, copy, n);
	return 0;
}

static void complain(struct targets_file *f, const struct diag_list *diags)
{
	struct manager *m = f->file.names->manager;
	char time[RFC3339_MAX];

	if (!followed_file_condemn(&f->file, diags))
		return;
	if (f->n)
		manager_event(m, LOG_WARNING, f->file.kind, f->file.group,
			      "%s; its targets stay those of %s: %zu", f->file.error,
			      rfc3339_format(f->file.read_wall_usec, time), f->n);
	else
		manager_event(m, LOG_ERR, f->file.kind, f->file.group,
			      "%s; it gives no targets until it is good", f->file.error);
}

static void on_change(struct file_watch *w, void *userdata)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct targets_file *f = userdata;
	struct manager *m = f->file.names->manager;
	const struct conf_group *g = conf_find_group(m->conf, f->file.group);
	struct conf_target *targets;
	size_t n;
	int r;

	(void)w;
	if (!g || m->stopping)
		return;
	r = load_targets(m->conf, (size_t)(g - m->conf->groups), f->file.path, &diags, &targets,
			 &n);
	if (r < 0) {
		complain(f, &diags);
		return;
	}
	followed_file_forgive(&f->file);
	if (targets_eq(targets, n, f->targets, f->n)) {
		f->file.read_wall_usec = clock_wall_usec();
		targets_file_free(targets, n);
		return;
	}
	take(f, targets, n);
	names_apply_soon(f->file.names);
}

/*
 * Of a file that has given the configuration nothing. Bad, or gone, it costs its own group alone, and that no more
 * than what has changed in it since it was good.
 */
static void read_alone(struct targets_file *f, size_t group)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct conf_target *targets;
	size_t n;

	if (load_targets(f->file.names->manager->conf, group, f->file.path, &diags, &targets, &n) ==
	    0) {
		take(f, targets, n);
	} else {
		names_copies_restore(f, group);
		complain(f, &diags);
	}
	if (f->n) /* where this is no start, there is a roster already that lacks them */
		names_apply_soon(f->file.names);
}

static int file_new(struct names *names, const struct conf_group *g, struct targets_file **ret)
{
	struct targets_file *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	if (followed_file_init(&f->file, names, "targets-file", g->name, g->targets_file, on_change,
			       f) < 0) {
		file_free(f);
		return -ENOMEM;
	}
	if (!g->n_file_targets)
		read_alone(f, (size_t)(g - names->manager->conf->groups));
	*ret = f;
	return 0;
}

int names_follow_files(struct names *n)
{
	const struct conf *c = n->manager->conf;
	struct targets_file **files = calloc(c->n_groups + 1, sizeof(struct targets_file *));
	size_t n_files = 0, n_old = n->n_files;
	int r = 0;

	if (!files)
		return -ENOMEM;
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct conf_group *g = &c->groups[i];
		struct targets_file *f = (struct targets_file *)names_find_file(n, g);

		if (!g->targets_file)
			continue;
		if (!f && file_new(n, g, &f) < 0) {
			r = -ENOMEM;
			continue;
		}
		files[n_files++] = f;
		f->unsaved = f->n > 0; /* the state directory may be another */
		if (names_file_is_kept(f, g) || !g->n_file_targets)
			continue;
		followed_file_forgive(&f->file);
		if (copy_targets(f, g->targets + g->n_targets - g->n_file_targets,
				 g->n_file_targets) < 0)
			r = -ENOMEM;
	}
	for (size_t i = 0; i < n_old; i++) {
		bool used = false;

		for (size_t j = 0; j < n_files; j++)
			used = used || files[j] == n->files[i];
		if (!used)
			file_free(n->files[i]);
	}
	free(n->files);
	n->files = files;
	n->n_files = n_files;
	names_copies_remove_others(n);
	if (n_files)
		names_save_soon(n);
	return r;
}

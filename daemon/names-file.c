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
	file_watch_free(f->watch);
	targets_file_free(f->targets, f->n);
	free(f->path);
	free(f->error);
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
		if (strcmp(n->files[i]->group, g->name) == 0 &&
		    strcmp(n->files[i]->path, g->targets_file) == 0)
			return n->files[i];
	return NULL;
}

bool names_file_is_kept(const struct targets_file *f, const struct conf_group *g)
{
	return f->n && (!g->n_file_targets || (f->watch && file_watch_is_being_written(f->watch)));
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
	f->read_wall_usec = clock_wall_usec();
	f->unsaved = true;
	names_save_soon(f->names);
}

static int copy_targets(struct targets_file *f, const struct conf_target *targets, size_t n)
{
	struct conf_target *copy = calloc(n + 1, sizeof(*copy));

	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		copy[i] = targets[i];
		copy[i].origin.path = f->path;
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

static char *describe(const struct targets_file *f, const struct diag_list *diags)
{
	const struct diag *d = NULL;
	char *text = NULL;
	size_t n_more = diags->n_errors ? diags->n_errors - 1 : 0;

	for (size_t i = 0; i < diags->n && !d; i++)
		if (diags->items[i].severity == DIAG_ERROR)
			d = &diags->items[i];
	return asprintf(&text, n_more ? "%s:%u: %s; and %zu more" : "%s:%u: %s",
			d ? d->path : f->path, d ? d->line : 0, d ? d->message : strerror(ENOMEM),
			n_more) < 0
		       ? NULL
		       : text;
}

/* Once for each thing that is wrong, however often the file is written. */
static void complain(struct targets_file *f, const struct diag_list *diags)
{
	_cleanup_free_ char *text = describe(f, diags);
	char time[RFC3339_MAX];

	if (!text || (f->error && strcmp(f->error, text) == 0))
		return;
	free(f->error);
	f->error = take_ptr(text);
	if (f->n)
		manager_event(f->names->manager, LOG_WARNING, "targets-file", f->group,
			      "%s; its targets stay those of %s: %zu", f->error,
			      rfc3339_format(f->read_wall_usec, time), f->n);
	else
		manager_event(f->names->manager, LOG_ERR, "targets-file", f->group,
			      "%s; it gives no targets until it is good", f->error);
}

static void forgive(struct targets_file *f)
{
	if (f->error)
		manager_event(f->names->manager, LOG_NOTICE, "targets-file", f->group,
			      "%s is good again", f->path);
	free(f->error);
	f->error = NULL;
}

static void on_change(struct file_watch *w, void *userdata)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	struct targets_file *f = userdata;
	struct manager *m = f->names->manager;
	const struct conf_group *g = conf_find_group(m->conf, f->group);
	struct conf_target *targets;
	size_t n;
	int r;

	(void)w;
	if (!g || m->stopping)
		return;
	r = load_targets(m->conf, (size_t)(g - m->conf->groups), f->path, &diags, &targets, &n);
	if (r < 0) {
		complain(f, &diags);
		return;
	}
	forgive(f);
	if (targets_eq(targets, n, f->targets, f->n)) {
		f->read_wall_usec = clock_wall_usec();
		targets_file_free(targets, n);
		return;
	}
	take(f, targets, n);
	names_apply_soon(f->names);
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

	if (load_targets(f->names->manager->conf, group, f->path, &diags, &targets, &n) == 0) {
		take(f, targets, n);
	} else {
		names_copies_restore(f, group);
		complain(f, &diags);
	}
	if (f->n) /* where this is no start, there is a roster already that lacks them */
		names_apply_soon(f->names);
}

static int file_new(struct names *names, const struct conf_group *g, struct targets_file **ret)
{
	struct targets_file *f = calloc(1, sizeof(*f));
	int r;

	if (!f)
		return -ENOMEM;
	f->names = names;
	strcpy(f->group, g->name);
	f->path = strdup(g->targets_file);
	if (!f->path) {
		file_free(f);
		return -ENOMEM;
	}
	r = file_watch_new(names->manager->event, f->path, on_change, f, &f->watch);
	if (r < 0)
		log_err("%s: cannot be watched: %s: a reload reads it (the limit may be "
			"fs.inotify.max_user_watches)",
			f->path, strerror(-r));
	else
		file_watch_check_soon(f->watch); /* it was read before it was watched */
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
		forgive(f);
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

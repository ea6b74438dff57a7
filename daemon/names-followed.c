/* SPDX-License-Identifier: GPL-2.0-or-later */

/* What the files that target groups name have in common: they are watched, and one that is bad is said so once. */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/diag.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"

int followed_file_init(struct followed_file *f, struct names *names, const char *kind,
		       const char *group, const char *path, file_watch_fn on_change, void *userdata)
{
	int r;

	*f = (struct followed_file){ .names = names, .kind = kind, .path = strdup(path) };
	if (!f->path)
		return -ENOMEM;
	(void)snprintf(f->group, sizeof(f->group), "%s", group);
	r = file_watch_new(names->manager->event, path, on_change, userdata, &f->watch);
	if (r < 0)
		log_err("%s: cannot be watched: %s: a reload reads it (the limit may be "
			"fs.inotify.max_user_watches)",
			path, strerror(-r));
	else
		file_watch_check_soon(f->watch); /* it was read before it was watched */
	return 0;
}

void followed_file_deinit(struct followed_file *f)
{
	file_watch_free(f->watch);
	free(f->path);
	free(f->error);
}

bool followed_file_is_being_written(const struct followed_file *f)
{
	return f->watch && file_watch_is_being_written(f->watch);
}

static char *describe(const struct followed_file *f, const struct diag_list *diags)
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

bool followed_file_condemn(struct followed_file *f, const struct diag_list *diags)
{
	_cleanup_free_ char *text = describe(f, diags);

	if (!text || (f->error && strcmp(f->error, text) == 0))
		return false;
	free(f->error);
	f->error = take_ptr(text);
	return true;
}

void followed_file_forgive(struct followed_file *f)
{
	if (f->error)
		manager_event(f->names->manager, LOG_NOTICE, f->kind, f->group, "%s is good again",
			      f->path);
	free(f->error);
	f->error = NULL;
}

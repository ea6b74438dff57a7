/* SPDX-License-Identifier: GPL-2.0-or-later */

/* targets-GROUP.list in the state directory: the last good list of each targets-file. */

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/targets-file.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/persist.h"
#include "daemon/state-file.h"
#include "daemon/targets-copy.h"

#define PREFIX "targets-"
#define SUFFIX ".list"

static const char *name_of(const char *group, char buf[static STATE_FILE_NAME_MAX])
{
	(void)snprintf(buf, STATE_FILE_NAME_MAX, PREFIX "%s" SUFFIX, group);
	return buf;
}

static const char *describe(int error)
{
	switch (error) {
	case -EBADMSG:
		return "damaged";
	case -ESTALE:
		return "of another targets-file";
	case -EINVAL:
		return "not allowed by the configuration any more";
	default:
		return strerror(-error);
	}
}

void names_copies_restore(struct targets_file *f, size_t group)
{
	const struct manager *m = f->file.names->manager;
	_cleanup_free_ char *text = NULL;
	char name[STATE_FILE_NAME_MAX];
	struct conf_target *targets = NULL;
	usec_t read_usec = 0;
	size_t len = 0, n = 0;
	int r = persist_read_file(m, name_of(f->file.group, name), &text, &len);

	if (r == 0)
		r = targets_copy_parse(m->conf, group, f->file.path, text, len, &targets, &n,
				       &read_usec);
	if (r < 0) {
		if (r != -ENOENT)
			log_warning("%s: %s: ignoring it", name, describe(r));
		return;
	}
	targets_file_free(f->targets, f->n);
	f->targets = targets;
	f->n = n;
	f->file.read_wall_usec = read_usec;
}

static int save(const struct targets_file *f)
{
	const struct manager *m = f->file.names->manager;
	_cleanup_free_ char *text = NULL, *there = NULL;
	char name[STATE_FILE_NAME_MAX];
	size_t len, len_there = 0;
	int r;

	r = targets_copy_format(f->file.path, f->targets, f->n, f->file.read_wall_usec, &text,
				&len);
	if (r < 0)
		return r;
	/* A start or a reload that finds everything as it was waits for no disk. */
	if (persist_read_file(m, name_of(f->file.group, name), &there, &len_there) == 0 &&
	    targets_copy_eq(there, len_there, text, len))
		return 0;
	return persist_write_file(m, name, text, len);
}

void names_copies_save(struct names *n)
{
	for (size_t i = 0; i < n->n_files; i++) {
		struct targets_file *f = n->files[i];
		int r = f->unsaved && f->n ? save(f) : 0;

		f->unsaved = r < 0;
		if (r < 0)
			log_err("cannot save the targets of %s: %s: a start beside a bad file "
				"would have older ones, or none",
				f->file.path, strerror(-r));
	}
}

static bool is_wanted(const struct names *n, const char *name)
{
	char wanted[STATE_FILE_NAME_MAX];

	for (size_t i = 0; i < n->n_files; i++)
		if (strcmp(name_of(n->files[i]->file.group, wanted), name) == 0)
			return true;
	return false;
}

void names_copies_remove_others(const struct names *n)
{
	int fd = persist_open_directory(n->manager);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *e;

	if (!d) {
		cleanup_close(&fd);
		return; /* the next save says why */
	}
	while ((e = readdir(d))) {
		size_t len = strlen(e->d_name), end = strlen(SUFFIX);

		if (strncmp(e->d_name, PREFIX, strlen(PREFIX)) == 0 && len > end &&
		    strcmp(e->d_name + len - end, SUFFIX) == 0 && !is_wanted(n, e->d_name))
			(void)unlinkat(dirfd(d), e->d_name, 0);
	}
	(void)closedir(d);
}

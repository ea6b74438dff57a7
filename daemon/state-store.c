/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-store.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/registry.h"
#include "daemon/state-group.h"

#define GROUP_PREFIX "group-"
#define SUFFIX ".json"

enum {
	BATCH_MAX = 32, /* files that are open at once */
};

int state_store_open_directory(const struct state_store *s)
{
	int fd = open(s->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

const char *state_store_file_name(const struct state_store_file *f,
				  char buf[static STATE_FILE_NAME_MAX])
{
	if (!*f->group)
		return STATE_STORE_GLOBAL_NAME;
	(void)snprintf(buf, STATE_FILE_NAME_MAX, GROUP_PREFIX "%s" SUFFIX, f->group);
	return buf;
}

const char *state_store_journal_name(const struct state_store_file *f,
				     char buf[static STATE_FILE_NAME_MAX])
{
	(void)snprintf(buf, STATE_FILE_NAME_MAX, GROUP_PREFIX "%s" STATE_STORE_JOURNAL_SUFFIX,
		       f->group);
	return buf;
}

void state_store_deinit(struct state_store *s)
{
	for (size_t i = 0; i < s->n; i++)
		state_journal_deinit(&s->files[i].journal);
	free(s->directory);
	free(s->files);
	*s = STATE_STORE_INIT;
}

/* Where the group's file is, or where it belongs. */
static size_t position(const struct state_store *s, const char *group)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (strcmp(s->files[middle].group, group) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static struct state_store_file *find(const struct state_store *s, const char *group)
{
	size_t i = position(s, group);

	return i < s->n && strcmp(s->files[i].group, group) == 0 ? &s->files[i] : NULL;
}

static int add(struct state_store *s, const char *group, bool present)
{
	size_t i = position(s, group);
	struct state_store_file *grown;

	if (!state_group_name_is_valid(group))
		return -EINVAL;
	grown = reallocarray(s->files, s->n + 1, sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	s->files = grown;
	memmove(&grown[i + 1], &grown[i], (s->n - i) * sizeof(*grown));
	s->n++;
	grown[i] = (struct state_store_file){ .present = present };
	memcpy(grown[i].group, group, strlen(group));
	return 0;
}

/* "group-NAME" + suffix, or the global file's name + what follows SUFFIX in it; copies NAME. */
static bool is_ours(const char *name, const char *suffix, char group[static CONF_NAME_MAX + 1])
{
	size_t len = strlen(name), end = strlen(suffix);
	const char *start = name + strlen(GROUP_PREFIX);

	if (len <= end || strcmp(name + len - end, suffix) != 0)
		return false;
	len -= end;
	memset(group, 0, CONF_NAME_MAX + 1);
	if (len + strlen(SUFFIX) == strlen(STATE_STORE_GLOBAL_NAME) &&
	    strncmp(name, STATE_STORE_GLOBAL_NAME, len) == 0)
		return true;
	if (strncmp(name, GROUP_PREFIX, strlen(GROUP_PREFIX)) != 0)
		return false;
	len -= strlen(GROUP_PREFIX);
	if (len > CONF_NAME_MAX)
		return false;
	memcpy(group, start, len);
	return state_group_name_is_valid(group);
}

static bool exists(int dir, const char *name)
{
	return faccessat(dir, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static bool has_old(int dir, const struct state_store_file *f)
{
	char name[STATE_FILE_NAME_MAX], old[STATE_FILE_NAME_MAX];

	(void)snprintf(old, sizeof(old), "%s" STATE_FILE_OLD_SUFFIX,
		       state_store_file_name(f, name));
	return exists(dir, old);
}

static void find_companions(struct state_store *s, int dir)
{
	char name[STATE_FILE_NAME_MAX];

	s->global.has_old = has_old(dir, &s->global);
	for (size_t i = 0; i < s->n; i++) {
		s->files[i].has_journal = exists(dir, state_store_journal_name(&s->files[i], name));
		s->files[i].has_old = has_old(dir, &s->files[i]);
	}
}

/* A journal or an old document without the document means nothing: a crash came between the removals. */
static void remove_if_orphan(int dir, const char *companion, const char *group)
{
	struct state_store_file f = { .present = true };
	char name[STATE_FILE_NAME_MAX];

	memcpy(f.group, group, strlen(group));
	if (!exists(dir, state_store_file_name(&f, name)))
		(void)unlinkat(dir, companion, 0);
}

static bool is_companion(const char *name, char group[static CONF_NAME_MAX + 1])
{
	return is_ours(name, SUFFIX STATE_FILE_OLD_SUFFIX, group) ||
	       (is_ours(name, STATE_STORE_JOURNAL_SUFFIX, group) && *group);
}

static int scan(struct state_store *s, int directory_fd)
{
	DIR *d = fdopendir(directory_fd);
	char group[CONF_NAME_MAX + 1];
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		if (is_ours(e->d_name, SUFFIX STATE_FILE_NEW_SUFFIX, group))
			(void)unlinkat(dirfd(d), e->d_name, 0);
		else if (is_companion(e->d_name, group))
			remove_if_orphan(dirfd(d), e->d_name, group);
		else if (!is_ours(e->d_name, SUFFIX, group))
			continue;
		else if (*group)
			r = add(s, group, true);
		else
			s->global.present = true;
	}
	find_companions(s, dirfd(d));
	(void)closedir(d);
	return r;
}

int state_store_open(struct state_store *s, const char *directory)
{
	char *copy = strdup(directory);
	int fd;

	if (!copy)
		return -ENOMEM;
	state_store_deinit(s);
	s->directory = copy;
	fd = state_store_open_directory(s);
	return fd < 0 ? fd : scan(s, fd);
}

static void check_file(struct state_store_file *f, int dir)
{
	char name[STATE_FILE_NAME_MAX];

	if (f->present && !exists(dir, state_store_file_name(f, name)))
		f->present = false;
	if (f->has_journal && !exists(dir, state_store_journal_name(f, name)))
		f->has_journal = f->present = false;
}

void state_store_check(struct state_store *s)
{
	_cleanup_close_ int dir = state_store_open_directory(s);

	if (dir < 0)
		return; /* the save that follows says why */
	check_file(&s->global, dir);
	for (size_t i = 0; i < s->n; i++)
		check_file(&s->files[i], dir);
}

/* Files that are written together: the disk gets all of them before the first is waited for. */
struct batch {
	struct {
		struct state_store_file *file; /* borrowed */
		uint64_t hash;
		int fd; /* owned */
	} items[BATCH_MAX];
	size_t n;
};

static void drop_old(int dir, struct state_store_file *f)
{
	char name[STATE_FILE_NAME_MAX];

	if (f->has_old)
		state_file_drop_old(dir, state_store_file_name(f, name));
	if (f->journal_is_old)
		(void)unlinkat(dir, state_store_journal_name(f, name), 0);
	f->has_journal = f->has_journal && !f->journal_is_old;
	f->has_old = f->journal_is_old = false;
}

/*
 * Before a document is replaced. Of several that are replaced quickly, one after the other, the first is kept, with its
 * journal: the others need not be on the disk either.
 */
static void keep_old(int dir, struct state_store_file *f)
{
	char name[STATE_FILE_NAME_MAX];

	if (f->has_old || !f->present ||
	    state_file_keep_old(dir, state_store_file_name(f, name)) < 0)
		return;
	f->has_old = true;
	f->journal_is_old = f->has_journal;
}

static int batch_finish_file(struct state_store *s, int dir, struct state_store_file *f,
			     uint64_t hash, int fd, enum state_store_flags flags)
{
	char name[STATE_FILE_NAME_MAX];
	int r = 0;

	if (!(flags & STATE_STORE_DURABLE))
		keep_old(dir, f);
	else if (fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = state_file_put(dir, state_store_file_name(f, name));
	if (r < 0) {
		state_file_abandon(dir, state_store_file_name(f, name));
		state_journal_deinit(&f->journal);
		return r;
	}
	if (flags & STATE_STORE_DURABLE)
		drop_old(dir, f);
	/* It belonged to the one that was replaced: what a crash leaves here is harmless. */
	if (f->has_journal && !f->journal_is_old) {
		(void)unlinkat(dir, state_store_journal_name(f, name), 0);
		f->has_journal = false;
	}
	f->present = true;
	f->hash = hash;
	f->durable = flags & STATE_STORE_DURABLE;
	s->directory_durable = false;
	s->n_written++;
	return 0;
}

static int batch_finish(struct state_store *s, int dir, struct batch *b,
			enum state_store_flags flags)
{
	int first = 0;

	for (size_t i = 0; i < b->n && flags & STATE_STORE_DURABLE; i++)
		(void)sync_file_range(b->items[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE); /* a hint */
	for (size_t i = 0; i < b->n; i++) {
		int r = batch_finish_file(s, dir, b->items[i].file, b->items[i].hash,
					  b->items[i].fd, flags);

		cleanup_close(&b->items[i].fd);
		first = first ? first : r;
	}
	b->n = 0;
	return first;
}

static int batch_add(struct batch *b, int dir, struct state_store_file *f, uint64_t hash,
		     const char *text, size_t len)
{
	char name[STATE_FILE_NAME_MAX];
	int fd = state_file_write(dir, state_store_file_name(f, name), text, len);

	if (fd < 0)
		return fd;
	b->items[b->n].file = f;
	b->items[b->n].hash = hash;
	b->items[b->n++].fd = fd;
	return 0;
}

/* -ESTALE as state_journal_format(). After any other failure a document is due. */
static int append(struct state_store *s, int dir, struct state_store_file *f,
		  const struct target_group *g, struct state_group_mark **marks,
		  usec_t now_wall_usec)
{
	char name[STATE_FILE_NAME_MAX];
	_cleanup_free_ char *line = NULL;
	size_t len = 0;
	int r;

	r = state_journal_format(&f->journal, g, *marks, now_wall_usec, &line, &len);
	if (r < 0)
		return r;
	if (f->journal_is_old) /* it is about to be cut, and the old document would be wrong without it */
		drop_old(dir, f);
	if (!f->has_journal)
		s->directory_durable = false;
	f->has_journal = true; /* also when it gets half of the line */
	r = state_file_append(dir, state_store_journal_name(f, name), line, len,
			      f->journal.bytes == 0);
	if (r < 0) {
		state_journal_deinit(&f->journal);
		f->hash = 0;
		return r;
	}
	state_journal_extend(&f->journal, len, marks);
	f->durable = false;
	s->n_appended++;
	return 0;
}

static int write_document(int dir, struct batch *b, struct state_store_file *f,
			  const struct target_group *g, struct state_group_mark **marks,
			  uint64_t hash, usec_t now_wall_usec)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	r = state_group_format(g, now_wall_usec, &text, &len);
	if (r == 0)
		r = batch_add(b, dir, f, hash, text, len);
	if (r == 0)
		state_journal_begin(&f->journal, text, len, marks, g->n);
	return r;
}

static int save_group(struct state_store *s, int dir, struct batch *b, const struct target_group *g,
		      enum state_store_flags flags, usec_t now_wall_usec)
{
	_cleanup_free_ struct state_group_mark *marks = calloc(g->n + 1, sizeof(*marks));
	struct state_store_file *f = find(s, g->name);
	uint64_t hash;
	int r;

	if (!marks)
		return -ENOMEM;
	assert(f); /* add_groups() */
	hash = state_group_mark(g, marks);
	f->wanted = hash != 0;
	if (!hash || (f->present && f->hash == hash && !(flags & STATE_STORE_ALL)))
		return 0;
	r = -ESTALE;
	if (f->present && !(flags & STATE_STORE_ALL))
		r = append(s, dir, f, g, &marks, now_wall_usec);
	if (r == 0)
		f->hash = hash;
	if (r != -ESTALE)
		return r;
	r = write_document(dir, b, f, g, &marks, hash, now_wall_usec);
	if (r == 0 && b->n == BATCH_MAX)
		r = batch_finish(s, dir, b, flags);
	return r;
}

/* What was written quickly before. After a failed fsync the pages may be gone: written again. */
static int make_durable(int dir, struct state_store_file *f)
{
	char name[STATE_FILE_NAME_MAX];
	int r;

	if (!f->present || f->durable)
		return 0;
	r = state_file_sync(dir, state_store_file_name(f, name));
	if (r == 0 && f->has_journal && !f->journal_is_old)
		r = state_file_sync(dir, state_store_journal_name(f, name));
	if (r < 0) {
		f->present = false;
		return r;
	}
	f->durable = true;
	drop_old(dir, f);
	return 0;
}

static int make_directory_durable(struct state_store *s, int dir)
{
	if (s->directory_durable)
		return 0;
	if (fsync(dir) < 0)
		return -errno;
	s->directory_durable = true;
	return 0;
}

static int remove_unwanted(struct state_store *s, int dir)
{
	char name[STATE_FILE_NAME_MAX];
	size_t n = 0;
	int first = 0;

	for (size_t i = 0; i < s->n; i++) {
		struct state_store_file *f = &s->files[i];
		int r = 0;

		if (!f->wanted && f->present) {
			drop_old(dir, f); /* first: it must not come back */
			if (unlinkat(dir, state_store_file_name(f, name), 0) < 0 && errno != ENOENT)
				r = -errno;
			else if (f->has_journal)
				(void)unlinkat(dir, state_store_journal_name(f, name), 0);
			s->directory_durable = false;
		}
		first = first ? first : r;
		if (f->wanted || r < 0)
			s->files[n++] = *f;
		else
			state_journal_deinit(&f->journal);
	}
	s->n = n;
	return first;
}

static int add_groups(struct state_store *s, const struct registry *r)
{
	for (size_t i = 0; i < s->n; i++)
		s->files[i].wanted = false;
	for (size_t i = 0; i < r->n; i++) {
		int err = find(s, r->groups[i].name) ? 0 : add(s, r->groups[i].name, false);

		if (err < 0)
			return err;
	}
	return 0;
}

int state_store_save_groups(struct state_store *s, const struct registry *r,
			    enum state_store_flags flags, usec_t now_wall_usec)
{
	_cleanup_close_ int dir = state_store_open_directory(s);
	struct batch b = { .n = 0 };
	int first, err;

	if (dir < 0)
		return dir;
	first = add_groups(s, r);
	if (first < 0)
		return first;
	for (size_t i = 0; i < r->n; i++) {
		err = save_group(s, dir, &b, &r->groups[i], flags, now_wall_usec);
		first = first ? first : err;
	}
	err = batch_finish(s, dir, &b, flags);
	first = first ? first : err;
	err = remove_unwanted(s, dir);
	first = first ? first : err;
	for (size_t i = 0; i < s->n && flags & STATE_STORE_DURABLE; i++) {
		err = make_durable(dir, &s->files[i]);
		first = first ? first : err;
	}
	err = flags & STATE_STORE_DURABLE ? make_directory_durable(s, dir) : 0;
	return first ? first : err;
}

int state_store_save_global(struct state_store *s, const struct state_global_view *v,
			    enum state_store_flags flags, usec_t now_wall_usec)
{
	_cleanup_close_ int dir = state_store_open_directory(s);
	_cleanup_free_ char *text = NULL;
	struct batch b = { .n = 0 };
	size_t len = 0;
	uint64_t hash;
	int r;

	if (dir < 0)
		return dir;
	r = state_global_hash(v, &hash);
	if (r < 0)
		return r;
	if (!s->global.present || s->global.hash != hash || flags & STATE_STORE_ALL) {
		r = state_global_format(v, now_wall_usec, &text, &len);
		if (r == 0)
			r = batch_add(&b, dir, &s->global, hash, text, len);
		if (r == 0)
			r = batch_finish(s, dir, &b, flags);
		if (r < 0)
			return r;
		s->global_saved_usec = now_wall_usec;
	}
	if (!(flags & STATE_STORE_DURABLE))
		return 0;
	r = make_durable(dir, &s->global);
	return r < 0 ? r : make_directory_durable(s, dir);
}

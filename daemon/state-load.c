/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-load.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/state.h"
#include "daemon/state-file.h"
#include "daemon/state-group.h"
#include "daemon/state-store.h"

struct loader {
	struct state_store *store; /* borrowed */
	int dir;		   /* owned */
	state_load_trouble_fn trouble;
	void *userdata;
};

static void loader_deinit(struct loader *l)
{
	cleanup_close(&l->dir);
}

/*
 * Is it what a loss of power leaves of a document that was replaced quickly? Then the one before it takes its place
 * again: what was right until a moment before, in the stead of nothing.
 */
static bool go_back(const struct loader *l, struct state_store_file *f, int error)
{
	char buf[STATE_FILE_NAME_MAX];
	const char *name = state_store_file_name(f, buf);

	if (error != -EBADMSG || !f->has_old)
		return false;
	f->has_old = false;
	if (state_file_go_back(l->dir, name) < 0)
		return false;
	l->trouble(name, -ESTALE, 0, l->userdata);
	return true;
}

/* After reading and parsing. Only -ENOMEM ends the loading, all else costs this file. */
static int finish_file(const struct loader *l, struct state_store_file *f, int error,
		       size_t n_skipped)
{
	char name[STATE_FILE_NAME_MAX];

	if (error == -ENOMEM)
		return error;
	if (error == -EBADMSG || error == -EPROTONOSUPPORT) {
		if (f->has_journal)
			(void)state_file_set_aside(l->dir, state_store_journal_name(f, name));
		(void)state_file_set_aside(l->dir, state_store_file_name(f, name));
		f->present = f->has_journal = false;
	}
	if (error < 0 || n_skipped)
		l->trouble(state_store_file_name(f, name), error, n_skipped, l->userdata);
	return 0;
}

static int read_global(const struct loader *l, struct state_global *ret)
{
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r = state_file_read(l->dir, STATE_STORE_GLOBAL_NAME, &text, &len);

	return r < 0 ? r : state_global_parse(text, len, ret);
}

static int load_global(const struct loader *l, struct state_global *ret)
{
	struct state_store_file *f = &l->store->global;
	int r;

	if (!f->present)
		return 0;
	r = read_global(l, ret);
	if (go_back(l, f, r))
		r = read_global(l, ret);
	if (r == 0)
		l->store->global_saved_usec = ret->saved_usec;
	return finish_file(l, f, r, ret->n_skipped);
}

/* Of a document with this base. What cannot be used of it costs itself alone; -ENOMEM. */
static int load_journal(const struct loader *l, struct state_store_file *f, uint64_t base,
			struct state_group *g, bool *ret_all)
{
	char name[STATE_FILE_NAME_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	*ret_all = true;
	if (!f->has_journal)
		return 0;
	r = state_file_read(l->dir, state_store_journal_name(f, name), &text, &len);
	if (r == 0)
		r = state_journal_replay(text, len, base, g);
	if (r == 0 || r == -ENOMEM)
		return r;
	*ret_all = false;
	f->journal_is_old = r == -ESTALE && f->has_old;
	if (r == -EBADMSG || r == -EPROTONOSUPPORT) {
		(void)state_file_set_aside(l->dir, name);
		f->has_journal = false;
	}
	if (r != -ESTALE)
		l->trouble(name, r, 0, l->userdata);
	return 0;
}

static int read_group(const struct loader *l, struct state_store_file *f, struct state_group *ret,
		      bool *ret_all)
{
	_cleanup_(state_group_deinit) struct state_group g = STATE_GROUP_INIT;
	char name[STATE_FILE_NAME_MAX];
	_cleanup_free_ char *text = NULL;
	size_t len = 0;
	int r;

	r = state_file_read(l->dir, state_store_file_name(f, name), &text, &len);
	if (r == 0)
		r = state_group_add(&g, text, len);
	if (r == 0 && strcmp(g.group.name, f->group) != 0)
		r = -EBADMSG;
	if (r == 0)
		r = load_journal(l, f, state_journal_base(text, len), &g, ret_all);
	if (r == 0)
		r = state_group_settle(&g);
	if (r < 0)
		return r;
	*ret = g;
	g = STATE_GROUP_INIT;
	return 0;
}

static int load_group(const struct loader *l, struct state_store_file *f, struct state_group *ret)
{
	bool all = true;
	int r = read_group(l, f, ret, &all);

	if (go_back(l, f, r))
		r = read_group(l, f, ret, &all);
	if (r < 0)
		return finish_file(l, f, r, 0);
	/* What is not all right is written again with the next save. */
	f->hash = ret->n_skipped || !all ? 0 : state_group_hash(&ret->group);
	return finish_file(l, f, 0, ret->n_skipped);
}

static bool is_fresh(usec_t saved_usec, usec_t max_age_usec, usec_t now_wall_usec)
{
	return saved_usec <= now_wall_usec && now_wall_usec - saved_usec <= max_age_usec;
}

static int load_groups(const struct loader *l, usec_t max_age_usec, usec_t now_wall_usec,
		       struct state *loaded)
{
	const struct state_store *s = l->store;
	int r;

	loaded->registry.groups = calloc(s->n + 1, sizeof(*loaded->registry.groups));
	if (!loaded->registry.groups)
		return -ENOMEM;
	for (size_t i = 0; i < s->n; i++) {
		struct state_group g = STATE_GROUP_INIT;

		r = load_group(l, &s->files[i], &g);
		if (r < 0)
			return r;
		if (!*g.group.name)
			continue;
		if (!loaded->global.stopped)
			state_group_forget_counters(&g.group);
		if (!is_fresh(g.saved_usec, max_age_usec, now_wall_usec) &&
		    !is_fresh(loaded->global.saved_usec, max_age_usec, now_wall_usec))
			state_group_forget_verdicts(&g.group, now_wall_usec);
		loaded->registry.groups[loaded->registry.n++] = g.group;
		free(g.at);
	}
	return 0;
}

int state_load(struct state_store *s, usec_t max_age_usec, usec_t now_wall_usec,
	       state_load_trouble_fn trouble, void *userdata, struct state *ret)
{
	_cleanup_(loader_deinit) struct loader l = { s, state_store_open_directory(s), trouble,
						     userdata };
	_cleanup_(state_deinit) struct state loaded = STATE_INIT;
	int r;

	if (l.dir < 0)
		return l.dir;
	r = load_global(&l, &loaded.global);
	if (r == 0)
		r = load_groups(&l, max_age_usec, now_wall_usec, &loaded);
	if (r < 0)
		return r;
	*ret = loaded;
	loaded = STATE_INIT;
	return 0;
}

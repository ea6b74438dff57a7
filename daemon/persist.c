/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/persist.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/state.h"
#include "daemon/state-load.h"
#include "daemon/state-store.h"
#include "daemon/vip.h"

#define SAVE_DELAY_USEC (100 * USEC_PER_MSEC)
#define REFRESH_MAX_USEC (60 * USEC_PER_SEC)

DEFINE_CLEANUP(json_t *, json_decref)

struct persist {
	struct state_store store;
	sd_event_source *refresh_timer; /* owned */
};

void persist_free(struct persist *p)
{
	if (!p)
		return;
	sd_event_source_disable_unref(p->refresh_timer);
	state_store_deinit(&p->store);
	free(p);
}

static const char *directory_of(const struct manager *m)
{
	return m->options.state_directory ? m->options.state_directory
					  : m->conf->global.state_directory;
}

static int open_store(struct manager *m)
{
	const char *path = directory_of(m);

	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		log_warning("state directory %s: %s", path, strerror(errno));
	return state_store_open(&m->persist->store, path);
}

/* A reload may have moved the state elsewhere. */
static int follow_directory(struct manager *m)
{
	const char *path = m->persist->store.directory;

	return path && strcmp(path, directory_of(m)) == 0 ? 0 : open_store(m);
}

static int save_global(struct manager *m, enum state_store_flags flags, bool stopped,
		       usec_t right_usec)
{
	_cleanup_(json_decref_p) json_t *vips = vip_set_to_json(m->vips);
	const struct state_global_view v = {
		.owned_services = m->owned_services,
		.n_owned_services = m->n_owned_services,
		.linger = &m->linger,
		.vips = vips,
		.stopped = stopped,
	};

	if (!vips)
		return -ENOMEM;
	return state_store_save_global(&m->persist->store, &v, flags, right_usec);
}

static int log_failure(struct manager *m, int r)
{
	if (r < 0 && !m->save_failed)
		log_err("cannot save the state in %s: %s: a restart would lose verdicts, drains "
			"and registrations; make room there, or make it writable for ipvsd",
			directory_of(m), strerror(-r));
	m->save_failed = r < 0;
	return r;
}

/* Verdicts that do not change must not look old after a crash. */
static usec_t refresh_interval(const struct manager *m)
{
	usec_t quarter = m->conf->global.state_max_age_usec / 4;

	return quarter && quarter < REFRESH_MAX_USEC ? MAX(quarter, USEC_PER_SEC)
						     : REFRESH_MAX_USEC;
}

static int save_once(struct manager *m, enum state_store_flags groups,
		     enum state_store_flags global, bool stopped)
{
	struct state_store *s = &m->persist->store;
	usec_t now = clock_wall_usec();
	int r = follow_directory(m), err;

	if (r == 0)
		r = state_store_save_groups(s, &m->registry, groups, now);
	if (now - s->global_saved_usec > refresh_interval(m)) /* also when the clock was set back */
		global |= STATE_STORE_ALL;
	/* A group's file that could not be written must not count as right. */
	err = save_global(m, global, stopped && r == 0, r < 0 ? s->global_saved_usec : now);
	return r < 0 ? r : err;
}

/* A directory that somebody removed is made anew. */
static int save(struct manager *m, enum state_store_flags groups, enum state_store_flags global,
		bool stopped)
{
	int r = save_once(m, groups, global, stopped);

	if (r == -ENOENT) {
		r = open_store(m);
		if (r == 0)
			r = save_once(m, groups | STATE_STORE_ALL, global | STATE_STORE_ALL,
				      stopped);
	}
	return log_failure(m, r);
}

int persist_now(struct manager *m)
{
	return save(m, STATE_STORE_DURABLE, STATE_STORE_DURABLE, false);
}

int persist_at_stop(struct manager *m)
{
	return save(m, STATE_STORE_DURABLE | STATE_STORE_ALL, STATE_STORE_DURABLE | STATE_STORE_ALL,
		    true);
}

int persist_global_now(struct manager *m)
{
	int r = follow_directory(m);

	if (r == 0)
		r = save_global(m, STATE_STORE_DURABLE, false, m->persist->store.global_saved_usec);
	return log_failure(m, r);
}

void persist_before_apply(struct manager *m)
{
	(void)save(m, STATE_STORE_QUICK, STATE_STORE_QUICK, false); /* logs */
	persist_soon(m);
}

int persist_open_directory(const struct manager *m)
{
	return state_store_open_directory(&m->persist->store);
}

int persist_read_file(const struct manager *m, const char *name, char **ret_text, size_t *ret_len)
{
	_cleanup_close_ int fd = persist_open_directory(m);

	return fd < 0 ? fd : state_file_read(fd, name, ret_text, ret_len);
}

int persist_write_file(const struct manager *m, const char *name, const char *text, size_t len)
{
	_cleanup_close_ int directory = persist_open_directory(m), fd = -1;

	if (directory < 0)
		return directory;
	fd = state_file_write(directory, name, text, len);
	if (fd < 0)
		return fd;
	if (fsync(fd) < 0) {
		int r = -errno;

		state_file_abandon(directory, name);
		return r;
	}
	return state_file_put(directory, name);
}

static int on_save(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	(void)persist_now(userdata);
	return 0;
}

void persist_soon(struct manager *m)
{
	int enabled = SD_EVENT_OFF;

	if (m->save_timer) {
		(void)sd_event_source_get_enabled(m->save_timer, &enabled);
		if (enabled != SD_EVENT_OFF)
			return;
		(void)sd_event_source_set_time_relative(m->save_timer, SAVE_DELAY_USEC);
		(void)sd_event_source_set_enabled(m->save_timer, SD_EVENT_ONESHOT);
		return;
	}
	if (sd_event_add_time_relative(m->event, &m->save_timer, CLOCK_MONOTONIC, SAVE_DELAY_USEC,
				       0, on_save, m) < 0)
		(void)persist_now(m);
}

static int on_refresh(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;

	(void)usec;
	state_store_check(&m->persist->store);
	/* Durable: else the one that is kept beside it would be as old as the last change. */
	(void)save(m, STATE_STORE_QUICK, STATE_STORE_DURABLE | STATE_STORE_ALL, false); /* logs */
	(void)sd_event_source_set_time_relative(s, refresh_interval(m));
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

static const char *loss(const char *name)
{
	size_t len = strlen(name), end = strlen(STATE_STORE_JOURNAL_SUFFIX);

	if (strcmp(name, STATE_STORE_GLOBAL_NAME) == 0)
		return "services and addresses that the configuration does not name are not known "
		       "as ipvsd's any more";
	if (len > end && strcmp(name + len - end, STATE_STORE_JOURNAL_SUFFIX) == 0)
		return "what changed last in the group is lost";
	return "the group's targets start as initial, its runtime registrations are lost";
}

static void on_trouble(const char *name, int error, size_t n_skipped, void *userdata)
{
	const struct manager *m = userdata;
	const char *path = directory_of(m);

	if (!error)
		log_warning("%s/%s: %zu entries made no sense: ignoring them", path, name,
			    n_skipped);
	else if (error == -ESTALE)
		log_warning("%s/%s is damaged, as by a loss of power: the one before it is used: "
			    "what changed last is lost",
			    path, name);
	else if (error == -ENODATA)
		log_warning("%s/%s: its last line is incomplete: ignoring the line", path, name);
	else if (error != -EBADMSG && error != -EPROTONOSUPPORT)
		log_warning("%s/%s: %s: starting without it", path, name, strerror(-error));
	else
		log_warning("%s/%s is %s and was set aside as %s.damaged: %s", path, name,
			    error == -EBADMSG ? "damaged" : "of another version of the format",
			    name, loss(name));
}

static int load(struct manager *m, struct state *ret)
{
	int r;

	m->persist = calloc(1, sizeof(*m->persist));
	if (!m->persist)
		return -ENOMEM;
	r = sd_event_add_time_relative(m->event, &m->persist->refresh_timer, CLOCK_MONOTONIC,
				       refresh_interval(m), 0, on_refresh, m);
	if (r < 0)
		return r;
	r = open_store(m);
	if (r == 0)
		r = state_load(&m->persist->store, m->conf->global.state_max_age_usec,
			       clock_wall_usec(), on_trouble, m, ret);
	if (r == -ENOMEM)
		return r;
	if (r < 0)
		log_warning("%s: %s: starting without history", directory_of(m), strerror(-r));
	return 0;
}

int persist_restore(struct manager *m, struct state *ret)
{
	struct state s = STATE_INIT;
	int r;

	r = load(m, &s);
	if (r < 0)
		return r;
	m->owned_services = take_ptr(s.global.owned_services);
	m->n_owned_services = s.global.n_owned_services;
	s.global.n_owned_services = 0;
	m->linger = s.global.linger;
	s.global.linger = LINGER_SET_INIT;
	if (s.global.vips)
		vip_set_from_json(m->vips, s.global.vips);
	*ret = s;
	return 0;
}

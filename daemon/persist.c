/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/persist.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/state-file.h"
#include "daemon/state.h"
#include "daemon/vip.h"

#define SAVE_DELAY_USEC (100 * USEC_PER_MSEC)

DEFINE_CLEANUP(json_t *, json_decref)

const char *persist_directory(const struct manager *m)
{
	return m->options.state_directory ? m->options.state_directory
					  : m->conf->global.state_directory;
}

static int save(struct manager *m, enum state_file_sync sync)
{
	_cleanup_(json_decref_p) json_t *vips = vip_set_to_json(m->vips);
	_cleanup_(json_decref_p) json_t *document = state_format(&m->registry, m->owned_services,
								 m->n_owned_services, &m->linger,
								 vips, clock_wall_usec());
	int r = document ? state_file_save(persist_directory(m), document, sync) : -ENOMEM;

	if (r < 0 && !m->save_failed)
		log_err("cannot save the state in %s: %s: a restart would lose verdicts, drains "
			"and registrations",
			persist_directory(m), strerror(-r));
	m->save_failed = r < 0;
	return r;
}

int persist_now(struct manager *m)
{
	return save(m, STATE_FILE_DURABLE);
}

void persist_before_apply(struct manager *m)
{
	(void)save(m, STATE_FILE_QUICK); /* logs */
	persist_soon(m);
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

static void make_directory(const char *path)
{
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		log_warning("state directory %s: %s", path, strerror(errno));
}

int persist_restore(struct manager *m, struct state *ret)
{
	const char *directory = persist_directory(m);
	usec_t now = clock_wall_usec();
	struct state s = STATE_INIT;
	int r;

	make_directory(directory);
	r = state_file_load(directory, &s);
	if (r == -ENOMEM)
		return r;
	if (r == -EBADMSG || r == -EPROTONOSUPPORT)
		log_warning("%s/state.json is %s and was set aside as state.json.damaged: targets "
			    "start as initial, runtime registrations are lost",
			    directory, r == -EBADMSG ? "damaged" : "of another version");
	else if (r < 0 && r != -ENOENT)
		log_warning("%s/state.json: %s: starting without history", directory, strerror(-r));
	if (s.n_skipped)
		log_warning("%s/state.json: %zu entries made no sense: ignoring them", directory,
			    s.n_skipped);
	if (s.saved_usec > now || now - s.saved_usec > m->conf->global.state_max_age_usec)
		state_forget_verdicts(&s, now);
	m->owned_services = take_ptr(s.owned_services);
	m->n_owned_services = s.n_owned_services;
	s.n_owned_services = 0;
	m->linger = s.linger;
	s.linger = LINGER_SET_INIT;
	if (s.vips)
		vip_set_from_json(m->vips, s.vips);
	*ret = s;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/manager.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/checks.h"
#include "daemon/connections.h"
#include "daemon/control.h"
#include "daemon/deadlines.h"
#include "daemon/fastpath.h"
#include "daemon/names.h"
#include "daemon/persist.h"
#include "daemon/reconcile.h"
#include "daemon/reload.h"
#include "daemon/state.h"
#include "daemon/stop.h"
#include "daemon/transitions.h"
#include "daemon/vip.h"
#include "daemon/worker-pool.h"
#include "ipvs/channel.h"

#define DRAIN_CHECK_USEC USEC_PER_SEC
#define RECONCILE_SOON_USEC (50 * USEC_PER_MSEC) /* after the answer to a reload */

void manager_wake_event_waiters(struct manager *m)
{
	if (m->control)
		control_notify_events(m->control);
}

void manager_event(struct manager *m, int level, const char *kind, const char *object,
		   const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0) {
		text = NULL;
		return;
	}
	if (*object)
		log_full(level, NULL, 0, "%s: %s", object, text);
	else
		log_full(level, NULL, 0, "%s", text);
	event_ring_add(&m->events, clock_wall_usec(), kind, object, text);
	manager_wake_event_waiters(m);
}

bool manager_has_drains(const struct manager *m)
{
	const struct registry *r = &m->registry;

	if (m->linger.n)
		return true;
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < r->groups[i].n; j++)
			if (r->groups[i].targets[j].health.state == TARGET_DRAINING)
				return true;
	return false;
}

/* Weights, plane, log, in this order: the plane first, people afterwards. */
static void apply_changes(struct manager *m)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	int change, r;

	m->apply_at_usec = USEC_NEVER;
	if (m->stopping)
		return;
	r = change = registry_compute_weights(&m->registry, manager_wall_usec(m));
	if (change == REGISTRY_CHANGED)
		persist_before_apply(m);
	if (change > REGISTRY_UNCHANGED)
		r = reconcile_apply(m, m->conf, &m->registry, RECONCILE_WEIGHTS, &report);
	if (r < 0)
		log_err("cannot apply weights: %s; trying again at the next reconcile",
			report.error ? report.error : strerror(-r));
	if (change == REGISTRY_CHANGED)
		transitions_log(m);
	if (change != REGISTRY_UNCHANGED)
		m->apply_failed = r < 0;
	manager_watch_drains(m);
}

/* Where targets flap by the thousand it takes half of the time at most: the other half is for results and answers. */
static void apply_now(struct manager *m)
{
	usec_t start = clock_monotonic_usec(), end;

	apply_changes(m);
	end = clock_monotonic_usec();
	m->apply_rest_usec = end + (end - start);
}

void manager_apply_pending(struct manager *m)
{
	if (m->apply_at_usec != USEC_NEVER)
		apply_now(m);
}

static int on_apply(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	apply_now(userdata);
	return 0;
}

void manager_apply_within(struct manager *m, usec_t delay_usec)
{
	usec_t at = MAX(clock_monotonic_usec() + delay_usec, m->apply_rest_usec);

	if (m->apply_at_usec <= at)
		return;
	m->apply_at_usec = at;
	(void)sd_event_source_set_time(m->apply_timer, at);
	(void)sd_event_source_set_enabled(m->apply_timer, SD_EVENT_ONESHOT);
}

static void on_expected(uint64_t id, void *userdata)
{
	const struct manager *m = userdata;

	checks_expect(m->checks, id);
}

static void on_result(unsigned worker, const struct protocol_result *result, void *userdata)
{
	struct manager *m = userdata;

	checks_take_result(m->checks, worker, result, clock_monotonic_usec());
}

static void on_heartbeat(unsigned worker, const struct protocol_heartbeat *beat, void *userdata)
{
	struct manager *m = userdata;

	checks_take_heartbeat(m->checks, worker, beat);
}

static void on_worker_trouble(const char *text, void *userdata)
{
	manager_event(userdata, LOG_WARNING, "worker", "", "%s", text);
}

static size_t count_checked(const struct registry *r)
{
	size_t n = 0;

	for (size_t i = 0; i < r->n; i++)
		if (r->groups[i].conf->check.protocol != CONF_CHECK_NONE)
			n += r->groups[i].n;
	return n;
}

/* On the heap, of its own size. */
static struct protocol_probe *copy_record(const struct protocol_probe_record *record)
{
	struct protocol_probe *p = malloc(record->probe.header.size);

	return p ? memcpy(p, record, record->probe.header.size) : NULL;
}

int manager_sync_probes(struct manager *m)
{
	_cleanup_free_ struct worker_authorities *authorities = NULL;
	struct protocol_probe_record record;
	struct protocol_probe **probes;
	size_t n = 0, n_authorities = 0;
	int r = 0, err;

	authorities = calloc(m->registry.n + 1, sizeof(*authorities));
	probes = reallocarray(NULL, count_checked(&m->registry) + 1,
			      sizeof(struct protocol_probe *));
	if (!probes || !authorities) {
		free(probes);
		return -ENOMEM;
	}
	for (size_t i = 0; i < m->registry.n && r == 0; i++) {
		const struct target_group *g = &m->registry.groups[i];

		if (g->authorities)
			authorities[n_authorities++] =
				(struct worker_authorities){ g->authorities, g->trusted };
		for (size_t j = 0; j < g->n && r == 0; j++) {
			if (!registry_probe(g, &g->targets[j], &record))
				continue;
			probes[n] = copy_record(&record);
			r = probes[n++] ? 0 : -ENOMEM;
		}
	}
	if (r == 0)
		r = worker_pool_sync(m->workers, m->conf->global.health_workers,
				     &(struct worker_task){ probes, n, authorities,
							    n_authorities });
	/* Whatever that came to: the age of verdicts is watched of those that cannot be probed, too. */
	err = checks_sync(m->checks, clock_monotonic_usec());
	r = r < 0 ? r : err;
	while (n > 0)
		free(probes[--n]);
	free(probes);
	return r;
}

void manager_probe_now(struct manager *m, uint64_t id)
{
	if (m->workers)
		worker_pool_probe_now(m->workers, id);
}

/* Addresses go with their interface, and networkd removes those that it did not add when it restarts. */
static void repair_vips(struct manager *m)
{
	_cleanup_free_ char *error = NULL;
	size_t n = 0;
	int r = vip_set_repair(m->vips, m->conf, &n, &error);

	if (r < 0 && !m->vips_failed)
		log_err("reconcile: %s", error ? error : strerror(-r));
	m->vips_failed = r < 0;
	if (!n)
		return;
	m->drift_repairs++;
	manager_event(m, LOG_WARNING, "drift", "",
		      "repaired what was changed behind us: added listener addresses: %zu", n);
	persist_soon(m);
}

/* Drift: what the plane has is not what we left there. */
static int on_reconcile(sd_event_source *s, uint64_t usec, void *userdata)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	struct manager *m = userdata;
	int r;

	(void)usec;
	(void)sd_event_source_set_time_relative(s, m->conf->global.reconcile_interval_usec);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	deadlines_follow_clock(m);
	if (m->stopping)
		return 0;
	repair_vips(m);
	r = reconcile_dump(m);
	if (r == 0 && !m->conf->global.passive_interval_usec)
		checks_watch_traffic(m->checks, clock_monotonic_usec());
	if (r == 0)
		r = reconcile_apply(m, m->conf, &m->registry, RECONCILE_WEIGHTS, &report);
	if (r < 0)
		log_err("reconcile: %s", report.error ? report.error : strerror(-r));
	if (!m->apply_failed)
		reconcile_log_drift(m, &report);
	m->apply_failed = r < 0;
	return 0;
}

void manager_reconcile_soon(struct manager *m)
{
	(void)sd_event_source_set_time_relative(m->reconcile_timer, RECONCILE_SOON_USEC);
	(void)sd_event_source_set_enabled(m->reconcile_timer, SD_EVENT_ONESHOT);
}

void manager_watch_drains(struct manager *m)
{
	int enabled = SD_EVENT_OFF;

	deadlines_watch(m);
	(void)sd_event_source_get_enabled(m->drain_timer, &enabled);
	if (enabled != SD_EVENT_OFF || !manager_has_drains(m))
		return;
	(void)sd_event_source_set_time_relative(m->drain_timer, DRAIN_CHECK_USEC);
	(void)sd_event_source_set_enabled(m->drain_timer, SD_EVENT_ONESHOT);
}

static int on_drain_check(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	int n;

	(void)usec;
	deadlines_follow_clock(m);
	(void)sd_event_source_set_time_relative(s, DRAIN_CHECK_USEC);
	if (reconcile_dump(m) < 0) {
		(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
		return 0;
	}
	n = connections_finish_drains(m);
	if (n > 0) {
		apply_now(m);
		if (manager_sync_probes(m) < 0) /* those that are gone were probed until now */
			log_err("cannot tell the health worker its probes: %s", strerror(ENOMEM));
		persist_soon(m);
	}
	(void)sd_event_source_set_enabled(s,
					  manager_has_drains(m) ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
	return 0;
}

/* The service manager hears from us only while the probes are on time too. */
static int on_watchdog(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;
	uint64_t period = 0;

	(void)usec;
	if (worker_pool_on_time(m->workers, clock_monotonic_usec()))
		(void)sd_notify(0, "WATCHDOG=1");
	(void)sd_watchdog_enabled(0, &period);
	(void)sd_event_source_set_time_relative(s, period / 3);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

static int on_hangup(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	json_t *report = NULL;

	(void)s;
	(void)si;
	(void)manager_reload(userdata, &report); /* logs */
	json_decref(report);
	return 0;
}

static int on_terminate(sd_event_source *s, const struct signalfd_siginfo *si, void *userdata)
{
	(void)s;
	(void)si;
	stop_begin(userdata);
	return 0;
}

static int add_sources(struct manager *m)
{
	sigset_t signals;
	uint64_t period = 0;
	int r;

	(void)sigemptyset(&signals);
	(void)sigaddset(&signals, SIGHUP);
	(void)sigaddset(&signals, SIGTERM);
	(void)sigaddset(&signals, SIGINT);
	(void)sigaddset(&signals, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &signals, NULL) < 0)
		return -errno;
	r = sd_event_add_signal(m->event, NULL, SIGHUP, on_hangup, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGTERM, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_signal(m->event, NULL, SIGINT, on_terminate, m);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->reconcile_timer, CLOCK_MONOTONIC,
					       m->conf->global.reconcile_interval_usec, 0,
					       on_reconcile, m);
	if (r >= 0)
		r = sd_event_add_time(m->event, &m->apply_timer, CLOCK_MONOTONIC, 0, 1, on_apply,
				      m);
	if (r >= 0)
		r = sd_event_source_set_enabled(m->apply_timer, SD_EVENT_OFF);
	if (r >= 0)
		r = sd_event_add_time_relative(m->event, &m->drain_timer, CLOCK_MONOTONIC,
					       DRAIN_CHECK_USEC, 0, on_drain_check, m);
	if (r >= 0)
		r = deadlines_init(m);
	if (r >= 0 && sd_watchdog_enabled(0, &period) > 0)
		r = sd_event_add_time_relative(m->event, &m->watchdog_timer, CLOCK_MONOTONIC, 0, 0,
					       on_watchdog, m);
	return r < 0 ? r : 0;
}

static int open_plane(struct manager *m)
{
	int r = channel_open_kernel(&m->channel);

	if (r == -ENOENT)
		log_err("this kernel has no IPVS: load it with `modprobe ip_vs`, or install the "
			"package with the kernel's modules");
	else if (r < 0)
		log_err("cannot open the IPVS channel: %s", strerror(-r));
	if (r < 0)
		return r;
	r = reconcile_dump(m);
	if (r == -EPERM)
		log_err("IPVS: not permitted: ipvsd needs CAP_NET_ADMIN in the initial user "
			"namespace: run it as root or by its systemd unit");
	else if (r < 0)
		log_err("cannot read the IPVS table: %s", strerror(-r));
	return r;
}

/*
 * A targets-file or a file of authorities is written by a program, without anybody to see what `check` says: where only
 * such are wrong, each costs its own groups alone (names-file.c, names-authorities.c).
 */
static int load_configuration(struct manager *m)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 }, own = { 0 };
	int r;

	r = conf_load(m->options.config_path, &m->conf, &diags);
	reload_log_diags(&diags, DIAG_NOTE);
	if (r == -EINVAL && conf_load_own(m->options.config_path, &m->conf, &own) == 0) {
		log_err("starting without the files of target groups that have errors");
		return 0;
	}
	if (r < 0)
		log_err("%s: not usable, not starting; `ipvsd check` shows the errors",
			m->options.config_path);
	return r;
}

/* What this process needs before it touches the plane. */
static int prepare(struct manager *m)
{
	_cleanup_(state_deinit) struct state remembered = STATE_INIT;
	_cleanup_(roster_deinit) struct roster roster = ROSTER_INIT;
	int r;

	r = load_configuration(m);
	if (r < 0)
		return r;
	log_set_level((int)m->conf->global.log_level);
	if (geteuid() == 0 && !getpwnam(m->conf->global.health_user)) {
		log_err("user %s for the health worker does not exist: run systemd-sysusers, or "
			"set health-user",
			m->conf->global.health_user);
		return -ENOENT;
	}
	r = event_ring_init(&m->events, m->conf->global.event_history);
	if (r == 0)
		r = sd_event_new(&m->event);
	if (r >= 0)
		r = add_sources(m);
	if (r >= 0)
		r = checks_new(m, &m->checks);
	if (r >= 0)
		r = vip_set_new(&m->vips);
	if (r >= 0)
		r = fastpath_new(m, &m->fastpath);
	if (r < 0) {
		log_err("cannot start: %s", strerror(-r));
		return r;
	}
	r = open_plane(m);
	if (r < 0)
		return r;
	r = persist_restore(m, &remembered);
	if (r == 0)
		r = names_new(m, &m->names);
	if (r == 0)
		r = names_roster(m->names, m->conf, &roster);
	if (r == 0)
		r = registry_build_from(m->conf, &roster, &remembered.registry,
					manager_wall_usec(m), &m->registry);
	if (r == 0)
		r = names_follow(m->names);
	if (r == 0)
		r = reconcile_assume_applied(m);
	return r;
}

static int start(struct manager *m)
{
	const struct worker_handlers handlers = { on_expected, on_result, on_heartbeat,
						  on_worker_trouble, m };
	const char *socket = m->options.control_socket ? m->options.control_socket
						       : m->conf->global.control_socket;
	_cleanup_free_ char *error = NULL;
	int r;

	r = control_new(m, socket, &m->control); /* logs its errors */
	if (r < 0)
		return r;
	r = reload_first(m, &error);
	if (r < 0) {
		log_err("cannot apply the configuration: %s", error ? error : strerror(-r));
		return r;
	}
	r = control_start(m->control); /* logs its errors */
	if (r < 0)
		return r;
	r = worker_pool_new(m->event,
			    &(struct worker_users){ m->conf->global.health_user,
						    m->conf->global.exec_user },
			    &handlers, &m->workers);
	if (r == 0)
		r = manager_sync_probes(m);
	if (r < 0)
		log_err("cannot start the health worker: %s", strerror(-r));
	else
		fastpath_begin(m->fastpath);
	return r;
}

int manager_new(const struct manager_options *options, struct manager **ret)
{
	struct manager *m = calloc(1, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	m->options = *options;
	m->apply_at_usec = USEC_NEVER;
	m->wall_offset_usec = clock_wall_usec() - clock_boottime_usec();
	m->started_usec = clock_monotonic_usec();
	m->loaded_usec = clock_wall_usec();
	r = prepare(m);
	if (r >= 0)
		r = start(m);
	if (r < 0) {
		manager_free(m);
		return r;
	}
	*ret = m;
	return 0;
}

void manager_free(struct manager *m)
{
	if (!m)
		return;
	control_free(m->control);
	names_free(m->names);
	fastpath_free(m->fastpath);
	worker_pool_free(m->workers);
	checks_free(m->checks);
	vip_set_free(m->vips);
	channel_free(m->channel);
	sd_event_source_disable_unref(m->reconcile_timer);
	sd_event_source_disable_unref(m->apply_timer);
	sd_event_source_disable_unref(m->times_timer);
	sd_event_source_disable_unref(m->drain_timer);
	sd_event_source_disable_unref(m->save_timer);
	persist_free(m->persist);
	sd_event_source_disable_unref(m->watchdog_timer);
	sd_event_unref(m->event);
	event_ring_deinit(&m->events);
	registry_deinit(&m->registry);
	ipvs_ruleset_deinit(&m->actual);
	ipvs_ruleset_deinit(&m->desired);
	linger_set_deinit(&m->linger);
	free(m->owned_services);
	json_decref(m->warnings);
	free(m->last_error);
	conf_free(m->conf);
	free(m);
}

int manager_run(struct manager *m)
{
	int r;

	(void)sd_notifyf(0, "READY=1\nMAINPID=%d", (int)getpid());
	transitions_notify_status(m);
	manager_event(m, LOG_NOTICE, "daemon", "", "started, listeners: %zu, target groups: %zu",
		      m->conf->n_listeners, m->conf->n_groups);
	r = sd_event_loop(m->event);
	names_save(m->names);
	(void)persist_at_stop(m);
	return r;
}

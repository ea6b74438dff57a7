/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/reload.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "conf/diag.h"
#include "conf/load.h"
#include "daemon/control.h"
#include "daemon/fastpath.h"
#include "daemon/kernel.h"
#include "daemon/manager.h"
#include "daemon/names.h"
#include "daemon/persist.h"
#include "daemon/reconcile.h"
#include "daemon/transitions.h"
#include "daemon/vip.h"
#include "daemon/worker-pool.h"
#include "ipvs/channel.h"

enum {
	DIAGS_LOGGED_MAX = 20,
};

DEFINE_CLEANUP(json_t *, json_decref)
DEFINE_CLEANUP(struct conf *, conf_free)

void reload_log_diags(const struct diag_list *diags, int least)
{
	static const int levels[] = {
		[DIAG_ERROR] = LOG_ERR,
		[DIAG_WARNING] = LOG_WARNING,
		[DIAG_NOTE] = LOG_INFO,
	};
	size_t n = 0;

	for (size_t i = 0; i < diags->n; i++) {
		const struct diag *d = &diags->items[i];

		if ((int)d->severity <= least && n++ < DIAGS_LOGGED_MAX)
			log_full(levels[d->severity], NULL, 0, "%s:%u: %s", d->path, d->line,
				 d->message);
	}
	if (n > DIAGS_LOGGED_MAX)
		log_err("%zu more findings: see `ipvsd check`", n - DIAGS_LOGGED_MAX);
}

static json_t *diags_to_json(const struct diag_list *diags)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < diags->n; i++)
		(void)json_array_append_new(
			list, json_pack("{s:s,s:i,s:s,s:s}", "file", diags->items[i].path, "line",
					(int)diags->items[i].line, "severity",
					diag_severity_to_string(diags->items[i].severity),
					"message", diags->items[i].message));
	return list;
}

__attribute__((format(printf, 2, 3))) static json_t *error_report(const struct diag_list *diags,
								  const char *format, ...)
{
	_cleanup_free_ char *text = NULL;
	va_list ap;
	int r;

	va_start(ap, format);
	r = vasprintf(&text, format, ap);
	va_end(ap);
	if (r < 0)
		text = NULL;
	return json_pack("{s:s,s:o*}", "error", text ? text : "out of memory", "diagnostics",
			 diags ? diags_to_json(diags) : NULL);
}

static void warn_of_restart(json_t *warnings, const char *key, const char *running,
			    const char *wanted)
{
	if (strcmp(running, wanted) != 0)
		(void)json_array_append_new(
			warnings, json_sprintf("%s is %s until ipvsd is restarted; then %s", key,
					       running, wanted));
}

/* What only a start takes up: told as long as it differs from what runs. */
static void collect_restarts(const struct manager *m, const struct conf *conf, json_t *warnings)
{
	char running[24], wanted[24];
	struct worker_users users;

	if (!m->workers) /* this is the start */
		return;
	if (!m->options.control_socket)
		warn_of_restart(warnings, "control-socket", control_path(m->control),
				conf->global.control_socket);
	users = worker_pool_users(m->workers);
	warn_of_restart(warnings, "health-user", users.health, conf->global.health_user);
	warn_of_restart(warnings, "health-exec-user", users.exec, conf->global.exec_user);
	(void)snprintf(running, sizeof(running), "%zu", m->events.capacity);
	(void)snprintf(wanted, sizeof(wanted), "%zu", conf->global.event_history);
	warn_of_restart(warnings, "event-history", running, wanted);
}

/* Kernel settings that are not as the configuration needs them: said, not fatal. An array, owned by the caller. */
static json_t *prepare_kernel(const struct conf *conf)
{
	_cleanup_(json_decref_p) json_t *findings = kernel_prepare(conf);
	json_t *warnings = json_array();
	json_t *item;
	size_t i;

	json_array_foreach (findings, i, item) {
		const char *name = "", *wanted = "", *actual = "", *reason = "", *remedy = "";
		int done = 0;

		(void)json_unpack(item, "{s?s,s?s,s?s,s?s,s?s,s?b}", "name", &name, "wanted",
				  &wanted, "actual", &actual, "reason", &reason, "remedy", &remedy,
				  "done", &done);
		if (done) {
			log_info("%s: was %s, set to %s: %s", name, actual, wanted, reason);
			continue;
		}
		(void)json_array_append_new(warnings,
					    json_sprintf("%s is %s, should be %s: %s (%s)", name,
							 actual, wanted, reason, remedy));
	}
	return warnings;
}

/* What does not hold up the traffic is looked at when it runs. */
static void collect_warnings(struct manager *m, const struct conf *conf, json_t *warnings)
{
	_cleanup_(json_decref_p) json_t *missing = vip_set_missing(m->vips, conf);
	json_t *item;
	size_t i;

	(void)json_array_extend(warnings, missing);
	collect_restarts(m, conf, warnings);
	json_array_foreach (warnings, i, item)
		log_warning("%s", json_string_value(item));
}

/* The state timeouts of all connections of this network namespace; 0 = as the kernel has it. */
static int apply_timeouts(struct manager *m, const struct conf *conf, char **ret_error)
{
	const struct ipvs_timeouts wanted = {
		.tcp_sec = (uint32_t)(conf->global.tcp_timeout_usec / USEC_PER_SEC),
		.tcp_fin_sec = (uint32_t)(conf->global.tcp_fin_timeout_usec / USEC_PER_SEC),
		.udp_sec = (uint32_t)(conf->global.udp_timeout_usec / USEC_PER_SEC),
	};
	struct ipvs_timeouts now;
	int r;

	if (!wanted.tcp_sec && !wanted.tcp_fin_sec && !wanted.udp_sec)
		return 0;
	r = channel_get_timeouts(m->channel, &now);
	if (r == 0 && (!wanted.tcp_sec || wanted.tcp_sec == now.tcp_sec) &&
	    (!wanted.tcp_fin_sec || wanted.tcp_fin_sec == now.tcp_fin_sec) &&
	    (!wanted.udp_sec || wanted.udp_sec == now.udp_sec))
		return 0;
	if (r == 0)
		r = channel_set_timeouts(m->channel, &wanted);
	if (r < 0 &&
	    asprintf(ret_error, "cannot set the connection timeouts: %s", strerror(-r)) < 0)
		*ret_error = NULL;
	return r;
}

/* Addresses before services, so that the first packet finds both; taken back when the plane refuses. */
static int apply_all(struct manager *m, const struct conf *conf, const struct registry *registry,
		     struct reconcile_report *ret_report, char **ret_error)
{
	int r;

	r = vip_set_add_wanted(m->vips, conf, ret_error);
	if (r < 0)
		return r;
	r = reconcile_apply(m, conf, registry, RECONCILE_RELOAD, ret_report);
	if (r < 0 && ret_report->error)
		*ret_error = take_ptr(ret_report->error);
	return r < 0 ? r : apply_timeouts(m, conf, ret_error);
}

int reload_first(struct manager *m, char **ret_error)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	int r;

	m->warnings = prepare_kernel(m->conf);
	r = apply_all(m, m->conf, &m->registry, &report, ret_error);
	collect_warnings(m, m->conf, m->warnings); /* they may be why it failed */
	if (r < 0)
		return r;
	vip_set_remove_unwanted(m->vips, m->conf);
	log_info("applied, operations: %zu", report.n_ops);
	transitions_log(m);
	(void)persist_now(m);
	return 0;
}

static void roll_back(struct manager *m)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	int r = reconcile_dump(m);

	if (r == 0)
		r = reconcile_apply(m, m->conf, &m->registry, RECONCILE_RELOAD, &report);
	if (r < 0)
		log_err("cannot lead the plane back to the old configuration: %s; trying again at "
			"the next reconcile",
			report.error ? report.error : strerror(-r));
	vip_set_remove_unwanted(m->vips, m->conf);
}

static void commit(struct manager *m, struct conf *conf, struct registry *registry)
{
	transitions_tell_authorities(m, registry);
	registry_deinit(&m->registry);
	m->registry = *registry;
	*registry = REGISTRY_INIT;
	conf_free(m->conf);
	m->conf = conf;
	if (names_follow(m->names) < 0)
		log_err("cannot take up the names of the configuration: %s", strerror(ENOMEM));
	log_set_level((int)conf->global.log_level);
	vip_set_remove_unwanted(m->vips, conf);
	if (manager_sync_probes(m) < 0)
		log_err("cannot tell the health worker its probes: %s", strerror(ENOMEM));
	transitions_log(m);
	manager_watch_drains(m);
	manager_reconcile_soon(m);
	fastpath_configure(m->fastpath);
}

static json_t *success_report(const struct manager *m, const struct reconcile_report *report,
			      const struct diag_list *diags)
{
	size_t n_dests = 0;

	for (size_t i = 0; i < m->actual.n; i++)
		n_dests += m->actual.services[i].n_dests;
	return json_pack("{s:O?,s:I,s:I,s:I,s:O?,s:o?}", "changes", report->changes, "operations",
			 (json_int_t)report->n_ops, "services", (json_int_t)m->actual.n,
			 "destinations", (json_int_t)n_dests, "warnings", m->warnings,
			 "diagnostics", diags_to_json(diags));
}

static int reload(struct manager *m, struct diag_list *diags, json_t **ret_report)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	_cleanup_(registry_deinit) struct registry registry = REGISTRY_INIT;
	_cleanup_(roster_deinit) struct roster roster = ROSTER_INIT;
	_cleanup_(conf_free_p) struct conf *conf = NULL;
	_cleanup_free_ char *error = NULL;
	json_t *warnings;
	int r;

	r = conf_load(m->options.config_path, &conf, diags);
	if (r < 0) {
		*ret_report = error_report(diags, "%s: %zu error%s; nothing was changed",
					   m->options.config_path, diags->n_errors,
					   diags->n_errors == 1 ? "" : "s");
		return r;
	}
	manager_apply_pending(m); /* else a verdict would look like a farewell */
	r = names_roster(m->names, conf, &roster);
	if (r == 0)
		r = registry_build_from(conf, &roster, &m->registry, manager_wall_usec(m),
					&registry);
	if (r == 0)
		r = reconcile_dump_if_stale(m);
	if (r < 0) {
		*ret_report = error_report(diags, "%s; nothing was changed", strerror(-r));
		return r;
	}
	warnings = prepare_kernel(conf);
	r = apply_all(m, conf, &registry, &report, &error);
	collect_warnings(m, conf, warnings);
	if (r < 0) {
		json_decref(warnings);
		roll_back(m);
		*ret_report = error_report(diags, "%s; the old configuration runs on",
					   error ? error : strerror(-r));
		return r;
	}
	json_decref(m->warnings);
	m->warnings = warnings;
	commit(m, take_ptr(conf), &registry);
	*ret_report = success_report(m, &report, diags);
	persist_soon(m); /* without operations too: who is registered may have changed */
	manager_event(m, LOG_NOTICE, "reload", "", "reloaded, operations: %zu", report.n_ops);
	return 0;
}

int manager_reload(struct manager *m, json_t **ret_report)
{
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	const char *error = NULL;
	int r;

	if (m->stopping) {
		*ret_report = error_report(NULL, "ipvsd is stopping");
		return -ESHUTDOWN;
	}
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%llu",
			 (unsigned long long)clock_monotonic_usec());
	free(m->last_error);
	m->last_error = NULL;
	r = reload(m, &diags, ret_report);
	if (r < 0) {
		m->reloads_failed++;
		(void)json_unpack(*ret_report, "{s:s}", "error", &error);
		m->last_error = strdup(error ? error : strerror(-r));
		reload_log_diags(&diags, DIAG_ERROR);
		manager_event(m, LOG_ERR, "reload", "", "reload refused: %s", m->last_error);
	} else {
		m->reloads++;
		m->loaded_usec = clock_wall_usec();
	}
	(void)sd_notify(0, "READY=1");
	transitions_notify_status(m);
	return r;
}

int manager_plan(struct manager *m, const char *path, json_t **ret_report)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	_cleanup_(diag_list_deinit) struct diag_list diags = { 0 };
	_cleanup_(registry_deinit) struct registry registry = REGISTRY_INIT;
	_cleanup_(roster_deinit) struct roster roster = ROSTER_INIT;
	_cleanup_(conf_free_p) struct conf *conf = NULL;
	json_t *impact = NULL;
	int r;

	if (!path)
		path = m->options.config_path;
	r = conf_load(path, &conf, &diags);
	if (r < 0) {
		*ret_report = error_report(&diags, "%s: %zu error%s", path, diags.n_errors,
					   diags.n_errors == 1 ? "" : "s");
		return r;
	}
	r = names_roster(m->names, conf, &roster);
	if (r == 0)
		r = registry_build_from(conf, &roster, &m->registry, manager_wall_usec(m),
					&registry);
	if (r == 0)
		r = reconcile_preview(m, conf, &registry, &report, &impact);
	if (r < 0) {
		*ret_report = error_report(&diags, "%s", strerror(-r));
		return r;
	}
	*ret_report = success_report(m, &report, &diags);
	if (json_object_set_new(*ret_report, "impact", impact) < 0)
		return -ENOMEM;
	return 0;
}

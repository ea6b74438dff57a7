/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/stop.h"

#include <errno.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"
#include "daemon/reconcile.h"
#include "daemon/vip.h"
#include "ipvs/channel.h"
#include "ipvs/plan.h"

#define CHECK_USEC (200 * USEC_PER_MSEC)
/* Ample for a check that comes late. */
#define EXTENSION_USEC (10 * USEC_PER_SEC)

static void remove_ours(struct manager *m)
{
	const struct plan_ownership owned = { .keys = m->owned_services, .n = m->n_owned_services };
	const struct ipvs_ruleset nothing = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
	_cleanup_free_ struct channel_result *results = NULL;
	size_t n_failed = 0;
	int r;

	fastpath_end(m->fastpath);
	r = reconcile_dump(m);
	if (r == 0)
		r = plan_compute(&m->actual, &nothing, &owned, &plan);
	if (r == 0) {
		results = calloc(plan.n + 1, sizeof(*results));
		r = results ? channel_apply(m->channel, &plan, results, &n_failed) : -ENOMEM;
	}
	if (r < 0 || n_failed)
		log_err("stop: could not remove all services: %s",
			r < 0 ? strerror(-r) : "the kernel refused some");
	else
		m->n_owned_services = 0;
	vip_set_remove_unwanted(m->vips, NULL);
}

static uint64_t our_connections(const struct manager *m)
{
	uint64_t n = 0;

	for (size_t i = 0; i < m->n_owned_services; i++) {
		const struct ipvs_service *s = ipvs_ruleset_find(&m->actual, &m->owned_services[i]);

		for (size_t j = 0; s && j < s->n_dests; j++)
			n += (uint64_t)s->dests[j].active_conns + s->dests[j].inactive_conns;
	}
	return n;
}

/*
 * stop-drain-timeout may be longer than TimeoutStopSec=: killed by the service manager meanwhile, this process would
 * leave services of which every destination has weight 0.
 */
static void ask_for_patience(void)
{
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%llu", (unsigned long long)EXTENSION_USEC);
}

static int on_check(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct manager *m = userdata;

	(void)usec;
	if (reconcile_dump(m) == 0 && our_connections(m) > 0 &&
	    clock_monotonic_usec() < m->stop_deadline_usec) {
		ask_for_patience();
		(void)sd_event_source_set_time_relative(s, CHECK_USEC);
		(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
		return 0;
	}
	remove_ours(m);
	(void)sd_event_exit(m->event, 0);
	return 0;
}

static int drain_all(struct manager *m)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;

	for (size_t i = 0; i < m->registry.n; i++)
		for (size_t j = 0; j < m->registry.groups[i].n; j++)
			m->registry.groups[i].targets[j].weight = (struct weight_output){ 0 };
	m->stop_deadline_usec = clock_monotonic_usec() + m->conf->global.stop_drain_timeout_usec;
	return reconcile_apply(m, m->conf, &m->registry, RECONCILE_WEIGHTS, &report);
}

void stop_begin(struct manager *m)
{
	int r = 0;

	if (m->stopping) { /* asked twice: do not wait any longer */
		m->stop_deadline_usec = 0;
		return;
	}
	m->stopping = true;
	(void)sd_notify(0, "STOPPING=1");
	log_notice("stopping: %s", m->conf->global.stop == CONF_STOP_KEEP
					   ? "the traffic runs on"
					   : conf_stop_to_string(m->conf->global.stop));
	switch (m->conf->global.stop) {
	case CONF_STOP_DRAIN:
		r = drain_all(m);
		if (r == 0)
			r = sd_event_add_time_relative(m->event, NULL, CLOCK_MONOTONIC, CHECK_USEC,
						       0, on_check, m);
		if (r >= 0)
			return;
		log_err("stop: cannot drain: %s; removing at once", strerror(-r));
		remove_ours(m);
		break;
	case CONF_STOP_FLUSH:
		remove_ours(m);
		break;
	default:
		break;
	}
	(void)sd_event_exit(m->event, 0);
}

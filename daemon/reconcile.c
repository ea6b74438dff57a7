/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/reconcile.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/fastpath.h"
#include "daemon/manager.h"
#include "daemon/persist.h"
#include "ipvs/channel.h"
#include "ipvs/plan.h"

enum {
	ATTEMPTS =
		3, /* a plane that is changed by others all the time is left for the next reconcile */
};

DEFINE_CLEANUP(json_t *, json_decref)

void reconcile_report_deinit(struct reconcile_report *r)
{
	json_decref(r->changes);
	free(r->error);
	*r = RECONCILE_REPORT_INIT;
}

int reconcile_dump(struct manager *m)
{
	struct ipvs_ruleset fresh = IPVS_RULESET_INIT;
	int r;

	r = channel_dump(m->channel, &fresh);
	if (r < 0)
		return r;
	fastpath_add_live(m->fastpath, &fresh);
	ipvs_ruleset_deinit(&m->actual);
	m->actual = fresh;
	m->actual_usec = clock_monotonic_usec();
	return 0;
}

static bool same_services(const struct ipvs_ruleset *a, const struct ipvs_ruleset *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (ipvs_service_key_cmp(&a->services[i].key, &b->services[i].key) != 0 ||
		    !ipvs_service_conf_eq(&a->services[i], &b->services[i]))
			return false;
	return true;
}

int reconcile_dump_if_stale(struct manager *m)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset services = IPVS_RULESET_INIT;

	if (channel_dump_services(m->channel, &services) == 0 &&
	    same_services(&services, &m->actual))
		return 0;
	return reconcile_dump(m);
}

int reconcile_assume_applied(struct manager *m)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset ours = IPVS_RULESET_INIT;

	for (size_t i = 0; i < m->n_owned_services; i++) {
		const struct ipvs_service *s = ipvs_ruleset_find(&m->actual, &m->owned_services[i]);
		struct ipvs_service *copy;

		if (!s)
			continue;
		copy = ipvs_ruleset_append(&ours, &s->key);
		if (!copy)
			return -ENOMEM;
		for (size_t j = 0; j < s->n_dests; j++)
			if (!ipvs_service_append(copy, &s->dests[j]))
				return -ENOMEM;
	}
	ipvs_ruleset_sort(&ours);
	ipvs_ruleset_deinit(&m->desired);
	m->desired = ours;
	ours = IPVS_RULESET_INIT;
	return 0;
}

int reconcile_desired(const struct conf *conf, const struct registry *registry,
		      struct ipvs_ruleset *ret)
{
	_cleanup_free_ struct desired_group *groups = NULL;
	int r;

	r = registry_to_desired(registry, &groups);
	return r < 0 ? r : desired_compute(conf, groups, DESIRED_KERNEL, ret);
}

static bool any_ends(const struct registry *r)
{
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < r->groups[i].n; j++)
			if (r->groups[i].targets[j].weight.ends)
				return true;
	return false;
}

/*
 * Who is still there for the question who leaves: a target whose connections are to end is not in the plane, but it is
 * taken out, which is no farewell. The result is `desired`, or what *ret_own owns. NULL: no memory.
 */
static const struct ipvs_ruleset *who_stays(const struct conf *conf,
					    const struct registry *registry,
					    const struct ipvs_ruleset *desired,
					    struct ipvs_ruleset *ret_own)
{
	_cleanup_free_ struct desired_group *groups = NULL;

	if (!any_ends(registry))
		return desired;
	if (registry_to_members(registry, &groups) < 0)
		return NULL;
	return desired_compute(conf, groups, DESIRED_KERNEL, ret_own) < 0 ? NULL : ret_own;
}

static int key_cmp(const void *a, const void *b)
{
	return ipvs_service_key_cmp(a, b);
}

/* The services that the plan may touch: those that were ours and those that will be. */
static int owned_union(const struct manager *m, const struct ipvs_ruleset *desired,
		       struct ipvs_service_key **ret, size_t *ret_n)
{
	struct ipvs_service_key *keys;
	size_t n = m->n_owned_services;

	keys = calloc(n + desired->n + 1, sizeof(*keys));
	if (!keys)
		return -ENOMEM;
	if (n)
		memcpy(keys, m->owned_services, n * sizeof(*keys));
	for (size_t i = 0; i < desired->n; i++)
		if (!bsearch(&desired->services[i].key, keys, m->n_owned_services, sizeof(*keys),
			     key_cmp))
			keys[n++] = desired->services[i].key;
	qsort(keys, n, sizeof(*keys), key_cmp);
	*ret = keys;
	*ret_n = n;
	return 0;
}

/* Before a service is created it is on disk as ours: a crash in between must not leave a stranger behind. */
static int own_desired(struct manager *m, const struct ipvs_ruleset *desired)
{
	struct ipvs_service_key *keys;
	size_t n;
	int r;

	r = owned_union(m, desired, &keys, &n);
	if (r < 0)
		return r;
	if (n == m->n_owned_services) {
		free(keys);
		return 0;
	}
	free(m->owned_services);
	m->owned_services = keys;
	m->n_owned_services = n;
	(void)persist_global_now(
		m); /* logs; a full disk must not stop the traffic's configuration */
	return 0;
}

/* After all has been applied only what is desired is ours. */
static void disown_removed(struct manager *m, const struct ipvs_ruleset *desired)
{
	size_t n = 0;

	for (size_t i = 0; i < m->n_owned_services; i++)
		if (ipvs_ruleset_find(desired, &m->owned_services[i]))
			m->owned_services[n++] = m->owned_services[i];
	if (n != m->n_owned_services)
		persist_soon(m);
	m->n_owned_services = n;
}

static int describe_ops(const struct plan *p, struct reconcile_report *report)
{
	report->n_ops = p->n;
	report->changes = json_array();
	if (!report->changes)
		return -ENOMEM;
	for (size_t i = 0; i < p->n && i < RECONCILE_CHANGES_MAX; i++) {
		_cleanup_free_ char *text = plan_op_describe(&p->ops[i]);

		if (!text || json_array_append_new(report->changes, json_string(text)) < 0)
			return -ENOMEM;
	}
	return 0;
}

/* Did it fail because the plane is not what the last dump said? Then a new dump and a new plan help. */
static bool is_stale(const struct plan_op *op, int error)
{
	switch (op->kind) {
	case PLAN_SERVICE_NEW:
		return error == -EEXIST;
	case PLAN_SERVICE_SET:
	case PLAN_SERVICE_DEL:
		return error == -ESRCH;
	default:
		return error == -ESRCH || error == -ENOENT || error == -EEXIST;
	}
}

static const char *remedy(const struct plan_op *op, int error)
{
	switch (error) {
	case -ENOENT:
		return "the kernel has no such scheduler: load the module ip_vs_<scheduler>, or "
		       "install the package with the kernel's modules";
	case -EPERM:
		return "ipvsd needs CAP_NET_ADMIN in the initial user namespace: run it as root or "
		       "by its systemd unit";
	case -EINVAL:
		if (op->kind == PLAN_DEST_NEW)
			return "the kernel takes only destinations that it has a unicast route to: "
			       "see `ip route get`";
		return "the kernel refuses the combination: see ipvsd.conf(5)";
	case -EAFNOSUPPORT:
		return "the kernel has no IPv6: enable it, or remove the IPv6 listeners";
	case -ENOMEM:
		return "the kernel is out of memory";
	default:
		return "see ipvsd(8)";
	}
}

static void note_failure(struct reconcile_report *report, const struct plan_op *op, int error)
{
	_cleanup_free_ char *text = NULL;

	if (report->error)
		return;
	text = plan_op_describe(op);
	if (asprintf(&report->error, "%s: %s (%s)", text ? text : plan_op_kind_to_string(op->kind),
		     strerror(-error), remedy(op, error)) < 0)
		report->error = NULL;
}

static bool removes(const struct plan_op *op)
{
	return op->kind == PLAN_SERVICE_DEL || (op->kind == PLAN_DEST_DEL && !op->reorder);
}

/* Moves the removals to the end of the plan, all else in its order. *ret: where they begin. */
static int put_removals_last(struct plan *p, size_t *ret)
{
	struct plan_op *sorted;
	size_t n = 0, first = 0;

	while (first < p->n && !removes(&p->ops[first]))
		first++;
	if (first == p->n) {
		*ret = first;
		return 0;
	}
	sorted = calloc(p->n, sizeof(*sorted));
	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < p->n; i++)
		if (!removes(&p->ops[i]))
			sorted[n++] = p->ops[i];
	first = n;
	for (size_t i = 0; i < p->n; i++)
		if (removes(&p->ops[i]))
			sorted[n++] = p->ops[i];
	free(p->ops);
	p->ops = sorted;
	*ret = first;
	return 0;
}

int reconcile_apply_ops(struct channel *channel, const struct plan *ops,
			struct reconcile_report *report)
{
	_cleanup_free_ struct channel_result *results = calloc(ops->n + 1, sizeof(*results));
	size_t n_failed = 0;
	int r;

	if (!results)
		return -ENOMEM;
	r = channel_apply(channel, ops, results, &n_failed);
	if (r < 0)
		return r;
	for (size_t i = 0; n_failed && i < ops->n; i++)
		if (results[i].error && !is_stale(&ops->ops[i], results[i].error))
			note_failure(report, &ops->ops[i], results[i].error);
	if (report->error)
		return -EIO;
	return n_failed ? 1 : 0;
}

/* A plane that could not be talked to in the middle of it is planned for anew, from a dump. */
static int plan_again_unless_final(int r)
{
	return r >= 0 || r == -EIO || r == -ENOMEM ? r : 1;
}

/*
 * As reconcile_apply_ops(). A reload that the kernel refuses in part must not have removed anything yet: what is removed and
 * led back has lost connections meanwhile.
 */
static int apply_plan(struct manager *m, struct plan *p, const struct ipvs_ruleset *desired,
		      enum reconcile_cause cause, struct reconcile_report *report)
{
	struct ipvs_ruleset after = IPVS_RULESET_INIT;
	size_t first = p->n;
	int r = 0;

	if (cause == RECONCILE_RELOAD)
		r = put_removals_last(p, &first);
	if (r == 0)
		r = reconcile_apply_ops(m->channel, &(struct plan){ p->ops, first }, report);
	if (r == 0 && first < p->n)
		r = reconcile_apply_ops(m->channel, &(struct plan){ p->ops + first, p->n - first },
					report);
	if (r != 0)
		return plan_again_unless_final(r);
	if (plan_result(p, &m->actual, desired, &after) < 0)
		return 1;
	ipvs_ruleset_deinit(&m->actual);
	m->actual = after;
	return 0;
}

static int plan_against_actual(struct manager *m, const struct conf *conf,
			       const struct ipvs_ruleset *desired,
			       const struct ipvs_service_key *owned, size_t n_owned,
			       struct plan *ret)
{
	const struct plan_ownership ownership = {
		.keys = owned,
		.n = n_owned,
		.exclusive = conf->global.exclusive,
	};

	return plan_compute(&m->actual, desired, &ownership, ret);
}

void reconcile_log_drift(struct manager *m, const struct reconcile_report *report)
{
	if (!report->n_ops)
		return;
	m->drift_repairs++;
	for (size_t i = 0; i < json_array_size(report->changes); i++)
		manager_event(m, LOG_WARNING, "drift", "",
			      "repaired what was changed behind us: %s",
			      json_string_value(json_array_get(report->changes, i)));
}

/* A plan that was made against a dump that no longer held: what the new dump asks for beyond it is drift. */
static void log_replanned(struct manager *m, const struct plan *p)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report drift = RECONCILE_REPORT_INIT;

	if (describe_ops(p, &drift) == 0)
		reconcile_log_drift(m, &drift);
}

static int apply_desired(struct manager *m, const struct conf *conf,
			 const struct ipvs_ruleset *desired, enum reconcile_cause cause,
			 struct reconcile_report *report)
{
	for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
		_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
		int r;

		if (attempt > 0) {
			r = reconcile_dump(m);
			if (r < 0)
				return r;
		}
		r = plan_against_actual(m, conf, desired, m->owned_services, m->n_owned_services,
					&plan);
		if (r < 0)
			return r;
		if (attempt > 0)
			log_replanned(m, &plan);
		else if (describe_ops(&plan, report) < 0)
			return -ENOMEM;
		r = plan.n ? apply_plan(m, &plan, desired, cause, report) : 0;
		if (r <= 0)
			return r;
	}
	return -EAGAIN;
}

/* Who leaves is judged by its present connections: a dump that is some seconds old will not do. */
static int note_farewells(struct manager *m, const struct conf *conf,
			  const struct registry *registry, const struct ipvs_ruleset *desired)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset own = IPVS_RULESET_INIT;
	const struct ipvs_ruleset *stay = who_stays(conf, registry, desired, &own);
	int r = stay ? 0 : -ENOMEM;

	if (stay && linger_any_leaves(&m->desired, stay))
		r = reconcile_dump(m);
	return r < 0 ? r
		     : linger_note(&m->linger, m->conf, &m->actual, &m->desired, stay,
				   manager_wall_usec(m));
}

/* `desired` with those that linger; they are not part of m->desired, so that their end is no farewell. */
static int apply_with_lingering(struct manager *m, const struct conf *conf,
				const struct ipvs_ruleset *desired, enum reconcile_cause cause,
				struct reconcile_report *report)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset merged = IPVS_RULESET_INIT;
	int r;

	linger_forget(&m->linger, desired);
	if (!m->linger.n)
		return apply_desired(m, conf, desired, cause, report);
	r = ipvs_ruleset_copy(desired, &merged);
	if (r == 0)
		r = linger_merge(&m->linger, &m->actual, &merged);
	return r < 0 ? r : apply_desired(m, conf, &merged, cause, report);
}

int reconcile_apply(struct manager *m, const struct conf *conf, const struct registry *registry,
		    enum reconcile_cause cause, struct reconcile_report *ret_report)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	_cleanup_(linger_set_deinit) struct linger_set lingered = LINGER_SET_INIT;
	int r;

	r = reconcile_desired(conf, registry, &desired);
	if (r == 0)
		r = linger_set_copy(&m->linger, &lingered);
	if (r == 0 && cause == RECONCILE_RELOAD)
		r = note_farewells(m, conf, registry, &desired);
	if (r == 0)
		r = own_desired(m, &desired);
	if (r == 0)
		r = apply_with_lingering(m, conf, &desired, cause, &report);
	if (r == 0)
		r = fastpath_apply(m->fastpath, conf, registry, &report);
	if (r == 0) {
		disown_removed(m, &desired);
		ipvs_ruleset_deinit(&m->desired);
		m->desired = desired;
		desired = IPVS_RULESET_INIT;
	} else {
		/* The next attempt starts from what is; a refused reload has bid nobody farewell. */
		linger_set_deinit(&m->linger);
		m->linger = lingered;
		lingered = LINGER_SET_INIT;
		(void)reconcile_dump(m);
	}
	*ret_report = report;
	report = RECONCILE_REPORT_INIT;
	return r;
}

/* The live connections that an operation drains (weight 0) or strands (destination or service gone). */
static int op_impact(const struct plan_op *op, json_t *impact)
{
	uint64_t active = 0, inactive = 0;
	_cleanup_free_ char *text = NULL;

	if (op->kind == PLAN_DEST_DEL && !op->reorder) {
		active = op->dest->active_conns;
		inactive = op->dest->inactive_conns;
	} else if (op->kind == PLAN_DEST_SET && op->dest->weight == 0 && op->old_dest->weight > 0) {
		active = op->old_dest->active_conns;
		inactive = op->old_dest->inactive_conns;
	} else if (op->kind == PLAN_SERVICE_DEL) {
		const struct ipvs_service *s = op->service;

		for (size_t i = 0; i < s->n_dests; i++) {
			active += s->dests[i].active_conns;
			inactive += s->dests[i].inactive_conns;
		}
	}
	text = plan_op_describe(op);
	if (!text)
		return -ENOMEM;
	return json_array_append_new(impact, json_pack("{s:s,s:s,s:I,s:I}", "change", text, "kind",
						       plan_op_kind_to_string(op->kind), "active",
						       (json_int_t)active, "inactive",
						       (json_int_t)inactive)) < 0
		       ? -ENOMEM
		       : 0;
}

/* What a reload would ask for: with those that leave now and have connections. */
static int desired_with_farewells(struct manager *m, const struct conf *conf,
				  const struct registry *registry, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset own = IPVS_RULESET_INIT;
	_cleanup_(linger_set_deinit) struct linger_set linger = LINGER_SET_INIT;
	int r = linger_set_copy(&m->linger, &linger);
	const struct ipvs_ruleset *stay;

	if (r == 0)
		r = reconcile_desired(conf, registry, ret);
	if (r < 0)
		return r;
	stay = who_stays(conf, registry, ret, &own);
	r = stay ? linger_note(&linger, m->conf, &m->actual, &m->desired, stay,
			       manager_wall_usec(m))
		 : -ENOMEM;
	return r < 0 ? r : linger_merge(&linger, &m->actual, ret);
}

int reconcile_preview(struct manager *m, const struct conf *conf, const struct registry *registry,
		      struct reconcile_report *ret_report, json_t **ret_impact)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset desired = IPVS_RULESET_INIT;
	_cleanup_(plan_deinit) struct plan plan = PLAN_INIT;
	_cleanup_(json_decref_p) json_t *impact = json_array();
	_cleanup_free_ struct ipvs_service_key *owned = NULL;
	size_t n_owned;
	int r;

	if (!impact)
		return -ENOMEM;
	r = reconcile_dump(m);
	if (r == 0)
		r = desired_with_farewells(m, conf, registry, &desired);
	if (r < 0)
		return r;
	r = owned_union(m, &desired, &owned, &n_owned);
	if (r < 0)
		return r;
	r = plan_against_actual(m, conf, &desired, owned, n_owned, &plan);
	if (r < 0)
		return r;
	r = describe_ops(&plan, &report);
	for (size_t i = 0; r == 0 && i < plan.n; i++)
		r = op_impact(&plan.ops[i], impact);
	if (r < 0)
		return r;
	*ret_impact = take_ptr(impact);
	*ret_report = report;
	report = RECONCILE_REPORT_INIT;
	return 0;
}

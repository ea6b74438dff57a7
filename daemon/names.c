/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/persist.h"
#include "daemon/transitions.h"

#define RESOLV_CONF "/etc/resolv.conf"

/* Answers of one wake-up, and of names that were asked for together, are one change of the plane. */
#define APPLY_DELAY_USEC (20 * USEC_PER_MSEC)
#define SAVE_DELAY_USEC USEC_PER_SEC
#define ASK_AGAIN_USEC                                                                             \
	(100 * USEC_PER_MSEC) /* the resolver takes no more now, or is being restarted */

enum {
	ASKED_MAX = 64, /* questions under way */
};

static struct discovery_settings settings_of(const struct conf *c)
{
	return (struct discovery_settings){
		.min_ttl_usec = c->global.dns_min_ttl_usec,
		.max_ttl_usec = c->global.dns_max_ttl_usec,
		.absent_answers = c->global.dns_absent_answers,
		.drain_after_usec = c->global.dns_drain_after_usec,
		.max_targets = c->global.dns_max_targets,
	};
}

static void start_timer(sd_event_source *s, usec_t delay_usec)
{
	(void)sd_event_source_set_time_relative(s, delay_usec);
	(void)sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
}

static void start_timer_once(sd_event_source *s, usec_t delay_usec)
{
	int enabled = SD_EVENT_OFF;

	(void)sd_event_source_get_enabled(s, &enabled);
	if (enabled == SD_EVENT_OFF)
		start_timer(s, delay_usec);
}

void names_apply_soon(struct names *n)
{
	start_timer_once(n->apply_timer, APPLY_DELAY_USEC);
}

void names_save_soon(struct names *n)
{
	start_timer_once(n->save_timer, SAVE_DELAY_USEC);
}

/* The next question's time, if any is due at all. */
static void arm(struct names *n, usec_t least_usec)
{
	usec_t now = clock_monotonic_usec(), due = USEC_NEVER;

	for (size_t i = 0; i < n->n_lookups; i++)
		if (!n->lookups[i]->discovery.asked)
			due = MIN(due, n->lookups[i]->discovery.due_usec);
	if (due == USEC_NEVER) {
		(void)sd_event_source_set_enabled(n->ask_timer, SD_EVENT_OFF);
		return;
	}
	start_timer(n->ask_timer, MAX(due > now ? due - now : 0, least_usec));
}

/* Failures of several kinds alternate where there are several name servers: they are one. */
static enum discovery_status kind_of(enum discovery_status s)
{
	return discovery_status_is_failure(s) ? DISCOVERY_TIMEOUT : s;
}

/* One event for each turn: it fails, it has no addresses, it is back. */
static void tell_status(struct names *n, struct lookup *l)
{
	const struct discovery *d = &l->discovery;
	usec_t age = clock_wall_usec() - d->answered_wall_usec;
	enum discovery_status told = l->told;
	char object[DISCOVERY_NAME_MAX + 8];

	l->told = kind_of(d->status);
	if (l->told == told || (d->status == DISCOVERY_OK && told == DISCOVERY_WAITING))
		return;
	(void)snprintf(object, sizeof(object), "dns:%s", d->name);
	if (d->status == DISCOVERY_OK)
		manager_event(n->manager, LOG_NOTICE, "names", object,
			      "answered again, addresses: %zu", d->n);
	else if (!d->n)
		manager_event(n->manager, LOG_WARNING, "names", object,
			      "%s (%s): it gives no targets", discovery_status_describe(d->status),
			      d->family == AF_INET ? "IPv4" : "IPv6");
	else
		manager_event(n->manager, LOG_WARNING, "names", object,
			      "%s (%s): its %zu addresses of %llu s ago stay",
			      discovery_status_describe(d->status),
			      d->family == AF_INET ? "IPv4" : "IPv6", d->n,
			      (unsigned long long)(age / USEC_PER_SEC));
}

static void take_answer(struct names *n, struct lookup *l, const struct discovery_answer *a)
{
	const struct discovery_settings s = settings_of(n->manager->conf);
	bool changed = false;
	uint32_t random = 0;

	(void)getrandom(&random, sizeof(random), GRND_NONBLOCK); /* 0 will do */
	if (discovery_take(&l->discovery, &s, a, clock_monotonic_usec(), clock_wall_usec(), random,
			   &changed) < 0)
		log_err("dns:%s: %s", l->discovery.name, strerror(ENOMEM));
	tell_status(n, l);
	if (!changed)
		return;
	names_apply_soon(n);
	names_save_soon(n);
}

static void on_answer(uint32_t id, const struct discovery_answer *a, void *userdata)
{
	struct names *n = userdata;

	for (size_t i = 0; i < n->n_lookups; i++) {
		struct lookup *l = n->lookups[i];

		if (l->discovery.asked && l->id == id) {
			take_answer(n, l, a);
			break;
		}
	}
	arm(n, 0);
}

/* What was asked of a process that is gone. */
static void fail_asked(struct names *n)
{
	const struct discovery_answer none = { .status = DISCOVERY_NO_RESOLVER };

	for (size_t i = 0; i < n->n_lookups; i++)
		if (n->lookups[i]->discovery.asked)
			take_answer(n, n->lookups[i], &none);
	arm(n, 0);
}

static void on_lost(const char *text, void *userdata)
{
	struct names *n = userdata;

	manager_event(n->manager, LOG_WARNING, "names", "", "%s", text);
	fail_asked(n);
}

/* Whoever was asked is gone by our own doing. */
static void ask_all_again(struct names *n)
{
	for (size_t i = 0; i < n->n_lookups; i++) {
		n->lookups[i]->discovery.asked = false;
		n->lookups[i]->discovery.due_usec = 0;
	}
	arm(n, 0);
}

static int on_ask(sd_event_source *s, uint64_t usec, void *userdata)
{
	const struct discovery_answer none = { .status = DISCOVERY_NO_RESOLVER };
	struct names *n = userdata;
	usec_t now = clock_monotonic_usec();
	size_t n_asked = 0;
	int r = 0;

	(void)s;
	(void)usec;
	if (n->manager->stopping)
		return 0;
	for (size_t i = 0; i < n->n_lookups; i++)
		n_asked += n->lookups[i]->discovery.asked;
	for (size_t i = 0; i < n->n_lookups && n_asked < ASKED_MAX && r != -EAGAIN; i++) {
		struct lookup *l = n->lookups[i];
		struct discovery *d = &l->discovery;

		if (d->asked || d->due_usec > now)
			continue;
		r = resolver_link_ask(n->link, ++n->next_id, d->name, d->family, d->service);
		if (r == 0) {
			l->id = n->next_id;
			l->asked_usec = now;
			d->asked = true;
			n_asked++;
		} else if (r != -EAGAIN) {
			take_answer(n, l, &none);
		}
	}
	arm(n, n_asked >= ASKED_MAX || r == -EAGAIN ? ASK_AGAIN_USEC : 0);
	return 0;
}

static void on_resolv_conf(struct file_watch *w, void *userdata)
{
	struct names *n = userdata;

	(void)w;
	log_info("%s changed: looking all names up again", RESOLV_CONF);
	resolver_link_stop(n->link);
	ask_all_again(n);
}

/* "10.0.0.1:80 10.0.0.2:80 and 7 more" of those that one roster has and the other lacks. */
static size_t describe_difference(const struct roster_group *in, const struct roster_group *not_in,
				  char *buf, size_t size)
{
	size_t n = 0, len = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < in->n; i++) {
		const struct conf_target *t = &in->targets[i];
		char name[ADDR_PORT_STR_MAX];
		bool found = false;
		int wrote;

		for (size_t k = 0; k < not_in->n && !found; k++) {
			const struct conf_target *u = &not_in->targets[(i + k) % not_in->n];

			found = u->port == t->port && addr_eq(&u->addr, &t->addr);
		}
		if (found || ++n > 8)
			continue;
		wrote = snprintf(buf + len, size - len, "%s%s", n > 1 ? " " : "",
				 t->port ? addr_port_format(&t->addr, t->port, name)
					 : addr_format(&t->addr, name));
		len += wrote > 0 ? (size_t)wrote : 0;
	}
	if (n > 8)
		(void)snprintf(buf + len, size - len, " and %zu more", n - 8);
	return n;
}

static void tell_group(struct manager *m, const char *name, const struct roster_group *old,
		       const struct roster_group *new)
{
	char text[8 * ADDR_PORT_STR_MAX + 32];

	if (describe_difference(new, old, text, sizeof(text)))
		manager_event(m, LOG_NOTICE, "names", name, "registered by name or file: %s", text);
	if (describe_difference(old, new, text, sizeof(text)))
		manager_event(m, LOG_NOTICE, "names", name, "deregistered by name or file: %s",
			      text);
}

static int rebuild(struct names *n)
{
	_cleanup_(roster_deinit) struct roster roster = ROSTER_INIT;
	struct registry registry = REGISTRY_INIT;
	struct manager *m = n->manager;
	int r;

	r = names_roster(n, m->conf, &roster);
	if (r == 0)
		r = registry_build_from(m->conf, &roster, &m->registry, manager_wall_usec(m),
					&registry);
	if (r < 0)
		return r;
	transitions_tell_authorities(m, &registry);
	registry_deinit(&m->registry);
	m->registry = registry;
	/* Its weights are computed, and so are those that were waiting, but the plane has seen neither. */
	for (size_t i = 0; i < m->registry.n; i++)
		registry_touch(&m->registry.groups[i]);
	for (size_t i = 0; i < roster.n && i < n->roster.n; i++)
		tell_group(m, m->conf->groups[i].name, &n->roster.groups[i], &roster.groups[i]);
	roster_deinit(&n->roster);
	n->roster = roster;
	roster = ROSTER_INIT;
	manager_apply_within(m, 0);
	persist_soon(m);
	return manager_sync_probes(m);
}

static void free_lookups(struct lookup **lookups, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		discovery_deinit(&lookups[i]->discovery);
		free(lookups[i]);
	}
	free(lookups);
}

void names_free(struct names *n)
{
	if (!n)
		return;
	resolver_link_free(n->link);
	file_watch_free(n->resolv_conf);
	roster_deinit(&n->roster);
	names_free_files(n);
	names_free_authorities(n);
	free_lookups(n->lookups, n->n_lookups);
	sd_event_source_disable_unref(n->ask_timer);
	sd_event_source_disable_unref(n->apply_timer);
	sd_event_source_disable_unref(n->save_timer);
	free(n);
}

int names_roster(const struct names *n, const struct conf *c, struct roster *ret)
{
	_cleanup_free_ struct roster_file *files = calloc(c->n_groups + 1, sizeof(*files));
	_cleanup_free_ const struct discovery **known =
		calloc(n->n_lookups + 1, sizeof(const struct discovery *));
	int r;

	if (!files || !known)
		return -ENOMEM;
	for (size_t i = 0; i < n->n_lookups; i++)
		known[i] = &n->lookups[i]->discovery;
	for (size_t i = 0; i < c->n_groups; i++) {
		const struct targets_file *f = names_find_file(n, &c->groups[i]);

		/* Of the configuration that runs, this is what was read last; of another, its own reading is. */
		if (f && (c == n->manager->conf || names_file_is_kept(f, &c->groups[i])))
			files[i] = (struct roster_file){ f->targets, f->n };
	}
	r = roster_build(c, files, known, n->n_lookups, ret);
	for (size_t i = 0; r == 0 && i < c->n_groups; i++)
		ret->groups[i].authorities = names_choose_authorities(n, c, &c->groups[i]);
	return r;
}

bool names_has(const struct names *n, size_t g, const struct addr *addr, uint16_t port)
{
	return roster_find(&n->roster, n->manager->conf, g, addr, port, 0) != NULL;
}

struct wanted {
	struct lookup **items; /* owned */
	size_t n;
};

static int want(struct wanted *w, const char *name, uint16_t family)
{
	struct lookup **grown, *l;

	if (strlen(name) >= DISCOVERY_NAME_MAX)
		return 0;
	grown = reallocarray(w->items, w->n + 1, sizeof(struct lookup *));
	if (!grown)
		return -ENOMEM;
	w->items = grown;
	l = calloc(1, sizeof(*l));
	if (!l)
		return -ENOMEM;
	strcpy(l->discovery.name, name);
	l->discovery.family = family;
	l->discovery.service = conf_name_is_service(name);
	w->items[w->n++] = l;
	return 0;
}

static int want_in_families(struct wanted *w, const char *name, const struct roster_families *f)
{
	int r = f->ipv4 ? want(w, name, AF_INET) : 0;

	return r == 0 && f->ipv6 ? want(w, name, AF_INET6) : r;
}

static int want_group(struct names *n, struct wanted *w, const struct conf *c, size_t group)
{
	const struct conf_group *g = &c->groups[group];
	const struct targets_file *file = names_find_file(n, g);
	const struct roster_families f = roster_families(c, group);
	size_t n_own = g->n_targets - g->n_file_targets;
	int r = 0;

	for (size_t i = 0; r == 0 && i < n_own; i++)
		if (g->targets[i].host)
			r = want_in_families(w, g->targets[i].host, &f);
	for (size_t i = 0; r == 0 && file && i < file->n; i++)
		if (file->targets[i].host)
			r = want_in_families(w, file->targets[i].host, &f);
	if (r == 0 && g->discovery)
		r = want_in_families(w, conf_group_dns_name(g), &f);
	return r;
}

static int lookup_cmp(const void *a, const void *b)
{
	const struct lookup *const *x = a, *const *y = b;

	return discovery_cmp(&(*x)->discovery, &(*y)->discovery);
}

static void lookup_free(struct lookup *l)
{
	discovery_deinit(&l->discovery);
	free(l);
}

/* The wanted ones, with those in their place that are known already. */
static void exchange(struct names *n, struct wanted *w)
{
	size_t n_kept = 0;

	if (w->n)
		qsort(w->items, w->n, sizeof(*w->items), lookup_cmp);
	for (size_t i = 0; i < w->n; i++) {
		struct lookup *fresh = w->items[i], **known;

		if (n_kept && lookup_cmp(&w->items[n_kept - 1], &fresh) == 0) {
			lookup_free(fresh);
			continue;
		}
		known = n->n_lookups ? bsearch(&fresh, n->lookups, n->n_lookups, sizeof(*known),
					       lookup_cmp)
				     : NULL;
		w->items[n_kept] = fresh;
		if (known) {
			/* What is left at the old place is dropped with the others. */
			w->items[n_kept] = *known;
			*known = fresh;
		}
		n_kept++;
	}
	free_lookups(n->lookups, n->n_lookups);
	n->lookups = take_ptr(w->items);
	n->n_lookups = n_kept;
}

static int follow_lookups(struct names *n)
{
	const struct conf *c = n->manager->conf;
	struct wanted w = { NULL, 0 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < c->n_groups; i++)
		r = want_group(n, &w, c, i);
	if (r < 0)
		free_lookups(w.items, w.n);
	else
		exchange(n, &w);
	return r;
}

static char *join_servers(const struct conf_global *g)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);

	if (!f)
		return NULL;
	for (size_t i = 0; i < g->n_dns_servers; i++)
		(void)fprintf(f, "%s%s", i ? "," : "", g->dns_servers[i]);
	if (fclose(f) != 0) {
		free(text);
		return NULL;
	}
	return text;
}

static int follow_resolver(struct names *n)
{
	const struct conf_global *g = &n->manager->conf->global;
	_cleanup_free_ char *servers = g->n_dns_servers ? join_servers(g) : NULL;
	const struct resolver_settings s = { g->health_user, servers, g->dns_timeout_usec };
	bool changed, watched = n->n_lookups && !g->n_dns_servers;
	int r;

	if (g->n_dns_servers && !servers)
		return -ENOMEM;
	if (watched && !n->resolv_conf) {
		r = file_watch_new(n->manager->event, RESOLV_CONF, on_resolv_conf, n,
				   &n->resolv_conf);
		if (r < 0)
			log_warning("%s cannot be watched: %s: its changes are taken up at a "
				    "restart",
				    RESOLV_CONF, strerror(-r));
	} else if (!watched && n->resolv_conf) {
		file_watch_free(n->resolv_conf);
		n->resolv_conf = NULL;
	}
	r = resolver_link_configure(n->link, &s, &changed);
	if (r < 0)
		return r;
	if (!n->n_lookups)
		resolver_link_stop(n->link);
	else if (changed)
		ask_all_again(n);
	return 0;
}

static int on_apply(sd_event_source *s, uint64_t usec, void *userdata)
{
	struct names *n = userdata;
	int r;

	(void)usec;
	if (n->manager->stopping)
		return 0;
	/* A targets-file may have brought names. */
	r = follow_lookups(n);
	if (r == 0)
		r = follow_resolver(n);
	if (r == 0)
		r = rebuild(n);
	if (r < 0) {
		log_err("cannot take up new targets: %s; trying again", strerror(-r));
		roster_deinit(&n->roster); /* what it borrows may be gone */
		start_timer(s, USEC_PER_SEC);
	}
	arm(n, 0);
	return 0;
}

static int on_save(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	names_save(userdata);
	return 0;
}

static int add_timer(sd_event *event, sd_event_source **s, sd_event_time_handler_t callback,
		     struct names *n)
{
	int r = sd_event_add_time_relative(event, s, CLOCK_MONOTONIC, 0, 1, callback, n);

	return r < 0 ? r : sd_event_source_set_enabled(*s, SD_EVENT_OFF);
}

int names_new(struct manager *m, struct names **ret)
{
	struct names *n = calloc(1, sizeof(*n));
	int r;

	if (!n)
		return -ENOMEM;
	n->manager = m;
	r = add_timer(m->event, &n->ask_timer, on_ask, n);
	if (r >= 0)
		r = add_timer(m->event, &n->apply_timer, on_apply, n);
	if (r >= 0)
		r = add_timer(m->event, &n->save_timer, on_save, n);
	if (r >= 0)
		r = resolver_link_new(
			m->event, &(struct resolver_handlers){ on_answer, on_lost, n }, &n->link);
	if (r >= 0)
		r = names_restore(n);
	if (r >= 0) /* a first roster may need what the state directory has of them */
		r = names_follow_files(n);
	if (r >= 0)
		r = names_follow_authorities(n);
	if (r < 0) {
		names_free(n);
		return r;
	}
	*ret = n;
	return 0;
}

int names_follow(struct names *n)
{
	struct roster roster;
	int r, err;

	/* It borrows from the lookups and files that go. */
	roster_deinit(&n->roster);
	r = names_follow_files(n);
	err = names_follow_authorities(n);
	r = r < 0 ? r : err;
	err = follow_lookups(n);
	r = r < 0 ? r : err;
	err = follow_resolver(n);
	r = r < 0 ? r : err;
	err = names_roster(n, n->manager->conf, &roster);
	if (err == 0)
		n->roster = roster;
	arm(n, 0);
	return r < 0 ? r : err;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/authorities.h"
#include "daemon/registry-via.h"
#include "daemon/roster.h"

void registry_deinit(struct registry *r)
{
	for (size_t i = 0; i < r->n; i++) {
		free(r->groups[i].targets);
		free(r->groups[i].timed);
		authorities_unref(r->groups[i].trusted);
	}
	free(r->groups);
	free(r->slots);
	*r = REGISTRY_INIT;
}

/* FNV-1a, 64 bits: spreads probes and tells specifications apart; nothing depends on its strength. */
static uint64_t hash_bytes(uint64_t h, const void *bytes, size_t len)
{
	const uint8_t *p = bytes;

	for (size_t i = 0; i < len; i++)
		h = (h ^ p[i]) * 0x100000001b3ULL;
	return h;
}

static const uint64_t hash_start = 0xcbf29ce484222325ULL;

/* A multiplication and a fold, so that the low bits of the result depend on all of the word. */
static uint64_t hash_word(uint64_t h, uint64_t word)
{
	h = (h ^ word) * 0x9e3779b97f4a7c15ULL;
	return h ^ h >> 32;
}

static uint64_t target_id(const struct target_group *g, const struct addr *addr, uint16_t port)
{
	uint64_t words[sizeof(addr->bytes) / sizeof(uint64_t)];

	memcpy(words, addr->bytes, sizeof(words));
	return hash_word(hash_word(hash_word(g->name_hash, words[0]), words[1]), port);
}

static enum target_use group_use(const struct target_group *g)
{
	if (!g->conf->in_use)
		return TARGET_USE_NONE;
	return g->conf->check.protocol == CONF_CHECK_NONE ? TARGET_USE_UNCHECKED
							  : TARGET_USE_CHECKED;
}

void target_init(struct target *t, const struct target_group *g, const struct addr *addr,
		 uint16_t port, usec_t now_wall_usec)
{
	*t = (struct target){
		.addr = *addr,
		.port = port,
		.id = target_id(g, addr, port),
		.configured_weight = CONF_TARGET_WEIGHT_DEFAULT,
		.file_weight = CONF_TARGET_WEIGHT_DEFAULT,
		.awaiting_first_result = true,
	};
	target_health_init(&t->health, group_use(g), now_wall_usec);
	t->logged_state = t->health.state;
}

static int target_cmp(const void *a, const void *b)
{
	const struct target *const *x = a, *const *y = b;
	int r = addr_cmp(&(*x)->addr, &(*y)->addr);

	return r ? r : (*x)->port - (*y)->port;
}

struct target *registry_find_target(const struct target_group *g, const struct addr *addr,
				    uint16_t port)
{
	for (size_t i = 0; i < g->n; i++)
		if (g->targets[i].port == port && addr_eq(&g->targets[i].addr, addr))
			return &g->targets[i];
	return NULL;
}

struct target_group *registry_find_group(const struct registry *r, const char *name)
{
	for (size_t i = 0; i < r->n; i++)
		if (strcmp(r->groups[i].name, name) == 0)
			return &r->groups[i];
	return NULL;
}

const struct target_group *registry_find_group_near(const struct registry *r, const char *name,
						    size_t position)
{
	if (position < r->n && strcmp(r->groups[position].name, name) == 0)
		return &r->groups[position];
	return registry_find_group(r, name);
}

/* The slot of this id, or the empty one where it belongs. */
static struct registry_slot *slot_of(const struct registry *r, uint64_t id)
{
	size_t i = id & (r->n_slots - 1);

	while (r->slots[i].group &&
	       r->groups[r->slots[i].group - 1].targets[r->slots[i].target - 1].id != id)
		i = (i + 1) & (r->n_slots - 1);
	return &r->slots[i];
}

/* Without memory there is no index: an old one would name targets that have moved. */
static int registry_index(struct registry *r)
{
	size_t n = 0, n_slots = 2;

	for (size_t i = 0; i < r->n; i++)
		n += r->groups[i].n;
	while (n_slots < 2 * n)
		n_slots *= 2;
	free(r->slots);
	r->n_targets = 0;
	r->slots = calloc(n_slots, sizeof(*r->slots));
	if (!r->slots)
		return -ENOMEM;
	r->n_targets = n;
	r->n_slots = n_slots;
	for (size_t i = 0; i < r->n; i++)
		for (size_t j = 0; j < r->groups[i].n; j++)
			*slot_of(r, r->groups[i].targets[j].id) =
				(struct registry_slot){ (uint32_t)i + 1, (uint32_t)j + 1 };
	return registry_mark_probes(r);
}

struct target *registry_find_id(const struct registry *r, uint64_t id,
				struct target_group **ret_group)
{
	const struct registry_slot *slot = r->slots ? slot_of(r, id) : NULL;

	if (!slot || !slot->group)
		return NULL;
	*ret_group = &r->groups[slot->group - 1];
	return &(*ret_group)->targets[slot->target - 1];
}

/*
 * The targets of an old group: most stand where they stood, the others are found in a list sorted by key, since merging
 * ten thousand targets must not be quadratic.
 */
struct old_index {
	const struct target **sorted; /* owned */
	size_t *placed; /* owned; by position in the old group: 1 + the position in the new one, 0 = leftover */
	size_t n_placed;
	const struct target_group *group;
	bool port_known;
	uint16_t port; /* of targets without one; 0 = there is not one */
};

static void old_index_deinit(struct old_index *x)
{
	free(x->sorted);
	free(x->placed);
}

static int old_index_init(struct old_index *x, const struct target_group *old)
{
	*x = (struct old_index){ .group = old };
	if (!old || !old->n)
		return 0;
	x->placed = calloc(old->n, sizeof(*x->placed));
	return x->placed ? 0 : -ENOMEM;
}

static int old_index_sort(struct old_index *x)
{
	x->sorted = calloc(x->group->n, sizeof(*x->sorted));
	if (!x->sorted)
		return -ENOMEM;
	for (size_t i = 0; i < x->group->n; i++)
		x->sorted[i] = &x->group->targets[i];
	qsort(x->sorted, x->group->n, sizeof(*x->sorted), target_cmp);
	return 0;
}

/* 0 and NULL when the old group lacks it. */
static int old_index_take(struct old_index *x, const struct target *like, size_t position,
			  const struct target **ret)
{
	const struct target *hint, **found;

	*ret = NULL;
	if (!x->placed)
		return 0;
	hint = position < x->group->n ? &x->group->targets[position] : NULL;
	if (!hint || target_cmp(&hint, &like) != 0) {
		if (!x->sorted && old_index_sort(x) < 0)
			return -ENOMEM;
		found = bsearch(&like, x->sorted, x->group->n, sizeof(*x->sorted), target_cmp);
		if (!found)
			return 0;
		hint = *found;
	}
	x->n_placed += x->placed[hint - x->group->targets] == 0;
	x->placed[hint - x->group->targets] = position + 1;
	*ret = hint;
	return 0;
}

/*
 * Also by the other way to write it: without a port it has the listeners', where they have one. What an old one without a
 * port meant, its own listener tells.
 */
static int old_index_take_either(struct old_index *x, const struct conf *conf,
				 const struct target_group *g, size_t position,
				 const struct target **ret)
{
	const struct target *t = &g->targets[position];
	struct target other;
	int r = old_index_take(x, t, position, ret);

	if (r < 0 || *ret || !x->placed)
		return r;
	if (!x->port_known)
		x->port = conf_group_listener_port(conf, (size_t)(g->conf - conf->groups));
	x->port_known = true;
	if (!x->port || (t->port && t->port != x->port) ||
	    (t->port && x->group->listener_port != x->port))
		return 0;
	other = *t;
	other.port = t->port ? 0 : x->port;
	return old_index_take(x, &other, position, ret);
}

/* A target that the configuration names, with what was known of it. */
static void merge_configured(struct target *t, const struct target *old, usec_t now_wall_usec)
{
	if (old->origin == TARGET_FROM_CONFIG && old->file_weight == t->file_weight)
		t->configured_weight = old->configured_weight;
	t->awaiting_first_result = old->awaiting_first_result;
	t->health = old->health;
	t->weight = old->weight;
	t->up = old->up;
	t->founder = old->founder;
	t->slow_start_usec = old->slow_start_usec;
	t->logged_slow_start = old->logged_slow_start;
	t->logged_ends = old->logged_ends;
	t->anomaly = old->anomaly;
	t->advice = old->advice;
	t->logged_state = old->logged_state;
	t->logged_weight = old->logged_weight;
	t->announced = old->announced;
	t->drained = old->drained;
	/* A runtime registration that is now in the file becomes the file's; so does one that was leaving. */
	t->deregistered = old->deregistered && old->origin == TARGET_FROM_CONFIG;
	if (!t->deregistered)
		(void)target_health_undrain(&t->health, now_wall_usec);
}

/* Does an old target that the configuration lacks stay, and how? */
static bool keep_leftover(struct target *t, const struct target_group *g, usec_t now_wall_usec)
{
	if (target_is_out(t))
		return false;
	if (t->health.state == TARGET_DRAINING)
		return true;
	if (t->origin == TARGET_FROM_REGISTER)
		return true;
	if (t->health.state == TARGET_UNUSED)
		return false;
	(void)target_health_drain(&t->health, g->conf->deregistration_delay_usec, now_wall_usec);
	return true;
}

struct leftover {
	struct target target;
	size_t behind; /* how many of the configuration's targets stand before it */
	size_t order;
};

static int leftover_cmp(const void *a, const void *b)
{
	const struct leftover *x = a, *y = b;

	if (x->behind != y->behind)
		return x->behind < y->behind ? -1 : 1;
	return (x->order > y->order) - (x->order < y->order);
}

/*
 * Leftovers keep their place behind the target that stood before them: mh and sh services would otherwise have to
 * take a draining destination out and in again to move it. Registrations stand at the end. g->targets has room.
 */
static int insert_leftovers(struct target_group *g, const struct old_index *old,
			    usec_t now_wall_usec)
{
	size_t n_old = old->group ? old->group->n : 0, n = 0, behind = 0, from = g->n, to;
	_cleanup_free_ struct leftover *left = NULL;

	if (old->n_placed == n_old)
		return 0;
	left = calloc(n_old - old->n_placed, sizeof(*left));
	if (!left)
		return -ENOMEM;
	for (size_t i = 0; i < n_old; i++) {
		struct target t;

		if (old->placed[i]) {
			behind = old->placed[i];
			continue;
		}
		t = old->group->targets[i];
		if (keep_leftover(&t, g, now_wall_usec))
			left[n++] =
				(struct leftover){ t, target_is_registered(&t) ? g->n : behind, i };
	}
	qsort(left, n, sizeof(*left), leftover_cmp);
	g->n += n;
	to = g->n;
	while (n > 0) {
		while (from > left[n - 1].behind)
			g->targets[--to] = g->targets[--from];
		g->targets[--to] = left[--n].target;
	}
	return 0;
}

static bool has_registered(const struct target_group *g)
{
	for (size_t i = 0; i < g->n; i++)
		if (target_is_registered(&g->targets[i]))
			return true;
	return false;
}

/*
 * Also while it drains: it may come back. A group that comes into use, or gets a check, has no healthy target and no
 * results: the first ones are its founders, and get traffic as at a start.
 */
static void follow_use(struct target *t, const struct target_group *g, usec_t now_wall_usec)
{
	enum target_state before = target_health_verdict(&t->health);

	if (target_is_out(t))
		return;
	(void)target_health_set_use(&t->health, group_use(g), now_wall_usec);
	if (target_health_verdict(&t->health) == before)
		return;
	t->awaiting_first_result = true;
	t->founder = target_health_verdict(&t->health) == TARGET_INITIAL;
}

/* A shorter interval, or none any more, is for those that wait already, too. */
static void follow_interval(struct target *t, const struct target_group *g, usec_t now_wall_usec)
{
	usec_t most = now_wall_usec + registry_thresholds(g).unhealthy_draining_usec;

	if (target_health_verdict(&t->health) == TARGET_UNHEALTHY_DRAINING)
		t->health.unhealthy_deadline_usec = MIN(t->health.unhealthy_deadline_usec, most);
}

static int build_group(const struct conf *conf, struct target_group *g,
		       const struct conf_target *targets, size_t n_targets,
		       const struct target_group *old_group, usec_t now_wall_usec)
{
	_cleanup_(old_index_deinit) struct old_index old = { 0 };
	size_t n_old = old_group ? old_group->n : 0;
	/* The state file leaves out what never had a result: in a cold group these are its founders. */
	bool founding = !old_group || !has_registered(old_group) || old_group->cold;
	int r;

	r = old_index_init(&old, old_group);
	if (r < 0)
		return r;
	g->targets = reallocarray(NULL, n_targets + n_old + 1, sizeof(*g->targets));
	if (!g->targets)
		return -ENOMEM;
	for (size_t i = 0; i < n_targets; i++) {
		const struct conf_target *ct = &targets[i];
		struct target *t = &g->targets[g->n];
		const struct target *known;

		if (ct->host) /* without a roster nobody knows its addresses */
			continue;
		g->n++;
		target_init(t, g, &ct->addr, ct->port ? ct->port : g->conf->port, now_wall_usec);
		t->configured_weight = t->file_weight = ct->weight;
		t->founder = founding;
		memcpy(t->zone, ct->zone, sizeof(t->zone));
		r = old_index_take_either(&old, conf, g, g->n - 1, &known);
		if (r < 0)
			return r;
		if (known)
			merge_configured(t, known, now_wall_usec);
	}
	r = insert_leftovers(g, &old, now_wall_usec);
	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (!t->id) /* from the state file */
			t->id = target_id(g, &t->addr, t->port);
		follow_use(t, g, now_wall_usec);
		follow_interval(t, g, now_wall_usec);
		if (!registry_takes_advice(g))
			t->advice = (struct target_advice){ 0 };
	}
	return 0;
}

static void set_listener_ports(struct registry *r, const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_listeners; i++) {
		const struct conf_listener *l = &conf->listeners[i];

		for (size_t j = 0; j < l->n_forwards; j++) {
			struct target_group *g = &r->groups[l->forwards[j].group];

			if (!g->listener_port)
				g->listener_port = l->ports.low;
			registry_note_via(g, l);
		}
	}
}

int registry_build(const struct conf *conf, const struct registry *old, usec_t now_wall_usec,
		   struct registry *ret)
{
	return registry_build_from(conf, NULL, old, now_wall_usec, ret);
}

int registry_build_from(const struct conf *conf, const struct roster *roster,
			const struct registry *old, usec_t now_wall_usec, struct registry *ret)
{
	_cleanup_(registry_deinit) struct registry built = REGISTRY_INIT;
	int r;

	built.groups = calloc(conf->n_groups + 1, sizeof(*built.groups));
	if (!built.groups)
		return -ENOMEM;
	for (size_t i = 0; i < conf->n_groups; i++) {
		struct target_group *g = &built.groups[built.n++];
		const struct target_group *known =
			registry_find_group_near(old, conf->groups[i].name, i);
		struct authorities *trusted;

		memcpy(g->name, conf->groups[i].name, sizeof(g->name));
		g->name_hash = hash_bytes(hash_start, g->name, strlen(g->name) + 1);
		g->conf = &conf->groups[i];
		g->settings = registry_settings(conf, g->conf);
		g->own_zone = conf->global.zone;
		g->dirty = true;
		g->anomaly_due_usec = known ? known->anomaly_due_usec : 0;
		g->logged_fail_open = known && known->logged_fail_open;
		g->cold = !known || !known->n || known->cold;
		trusted = roster ? roster->groups[i].authorities : g->conf->check.authorities;
		g->trusted = trusted ? authorities_ref(trusted) : NULL;
		r = build_group(conf, g, roster ? roster->groups[i].targets : g->conf->targets,
				roster ? roster->groups[i].n : g->conf->n_targets, known,
				now_wall_usec);
		if (r < 0)
			return r;
	}
	set_listener_ports(&built, conf);
	registry_number_authorities(&built, old);
	r = registry_index(&built);
	if (r < 0)
		return r;
	r = registry_compute_weights(&built, now_wall_usec);
	if (r < 0)
		return r;
	*ret = built;
	built = REGISTRY_INIT;
	return 0;
}

int registry_append(struct registry *r, struct target_group *g, const struct target *t)
{
	struct target *grown = reallocarray(g->targets, g->n + 1, sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	g->targets = grown;
	g->targets[g->n] = *t;
	g->targets[g->n].founder = !has_registered(g);
	g->n++;
	g->dirty = true;
	return registry_index(r);
}

bool registry_readmit(struct target_group *g, struct target *t, usec_t now_wall_usec)
{
	if (target_is_registered(t))
		return false;
	if (!target_health_undrain(&t->health, now_wall_usec)) {
		t->founder = !has_registered(g);
		t->awaiting_first_result = true;
		t->anomaly = (struct anomaly){ 0 };
		t->advice = (struct target_advice){ 0 };
		target_health_init(&t->health, group_use(g), now_wall_usec);
	}
	t->deregistered = false;
	registry_touch(g);
	return true;
}

bool registry_dismiss(struct target_group *g, struct target *t, usec_t now_wall_usec)
{
	if (!target_is_registered(t))
		return false;
	t->deregistered = t->origin == TARGET_FROM_CONFIG;
	(void)target_health_drain(&t->health, g->conf->deregistration_delay_usec, now_wall_usec);
	registry_touch(g);
	return true;
}

int registry_finish_drains(struct registry *r, registry_connections_fn connections, void *userdata,
			   usec_t now_wall_usec)
{
	int n_ended = 0;

	for (size_t i = 0; i < r->n; i++) {
		struct target_group *g = &r->groups[i];

		for (size_t j = g->n; j-- > 0;) {
			struct target *t = &g->targets[j];

			if (t->health.state != TARGET_DRAINING ||
			    !target_health_drain_over(&t->health, connections(g, t, userdata),
						      now_wall_usec))
				continue;
			n_ended++;
			g->dirty = true;
			if (t->deregistered && t->origin == TARGET_FROM_CONFIG) {
				target_health_init(&t->health, TARGET_USE_NONE, now_wall_usec);
				t->health.reason = TARGET_REASON_NOT_REGISTERED;
				continue;
			}
			memmove(t, t + 1, (g->n - j - 1) * sizeof(*t));
			g->n--;
		}
	}
	if (n_ended && registry_index(r) < 0)
		return -ENOMEM;
	return n_ended;
}

static void shift(usec_t *at_usec, int64_t by_usec)
{
	if (*at_usec && *at_usec != USEC_NEVER)
		*at_usec += (usec_t)by_usec;
}

void registry_shift_times(struct registry *r, int64_t by_usec)
{
	for (size_t i = 0; i < r->n; i++) {
		struct target_group *g = &r->groups[i];

		shift(&g->next_usec, by_usec);
		shift(&g->anomaly_due_usec, by_usec);
		for (size_t j = 0; j < g->n; j++) {
			struct target *t = &g->targets[j];

			if (t->health.state == TARGET_DRAINING)
				shift(&t->health.drain_deadline_usec, by_usec);
			shift(&t->health.unhealthy_deadline_usec, by_usec);
			shift(&t->slow_start_usec, by_usec);
		}
	}
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-group.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"
#include "daemon/state.h"
#include "daemon/state-target.h"

DEFINE_CLEANUP(json_t *, json_decref)

/* A start makes a target like this from the configuration alone. One without checks gets traffic and never a result. */
static bool is_as_configured(const struct target *t)
{
	return t->origin == TARGET_FROM_CONFIG && !t->deregistered && !t->drained &&
	       t->configured_weight == t->file_weight && t->awaiting_first_result &&
	       !t->health.checked_usec && t->health.state != TARGET_DRAINING &&
	       t->health.state != TARGET_UNAVAILABLE;
}

/* Those in front of one that leaves are kept, since it keeps its place behind them (registry_build()). */
static bool is_kept(const struct target_group *g, size_t position, size_t n_in_front)
{
	return position < n_in_front || !is_as_configured(&g->targets[position]);
}

static size_t count_in_front(const struct target_group *g)
{
	size_t n = g->n;

	while (n > 0 && g->targets[n - 1].health.state != TARGET_DRAINING)
		n--;
	return n;
}

uint64_t state_group_mark(const struct target_group *g, struct state_group_mark *ret)
{
	uint64_t h = state_hash_add(STATE_VERSION, g->cold);
	size_t n_in_front = count_in_front(g), n = 0;

	for (size_t i = 0; i < g->n; i++) {
		const struct target *t = &g->targets[i];
		struct state_group_mark mark = { .who = state_target_hash_key(t) };

		if (is_kept(g, i, n_in_front)) {
			mark.what = state_target_hash(t);
			h = state_hash_add(h, mark.what);
			n++;
		}
		if (ret)
			ret[i] = mark;
	}
	if (!n)
		return 0;
	return h ? h : 1;
}

uint64_t state_group_hash(const struct target_group *g)
{
	return state_group_mark(g, NULL);
}

static int begin_format(struct json_text *j, const struct target_group *g, usec_t now_wall_usec)
{
	int r = state_begin_document(j, now_wall_usec);

	if (r < 0)
		return r;
	json_text_raw(j, ",\"group\":");
	json_text_string(j, g->name);
	json_text_raw(j,
		      g->cold ? ",\"cold\":true,\"targets\":[" : ",\"cold\":false,\"targets\":[");
	return 0;
}

int state_group_format(const struct target_group *g, usec_t now_wall_usec, char **ret_text,
		       size_t *ret_len_bytes)
{
	size_t n_in_front = count_in_front(g), n = 0;
	struct json_text j;
	int r = begin_format(&j, g, now_wall_usec);

	if (r < 0)
		return r;
	for (size_t i = 0; i < g->n; i++) {
		if (!is_kept(g, i, n_in_front))
			continue;
		json_text_raw(&j, n ? ",\n" : "\n");
		state_target_format(&j, &g->targets[i], i, n++);
	}
	json_text_raw(&j, "\n]}\n");
	return json_text_finish(&j, ret_text, ret_len_bytes);
}

int state_group_format_some(const struct target_group *g, const uint32_t *positions, size_t n,
			    usec_t now_wall_usec, char **ret_text, size_t *ret_len_bytes)
{
	struct json_text j;
	int r = begin_format(&j, g, now_wall_usec);

	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		if (i)
			json_text_raw(&j, ",");
		state_target_format(&j, &g->targets[positions[i]], positions[i], i);
	}
	json_text_raw(&j, "]}");
	return json_text_finish(&j, ret_text, ret_len_bytes);
}

void state_group_deinit(struct state_group *s)
{
	free(s->group.targets);
	free(s->at);
	*s = STATE_GROUP_INIT;
}

/* Room for n more. */
static int reserve(struct state_group *s, size_t n)
{
	struct target *targets =
		reallocarray(s->group.targets, s->group.n + n + 1, sizeof(*targets));
	uint32_t *at;

	if (!targets)
		return -ENOMEM;
	s->group.targets = targets;
	at = reallocarray(s->at, s->group.n + n + 1, sizeof(*at));
	if (!at)
		return -ENOMEM;
	s->at = at;
	return 0;
}

static int parse_targets(struct state_group *s, const json_t *targets)
{
	int r = reserve(s, json_array_size(targets));

	if (r < 0)
		return r;
	for (size_t i = 0; i < json_array_size(targets); i++) {
		if (state_target_parse(json_array_get(targets, i), i, &s->group.targets[s->group.n],
				       &s->at[s->group.n]) < 0)
			s->n_skipped++;
		else
			s->group.n++;
	}
	return 0;
}

int state_group_add(struct state_group *s, const char *text, size_t len_bytes)
{
	_cleanup_(json_decref_p) json_t *root = NULL;
	const json_t *targets;
	usec_t saved_usec;
	const char *name;
	int r, cold;

	r = state_parse_document(text, len_bytes, &root, &saved_usec);
	if (r < 0)
		return r;
	if (json_unpack(root, "{s:s,s:b,s:o}", "group", &name, "cold", &cold, "targets", &targets) <
		    0 ||
	    !state_group_name_is_valid(name) || !json_is_array(targets) ||
	    (*s->group.name && strcmp(s->group.name, name) != 0))
		return -EBADMSG;
	r = parse_targets(s, targets);
	if (r < 0)
		return r;
	memcpy(s->group.name, name, strlen(name));
	s->group.cold = cold;
	s->saved_usec = saved_usec;
	return 0;
}

struct place {
	uint32_t at, index;
};

static int place_cmp(const void *a, const void *b)
{
	const struct place *x = a, *y = b;

	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	return (x->index > y->index) - (x->index < y->index);
}

/* Moves them to where the sorted places say, the last one of each position. */
static int rearrange(struct state_group *s, const struct place *places, size_t n)
{
	struct state_group sorted = STATE_GROUP_INIT;

	if (reserve(&sorted, n) < 0) {
		state_group_deinit(&sorted);
		return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		if (i + 1 < n && places[i + 1].at == places[i].at)
			continue;
		sorted.at[sorted.group.n] = places[i].at;
		sorted.group.targets[sorted.group.n++] = s->group.targets[places[i].index];
	}
	free(s->group.targets);
	free(s->at);
	s->group.targets = sorted.group.targets;
	s->group.n = sorted.group.n;
	s->at = sorted.at;
	return 0;
}

int state_group_settle(struct state_group *s)
{
	_cleanup_free_ struct place *places = NULL;
	size_t n = 1;

	while (n < s->group.n && s->at[n - 1] < s->at[n])
		n++;
	if (n >= s->group.n)
		return 0;
	places = calloc(s->group.n, sizeof(*places));
	if (!places)
		return -ENOMEM;
	for (size_t i = 0; i < s->group.n; i++)
		places[i] = (struct place){ s->at[i], (uint32_t)i };
	qsort(places, s->group.n, sizeof(*places), place_cmp);
	return rearrange(s, places, s->group.n);
}

void state_group_forget_verdicts(struct target_group *g, usec_t now_wall_usec)
{
	g->cold = true;
	for (size_t i = 0; i < g->n; i++) {
		struct target *t = &g->targets[i];

		if (t->health.state == TARGET_DRAINING || t->health.state == TARGET_UNUSED)
			continue;
		target_health_init(&t->health, TARGET_USE_CHECKED, now_wall_usec);
		t->awaiting_first_result = true;
		t->founder = true; /* as at a first start: nobody ramps */
		t->up = false;
		t->slow_start_usec = 0;
	}
}

void state_group_forget_counters(struct target_group *g)
{
	for (size_t i = 0; i < g->n; i++) {
		struct target_health *h = &g->targets[i].health;
		enum target_state verdict = h->state == TARGET_DRAINING ? h->resume_state
									: h->state;

		if (verdict == TARGET_UNHEALTHY || verdict == TARGET_UNHEALTHY_DRAINING)
			h->successes = 0;
		else
			h->failures = 0;
	}
}

bool state_group_name_is_valid(const char *name)
{
	size_t n = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-");

	return n > 0 && n <= CONF_NAME_MAX && !name[n];
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-group.h"

#include <assert.h>
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"
#include "daemon/state.h"

DEFINE_CLEANUP(json_t *, json_decref)

enum kind {
	KIND_BOOL,
	KIND_U8,
	KIND_U32,
	KIND_I32,
	KIND_USEC,
	KIND_ORIGIN,
	KIND_STATE,
	KIND_REASON,
	KIND_ZONE,
};

/* Target members: one table for writing, reading and telling whether anything changed. */
struct member {
	const char *name;
	size_t offset;
	enum kind kind;
	int64_t usual; /* the value of an absent member, part of the format; -1 = always written */
	int64_t max;
	bool with_every_probe; /* not in the hash */
};

#define AT(member) offsetof(struct target, member)

static const struct member members[] = {
	{ "state", AT(health.state), KIND_STATE, -1, 0, false },
	{ "reason", AT(health.reason), KIND_REASON, TARGET_REASON_NONE, 0, false },
	{ "since", AT(health.since_usec), KIND_USEC, 0, INT64_MAX, false },
	{ "weight", AT(weight.weight), KIND_U32, 100, INT32_MAX, false },
	{ "origin", AT(origin), KIND_ORIGIN, TARGET_FROM_CONFIG, 0, false },
	{ "configured_weight", AT(configured_weight), KIND_U32, 100, CONF_TARGET_WEIGHT_MAX,
	  false },
	{ "file_weight", AT(file_weight), KIND_U32, 100, CONF_TARGET_WEIGHT_MAX, false },
	{ "zone", AT(zone), KIND_ZONE, 0, 0, false },
	{ "deregistered", AT(deregistered), KIND_BOOL, false, 0, false },
	{ "drained", AT(drained), KIND_BOOL, false, 0, false },
	{ "founder", AT(founder), KIND_BOOL, false, 0, false },
	{ "slow_start", AT(slow_start_usec), KIND_USEC, 0, INT64_MAX, false },
	{ "anomaly_steps", AT(anomaly.steps), KIND_U8, 0, ANOMALY_STEPS_MAX, false },
	{ "agent_out", AT(advice.out), KIND_BOOL, false, 0, false },
	{ "agent_weight", AT(advice.has_percent), KIND_BOOL, false, 0, false },
	{ "agent_percent", AT(advice.percent), KIND_U32, 0, PROBE_WEIGHT_PERCENT_MAX, false },
	{ "awaiting_first_result", AT(awaiting_first_result), KIND_BOOL, false, 0, false },
	{ "unhealthy_deadline", AT(health.unhealthy_deadline_usec), KIND_USEC, 0, INT64_MAX,
	  false },
	{ "drain_deadline", AT(health.drain_deadline_usec), KIND_USEC, 0, INT64_MAX, false },
	{ "resume_state", AT(health.resume_state), KIND_STATE, TARGET_INITIAL, 0, false },
	{ "resume_reason", AT(health.resume_reason), KIND_REASON, TARGET_REASON_NONE, 0, false },
	{ "reason_detail", AT(health.reason_detail), KIND_I32, 0, INT32_MAX, false },
	{ "successes", AT(health.successes), KIND_U32, 0, UINT32_MAX, true },
	{ "failures", AT(health.failures), KIND_U32, 0, UINT32_MAX, true },
	{ "checked", AT(health.checked_usec), KIND_USEC, 0, INT64_MAX, true },
	{ "outcome", AT(health.outcome), KIND_U32, PROBE_OK, _PROBE_OUTCOME_MAX - 1, true },
	{ "detail", AT(health.detail), KIND_I32, 0, INT32_MAX, true },
	{ "duration", AT(health.duration_usec), KIND_U32, 0, UINT32_MAX, true },
};

static_assert(sizeof(enum target_state) == 4 && sizeof(enum target_reason) == 4 &&
		      sizeof(enum target_origin) == 4 && sizeof(enum probe_outcome) == 4,
	      "member_get() and member_set() copy 32 bits");

static int64_t member_get(const struct member *m, const struct target *t)
{
	const char *at = (const char *)t + m->offset;
	usec_t usec;
	uint32_t u;
	int32_t i;

	switch (m->kind) {
	case KIND_BOOL:
		return *(const bool *)at;
	case KIND_U8:
		return *(const uint8_t *)at;
	case KIND_USEC:
		memcpy(&usec, at, sizeof(usec));
		return usec > INT64_MAX ? INT64_MAX : (int64_t)usec;
	case KIND_I32:
		memcpy(&i, at, sizeof(i));
		return i;
	case KIND_ZONE:
		return *at != '\0';
	default:
		memcpy(&u, at, sizeof(u));
		return u;
	}
}

static void member_set(const struct member *m, struct target *t, int64_t value)
{
	char *at = (char *)t + m->offset;
	usec_t usec = (usec_t)value;
	uint32_t u = (uint32_t)value;

	switch (m->kind) {
	case KIND_BOOL:
		*(bool *)at = value != 0;
		break;
	case KIND_U8:
		*(uint8_t *)at = (uint8_t)value;
		break;
	case KIND_USEC:
		memcpy(at, &usec, sizeof(usec));
		break;
	case KIND_ZONE:
		break;
	default:
		memcpy(at, &u, sizeof(u));
	}
}

/* A start makes a target like this from the configuration alone. One without checks gets traffic and never a result. */
static bool is_as_configured(const struct target *t)
{
	return t->origin == TARGET_FROM_CONFIG && !t->deregistered && !t->drained &&
	       t->configured_weight == t->file_weight && t->awaiting_first_result &&
	       !t->health.checked_usec && t->health.state != TARGET_DRAINING &&
	       t->health.state != TARGET_UNAVAILABLE;
}

/*
 * The targets of `g` from *pos on that are kept; NULL at the end. Those in front of one that leaves are, since it keeps
 * its place behind them (registry_build()).
 */
static const struct target *next_kept(const struct target_group *g, size_t n_in_front, size_t *pos)
{
	while (*pos < g->n) {
		const struct target *t = &g->targets[(*pos)++];

		if (*pos <= n_in_front || !is_as_configured(t))
			return t;
	}
	return NULL;
}

static size_t count_in_front(const struct target_group *g)
{
	size_t n = g->n;

	while (n > 0 && g->targets[n - 1].health.state != TARGET_DRAINING)
		n--;
	return n;
}

/* A ramp changes it with every tick, and a restart computes it from the time. */
static bool is_weight(const struct member *m)
{
	return m->offset == AT(weight.weight);
}

static uint64_t hash_target(uint64_t h, const struct target *t)
{
	h = state_hash_bytes(h, &t->addr, sizeof(t->addr));
	h = state_hash_add(h, t->port);
	h = state_hash_bytes(h, t->zone, sizeof(t->zone));
	h = state_hash_add(h, t->health.checked_usec != 0);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!members[i].with_every_probe && !(t->slow_start_usec && is_weight(&members[i])))
			h = state_hash_add(h, (uint64_t)member_get(&members[i], t));
	return h;
}

uint64_t state_group_hash(const struct target_group *g)
{
	size_t n_in_front = count_in_front(g), pos = 0, n = 0;
	uint64_t h = state_hash_add(STATE_VERSION, g->cold);
	const struct target *t;

	while ((t = next_kept(g, n_in_front, &pos))) {
		h = hash_target(h, t);
		n++;
	}
	if (!n)
		return 0;
	return h ? h : 1;
}

static void format_member(struct json_text *j, const struct member *m, const struct target *t)
{
	int64_t value = member_get(m, t);

	if (value == m->usual)
		return;
	json_text_raw(j, ",\"");
	json_text_raw(j, m->name);
	json_text_raw(j, "\":");
	switch (m->kind) {
	case KIND_BOOL:
		json_text_raw(j, value ? "true" : "false");
		break;
	case KIND_ORIGIN:
		json_text_string(j, value == TARGET_FROM_REGISTER ? "register" : "config");
		break;
	case KIND_STATE:
		json_text_string(j, target_state_to_string((enum target_state)value));
		break;
	case KIND_REASON:
		json_text_string(j, target_reason_to_string((enum target_reason)value));
		break;
	case KIND_ZONE:
		json_text_string(j, t->zone);
		break;
	default:
		json_text_int(j, value);
	}
}

int state_group_format(const struct target_group *g, usec_t now_wall_usec, char **ret_text,
		       size_t *ret_len_bytes)
{
	size_t n_in_front = count_in_front(g), pos = 0;
	char name[ADDR_PORT_STR_MAX];
	const char *between = "\n";
	const struct target *t;
	struct json_text j;
	int r;

	r = state_begin_document(&j, now_wall_usec);
	if (r < 0)
		return r;
	json_text_raw(&j, ",\"group\":");
	json_text_string(&j, g->name);
	json_text_raw(&j,
		      g->cold ? ",\"cold\":true,\"targets\":[" : ",\"cold\":false,\"targets\":[");
	while ((t = next_kept(g, n_in_front, &pos))) {
		json_text_raw(&j, between);
		json_text_raw(&j, "{\"target\":");
		json_text_string(&j, addr_port_format(&t->addr, t->port, name));
		for (size_t i = 0; i < ARRAY_SIZE(members); i++)
			format_member(&j, &members[i], t);
		json_text_raw(&j, "}");
		between = ",\n";
	}
	json_text_raw(&j, "\n]}\n");
	return json_text_finish(&j, ret_text, ret_len_bytes);
}

static int parse_bool(const json_t *j, int64_t *ret)
{
	if (!json_is_boolean(j))
		return -EBADMSG;
	*ret = json_is_true(j);
	return 0;
}

static int parse_int(const struct member *m, const json_t *j, int64_t *ret)
{
	int64_t min = m->kind == KIND_I32 ? INT32_MIN : 0;

	if (!json_is_integer(j) || json_integer_value(j) < min || json_integer_value(j) > m->max)
		return -EBADMSG;
	*ret = json_integer_value(j);
	return 0;
}

static int parse_text(const struct member *m, const char *text, struct target *t, int64_t *ret)
{
	enum target_reason reason;
	enum target_state state;

	if (!text)
		return -EBADMSG;
	switch (m->kind) {
	case KIND_STATE:
		if (target_state_from_string(text, &state) < 0)
			return -EBADMSG;
		*ret = state;
		return 0;
	case KIND_REASON:
		if (target_reason_from_string(text, &reason) < 0)
			return -EBADMSG;
		*ret = reason;
		return 0;
	case KIND_ORIGIN:
		*ret = strcmp(text, "register") == 0 ? TARGET_FROM_REGISTER : TARGET_FROM_CONFIG;
		return *ret || strcmp(text, "config") == 0 ? 0 : -EBADMSG;
	default:
		if (strlen(text) >= sizeof(t->zone))
			return -EBADMSG;
		memcpy(t->zone, text, strlen(text));
		return 0;
	}
}

static int parse_member(const struct member *m, const json_t *entry, struct target *t)
{
	const json_t *j = json_object_get(entry, m->name);
	int64_t value = m->usual;
	int r = 0;

	if (!j)
		r = m->usual < 0 ? -EBADMSG : 0;
	else if (m->kind == KIND_BOOL)
		r = parse_bool(j, &value);
	else if (m->kind <= KIND_USEC)
		r = parse_int(m, j, &value);
	else
		r = parse_text(m, json_string_value(j), t, &value);
	if (r == 0)
		member_set(m, t, value);
	return r;
}

static int parse_target(const json_t *entry, struct target *ret)
{
	const char *name = json_string_value(json_object_get(entry, "target"));
	struct target t = { 0 };

	if (!name || addr_port_parse(name, &t.addr, &t.port) < 0 || !addr_is_host(&t.addr))
		return -EBADMSG;
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (parse_member(&members[i], entry, &t) < 0)
			return -EBADMSG;
	t.logged_weight = t.weight.weight;
	t.logged_state = t.health.state;
	t.logged_slow_start = t.slow_start_usec != 0;
	/* It was up with the same verdict when it was saved: a restart begins no slow start. */
	t.up = t.health.state == TARGET_HEALTHY && !t.deregistered && !t.drained && !t.advice.out;
	*ret = t;
	return 0;
}

void state_group_deinit(struct state_group *s)
{
	free(s->group.targets);
	*s = STATE_GROUP_INIT;
}

static int parse_targets(struct state_group *s, const json_t *targets)
{
	s->group.targets = calloc(json_array_size(targets) + 1, sizeof(*s->group.targets));
	if (!s->group.targets)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(targets); i++) {
		if (parse_target(json_array_get(targets, i), &s->group.targets[s->group.n]) < 0)
			s->n_skipped++;
		else
			s->group.n++;
	}
	return 0;
}

int state_group_parse(const char *text, size_t len_bytes, struct state_group *ret)
{
	_cleanup_(state_group_deinit) struct state_group s = STATE_GROUP_INIT;
	_cleanup_(json_decref_p) json_t *root = NULL;
	const json_t *targets;
	const char *name;
	int r, cold;

	r = state_parse_document(text, len_bytes, &root, &s.saved_usec);
	if (r < 0)
		return r;
	if (json_unpack(root, "{s:s,s:b,s:o}", "group", &name, "cold", &cold, "targets", &targets) <
		    0 ||
	    !state_group_name_is_valid(name) || !json_is_array(targets))
		return -EBADMSG;
	memcpy(s.group.name, name, strlen(name));
	s.group.cold = cold;
	r = parse_targets(&s, targets);
	if (r < 0)
		return r;
	*ret = s;
	s = STATE_GROUP_INIT;
	return 0;
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

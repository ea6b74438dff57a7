/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-target.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"
#include "daemon/registry.h"
#include "daemon/state.h"

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

/* A ramp changes it with every tick, and a restart computes it from the time. */
static bool is_weight(const struct member *m)
{
	return m->offset == AT(weight.weight);
}

uint64_t state_target_hash_key(const struct target *t)
{
	return state_hash_add(state_hash_bytes(STATE_VERSION, &t->addr, sizeof(t->addr)), t->port);
}

uint64_t state_target_hash(const struct target *t)
{
	uint64_t h = state_target_hash_key(t);

	h = state_hash_bytes(h, t->zone, sizeof(t->zone));
	h = state_hash_add(h, t->health.checked_usec != 0);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (!members[i].with_every_probe && !(t->slow_start_usec && is_weight(&members[i])))
			h = state_hash_add(h, (uint64_t)member_get(&members[i], t));
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

void state_target_format(struct json_text *j, const struct target *t, size_t position, size_t index)
{
	char name[ADDR_PORT_STR_MAX];

	json_text_raw(j, "{\"target\":");
	json_text_string(j, addr_port_format(&t->addr, t->port, name));
	if (position != index) {
		json_text_raw(j, ",\"at\":");
		json_text_int(j, (int64_t)position);
	}
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		format_member(j, &members[i], t);
	json_text_raw(j, "}");
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

static int parse_position(const json_t *entry, size_t index, uint32_t *ret)
{
	const json_t *j = json_object_get(entry, "at");
	json_int_t value = j ? json_integer_value(j) : (json_int_t)index;

	if ((j && !json_is_integer(j)) || value < 0 || value > UINT32_MAX)
		return -EBADMSG;
	*ret = (uint32_t)value;
	return 0;
}

int state_target_parse(const json_t *entry, size_t index, struct target *ret,
		       uint32_t *ret_position)
{
	const char *name = json_string_value(json_object_get(entry, "target"));
	struct target t = { 0 };

	if (!name || parse_position(entry, index, ret_position) < 0 ||
	    addr_port_parse(name, &t.addr, &t.port) < 0 || !addr_is_host(&t.addr))
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

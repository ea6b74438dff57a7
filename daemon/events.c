/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/events.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/rfc3339.h"

static void event_clear(struct event *e)
{
	free(e->kind);
	free(e->object);
	free(e->text);
	*e = (struct event){ 0 };
}

int event_ring_init(struct event_ring *r, size_t capacity)
{
	*r = (struct event_ring){ .capacity = capacity };
	r->items = calloc(capacity, sizeof(*r->items));
	return r->items ? 0 : -ENOMEM;
}

void event_ring_deinit(struct event_ring *r)
{
	for (size_t i = 0; r->items && i < r->capacity; i++)
		event_clear(&r->items[i]);
	free(r->items);
	*r = (struct event_ring){ 0 };
}

void event_ring_add(struct event_ring *r, usec_t wall_usec, const char *kind, const char *object,
		    const char *text)
{
	struct event e = {
		.seq = r->last + 1,
		.wall_usec = wall_usec,
		.kind = strdup(kind),
		.object = strdup(object),
		.text = strdup(text),
	};
	struct event *slot;

	if (!r->capacity || !e.kind || !e.object || !e.text) {
		event_clear(&e);
		return;
	}
	slot = &r->items[e.seq % r->capacity];
	event_clear(slot);
	*slot = e;
	r->last = e.seq;
}

/* Objects are "GROUP/ADDRESS:PORT", "GROUP", and others that have neither. */
static bool is_of_target(const char *object, const char *target)
{
	const char *own = strchr(object, '/'), *slash = strchr(target, '/');
	size_t len;
	char end = ':'; /* what may follow: a target without a port is the address as a whole */

	if (!own || (slash && (slash - target != own - object ||
			       strncmp(object, target, (size_t)(own - object)) != 0)))
		return false;
	own++;
	target = slash ? slash + 1 : target;
	if (*own == '[' && *target != '[') {
		own++;
		end = ']';
	}
	len = strlen(target);
	return len && strncmp(own, target, len) == 0 && (own[len] == '\0' || own[len] == end);
}

static bool is_of_group(const char *object, const char *group)
{
	size_t len = strlen(group);

	return strncmp(object, group, len) == 0 && (object[len] == '\0' || object[len] == '/');
}

bool event_matches(const struct event *e, const struct event_filter *f)
{
	return e->seq > f->after && e->wall_usec >= f->since_wall_usec &&
	       (!f->group || is_of_group(e->object, f->group)) &&
	       (!f->target || is_of_target(e->object, f->target));
}

json_t *event_ring_to_json(const struct event_ring *r, const struct event_filter *f)
{
	uint64_t oldest = r->last > r->capacity ? r->last - r->capacity + 1 : 1;
	json_t *list = json_array();

	if (!list)
		return NULL;
	for (uint64_t seq = f->after >= oldest ? f->after + 1 : oldest; seq <= r->last; seq++) {
		const struct event *e = &r->items[seq % r->capacity];
		char time[RFC3339_MAX];

		if (!event_matches(e, f))
			continue;
		if (json_array_append_new(
			    list, json_pack("{s:I,s:s,s:s,s:s,s:s}", "seq", (json_int_t)e->seq,
					    "time", rfc3339_format(e->wall_usec, time), "kind",
					    e->kind, "object", e->object, "text", e->text)) < 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/protocol.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "health/outcome.h"

static const size_t record_sizes[_PROTOCOL_KIND_MAX] = {
	[PROTOCOL_HELLO] = sizeof(struct protocol_hello),
	[PROTOCOL_PROBE_SET] = sizeof(struct protocol_probe),
	[PROTOCOL_PROBE_DEL] = sizeof(struct protocol_probe_del),
	[PROTOCOL_RESULT] = sizeof(struct protocol_result),
	[PROTOCOL_HEARTBEAT] = sizeof(struct protocol_heartbeat),
};

void protocol_init(struct protocol_header *h, enum protocol_kind kind, size_t size)
{
	*h = (struct protocol_header){
		.version = PROTOCOL_VERSION,
		.kind = (uint16_t)kind,
		.size = (uint32_t)size,
	};
}

/* Terminated, and visible ASCII only: what goes into a request line or a header field. */
static bool text_is_sane(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	if (len == size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

static bool source_is_sane(const struct addr *source, const struct addr *target)
{
	if (source->family == AF_UNSPEC)
		return true;
	return source->family == target->family && addr_is_host(source);
}

static bool matcher_is_sane(const struct protocol_probe *p)
{
	if (p->n_matcher > PROTOCOL_MATCHER_RANGES)
		return false;
	if (p->check == PROTOCOL_CHECK_HTTP && p->n_matcher == 0)
		return false;
	for (size_t i = 0; i < p->n_matcher; i++)
		if (p->matcher[i].low > p->matcher[i].high)
			return false;
	return true;
}

static bool probe_is_sane(const struct protocol_probe *p)
{
	return p->check < _PROTOCOL_CHECK_MAX && p->port > 0 && addr_is_host(&p->addr) &&
	       source_is_sane(&p->source, &p->addr) && matcher_is_sane(p) &&
	       p->interval_usec >= PROTOCOL_INTERVAL_MIN_USEC &&
	       p->interval_usec <= PROTOCOL_INTERVAL_MAX_USEC && p->timeout_usec > 0 &&
	       p->timeout_usec <= p->interval_usec &&
	       text_is_sane(p->interface, sizeof(p->interface)) &&
	       text_is_sane(p->host_header, sizeof(p->host_header)) &&
	       text_is_sane(p->path, sizeof(p->path)) &&
	       (p->check != PROTOCOL_CHECK_HTTP || p->path[0] == '/') && p->has_history <= 1;
}

static bool result_is_sane(const struct protocol_result *r)
{
	return r->outcome < _PROBE_OUTCOME_MAX && r->detail >= 0 && r->start_usec >= r->due_usec &&
	       r->start_usec <= INT64_MAX;
}

static bool payload_is_sane(const void *record, enum protocol_kind kind)
{
	union {
		struct protocol_probe probe;
		struct protocol_result result;
		struct protocol_heartbeat heartbeat;
	} u;

	/* Copied because a datagram buffer need not be aligned. */
	switch (kind) {
	case PROTOCOL_PROBE_SET:
		memcpy(&u.probe, record, sizeof(u.probe));
		return probe_is_sane(&u.probe);
	case PROTOCOL_RESULT:
		memcpy(&u.result, record, sizeof(u.result));
		return result_is_sane(&u.result);
	case PROTOCOL_HEARTBEAT:
		memcpy(&u.heartbeat, record, sizeof(u.heartbeat));
		return u.heartbeat.in_flight <= u.heartbeat.probes &&
		       u.heartbeat.now_usec <= INT64_MAX;
	default:
		return true;
	}
}

int protocol_check(const void *record, size_t size, enum protocol_kind *ret_kind)
{
	struct protocol_header h;

	if (size < sizeof(h))
		return -EBADMSG;
	memcpy(&h, record, sizeof(h));
	if (h.version != PROTOCOL_VERSION)
		return -EPROTONOSUPPORT;
	if (h.kind == 0 || h.kind >= _PROTOCOL_KIND_MAX)
		return -EBADMSG;
	if (h.size != size || size != record_sizes[h.kind])
		return -EBADMSG;
	if (!payload_is_sane(record, (enum protocol_kind)h.kind))
		return -EBADMSG;
	*ret_kind = (enum protocol_kind)h.kind;
	return 0;
}

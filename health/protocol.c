/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/protocol.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/value.h"
#include "health/outcome.h"

/* Least sizes; a specification is as long as its texts make it, an authority as its certificate. */
static const size_t record_sizes[_PROTOCOL_KIND_MAX] = {
	[PROTOCOL_HELLO] = sizeof(struct protocol_hello),
	[PROTOCOL_PROBE_SET] = sizeof(struct protocol_probe),
	[PROTOCOL_PROBE_DEL] = sizeof(struct protocol_probe_del),
	[PROTOCOL_RESULT] = sizeof(struct protocol_result),
	[PROTOCOL_HEARTBEAT] = sizeof(struct protocol_heartbeat),
	[PROTOCOL_PROBE_NOW] = sizeof(struct protocol_probe_now),
	[PROTOCOL_AUTHORITY] = sizeof(struct protocol_authority) + 1,
	[PROTOCOL_AUTHORITIES_DEL] = sizeof(struct protocol_authorities_del),
};

void protocol_init(struct protocol_header *h, enum protocol_kind kind, size_t size)
{
	*h = (struct protocol_header){
		.version = PROTOCOL_VERSION,
		.kind = (uint16_t)kind,
		.size = (uint32_t)size,
	};
}

static const size_t text_limits[_PROTOCOL_TEXT_MAX] = {
	[PROTOCOL_TEXT_PATH] = PROTOCOL_PATH_MAX,
	[PROTOCOL_TEXT_HOST] = PROTOCOL_HOST_MAX,
	[PROTOCOL_TEXT_SERVER_NAME] = PROTOCOL_HOST_MAX,
	[PROTOCOL_TEXT_SEND] = PROTOCOL_PAYLOAD_MAX,
	[PROTOCOL_TEXT_EXPECT] = PROTOCOL_PAYLOAD_MAX,
	[PROTOCOL_TEXT_COMMAND] = PROTOCOL_COMMAND_MAX,
	[PROTOCOL_TEXT_THROUGH] = ADDR_STR_MAX - 1,
};

int protocol_probe_append(struct protocol_probe_record *r, enum protocol_text which,
			  const char *text, size_t size)
{
	struct protocol_probe *p = &r->probe;

	if (size > text_limits[which])
		return -E2BIG;
	for (size_t i = which; i < _PROTOCOL_TEXT_MAX; i++)
		assert(p->text_size[i] == 0);
	memcpy((char *)r + p->header.size, text, size);
	p->text_size[which] = (uint16_t)size;
	p->header.size += (uint32_t)size;
	return 0;
}

void protocol_authority_init(struct protocol_authority_record *r, uint64_t authorities,
			     const void *certificate, size_t size)
{
	assert(size > 0 && size <= sizeof(r->certificate));
	r->authority.authorities = authorities;
	memcpy(r->certificate, certificate, size);
	protocol_init(&r->authority.header, PROTOCOL_AUTHORITY, sizeof(r->authority) + size);
}

const char *protocol_probe_text(const struct protocol_probe *p, enum protocol_text which)
{
	const char *text = (const char *)(p + 1);

	for (size_t i = 0; i < which; i++)
		text += p->text_size[i];
	return text;
}

/* Visible ASCII only: what goes into a request line or a header field. */
static bool is_visible(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (text[i] <= ' ' || text[i] > '~')
			return false;
	return true;
}

static bool interface_is_sane(const char *name)
{
	/* Of any bytes that the kernel takes: it goes into no text. */
	return memchr(name, 0, PROTOCOL_IFNAME_MAX) && (!*name || value_is_interface(name));
}

static bool source_is_sane(const struct addr *source, const struct addr *target)
{
	if (source->family == AF_UNSPEC)
		return true;
	return source->family == target->family && addr_is_host(source);
}

static bool check_has_path(uint8_t check)
{
	return check == PROTOCOL_CHECK_HTTP || check == PROTOCOL_CHECK_HTTPS ||
	       check == PROTOCOL_CHECK_GRPC;
}

static bool check_has_port(uint8_t check)
{
	return check != PROTOCOL_CHECK_ICMP && check != PROTOCOL_CHECK_EXEC;
}

static bool matcher_is_sane(const struct protocol_probe *p)
{
	if (p->n_matcher > PROTOCOL_MATCHER_RANGES)
		return false;
	if (check_has_path(p->check) && p->n_matcher == 0)
		return false;
	for (size_t i = 0; i < p->n_matcher; i++)
		if (p->matcher[i].low > p->matcher[i].high)
			return false;
	return true;
}

static bool address_is_sane(const char *text, size_t size)
{
	char terminated[ADDR_STR_MAX] = "";
	struct addr addr;

	memcpy(terminated, text, size);
	return size == 0 || (addr_parse(terminated, &addr) == 0 && addr_is_host(&addr));
}

/* texts: what follows the fixed part, `size` bytes. */
static bool texts_are_sane(const struct protocol_probe *p, const char *texts, size_t size)
{
	size_t offset[_PROTOCOL_TEXT_MAX], end = 0;

	for (size_t i = 0; i < _PROTOCOL_TEXT_MAX; i++) {
		if (p->text_size[i] > text_limits[i])
			return false;
		offset[i] = end;
		end += p->text_size[i];
	}
	if (end != size)
		return false;
	for (size_t i = PROTOCOL_TEXT_PATH; i <= PROTOCOL_TEXT_SERVER_NAME; i++)
		if (!is_visible(texts + offset[i], p->text_size[i]))
			return false;
	if (check_has_path(p->check) &&
	    (p->text_size[PROTOCOL_TEXT_PATH] == 0 || texts[offset[PROTOCOL_TEXT_PATH]] != '/'))
		return false;
	if (!address_is_sane(texts + offset[PROTOCOL_TEXT_THROUGH],
			     p->text_size[PROTOCOL_TEXT_THROUGH]))
		return false;
	if (p->check == PROTOCOL_CHECK_EXEC && p->text_size[PROTOCOL_TEXT_COMMAND] == 0)
		return false;
	return p->text_size[PROTOCOL_TEXT_COMMAND] == 0 ||
	       !memchr(texts + offset[PROTOCOL_TEXT_COMMAND], 0,
		       p->text_size[PROTOCOL_TEXT_COMMAND]);
}

static bool probe_is_sane(const struct protocol_probe *p, const char *texts, size_t texts_size)
{
	return p->check < _PROTOCOL_CHECK_MAX && (p->port > 0 || !check_has_port(p->check)) &&
	       addr_is_host(&p->addr) && source_is_sane(&p->source, &p->addr) &&
	       matcher_is_sane(p) && p->interval_usec >= PROTOCOL_INTERVAL_MIN_USEC &&
	       p->interval_usec <= PROTOCOL_INTERVAL_MAX_USEC && p->timeout_usec > 0 &&
	       p->timeout_usec <= p->interval_usec && interface_is_sane(p->interface) &&
	       (p->flags & ~(uint32_t)PROTOCOL_PROBE_FLAGS) == 0 &&
	       (p->authorities == 0 || (p->flags & PROTOCOL_PROBE_VERIFY_CERTIFICATE)) &&
	       texts_are_sane(p, texts, texts_size);
}

static bool result_is_sane(const struct protocol_result *r)
{
	return r->outcome < _PROBE_OUTCOME_MAX && r->detail >= 0 && r->start_usec >= r->due_usec &&
	       r->start_usec <= INT64_MAX && r->agent_state < _PROBE_ADVICE_MAX &&
	       r->weight_percent >= -1 && r->weight_percent <= PROBE_WEIGHT_PERCENT_MAX;
}

static bool payload_is_sane(const void *record, size_t size, enum protocol_kind kind)
{
	union {
		struct protocol_probe probe;
		struct protocol_result result;
		struct protocol_heartbeat heartbeat;
		struct protocol_authority authority;
		struct protocol_authorities_del authorities_del;
	} u;

	/* Copied because a datagram buffer need not be aligned. */
	switch (kind) {
	case PROTOCOL_PROBE_SET:
		memcpy(&u.probe, record, sizeof(u.probe));
		return probe_is_sane(&u.probe, (const char *)record + sizeof(u.probe),
				     size - sizeof(u.probe));
	case PROTOCOL_RESULT:
		memcpy(&u.result, record, sizeof(u.result));
		return result_is_sane(&u.result);
	case PROTOCOL_HEARTBEAT:
		memcpy(&u.heartbeat, record, sizeof(u.heartbeat));
		return u.heartbeat.in_flight <= u.heartbeat.probes &&
		       u.heartbeat.now_usec <= INT64_MAX;
	case PROTOCOL_AUTHORITY:
		memcpy(&u.authority, record, sizeof(u.authority));
		return u.authority.authorities != 0 &&
		       size <= sizeof(struct protocol_authority_record);
	case PROTOCOL_AUTHORITIES_DEL:
		memcpy(&u.authorities_del, record, sizeof(u.authorities_del));
		return u.authorities_del.authorities != 0;
	default:
		return true;
	}
}

static bool has_fixed_size(uint16_t kind)
{
	return kind != PROTOCOL_PROBE_SET && kind != PROTOCOL_AUTHORITY;
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
	if (h.size != size || size < record_sizes[h.kind] ||
	    (size > record_sizes[h.kind] && has_fixed_size(h.kind)))
		return -EBADMSG;
	if (!payload_is_sane(record, size, (enum protocol_kind)h.kind))
		return -EBADMSG;
	*ret_kind = (enum protocol_kind)h.kind;
	return 0;
}

size_t protocol_first_size(const void *datagram, size_t size)
{
	struct protocol_header h;

	if (size < sizeof(h))
		return size;
	memcpy(&h, datagram, sizeof(h));
	return h.size >= sizeof(h) && h.size < size ? h.size : size;
}

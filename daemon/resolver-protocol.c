/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/resolver-protocol.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

static_assert(sizeof(struct resolver_header) % _Alignof(struct discovery_item) == 0,
	      "items follow the header without a gap");

int resolver_question_parse(const void *bytes, size_t len_bytes, struct resolver_question *ret)
{
	struct resolver_question q;
	size_t len;

	if (len_bytes != sizeof(q))
		return -EBADMSG;
	memcpy(&q, bytes, sizeof(q));
	len = strnlen(q.name, sizeof(q.name));
	if (len == 0 || len >= DISCOVERY_NAME_MAX || q.service > 1 ||
	    (q.family != AF_INET && q.family != AF_INET6))
		return -EBADMSG;
	*ret = q;
	return 0;
}

int resolver_answer_parse(const void *bytes, size_t len_bytes, uint32_t *ret_id,
			  struct discovery_answer *ret)
{
	struct resolver_header h;

	if (len_bytes < sizeof(h))
		return -EBADMSG;
	memcpy(&h, bytes, sizeof(h));
	if (h.n > RESOLVER_ITEMS_MAX ||
	    len_bytes != sizeof(h) + h.n * sizeof(struct discovery_item) ||
	    h.status == DISCOVERY_WAITING || h.status >= _DISCOVERY_STATUS_MAX ||
	    (h.n > 0 && h.status != DISCOVERY_OK))
		return -EBADMSG;
	*ret_id = h.id;
	*ret = (struct discovery_answer){
		.status = (enum discovery_status)h.status,
		.ttl_sec = h.ttl_sec,
		.items = (const void *)((const char *)bytes + sizeof(h)),
		.n = h.n,
	};
	return 0;
}

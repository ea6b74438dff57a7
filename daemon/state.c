/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"

DEFINE_CLEANUP(json_t *, json_decref)

void state_deinit(struct state *s)
{
	registry_deinit(&s->registry);
	state_global_deinit(&s->global);
	*s = STATE_INIT;
}

int state_begin_document(struct json_text *j, usec_t now_wall_usec)
{
	int r = json_text_begin(j);

	if (r < 0)
		return r;
	json_text_raw(j, "{\"version\":");
	json_text_int(j, STATE_VERSION);
	json_text_raw(j, ",\"saved\":");
	json_text_int(j, (int64_t)now_wall_usec);
	return 0;
}

int state_parse_document(const char *text, size_t len_bytes, json_t **ret, usec_t *ret_saved_usec)
{
	_cleanup_(json_decref_p)
		json_t *root = json_loadb(text, len_bytes, JSON_REJECT_DUPLICATES, NULL);
	json_int_t version, saved;

	if (!root || json_unpack(root, "{s:I}", "version", &version) < 0)
		return -EBADMSG;
	if (version != STATE_VERSION)
		return -EPROTONOSUPPORT;
	if (json_unpack(root, "{s:I}", "saved", &saved) < 0 || saved < 0)
		return -EBADMSG;
	*ret = take_ptr(root);
	*ret_saved_usec = (usec_t)saved;
	return 0;
}

uint64_t state_hash_bytes(uint64_t h, const void *bytes, size_t len_bytes)
{
	const uint8_t *p = bytes, *end = p + len_bytes;
	uint64_t value;

	for (; (size_t)(end - p) >= sizeof(value); p += sizeof(value)) {
		memcpy(&value, p, sizeof(value));
		h = state_hash_add(h, value);
	}
	if (p == end)
		return h;
	value = 0;
	memcpy(&value, p, (size_t)(end - p));
	return state_hash_add(h, value);
}

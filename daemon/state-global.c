/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/state-global.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/json-text.h"
#include "daemon/state.h"

DEFINE_CLEANUP(json_t *, json_decref)

void state_global_deinit(struct state_global *s)
{
	free(s->owned_services);
	linger_set_deinit(&s->linger);
	json_decref(s->vips);
	*s = STATE_GLOBAL_INIT;
}

static char *vips_text(const struct state_global_view *v)
{
	return v->vips ? json_dumps(v->vips, JSON_COMPACT | JSON_ENCODE_ANY) : strdup("[]");
}

static uint64_t hash_key(uint64_t h, const struct ipvs_service_key *k)
{
	h = state_hash_add(h, (uint64_t)k->fwmark << 32 | k->family);
	h = state_hash_add(h, (uint64_t)k->protocol << 32 | k->port);
	return state_hash_bytes(h, &k->addr, sizeof(k->addr));
}

int state_global_hash(const struct state_global_view *v, uint64_t *ret)
{
	_cleanup_free_ char *vips = vips_text(v);
	uint64_t h = state_hash_add(STATE_VERSION, v->stopped);

	if (!vips)
		return -ENOMEM;
	h = state_hash_add(h, v->n_owned_services);
	for (size_t i = 0; i < v->n_owned_services; i++)
		h = hash_key(h, &v->owned_services[i]);
	for (size_t i = 0; i < v->linger->n; i++) {
		const struct linger_entry *e = &v->linger->items[i];

		h = hash_key(h, &e->service);
		h = state_hash_bytes(h, &e->addr, sizeof(e->addr));
		h = state_hash_add(h, e->port);
		h = state_hash_add(h, e->deadline_usec);
	}
	h = state_hash_bytes(h, vips, strlen(vips));
	*ret = h ? h : 1;
	return 0;
}

static void format_key(struct json_text *j, const struct ipvs_service_key *k)
{
	char text[ADDR_STR_MAX];

	json_text_raw(j, "{\"family\":");
	json_text_int(j, k->family == AF_INET6 ? 6 : 4);
	if (k->fwmark) {
		json_text_raw(j, ",\"fwmark\":");
		json_text_int(j, k->fwmark);
	} else {
		json_text_raw(j, ",\"address\":");
		json_text_string(j, addr_format(&k->addr, text));
	}
	json_text_raw(j, ",\"protocol\":");
	json_text_int(j, k->protocol);
	json_text_raw(j, ",\"port\":");
	json_text_int(j, k->port);
	json_text_raw(j, "}");
}

static void format_linger(struct json_text *j, const struct linger_entry *e)
{
	char name[ADDR_PORT_STR_MAX];

	json_text_raw(j, "{\"service\":");
	format_key(j, &e->service);
	json_text_raw(j, ",\"destination\":");
	json_text_string(j, addr_port_format(&e->addr, e->port, name));
	json_text_raw(j, ",\"deadline\":");
	json_text_int(j, (int64_t)MIN(e->deadline_usec, (usec_t)INT64_MAX));
	json_text_raw(j, "}");
}

int state_global_format(const struct state_global_view *v, usec_t now_wall_usec, char **ret_text,
			size_t *ret_len_bytes)
{
	_cleanup_free_ char *vips = vips_text(v);
	struct json_text j;
	int r;

	if (!vips)
		return -ENOMEM;
	r = state_begin_document(&j, now_wall_usec);
	if (r < 0)
		return r;
	json_text_raw(&j, v->stopped ? ",\"stopped\":true" : ",\"stopped\":false");
	json_text_raw(&j, ",\"owned_services\":[");
	for (size_t i = 0; i < v->n_owned_services; i++) {
		json_text_raw(&j, i ? ",\n" : "\n");
		format_key(&j, &v->owned_services[i]);
	}
	json_text_raw(&j, "\n],\"lingering\":[");
	for (size_t i = 0; i < v->linger->n; i++) {
		json_text_raw(&j, i ? ",\n" : "\n");
		format_linger(&j, &v->linger->items[i]);
	}
	json_text_raw(&j, "\n],\"vips\":");
	json_text_raw(&j, vips);
	json_text_raw(&j, "}\n");
	return json_text_finish(&j, ret_text, ret_len_bytes);
}

/* An absent mark is none; an address is needed without one. */
static int parse_key(const json_t *j, struct ipvs_service_key *ret)
{
	struct ipvs_service_key k = { 0 };
	const char *address = "";
	json_int_t fwmark = 0;
	int family, protocol, port;

	if (json_unpack((json_t *)j, "{s:i,s:i,s:i,s?s,s?I}", "family", &family, "protocol",
			&protocol, "port", &port, "address", &address, "fwmark", &fwmark) < 0)
		return -EBADMSG;
	if ((family != 4 && family != 6) || protocol < 0 || protocol > UINT8_MAX || port < 0 ||
	    port > UINT16_MAX || fwmark < 0 || fwmark > UINT32_MAX)
		return -EBADMSG;
	k.family = family == 6 ? AF_INET6 : AF_INET;
	k.fwmark = (uint32_t)fwmark;
	k.protocol = (uint8_t)protocol;
	k.port = (uint16_t)port;
	if (!k.fwmark && (addr_parse(address, &k.addr) < 0 || k.addr.family != k.family))
		return -EBADMSG;
	*ret = k;
	return 0;
}

static int key_cmp(const void *a, const void *b)
{
	return ipvs_service_key_cmp(a, b);
}

static int parse_owned(struct state_global *s, const json_t *list)
{
	size_t n = json_array_size(list);

	s->owned_services = calloc(n + 1, sizeof(*s->owned_services));
	if (!s->owned_services)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		struct ipvs_service_key *k = &s->owned_services[s->n_owned_services];

		if (parse_key(json_array_get(list, i), k) < 0)
			s->n_skipped++;
		else
			s->n_owned_services++;
	}
	qsort(s->owned_services, s->n_owned_services, sizeof(*s->owned_services), key_cmp);
	return 0;
}

static int parse_linger(struct state_global *s, const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct linger_entry e = { 0 };
		const char *destination;
		json_int_t deadline;
		json_t *service;

		if (json_unpack(json_array_get(list, i), "{s:o,s:s,s:I}", "service", &service,
				"destination", &destination, "deadline", &deadline) < 0 ||
		    parse_key(service, &e.service) < 0 || deadline < 0 ||
		    addr_port_parse(destination, &e.addr, &e.port) < 0) {
			s->n_skipped++;
			continue;
		}
		e.deadline_usec = (usec_t)deadline;
		if (linger_set_add(&s->linger, &e) < 0)
			return -ENOMEM;
	}
	return 0;
}

int state_global_parse(const char *text, size_t len_bytes, struct state_global *ret)
{
	_cleanup_(state_global_deinit) struct state_global s = STATE_GLOBAL_INIT;
	_cleanup_(json_decref_p) json_t *root = NULL;
	json_t *owned, *lingering, *vips;
	int r, stopped;

	r = state_parse_document(text, len_bytes, &root, &s.saved_usec);
	if (r < 0)
		return r;
	if (json_unpack(root, "{s:b,s:o,s:o,s:o}", "stopped", &stopped, "owned_services", &owned,
			"lingering", &lingering, "vips", &vips) < 0 ||
	    !json_is_array(owned) || !json_is_array(lingering) || !json_is_array(vips))
		return -EBADMSG;
	s.stopped = stopped;
	r = parse_owned(&s, owned);
	if (r < 0)
		return r;
	r = parse_linger(&s, lingering);
	if (r < 0)
		return r;
	s.vips = json_incref(vips);
	*ret = s;
	s = STATE_GLOBAL_INIT;
	return 0;
}

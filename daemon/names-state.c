/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * names.json in the state directory: the last answers, so that a start without a name server has targets. The lists of
 * targets-files are beside it (names-copies.c).
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/names-internal.h"
#include "daemon/persist.h"

#define FILE_NAME "names.json"

enum {
	VERSION = 1,
};

DEFINE_CLEANUP(json_t *, json_decref)

static json_t *lookup_to_json(const struct discovery *d)
{
	json_t *items = json_array();

	for (size_t i = 0; items && i < d->n; i++) {
		char text[ADDR_PORT_STR_MAX];

		if (json_array_append_new(items, json_pack("{s:s,s:i}", "target",
							   addr_port_format(&d->items[i].addr,
									    d->items[i].port, text),
							   "weight", (int)d->items[i].weight)) <
		    0) {
			json_decref(items);
			return NULL;
		}
	}
	return json_pack("{s:s,s:b,s:I,s:I,s:o}", "name", d->name, "ipv6", d->family == AF_INET6,
			 "answered", (json_int_t)d->answered_wall_usec, "ttl",
			 (json_int_t)d->ttl_sec, "targets", items);
}

static void save_lookups(struct names *n)
{
	_cleanup_(json_decref_p) json_t *list = json_array(), *root = NULL;
	_cleanup_free_ char *text = NULL;
	int r = list ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < n->n_lookups; i++)
		if (n->lookups[i]->discovery.n &&
		    json_array_append_new(list, lookup_to_json(&n->lookups[i]->discovery)) < 0)
			r = -ENOMEM;
	if (r == 0 && !json_array_size(list) && !n->saved)
		return;
	if (r == 0)
		root = json_pack("{s:i,s:O}", "version", VERSION, "names", list);
	text = root ? json_dumps(root, JSON_COMPACT) : NULL;
	r = text ? persist_write_file(n->manager, FILE_NAME, text, strlen(text)) : -ENOMEM;
	if (r < 0)
		log_err("cannot save %s: %s: a start without a name server would have no targets "
			"by name",
			FILE_NAME, strerror(-r));
	else
		n->saved = true;
}

void names_save(struct names *n)
{
	save_lookups(n);
	names_copies_save(n);
}

static int parse_item(const json_t *j, struct discovery_item *ret)
{
	json_int_t weight = json_integer_value(json_object_get(j, "weight"));
	const char *text = json_string_value(json_object_get(j, "target"));
	struct discovery_item item = { .absent = 0 };

	if (!text || weight < 0 || weight > CONF_TARGET_WEIGHT_MAX ||
	    addr_port_parse(text, &item.addr, &item.port) < 0)
		return -EBADMSG;
	item.weight = (uint16_t)weight;
	*ret = item;
	return 0;
}

/* 1: restored; 0: this entry makes no sense; -ENOMEM. */
static int parse_lookup(const json_t *j, struct discovery *d)
{
	json_int_t answered = json_integer_value(json_object_get(j, "answered"));
	json_int_t ttl = json_integer_value(json_object_get(j, "ttl"));
	const char *name = json_string_value(json_object_get(j, "name"));
	const json_t *targets = json_object_get(j, "targets");
	_cleanup_free_ struct discovery_item *items = NULL;
	size_t n = 0;
	int r;

	if (!name || strlen(name) >= DISCOVERY_NAME_MAX || answered < 0 || ttl < 0 ||
	    ttl > INT32_MAX)
		return 0;
	strcpy(d->name, name);
	d->family = json_is_true(json_object_get(j, "ipv6")) ? AF_INET6 : AF_INET;
	d->service = conf_name_is_service(name);
	items = calloc(json_array_size(targets) + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(targets); i++)
		n += parse_item(json_array_get(targets, i), &items[n]) == 0;
	r = discovery_restore(d, items, n, (uint32_t)ttl, (usec_t)answered);
	return r < 0 ? r : 1;
}

static int lookup_cmp(const void *a, const void *b)
{
	const struct lookup *const *x = a, *const *y = b;

	return discovery_cmp(&(*x)->discovery, &(*y)->discovery);
}

static int restore_all(struct names *n, const json_t *list)
{
	n->lookups = calloc(json_array_size(list) + 1, sizeof(struct lookup *));
	if (!n->lookups)
		return -ENOMEM;
	for (size_t i = 0; i < json_array_size(list); i++) {
		struct lookup *l = calloc(1, sizeof(*l));
		int r = l ? parse_lookup(json_array_get(list, i), &l->discovery) : -ENOMEM;

		if (r > 0)
			n->lookups[n->n_lookups++] = l;
		else
			free(l);
		if (r < 0)
			return r;
	}
	qsort(n->lookups, n->n_lookups, sizeof(struct lookup *), lookup_cmp);
	return 0;
}

int names_restore(struct names *n)
{
	_cleanup_(json_decref_p) json_t *root = NULL;
	_cleanup_free_ char *text = NULL;
	json_error_t error;
	size_t len;
	int r = persist_read_file(n->manager, FILE_NAME, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r == 0) {
		root = json_loadb(text, len, 0, &error);
		r = json_integer_value(json_object_get(root, "version")) == VERSION ? 0 : -EBADMSG;
	}
	if (r < 0) {
		log_warning("%s: %s: names give no targets until they are answered", FILE_NAME,
			    r == -EBADMSG ? "damaged" : strerror(-r));
		return 0;
	}
	n->saved = true;
	return restore_all(n, json_object_get(root, "names"));
}

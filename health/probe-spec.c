/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "health/probe.h"
#include "health/tls-store.h"

static int copy_texts(struct probe_spec *spec, const struct protocol_probe *from)
{
	size_t size = _PROTOCOL_TEXT_MAX;
	char *next;

	for (size_t i = 0; i < _PROTOCOL_TEXT_MAX; i++)
		size += from->text_size[i];
	spec->texts = next = calloc(1, size);
	if (!next)
		return -ENOMEM;
	for (size_t i = 0; i < _PROTOCOL_TEXT_MAX; i++) {
		spec->text[i] = next;
		spec->text_size[i] = from->text_size[i];
		memcpy(next, protocol_probe_text(from, (enum protocol_text)i), from->text_size[i]);
		next += from->text_size[i] + 1;
	}
	return 0;
}

int probe_spec_init(struct probe_spec *spec, const struct protocol_probe *from,
		    struct tls_store *authorities)
{
	*spec = (struct probe_spec){
		.id = from->id,
		.generation = from->generation,
		.check = (enum protocol_check)from->check,
		.addr = from->addr,
		.source = from->source,
		.port = from->port,
		.firewall_mark = from->firewall_mark,
		.flags = from->flags,
		.authorities = authorities ? tls_store_ref(authorities) : NULL,
		.interval_usec = from->interval_usec,
		.timeout_usec = from->timeout_usec,
		.n_matcher = from->n_matcher,
	};
	memcpy(spec->matcher, from->matcher, sizeof(spec->matcher));
	memcpy(spec->interface, from->interface, sizeof(spec->interface));
	return copy_texts(spec, from);
}

void probe_spec_deinit(struct probe_spec *spec)
{
	tls_store_unref(spec->authorities);
	spec->authorities = NULL;
	free(spec->texts);
	spec->texts = NULL;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/targets-file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/diag.h"
#include "conf/items.h"
#include "conf/keys.h"
#include "conf/reader.h"
#include "conf/validate-rules.h"

int targets_file_append(struct conf_group *g, const char *path, const char *text, size_t len,
			struct diag_list *diags)
{
	struct assign_place at = { .diags = diags,
				   .path = path,
				   .key = key_find(KEY_SECTION_GROUP, "targets") };
	struct reader_line line;
	struct reader reader;
	int r;

	reader_init(&reader, path, text, len, true, diags);
	while ((r = reader_next(&reader, &line)) > 0) {
		at.line = line.line;
		r = items_parse(&at, g, line.value);
		if (r == -ENOMEM)
			break;
	}
	reader_deinit(&reader);
	return r == -ENOMEM ? r : 0;
}

void targets_file_free(struct conf_target *targets, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(targets[i].host);
	free(targets);
}

/* The group without the targets of its file; they and their names stay the configuration's. */
static int copy_own_targets(struct conf_group *to, const struct conf_group *g)
{
	size_t n_own = g->n_targets - g->n_file_targets;
	void *targets = NULL;

	*to = *g;
	to->targets = NULL;
	to->n_targets = to->n_file_targets = 0;
	for (size_t i = 0; i < n_own; i++) {
		struct conf_target *t = assign_append(&targets, &to->n_targets, sizeof(*t));

		if (t)
			*t = g->targets[i];
		to->targets = targets;
		if (!t)
			return -ENOMEM;
	}
	return 0;
}

static int check(const struct conf *c, size_t group, const struct conf_group *g, size_t n_own,
		 const char *path, struct diag_list *diags)
{
	int r = validate_targets(diags, g);

	if (r == 0)
		r = validate_listener_ports(diags, c, group, g);
	if (r < 0)
		return r;
	for (size_t i = 0; i < c->n_listeners; i++)
		for (size_t j = 0; j < c->listeners[i].n_forwards; j++)
			if (c->listeners[i].forwards[j].group == group)
				validate_forwarded_targets(diags, &c->listeners[i], g,
							   c->listeners[i].origin.line);
	if (g->n_targets == n_own && !diag_has_errors(diags))
		diag_add(diags, DIAG_ERROR, path, 0,
			 "no target in the file; an empty one is not believed");
	if (diags->out_of_memory)
		return -ENOMEM;
	return diag_has_errors(diags) ? -EINVAL : 0;
}

int targets_file_parse(const struct conf *c, size_t group, const char *path, const char *text,
		       size_t len, struct diag_list *diags, struct conf_target **ret, size_t *ret_n)
{
	const struct conf_group *g = &c->groups[group];
	size_t n_own = g->n_targets - g->n_file_targets, n_new;
	struct conf_target *targets = NULL;
	struct conf_group copy;
	int r;

	r = copy_own_targets(&copy, g);
	if (r == 0)
		r = targets_file_append(&copy, path, text, len, diags);
	if (r == 0)
		r = check(c, group, &copy, n_own, path, diags);
	n_new = copy.n_targets > n_own ? copy.n_targets - n_own : 0;
	if (r == 0) {
		targets = calloc(n_new + 1, sizeof(*targets));
		r = targets ? 0 : -ENOMEM;
	}
	if (r == 0) {
		for (size_t i = 0; i < n_new; i++)
			targets[i] = copy.targets[n_own + i];
		*ret = targets;
		*ret_n = n_new;
	} else {
		for (size_t i = 0; i < n_new; i++)
			free(copy.targets[n_own + i].host);
	}
	free(copy.targets);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/validate.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/diag.h"
#include "conf/parse.h"
#include "conf/validate-rules.h"
#include "conf/value.h"

static int section_cmp(const void *a, const void *b)
{
	const struct parse_section *x = *(const struct parse_section *const *)a;
	const struct parse_section *y = *(const struct parse_section *const *)b;
	int c = (x->kind > y->kind) - (x->kind < y->kind);

	if (!c)
		c = strcmp(x->name, y->name);
	return c ? c : (x > y) - (x < y); /* in the order of the files, which are one array */
}

static void check_repeated(const struct parse *p, const struct parse_section *const *sorted)
{
	for (size_t i = 1; i < p->n_sections; i++) {
		const struct parse_section *a = sorted[i - 1], *b = sorted[i];

		if (a->kind == b->kind && strcmp(a->name, b->name) == 0)
			diag_add(p->diags, DIAG_ERROR, b->origin.path, b->origin.line,
				 "[%s %s] was given already at %s:%u", key_sections[b->kind].kind,
				 b->name, a->origin.path, a->origin.line);
	}
}

struct wanted {
	enum key_section kind;
	const char *name;
};

static int wanted_cmp(const void *key, const void *element)
{
	const struct wanted *w = key;
	const struct parse_section *s = *(const struct parse_section *const *)element;
	int c = (w->kind > s->kind) - (w->kind < s->kind);

	return c ? c : strcmp(w->name, s->name);
}

static void report_dangling(const struct parse *p, const struct parse_reference *ref,
			    const char *name)
{
	const struct conf_listener *l = &p->conf->listeners[ref->listener];
	struct value_suggestion near = { NULL, 0 };

	for (size_t i = 0; i < p->n_sections; i++)
		if (p->sections[i].kind == ref->kind)
			value_suggest(&near, name, p->sections[i].name);
	diag_add(p->diags, DIAG_ERROR, l->origin.path, ref->line, "%s: there is no [%s %s]%s%s%s",
		 ref->kind == KEY_SECTION_GROUP ? "forward" : "security-groups",
		 key_sections[ref->kind].kind, name, near.name ? ", did you mean \"" : "",
		 near.name ? near.name : "", near.name ? "\"?" : "");
}

static int resolve_references(struct parse *p, const struct parse_section *const *sorted)
{
	for (size_t i = 0; i < p->conf->n_listeners; i++) {
		struct conf_listener *l = &p->conf->listeners[i];

		if (l->n_security_groups == 0)
			continue;
		l->security_groups = calloc(l->n_security_groups, sizeof(*l->security_groups));
		if (!l->security_groups)
			return -ENOMEM;
	}
	for (size_t i = 0; i < p->n_references; i++) {
		const struct parse_reference *ref = &p->references[i];
		struct conf_listener *l = &p->conf->listeners[ref->listener];
		bool forward = ref->kind == KEY_SECTION_GROUP;
		struct wanted wanted = { ref->kind, forward ? l->forwards[ref->item].name
							    : l->security_group_names[ref->item] };
		const struct parse_section *const *found =
			p->n_sections ? bsearch(&wanted, sorted, p->n_sections, sizeof(sorted[0]),
						wanted_cmp)
				      : NULL;

		if (!found)
			report_dangling(p, ref, wanted.name);
		else if (forward)
			l->forwards[ref->item].group = (*found)->index;
		else
			l->security_groups[ref->item] = (*found)->index;
	}
	return 0;
}

static void check_global(const struct parse *p, const struct parse_section *s)
{
	const struct conf_global *g = &p->conf->global;

	if (parse_is_set(s, "stop-drain-timeout") && g->stop != CONF_STOP_DRAIN)
		diag_add(p->diags, DIAG_WARNING, s->origin.path,
			 parse_line_of(s, "stop-drain-timeout"),
			 "stop-drain-timeout has no effect without stop = drain");
}

static void check_fastpath(const struct parse *p, const struct parse_section *s)
{
	const struct conf_fastpath *f = &p->conf->fastpath;

	if (f->enabled && f->n_ports == 0 && !parse_line_of(s, "ports"))
		diag_add(p->diags, DIAG_ERROR, s->origin.path, parse_line_of(s, "enabled"),
			 "enabled: the fast path needs at least one port; give ports");
}

/* Who believes to be protected must know when not. */
static void check_security(const struct parse *p, const struct parse_section *s)
{
	const struct conf_listener *l = &p->conf->listeners[s->index];
	const char *text = "security-groups: enforced while the fast path has the traffic; the "
			   "kernel plane admits everybody";

	if (l->n_security_groups == 0)
		return;
	if (l->firewall_mark)
		text = "security-groups: not enforced: a listener by firewall-mark is the kernel "
		       "plane's, which admits everybody; let the marking rule choose";
	else if (p->conf->fastpath.n_ports == 0)
		text = "security-groups: not enforced: that is done by the fast path alone, and "
		       "there is no [fastpath] with ports; the kernel plane admits everybody";
	diag_add(p->diags, DIAG_WARNING, s->origin.path, parse_line_of(s, "security-groups"), "%s",
		 text);
}

int validate(struct parse *p)
{
	_cleanup_free_ const struct parse_section **sorted =
		calloc(p->n_sections ? p->n_sections : 1, sizeof(const struct parse_section *));
	int r;

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < p->n_sections; i++)
		sorted[i] = &p->sections[i];
	qsort(sorted, p->n_sections, sizeof(*sorted), section_cmp);
	check_repeated(p, sorted);
	r = resolve_references(p, sorted);
	for (size_t i = 0; r == 0 && i < p->n_sections; i++) {
		const struct parse_section *s = &p->sections[i];

		if (s->kind == KEY_SECTION_GLOBAL) {
			check_global(p, s);
			validate_zones(p, s);
			validate_dns(p, s);
		} else if (s->kind == KEY_SECTION_LISTENER) {
			validate_listener(p, s);
			check_security(p, s);
		} else if (s->kind == KEY_SECTION_GROUP)
			r = validate_group(p, s);
		else if (s->kind == KEY_SECTION_FASTPATH)
			check_fastpath(p, s);
	}
	/* what follows reads indices, which are there only when every name was found */
	if (r < 0 || diag_has_errors(p->diags))
		return r;
	r = validate_forwards(p);
	return r < 0 ? r : validate_overlaps(p);
}

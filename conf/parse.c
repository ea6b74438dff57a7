/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/parse.h"

#include <assert.h>
#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "conf/assign.h"
#include "conf/diag.h"
#include "conf/items.h"
#include "conf/reader.h"
#include "conf/targets-file.h"
#include "conf/value.h"

/*
 * inih cuts lines at a length, counts the pieces as lines, handles continuation lines and comments as it was
 * compiled, and does not report sections without keys. So it is given only the skeleton of each statement, a short
 * line without comments; value and line number are taken from the reader, which stands at the same statement when
 * inih calls back. A section is followed by a key of this name, which no file can hold.
 */
#define SECTION_MARK "."

enum {
	SKELETON_MAX = 63,     /* shorter than any line length that inih is compiled with */
	SECTION_TEXT_MAX = 49, /* inih: MAX_SECTION less its final NUL */
	KEY_TEXT_MAX = 49,     /* inih: MAX_NAME */
};

struct parse_run {
	struct parse *p;
	struct reader reader;
	struct reader_line now;
	const char *path;      /* borrowed from conf->paths */
	bool opened;	       /* the section's skeleton was given, its mark is due */
	bool in_section;       /* a known section is open */
	bool skipping;	       /* in a section that was reported */
	const struct key *key; /* what a continuation line continues; NULL = reported */
	int error;
};

int parse_init(struct parse *p, struct diag_list *diags)
{
	*p = (struct parse){ .diags = diags };
	p->conf = calloc(1, sizeof(*p->conf));
	return p->conf ? 0 : -ENOMEM;
}

void parse_deinit(struct parse *p)
{
	conf_free(p->conf);
	free(p->sections);
	free(p->references);
	*p = (struct parse){ 0 };
}

struct conf *parse_take(struct parse *p)
{
	return take_ptr(p->conf);
}

void *parse_object(const struct parse *p, enum key_section kind, size_t index)
{
	struct conf *c = p->conf;

	switch (kind) {
	case KEY_SECTION_LISTENER:
		return &c->listeners[index];
	case KEY_SECTION_GROUP:
		return &c->groups[index];
	case KEY_SECTION_SECURITY_GROUP:
		return &c->security_groups[index];
	case KEY_SECTION_FASTPATH:
		return &c->fastpath;
	default:
		assert(kind == KEY_SECTION_GLOBAL);
		return &c->global;
	}
}

unsigned parse_line_of(const struct parse_section *s, const char *key)
{
	const struct key *k = key_find(s->kind, key);

	assert(k);
	return s->lines[key_index(k)];
}

bool parse_is_set(const struct parse_section *s, const char *key)
{
	const struct key *k = key_find(s->kind, key);

	assert(k);
	return s->lines[key_index(k)] && !s->failed[key_index(k)];
}

static int fill_defaults(struct parse *p, enum key_section kind, size_t index)
{
	size_t n;
	const struct key *keys = keys_of(kind, &n);

	for (size_t i = 0; i < n; i++) {
		struct assign_place at = { p->diags, "default", 0, &keys[i] };
		char text[64];
		int r;

		if (!keys[i].fallback)
			continue;
		assert(strlen(keys[i].fallback) < sizeof(text));
		strcpy(text, keys[i].fallback);
		r = assign_scalar(&at, parse_object(p, kind, index), text);
		assert(r !=
		       -EINVAL); /* a default of the key table that does not parse is our own bug */
		if (r < 0)
			return r;
	}
	return 0;
}

static int append_object(struct parse *p, enum key_section kind, const char *name,
			 const struct conf_origin *origin, size_t *ret_index)
{
	struct conf *c = p->conf;
	size_t index = 0;

#define APPEND(array, count)                                                                       \
	do {                                                                                       \
		void *items = (array);                                                             \
		void *item = assign_append(&items, &(count), sizeof(*(array)));                    \
                                                                                                   \
		(array) = items;                                                                   \
		if (!item)                                                                         \
			return -ENOMEM;                                                            \
		index = (count)-1;                                                                 \
		strcpy((array)[index].name, name);                                                 \
		(array)[index].origin = *origin;                                                   \
	} while (0)

	if (kind == KEY_SECTION_LISTENER)
		APPEND(c->listeners, c->n_listeners);
	else if (kind == KEY_SECTION_GROUP)
		APPEND(c->groups, c->n_groups);
	else if (kind == KEY_SECTION_SECURITY_GROUP)
		APPEND(c->security_groups, c->n_security_groups);
	else if (kind == KEY_SECTION_FASTPATH)
		c->fastpath.origin = *origin;
#undef APPEND
	*ret_index = index;
	return 0;
}

/* Sections without a name are told apart by their kind alone, so a second one is looked for here. */
static const struct parse_section *find_unnamed(const struct parse *p, enum key_section kind)
{
	for (size_t i = 0; i < p->n_sections; i++)
		if (p->sections[i].kind == kind)
			return &p->sections[i];
	return NULL;
}

static int add_section(struct parse *p, enum key_section kind, const char *name,
		       const struct conf_origin *origin)
{
	struct parse_section *s;
	void *sections = p->sections;
	size_t index;
	int r = append_object(p, kind, name, origin, &index);

	if (r < 0)
		return r;
	s = assign_append(&sections, &p->n_sections, sizeof(*s));
	p->sections = sections;
	if (!s)
		return -ENOMEM;
	s->kind = kind;
	s->index = index;
	strcpy(s->name, name);
	s->origin = *origin;
	return 0;
}

static enum key_section find_kind(const char *word)
{
	enum key_section kind = 0;

	while (kind < _KEY_SECTION_MAX && strcmp(word, key_sections[kind].kind) != 0)
		kind++;
	return kind;
}

static void report_unknown_section(struct parse_run *run, const char *kind, const char *rest)
{
	struct value_suggestion near = { NULL, 0 };

	for (size_t i = 0; i < _KEY_SECTION_MAX; i++)
		value_suggest(&near, kind, key_sections[i].kind);
	diag_add(run->p->diags, DIAG_ERROR, run->path, run->now.line,
		 "unknown section [%s%s%s]%s%s%s", kind, rest ? " " : "", rest ? rest : "",
		 near.name ? ", did you mean ["
			   : "; there are [ipvsd], [listener NAME], [target-group "
			     "NAME], [security-group NAME] and [fastpath",
		 near.name ? near.name : "",
		 near.name && rest ? " …]?"
		 : near.name	   ? "]?"
				   : "]");
}

/* The parts of a section header: kind and, where it takes one, a name. False when reported. */
static bool check_header(struct parse_run *run, char *text, enum key_section *ret_kind,
			 const char **ret_name)
{
	struct diag_list *diags = run->p->diags;
	char *kind_word = value_next_word(&text), *name, *more;
	const struct parse_section *other;
	enum key_section kind;

	if (!kind_word) {
		diag_add(diags, DIAG_ERROR, run->path, run->now.line,
			 "a section without a kind: []");
		return false;
	}
	kind = find_kind(kind_word);
	name = value_next_word(&text);
	if (kind == _KEY_SECTION_MAX) {
		report_unknown_section(run, kind_word, name);
		return false;
	}
	more = value_next_word(&text);
	if (!key_sections[kind].named && name) {
		diag_add(diags, DIAG_ERROR, run->path, run->now.line,
			 "[%s] takes no name, but has \"%s\"", kind_word, name);
		return false;
	}
	if (key_sections[kind].named && (!name || more || !value_is_name(name))) {
		diag_add(diags, DIAG_ERROR, run->path, run->now.line,
			 "[%s NAME]: the name must be 1 to 32 of the characters A-Z a-z 0-9 -, "
			 "without "
			 "a hyphen at either end",
			 kind_word);
		return false;
	}
	other = key_sections[kind].named ? NULL : find_unnamed(run->p, kind);
	if (other) {
		diag_add(diags, DIAG_ERROR, run->path, run->now.line,
			 "[%s] was given already at %s:%u", kind_word, other->origin.path,
			 other->origin.line);
		return false;
	}
	*ret_kind = kind;
	*ret_name = name ? name : "";
	return true;
}

static int open_section(struct parse_run *run, char *text)
{
	struct conf_origin origin = { run->path, run->now.line };
	enum key_section kind;
	const char *name;
	int r;

	run->in_section = false;
	run->key = NULL;
	run->skipping = !text || !check_header(run, text, &kind, &name);
	if (run->skipping)
		return 0;
	r = add_section(run->p, kind, name, &origin);
	if (r < 0)
		return r;
	run->in_section = true;
	/* the others have their defaults already, for the case that no file names them */
	if (!key_sections[kind].named)
		return 0;
	return fill_defaults(run->p, kind, run->p->sections[run->p->n_sections - 1].index);
}

static int add_references(struct parse_run *run, const struct parse_section *s, size_t before)
{
	const struct conf_listener *l;
	enum key_section kind;
	size_t n;

	if (run->key->type == KEY_FORWARDS)
		kind = KEY_SECTION_GROUP;
	else if (run->key->type == KEY_NAMES)
		kind = KEY_SECTION_SECURITY_GROUP;
	else
		return 0;
	l = &run->p->conf->listeners[s->index];
	n = kind == KEY_SECTION_GROUP ? l->n_forwards : l->n_security_groups;
	for (size_t i = before; i < n; i++) {
		void *references = run->p->references;
		struct parse_reference *ref =
			assign_append(&references, &run->p->n_references, sizeof(*ref));

		run->p->references = references;
		if (!ref)
			return -ENOMEM;
		*ref = (struct parse_reference){ kind, s->index, i, run->now.line };
	}
	return 0;
}

/* One line of the value of run->key, the first or a continuation. */
static int assign_line(struct parse_run *run, char *value, bool first)
{
	struct parse_section *s = &run->p->sections[run->p->n_sections - 1];
	struct assign_place at = { run->p->diags, run->path, run->now.line, run->key };
	void *object = parse_object(run->p, s->kind, s->index);
	size_t before = 0;
	int r;

	if (!key_is_list(run->key)) {
		if (!first || !*value) {
			diag_add(at.diags, DIAG_ERROR, at.path, at.line,
				 first ? "%s: a value is missing" : "%s takes one line",
				 run->key->name);
			r = -EINVAL;
		} else {
			r = assign_scalar(&at, object, value);
		}
	} else {
		memcpy(&before, (char *)object + run->key->count_offset, sizeof(before));
		r = items_parse(&at, object, value);
	}
	if (r == -EINVAL)
		s->failed[key_index(run->key)] = true;
	else if (r < 0)
		return r;
	return key_is_list(run->key) ? add_references(run, s, before) : 0;
}

static void report_unknown_key(struct parse_run *run, const struct parse_section *s,
			       const char *name)
{
	struct value_suggestion near = { NULL, 0 };
	enum key_section elsewhere = 0;
	size_t n;
	const struct key *keys = keys_of(s->kind, &n);
	const char *kind = key_sections[s->kind].kind;

	for (size_t i = 0; i < n; i++)
		value_suggest(&near, name, keys[i].name);
	while (elsewhere < _KEY_SECTION_MAX && !key_find(elsewhere, name))
		elsewhere++;
	if (elsewhere < _KEY_SECTION_MAX)
		diag_add(run->p->diags, DIAG_ERROR, run->path, run->now.line,
			 "unknown key \"%s\" in [%s]; it belongs to [%s]", name, kind,
			 key_sections[elsewhere].kind);
	else
		diag_add(run->p->diags, DIAG_ERROR, run->path, run->now.line,
			 "unknown key \"%s\" in [%s]%s%s%s", name, kind,
			 near.name ? ", did you mean \"" : "", near.name ? near.name : "",
			 near.name ? "\"?" : "");
}

static int take_key(struct parse_run *run, const char *name, char *value)
{
	struct parse *p = run->p;
	struct parse_section *s;
	const struct key *key;
	unsigned *line;
	int r;

	run->key = NULL;
	if (run->skipping)
		return 0;
	if (!run->in_section) {
		diag_add(p->diags, DIAG_ERROR, run->path, run->now.line,
			 "\"%s\" stands before any section; begin with a header such as [ipvsd]",
			 name);
		run->skipping = true;
		return 0;
	}
	s = &p->sections[p->n_sections - 1];
	key = key_find(s->kind, name);
	if (!key) {
		report_unknown_key(run, s, name);
		return 0;
	}
	line = &s->lines[key_index(key)];
	if (*line) {
		diag_add(p->diags, DIAG_ERROR, run->path, run->now.line,
			 "%s was given already on line %u", key->name, *line);
		return 0;
	}
	*line = run->now.line;
	run->key = key;
	r = assign_line(run, value, true);
	if (key->later && !s->failed[key_index(key)])
		diag_add(p->diags, DIAG_NOTE, run->path, run->now.line,
			 "%s has no effect in this version; it comes with %s", key->name,
			 key->later);
	return r;
}

/* inih's handler: never reports an error to inih, which may have been compiled to stop at the first. */
static int on_pair(void *user, const char *section, const char *name, const char *value)
{
	struct parse_run *run = user;
	char header[SECTION_TEXT_MAX + 1];
	int r;

	(void)value;
	if (run->error < 0)
		return 1;
	if (strcmp(name, SECTION_MARK) == 0) {
		strcpy(header, section);
		r = open_section(run, header);
	} else {
		r = take_key(run, name, run->now.value);
	}
	if (r < 0)
		run->error = r;
	return 1;
}

/* What inih could not hold. True when the statement was reported. */
static bool is_oversized(struct parse_run *run)
{
	const struct reader_line *now = &run->now;

	if (now->kind == READER_SECTION &&
	    (!now->name || strlen(now->name) > SECTION_TEXT_MAX || strpbrk(now->name, "];#"))) {
		if (now->name)
			diag_add(run->p->diags, DIAG_ERROR, run->path, now->line,
				 "[%.40s…]: not a section header; a name has at most %d of the "
				 "characters A-Z a-z 0-9 -",
				 now->name, CONF_NAME_MAX);
		run->skipping = true;
		run->in_section = false;
		run->key = NULL;
		return true;
	}
	if (now->kind == READER_KEY && strlen(now->name) > KEY_TEXT_MAX) {
		run->key = NULL;
		if (!run->skipping)
			diag_add(run->p->diags, DIAG_ERROR, run->path, now->line,
				 "unknown key \"%.40s…\"", now->name);
		return true;
	}
	return false;
}

/* inih's reader, in the manner of fgets(): the skeleton of the next section or key. */
static char *on_read(char *buf, int size, void *user)
{
	struct parse_run *run = user;
	int r = 0;

	assert(size > SKELETON_MAX);
	if (run->opened) {
		run->opened = false;
		return strcpy(buf, SECTION_MARK "=\n");
	}
	while (run->error == 0 && (r = reader_next(&run->reader, &run->now)) > 0) {
		if (is_oversized(run))
			continue;
		if (run->now.kind == READER_SECTION) {
			(void)snprintf(buf, (size_t)size, "[%s]\n", run->now.name);
			run->opened = true;
			return buf;
		}
		if (run->now.kind == READER_KEY) {
			(void)snprintf(buf, (size_t)size, "%s=\n", run->now.name);
			return buf;
		}
		if (run->key)
			r = assign_line(run, run->now.value, false);
		if (r < 0)
			break;
	}
	if (r < 0)
		run->error = r;
	return NULL;
}

static int add_path(struct parse *p, const char *path, const char **ret)
{
	struct conf *c = p->conf;
	void *paths = c->paths;
	char **item = assign_append(&paths, &c->n_paths, sizeof(*item));

	c->paths = paths;
	if (!item)
		return -ENOMEM;
	*item = strdup(path);
	if (!*item) {
		c->n_paths--;
		return -ENOMEM;
	}
	*ret = *item;
	return 0;
}

int parse_text(struct parse *p, const char *path, const char *text, size_t len)
{
	struct parse_run run = { .p = p };
	int r = add_path(p, path, &run.path);

	if (r < 0)
		return r;
	if (p->conf->n_paths == 1) {
		r = fill_defaults(p, KEY_SECTION_GLOBAL, 0);
		if (r == 0)
			r = fill_defaults(p, KEY_SECTION_FASTPATH, 0);
		if (r < 0)
			return r;
	}
	reader_init(&run.reader, run.path, text, len, false, p->diags);
	r = ini_parse_stream(on_read, &run, on_pair, &run);
	reader_deinit(&run.reader);
	if (r == -2) /* inih: no memory for its line */
		return -ENOMEM;
	return run.error;
}

int parse_targets(struct parse *p, size_t group, const char *path, const char *text, size_t len)
{
	struct conf_group *g = &p->conf->groups[group];
	size_t before = g->n_targets;
	const char *kept;
	int r = add_path(p, path, &kept);

	if (r < 0)
		return r;
	r = targets_file_append(g, kept, text, len, p->diags);
	g->n_file_targets = g->n_targets - before;
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * INI text to struct conf: sections, keys, values by the key table. What needs a look at other sections is left to
 * conf/validate.c, which finds here where each key stood. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "conf/conf.h"
#include "conf/keys.h"

struct diag_list;

/* A section as it stood in a file. All its keys are in one file, because a section may not be repeated. */
struct parse_section {
	enum key_section kind;
	size_t index; /* in conf's array of that kind; 0 for [ipvsd] and [fastpath] */
	char name[CONF_NAME_MAX + 1];
	struct conf_origin origin;
	unsigned lines[KEY_SECTION_KEYS_MAX]; /* by key_index(); 0 = not given */
	bool failed[KEY_SECTION_KEYS_MAX];    /* given, but reported as bad */
};

/* Names of another section, to be resolved when all are known. */
struct parse_reference {
	enum key_section kind; /* what is named */
	size_t listener, item; /* index into its forwards or security_groups */
	unsigned line;
};

struct parse {
	struct conf *conf;		/* owned until parse_take() */
	struct diag_list *diags;	/* borrowed */
	struct parse_section *sections; /* owned */
	size_t n_sections;
	struct parse_reference *references; /* owned */
	size_t n_references;
	bool out_of_memory;
};

/* -ENOMEM. diags must outlive p. */
int parse_init(struct parse *p, struct diag_list *diags);
void parse_deinit(struct parse *p);

/* Hands out the configuration; the caller frees it. */
struct conf *parse_take(struct parse *p);

/* Findings go to diags; -ENOMEM only. text need not end in NUL. */
int parse_text(struct parse *p, const char *path, const char *text, size_t len);

/* A targets-file's text, appended to the targets of a group. */
int parse_targets(struct parse *p, size_t group, const char *path, const char *text, size_t len);

/* Where the key stood, or 0. */
unsigned parse_line_of(const struct parse_section *s, const char *key);

/* Was the key given and good? */
bool parse_is_set(const struct parse_section *s, const char *key);

/* The struct that a section's keys are stored in. */
void *parse_object(const struct parse *p, enum key_section kind, size_t index);

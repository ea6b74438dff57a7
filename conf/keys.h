/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The one key table: section kinds and their keys. The parser, the defaults, ipvsd.conf(5) and the tests are driven
 * by it; a key that is not here does not exist. Pure, constant.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum key_section {
	KEY_SECTION_GLOBAL,
	KEY_SECTION_LISTENER,
	KEY_SECTION_GROUP,
	KEY_SECTION_SECURITY_GROUP,
	KEY_SECTION_FASTPATH,
	_KEY_SECTION_MAX,
};

/* In brackets: the type of the member that a value is stored in. */
enum key_type {
	KEY_BOOL,	 /* bool */
	KEY_UINT,	 /* unsigned integer of .size bytes */
	KEY_DURATION,	 /* usec_t */
	KEY_CHOICE,	 /* unsigned integer of .size bytes: value of the choice */
	KEY_CHOICE_TEXT, /* char *: name of the choice */
	KEY_TEXT,	 /* char *: any text, quotes allowed, .max bytes */
	KEY_FILE,	 /* char *: a path; .min 1 = absolute only */
	KEY_URL_PATH,	 /* char *: begins with a slash, no blanks */
	KEY_HOST,	 /* char *: a host name or address, with or without port */
	KEY_SOCKET,	 /* char *: ADDRESS:PORT */
	KEY_INTERFACE,	 /* char[] */
	KEY_ZONE,	 /* char[] */
	KEY_ADDRESS,	 /* struct addr */
	KEY_PORTS,	 /* struct conf_range */
	KEY_MATCHER,	 /* struct conf_matcher */
	KEY_ALGORITHM,	 /* struct conf_algorithm */
	/* from here on: arrays; .count_offset is where their length is */
	KEY_TEXTS,    /* char **: words */
	KEY_NAMES,    /* char **: names of security groups */
	KEY_PREFIXES, /* struct prefix * */
	KEY_FORWARDS, /* struct conf_forward * */
	KEY_TARGETS,  /* struct conf_target * */
	KEY_RULES,    /* struct conf_rule * */
	_KEY_TYPE_MAX,
};

struct key_choice {
	const char *name; /* NULL ends the list */
	uint32_t value;
};

struct key {
	enum key_section section;
	const char *name;
	enum key_type type;
	size_t offset, size;  /* of the member in the section's struct */
	size_t count_offset;  /* arrays only */
	const char *fallback; /* default, as text; NULL = the member stays zero */
	uint64_t min, max;    /* KEY_UINT, KEY_DURATION (microseconds), KEY_TEXT (bytes) */
	const char
		*zero; /* a word that stands for 0 or "", which is then allowed beside min..max */
	const struct key_choice *choices;
	const char *unit;  /* what a plain number counts; NULL = nothing to say */
	const char *later; /* has no effect in this version: what it will belong to */
	const char *help;  /* sentences for the manual page, in plain text */
};

/* [kind] or [kind NAME]. */
struct key_section_info {
	const char *kind;
	bool named;
	size_t size; /* of the section's struct */
	const char *help;
};

enum {
	KEY_SECTION_KEYS_MAX = 64, /* keys that one section may have */
};

extern const struct key_section_info key_sections[_KEY_SECTION_MAX];
extern const struct key_choice key_protocols[], key_forwardings[], key_checks[], key_stops[];

/* The keys of a section, in the order of the manual page; constant. */
const struct key *keys_of(enum key_section section, size_t *ret_n);

/* NULL when the section has no such key. */
const struct key *key_find(enum key_section section, const char *name);

/* Position within keys_of(). */
size_t key_index(const struct key *key);

static inline bool key_is_list(const struct key *key)
{
	return key->type >= KEY_TEXTS;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The state directory: global.json and one group-NAME.json for each target group that has something to keep, with a
 * group-NAME.journal of what has changed since (daemon/state-journal.h) where the group is large. Knows by hashes what
 * the files hold, so that what a save writes is in proportion to the targets that changed. A document is replaced as a
 * whole, a journal added to; one that cannot be read costs its own group alone, a journal only what it says. A document
 * that was replaced quickly has the one before it beside it (NAME.old) until it is on the disk: power that is lost in
 * between costs what changed last.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "conf/conf.h"
#include "daemon/state-file.h"
#include "daemon/state-global.h"
#include "daemon/state-journal.h"

struct registry;

#define STATE_STORE_GLOBAL_NAME "global.json"
#define STATE_STORE_JOURNAL_SUFFIX ".journal"

struct state_store_file {
	char group[CONF_NAME_MAX + 1]; /* "" = the global file */
	uint64_t hash;		       /* of what it and its journal hold; 0 = not known */
	struct state_journal journal;
	bool present;
	bool has_journal;    /* there is such a file */
	bool durable;	     /* what both hold is on the disk, and not only the kernel's to write */
	bool has_old;	     /* there may be a NAME.old … */
	bool journal_is_old; /* … and the journal is still the one that belongs to it */
	bool wanted;	     /* only during a save */
};

struct state_store {
	char *directory;		/* owned */
	struct state_store_file *files; /* owned; of the groups; sorted */
	size_t n;
	struct state_store_file global;
	usec_t global_saved_usec; /* as the file says */
	bool directory_durable;	  /* the names are on the disk */
	/* Since the start, what a test counts: files, and lines of journals. */
	size_t n_written, n_appended;
};

#define STATE_STORE_INIT ((struct state_store){ 0 })

void state_store_deinit(struct state_store *s);

/* Returns buf. */
const char *state_store_file_name(const struct state_store_file *f,
				  char buf[static STATE_FILE_NAME_MAX]);

/* Likewise. */
const char *state_store_journal_name(const struct state_store_file *f,
				     char buf[static STATE_FILE_NAME_MAX]);

/* A descriptor, the caller's; negative errno. */
int state_store_open_directory(const struct state_store *s);

/*
 * Which files there are, without reading them: all are out of date. What an interrupted save left is removed.
 * Negative errno; then the store has the directory's name, no files, and can be saved.
 */
int state_store_open(struct state_store *s, const char *directory);

/* Files that somebody removed are written again with the next save. */
void state_store_check(struct state_store *s);

enum state_store_flags {
	STATE_STORE_QUICK =
		0, /* outlives the daemon; the kernel writes it to the disk when it likes */
	STATE_STORE_DURABLE =
		1,	     /* outlives a loss of power too: also what was saved quickly before */
	STATE_STORE_ALL = 2, /* also what is not out of date: the last counters, the time */
};

/*
 * The groups' files that are out of date; those of groups that are gone, or have nothing to keep, are removed. One
 * that fails does not keep the others from being written; the first error is returned.
 */
int state_store_save_groups(struct state_store *s, const struct registry *r,
			    enum state_store_flags flags, usec_t now_wall_usec);

/* now_wall_usec: when the groups' files were last all right. */
int state_store_save_global(struct state_store *s, const struct state_global_view *v,
			    enum state_store_flags flags, usec_t now_wall_usec);

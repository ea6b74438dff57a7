/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What has changed in a target group since its document was written: a file beside the document, to which a save adds
 * one line, so that it costs what changed and not the whole group:
 *
 *   SUM BASE DOCUMENT\n
 *
 * DOCUMENT holds the changed targets (state_group_format_some()), SUM is the hash of all that follows it in the line,
 * and BASE that of the group's document: beside another one the line means nothing. So who dies after writing a new
 * document, before the journal is removed, leaves no old verdicts. The journal never grows longer than the document,
 * so that reading both costs twice the document at most, and writing documents no more than writing lines. Pure but
 * for memory.
 */

#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "daemon/state-group.h"

enum {
	/* A shorter document is written anew as cheaply. */
	STATE_JOURNAL_DOCUMENT_MIN_BYTES = 4096,
};

/* What this process knows that a group's files hold. */
struct state_journal {
	struct state_group_mark *marks; /* owned; by position; NULL = not known, or too short */
	size_t n;
	uint64_t base;
	size_t document_bytes, bytes;
};

#define STATE_JOURNAL_INIT ((struct state_journal){ 0 })

/* Also when the files may hold something else: then a document is due. */
void state_journal_deinit(struct state_journal *j);

uint64_t state_journal_base(const char *document, size_t len_bytes);

/* A new document, with an empty journal. Takes over *marks, the group's. */
void state_journal_begin(struct state_journal *j, const char *document, size_t len_bytes,
			 struct state_group_mark **marks, size_t n);

/*
 * The line that brings the files up to date, with its end. -ESTALE: a document is due, since nothing is known of the
 * files, targets stand in other places or are no longer kept, or the journal would grow beyond the document. -ENOMEM.
 */
int state_journal_format(const struct state_journal *j, const struct target_group *g,
			 const struct state_group_mark *marks, usec_t now_wall_usec,
			 char **ret_text, size_t *ret_len_bytes);

/* That line is in the file. Takes over *marks. */
void state_journal_extend(struct state_journal *j, size_t len_bytes,
			  struct state_group_mark **marks);

/*
 * Adds what the lines say to *s, which was added the document, and is to be settled afterwards. On failure that is what
 * the lines say in front of the one that cannot be read: -ESTALE: it belongs to another document; -ENODATA: it is not
 * whole, as a crash leaves the last one; -EBADMSG: damaged; -EPROTONOSUPPORT: of another version; -ENOMEM.
 */
int state_journal_replay(const char *text, size_t len_bytes, uint64_t base, struct state_group *s);

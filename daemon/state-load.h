/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What the files of the state directory hold, at a start. */

#include <stddef.h>

#include "base/clock.h"

struct state;
struct state_store;

/*
 * Something is wrong with a file. -EBADMSG: damaged, -EPROTONOSUPPORT: of another version; both were set aside as
 * NAME.damaged. -ESTALE: damaged, and the document before it, which was kept, is used and has taken its place.
 * -ENODATA: the end of a journal is missing. Other errno: I/O. 0: n_skipped entries made no sense.
 * Of a journal what stands in front of the trouble is used.
 */
typedef void (*state_load_trouble_fn)(const char *name, int error, size_t n_skipped,
				      void *userdata);

/*
 * Of a store that has just been opened. A file that cannot be read costs what it held. Verdicts that were last known
 * to be right more than max_age_usec ago are forgotten; so are, after a crash, the counters. -ENOMEM, or the errno of
 * opening the directory.
 */
int state_load(struct state_store *s, usec_t max_age_usec, usec_t now_wall_usec,
	       state_load_trouble_fn trouble, void *userdata, struct state *ret);

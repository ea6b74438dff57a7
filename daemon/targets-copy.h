/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The last good list of a targets-file, as the state directory keeps it, so that a start that finds the file bad or
 * gone has targets:
 *
 *   # ipvsd-targets 1 SUM READ PATH
 *   the lines of a targets-file
 *
 * PATH is the file's, READ when it was read, wall clock in microseconds, and SUM the hash of all that follows it: the
 * lines are read as those of the file are, and a list that lost its end must not pass for a shorter one. Pure but for
 * memory.
 */

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"

struct conf;
struct conf_target;

/* Owned by the caller. -ENOMEM. */
int targets_copy_format(const char *path, const struct conf_target *targets, size_t n,
			usec_t read_wall_usec, char **ret_text, size_t *ret_len_bytes);

/* The same list of the same file, whenever it was read? Of two texts, one of which may be anything. */
bool targets_copy_eq(const char *a, size_t len_a_bytes, const char *b, size_t len_b_bytes);

/*
 * Into an array that the caller owns (targets_file_free()); the targets borrow path. -ESTALE: it is of another file;
 * -EBADMSG: damaged, or of another version; -EINVAL: the group's configuration does not allow it any more; -ENOMEM.
 */
int targets_copy_parse(const struct conf *c, size_t group, const char *path, const char *text,
		       size_t len_bytes, struct conf_target **ret, size_t *ret_n,
		       usec_t *ret_read_wall_usec);

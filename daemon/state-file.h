/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One file of the state directory: read as a whole, replaced by a new one under its name, so that a crash leaves the
 * old one or the new one; or added to, which a crash may leave undone at the end.
 */

#include <stdbool.h>
#include <stddef.h>

#define STATE_FILE_NEW_SUFFIX ".new"
#define STATE_FILE_OLD_SUFFIX ".old"
#define STATE_FILE_DAMAGED_SUFFIX ".damaged"

enum {
	STATE_FILE_NAME_MAX = 64, /* with any of the suffixes */
};

/* Owned by the caller. -ENOENT: there is none; -EBADMSG: no regular file, or absurdly long. Other errno: I/O. */
int state_file_read(int directory_fd, const char *name, char **ret_text, size_t *ret_len_bytes);

/*
 * The new one, not yet in its place. Returns its descriptor, which is the caller's. Then fsync() where the content
 * must outlive a loss of power, and state_file_put(). On failure nothing is left behind.
 */
int state_file_write(int directory_fd, const char *name, const char *text, size_t len_bytes);
int state_file_put(int directory_fd, const char *name);

/*
 * A file that takes its place before it is on the disk may be found empty, or cut, after a loss of power: XFS writes the
 * new name before the content. So the one before it, which is on the disk, is kept under a name of its own until then.
 * Errors are those of link(), unlink() and rename(): a file system may have no links.
 */
int state_file_keep_old(int directory_fd, const char *name);
void state_file_drop_old(int directory_fd, const char *name);
int state_file_go_back(int directory_fd, const char *name);

/*
 * Adds to a file that is in its place, or makes it anew with this alone. On failure it may end in the middle of the
 * text.
 */
int state_file_append(int directory_fd, const char *name, const char *text, size_t len_bytes,
		      bool anew);

/* Takes back what state_file_write() left. */
void state_file_abandon(int directory_fd, const char *name);

/* fsync of a file that is in its place already. */
int state_file_sync(int directory_fd, const char *name);

/* Out of the way, so that the next save does not lose it. */
int state_file_set_aside(int directory_fd, const char *name);

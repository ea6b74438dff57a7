/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The state file, DIR/state.json: replaced as a whole by write, fsync, rename and fsync of the directory, so that a
 * crash leaves the old one or the new one.
 */

#include <jansson.h>

struct state;

/*
 * -ENOENT: there is none. A file that cannot be read as state is renamed to state.json.damaged, so that the next save
 * does not lose it, and -EBADMSG or -EPROTONOSUPPORT is returned. Other errno: I/O.
 */
int state_file_load(const char *directory, struct state *ret);

enum state_file_sync {
	STATE_FILE_QUICK, /* outlives the daemon; the kernel writes it to the disk when it likes */
	STATE_FILE_DURABLE, /* outlives a loss of power too: fsync of the file and the directory */
};

int state_file_save(const char *directory, const json_t *document, enum state_file_sync sync);

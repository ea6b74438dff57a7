/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* A directory below /tmp that is a test's own. 0 or -1, as cmocka wants it of what sets up and tears down. */

enum {
	TEMPORARY_MAX = 64,
};

int temporary_make(char ret_directory[static TEMPORARY_MAX]);

/* With all that is in it. */
int temporary_remove(const char *directory);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/temporary.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
	DEPTH = 8, /* directories open at a time; it may be deeper */
};

int temporary_make(char ret_directory[static TEMPORARY_MAX])
{
	strcpy(ret_directory, "/tmp/ipvsd-test-XXXXXX");
	return mkdtemp(ret_directory) ? 0 : -1;
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int temporary_remove(const char *directory)
{
	return nftw(directory, remove_entry, DEPTH, FTW_DEPTH | FTW_PHYS);
}

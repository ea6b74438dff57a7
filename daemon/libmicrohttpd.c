/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/libmicrohttpd.h"

#include <errno.h>
#include <stdbool.h>

#include "base/library.h"

struct libmicrohttpd libmicrohttpd;

int libmicrohttpd_load(void)
{
	static bool loaded;
	void *library = loaded ? NULL : library_open("libmicrohttpd.so.12");

	if (loaded)
		return 0;
	if (!library)
		return -ELIBACC;
#define FIND(name)                                                                                 \
	if (!library_find(library, "MHD_" #name, &libmicrohttpd.name, sizeof(libmicrohttpd.name))) \
		return -ELIBACC;
	LIBMICROHTTPD_FUNCTIONS(FIND)
#undef FIND
	loaded = true;
	return 0;
}

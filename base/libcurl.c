/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/libcurl.h"

#include <errno.h>

#include "base/library.h"

struct libcurl libcurl;

int libcurl_load(bool tls)
{
	static bool loaded;
	void *library = loaded ? NULL : library_open("libcurl.so.4");

	if (loaded)
		return 0;
	if (!library)
		return -ELIBACC;
#define FIND(name)                                                                                 \
	if (!library_find(library, "curl_" #name, &libcurl.name, sizeof(libcurl.name)))            \
		return -ELIBACC;
	LIBCURL_FUNCTIONS(FIND)
#undef FIND
	if (libcurl.global_init(tls ? CURL_GLOBAL_SSL : CURL_GLOBAL_NOTHING) != CURLE_OK)
		return -ENOMEM;
	loaded = true;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/libcurl.h"

#include <errno.h>

#include "base/cleanup.h"
#include "base/library.h"

struct libcurl libcurl;

int libcurl_load(bool tls)
{
	static const struct library_function functions[] = {
#define LIBCURL_FUNCTION(name) { "curl_" #name, &libcurl.name },
		LIBCURL_FUNCTIONS(LIBCURL_FUNCTION)
#undef LIBCURL_FUNCTION
	};
	static struct library library = { "libcurl.so.4", functions, ARRAY_SIZE(functions) };
	static bool initialized;
	int r = library_load(&library);

	if (r < 0 || initialized)
		return r;
	if (libcurl.global_init(tls ? CURL_GLOBAL_SSL : CURL_GLOBAL_NOTHING) != CURLE_OK)
		return -ENOMEM;
	initialized = true;
	return 0;
}

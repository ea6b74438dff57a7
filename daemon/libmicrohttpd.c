/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/libmicrohttpd.h"

#include "base/cleanup.h"
#include "base/library.h"

struct libmicrohttpd libmicrohttpd;

int libmicrohttpd_load(void)
{
	static const struct library_function functions[] = {
#define LIBMICROHTTPD_FUNCTION(name) { "MHD_" #name, &libmicrohttpd.name },
		LIBMICROHTTPD_FUNCTIONS(LIBMICROHTTPD_FUNCTION)
#undef LIBMICROHTTPD_FUNCTION
	};
	static struct library library = { "libmicrohttpd.so.12", functions, ARRAY_SIZE(functions) };

	return library_load(&library);
}

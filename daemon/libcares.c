/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/libcares.h"

#include "base/cleanup.h"
#include "base/library.h"

struct libcares libcares;

int libcares_load(void)
{
	static const struct library_function functions[] = {
#define LIBCARES_FUNCTION(name) { "ares_" #name, &libcares.name },
		LIBCARES_FUNCTIONS(LIBCARES_FUNCTION)
#undef LIBCARES_FUNCTION
	};
	static struct library library = { "libcares.so.2", functions, ARRAY_SIZE(functions) };

	return library_load(&library);
}

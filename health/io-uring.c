/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/io-uring.h"

#include "base/cleanup.h"
#include "base/library.h"

struct liburing liburing;

int liburing_load(void)
{
	static const struct library_function functions[] = {
#define LIBURING_FUNCTION(name) { "io_uring_" #name, &liburing.name },
		LIBURING_FUNCTIONS(LIBURING_FUNCTION)
#undef LIBURING_FUNCTION
	};
	static struct library library = { "liburing.so.2", functions, ARRAY_SIZE(functions) };

	return library_load(&library);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/libseccomp.h"

#include "base/cleanup.h"
#include "base/library.h"

struct libseccomp libseccomp;

int libseccomp_load(void)
{
	static const struct library_function functions[] = {
#define LIBSECCOMP_FUNCTION(name) { "seccomp_" #name, &libseccomp.name },
		LIBSECCOMP_FUNCTIONS(LIBSECCOMP_FUNCTION)
#undef LIBSECCOMP_FUNCTION
	};
	static struct library library = { "libseccomp.so.2", functions, ARRAY_SIZE(functions) };

	return library_load(&library);
}

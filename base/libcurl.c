/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/libcurl.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define SONAME "libcurl.so.4"

struct libcurl libcurl;

static bool find(void *library, const char *name, void *ret_function, size_t size)
{
	void *symbol = dlsym(library, name);

	memcpy(ret_function, &symbol, size); /* POSIX: a symbol's address fits a function pointer */
	return symbol;
}

int libcurl_load(void)
{
	static bool loaded;
	/* Lazily, as when it is linked: the look-ups that are left need no system call, so the worker may make them. */
	void *library = loaded ? NULL : dlopen(SONAME, RTLD_LAZY | RTLD_LOCAL);
	bool complete = true;

	if (loaded)
		return 0;
	if (!library)
		return -ELIBACC;
#define FIND(name)                                                                                 \
	complete = find(library, "curl_" #name, &libcurl.name, sizeof(libcurl.name)) && complete;
	LIBCURL_FUNCTIONS(FIND)
#undef FIND
	if (!complete) {
		(void)dlclose(library);
		return -ELIBACC;
	}
	if (libcurl.global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		return -ENOMEM;
	loaded = true;
	return 0;
}

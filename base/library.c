/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/library.h"

#include <dlfcn.h>
#include <string.h>

/* Lazily, as when it is linked: the look-ups that are left need no system call, so a sandbox may make them. */
void *library_open(const char *soname)
{
	return dlopen(soname, RTLD_LAZY | RTLD_LOCAL);
}

bool library_find(void *library, const char *name, void *ret_function, size_t size)
{
	void *symbol = dlsym(library, name);

	memcpy(ret_function, &symbol, size); /* POSIX: a symbol's address fits a function pointer */
	return symbol;
}

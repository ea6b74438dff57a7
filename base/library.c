/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/library.h"

#include <dlfcn.h>
#include <errno.h>
#include <string.h>

int library_load(struct library *l)
{
	/* Lazily, as when it is linked: the look-ups that are left need no system call, so a sandbox may make them. */
	void *handle = l->loaded ? NULL : dlopen(l->soname, RTLD_LAZY | RTLD_LOCAL);

	if (l->loaded)
		return 0;
	if (!handle)
		return -ELIBACC;
	for (size_t i = 0; i < l->n_functions; i++) {
		void *symbol = dlsym(handle, l->functions[i].name);

		if (!symbol)
			return -ELIBACC;
		/* POSIX: a symbol's address fits a pointer to a function. */
		memcpy(l->functions[i].pointer, &symbol, sizeof(symbol));
	}
	l->loaded = true;
	return 0;
}

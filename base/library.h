/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared libraries that only some processes need, loaded by those: each takes milliseconds to map and relocate. */

#include <stdbool.h>
#include <stddef.h>

struct library_function {
	const char *name;
	void *pointer; /* to the pointer to a function that library_load() sets */
};

/* Static: it stays loaded. */
struct library {
	const char *soname;
	const struct library_function *functions;
	size_t n_functions;
	bool loaded;
};

/* Once it has returned 0 the functions can be called. -ELIBACC: it is not installed, or lacks one. */
int library_load(struct library *l);

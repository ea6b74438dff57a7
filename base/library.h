/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Shared libraries that only some processes need, loaded by those. */

#include <stdbool.h>
#include <stddef.h>

/* NULL when it is not installed. It stays loaded. */
void *library_open(const char *soname);

/* Writes the function's address to the pointer of `size` bytes at ret_function. False: the library lacks it. */
bool library_find(void *library, const char *name, void *ret_function, size_t size);

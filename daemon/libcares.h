/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* c-ares for the resolver process, loaded by it alone. */

#include <ares.h>

#define LIBCARES_FUNCTIONS(X)                                                                      \
	X(expand_name)                                                                             \
	X(free_string)                                                                             \
	X(init_options)                                                                            \
	X(library_init)                                                                            \
	X(process_fd)                                                                              \
	X(query)                                                                                   \
	X(search)                                                                                  \
	X(set_servers_ports_csv)                                                                   \
	X(strerror)                                                                                \
	X(timeout)

/* ares_query() is libcares.query(), and so on: valid once libcares_load() has returned 0. */
extern struct libcares {
#define LIBCARES_MEMBER(name) __typeof__(ares_##name) *name;
	LIBCARES_FUNCTIONS(LIBCARES_MEMBER)
#undef LIBCARES_MEMBER
} libcares;

/* Loads the library on the first call; it stays loaded. -ELIBACC: it is not installed, or lacks a function. */
int libcares_load(void);

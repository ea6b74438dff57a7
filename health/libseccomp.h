/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* libseccomp for the processes that lock themselves in; the daemon, which does not, starts without it. */

#include <seccomp.h>

#define LIBSECCOMP_FUNCTIONS(X)                                                                    \
	X(init)                                                                                    \
	X(load)                                                                                    \
	X(release)                                                                                 \
	X(rule_add)

/* seccomp_init() is libseccomp.init(), and so on: valid once libseccomp_load() has returned 0. */
extern struct libseccomp {
#define LIBSECCOMP_MEMBER(name) __typeof__(seccomp_##name) *name;
	LIBSECCOMP_FUNCTIONS(LIBSECCOMP_MEMBER)
#undef LIBSECCOMP_MEMBER
} libseccomp;

/* Loads the library on the first call; it stays loaded. -ELIBACC: it is not installed, or lacks a function. */
int libseccomp_load(void);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* liburing for the processes that make connections by the thousand; the daemon, which does not, starts without it. */

#include <liburing.h>

#define LIBURING_FUNCTIONS(X)                                                                      \
	X(queue_init_params)                                                                       \
	X(queue_exit)                                                                              \
	X(register_eventfd)                                                                        \
	X(register_files_sparse)                                                                   \
	X(submit)                                                                                  \
	X(submit_and_wait_timeout)

/* io_uring_submit() is liburing.submit(), and so on: valid once liburing_load() has returned 0. */
extern struct liburing {
#define LIBURING_MEMBER(name) __typeof__(io_uring_##name) *name;
	LIBURING_FUNCTIONS(LIBURING_MEMBER)
#undef LIBURING_MEMBER
} liburing;

/* Loads the library on the first call; it stays loaded. -ELIBACC: it is not installed, or lacks a function. */
int liburing_load(void);

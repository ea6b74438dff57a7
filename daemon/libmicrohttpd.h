/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * libmicrohttpd for the control socket, loaded when the daemon begins to answer: it brings GnuTLS, which no command
 * needs and no start should wait for before the plane is set up.
 */

#include <microhttpd.h>

#define LIBMICROHTTPD_FUNCTIONS(X)                                                                 \
	X(add_response_header)                                                                     \
	X(create_response_from_buffer_with_free_callback)                                          \
	X(destroy_response)                                                                        \
	X(get_connection_info)                                                                     \
	X(get_connection_values_n)                                                                 \
	X(get_daemon_info)                                                                         \
	X(get_timeout)                                                                             \
	X(lookup_connection_value)                                                                 \
	X(queue_response)                                                                          \
	X(quiesce_daemon)                                                                          \
	X(resume_connection)                                                                       \
	X(run)                                                                                     \
	X(start_daemon)                                                                            \
	X(stop_daemon)                                                                             \
	X(suspend_connection)

/* MHD_run() is libmicrohttpd.run(), and so on: valid once libmicrohttpd_load() has returned 0. */
extern struct libmicrohttpd {
#define LIBMICROHTTPD_MEMBER(name) __typeof__(MHD_##name) *name;
	LIBMICROHTTPD_FUNCTIONS(LIBMICROHTTPD_MEMBER)
#undef LIBMICROHTTPD_MEMBER
} libmicrohttpd;

/* Loads the library on the first call; it stays loaded. -ELIBACC: it is not installed, or lacks a function. */
int libmicrohttpd_load(void);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * libcurl for those who speak HTTP: the commands' client and the health worker. It is loaded when they ask for it,
 * since the daemon never does, and mapping and relocating it and the thirty libraries behind it was half of its start.
 */

#include <curl/curl.h>
#include <stdbool.h>

#define LIBCURL_FUNCTIONS(X)                                                                       \
	X(easy_cleanup)                                                                            \
	X(easy_escape)                                                                             \
	X(easy_getinfo)                                                                            \
	X(easy_init)                                                                               \
	X(easy_perform)                                                                            \
	X(easy_setopt)                                                                             \
	X(easy_strerror)                                                                           \
	X(free)                                                                                    \
	X(global_init)                                                                             \
	X(multi_add_handle)                                                                        \
	X(multi_assign)                                                                            \
	X(multi_cleanup)                                                                           \
	X(multi_info_read)                                                                         \
	X(multi_init)                                                                              \
	X(multi_remove_handle)                                                                     \
	X(multi_setopt)                                                                            \
	X(multi_socket_action)                                                                     \
	X(share_cleanup)                                                                           \
	X(share_init)                                                                              \
	X(share_setopt)                                                                            \
	X(slist_append)                                                                            \
	X(slist_free_all)

/* curl_easy_init() is libcurl.easy_init(), and so on: valid once libcurl_load() has returned 0. */
extern struct libcurl {
#define LIBCURL_MEMBER(name) __typeof__(curl_##name) *name;
	LIBCURL_FUNCTIONS(LIBCURL_MEMBER)
#undef LIBCURL_MEMBER
} libcurl;

/*
 * Loads the library on the first call, which decides whether it can do TLS; that takes some milliseconds and a megabyte.
 * -ELIBACC: it is not installed, or lacks a function. It stays loaded. To be called before a sandbox closes the file
 * system.
 */
int libcurl_load(bool tls);

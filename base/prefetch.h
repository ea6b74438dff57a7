/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For objects by the thousand, each of which is touched seldom: by then no cache has them. */

#include <stddef.h>

enum {
	PREFETCH_LINE = 64, /* a cache line, or a half of one */
};

/* A hint: all of the object will be wanted soon. Of any address, NULL included. */
static inline void prefetch(const void *object, size_t size)
{
	for (size_t at = 0; at < size; at += PREFETCH_LINE)
		__builtin_prefetch((const char *)object + at, 1);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Allocations that fail when a test wants it. The linker wraps malloc(), calloc(), realloc(), reallocarray() and
 * strdup() of the whole program (tests/meson.build).
 */

#include <stdbool.h>
#include <stddef.h>

/* n more succeed, then one fails, then all succeed again. */
void failing_memory_arm(size_t n);

/* None is to fail from now on. True: the one did. */
bool failing_memory_disarm(void);

/* While suspended, allocations neither count nor fail: those of the test itself. */
void failing_memory_suspend(bool suspend);

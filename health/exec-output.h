/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What a check program may say beside its exit status: a line "weight N%" on its output. Pure.
 */

#include <stddef.h>
#include <stdint.h>

/* The percentage of the last such line; -1 = there is none. */
int32_t exec_output_weight(const char *text, size_t n);

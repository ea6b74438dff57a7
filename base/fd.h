/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Whole reads and writes of blocking descriptors: past signals and short counts. Negative errno. */

#include <stddef.h>

/* Up to size bytes, or to the end of the file. */
int fd_read_all(int fd, char *buf, size_t size, size_t *ret_len_bytes);

int fd_write_all(int fd, const char *buf, size_t len_bytes);

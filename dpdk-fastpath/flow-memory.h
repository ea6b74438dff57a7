/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Memory of flow tables: hugepages where some are free, else the kernel's transparent ones, so that a look-up costs no
 * TLB miss beside the cache miss. Zero, and touched at first use. For flow_table_config.
 */

#include <stddef.h>

void *flow_memory_allocate(void *context, size_t bytes);
void flow_memory_release(void *context, void *memory, size_t bytes);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/flow-memory.h"

#include <sys/mman.h>

#define HUGEPAGE_BYTES ((size_t)2 << 20)

/* munmap() of hugepages wants whole ones. */
static size_t whole_pages(size_t bytes)
{
	return (bytes + HUGEPAGE_BYTES - 1) & ~(HUGEPAGE_BYTES - 1);
}

void *flow_memory_allocate(void *context, size_t bytes)
{
	const int flags = MAP_PRIVATE | MAP_ANONYMOUS;
	size_t size = whole_pages(bytes);
	void *memory;

	(void)context;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags | MAP_HUGETLB, -1, 0);
	if (memory != MAP_FAILED)
		return memory;
	memory = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, -1, 0);
	if (memory == MAP_FAILED)
		return NULL;
	(void)madvise(memory, size, MADV_HUGEPAGE); /* a kernel without them: small pages do */
	return memory;
}

void flow_memory_release(void *context, void *memory, size_t bytes)
{
	(void)context;
	if (memory)
		(void)munmap(memory, whole_pages(bytes));
}

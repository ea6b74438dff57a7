/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/failing-memory.h"

#include <stdint.h>

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void *__real_reallocarray(void *p, size_t n, size_t size);
char *__real_strdup(const char *s);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void *__wrap_reallocarray(void *p, size_t n, size_t size);
char *__wrap_strdup(const char *s);

static size_t until_failure;
static bool armed, suspended, failed;

static bool fails(void)
{
	if (!armed || suspended || until_failure-- > 0)
		return false;
	armed = false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t size)
{
	return fails() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
	return fails() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *p, size_t size)
{
	return fails() ? NULL : __real_realloc(p, size);
}

void *__wrap_reallocarray(void *p, size_t n, size_t size)
{
	return fails() ? NULL : __real_reallocarray(p, n, size);
}

char *__wrap_strdup(const char *s)
{
	return fails() ? NULL : __real_strdup(s);
}

void failing_memory_arm(size_t n)
{
	until_failure = n;
	failed = false;
	armed = true;
}

bool failing_memory_disarm(void)
{
	armed = false;
	return failed;
}

void failing_memory_suspend(bool suspend)
{
	suspended = suspend;
}

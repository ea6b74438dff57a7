/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/number.h"

#include <errno.h>
#include <stdbool.h>

int number_take(const char **cursor, uint64_t max, uint64_t *ret)
{
	const char *s = *cursor;
	uint64_t n = 0;
	bool over = false;

	if (*s < '0' || *s > '9')
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		uint64_t digit = (uint64_t)(*s - '0');

		if (__builtin_mul_overflow(n, 10, &n) || __builtin_add_overflow(n, digit, &n))
			over = true;
	}
	*cursor = s;
	*ret = n;
	return over || n > max ? -ERANGE : 0;
}

int number_parse(const char *text, uint64_t max, uint64_t *ret)
{
	uint64_t n;
	int r = number_take(&text, max, &n);

	if (*text)
		return -EINVAL;
	if (r == 0)
		*ret = n;
	return r;
}

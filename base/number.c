/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "base/number.h"

#include <errno.h>
#include <stdbool.h>

int number_take(const char **cursor, uint64_t max, uint64_t *ret)
{
	const char *s = *cursor;
	uint64_t n = 0, digit;
	bool over = false;

	for (; (digit = (uint64_t)*s - '0') <= 9; s++) {
		if (n >= UINT64_MAX / 10)
			over = over || n > UINT64_MAX / 10 || digit > UINT64_MAX % 10;
		n = n * 10 + digit;
	}
	if (s == *cursor)
		return -EINVAL;
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

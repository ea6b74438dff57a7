/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Wall-clock times as text: RFC 3339 in UTC with milliseconds, "2026-11-22T10:00:00.123Z". Pure. */

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"

enum {
	RFC3339_MAX = 40,
};

/* Returns buf. */
static inline const char *rfc3339_format(usec_t wall_usec, char buf[static RFC3339_MAX])
{
	time_t sec = (time_t)(wall_usec / USEC_PER_SEC);
	char fraction[8];
	struct tm tm;

	if (!gmtime_r(&sec, &tm) || !strftime(buf, RFC3339_MAX, "%Y-%m-%dT%H:%M:%S", &tm))
		return strcpy(buf, "-");
	(void)snprintf(fraction, sizeof(fraction), ".%03uZ",
		       (unsigned)(wall_usec % USEC_PER_SEC / USEC_PER_MSEC));
	return strcat(buf, fraction);
}

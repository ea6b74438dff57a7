/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The page that `ipvsd status` shows, from the daemon's JSON. Members that are missing show as "-" or 0. Pure. */

#include <jansson.h>
#include <stdio.h>

#include "base/clock.h"
#include "daemon/table.h"

void cli_status_render(const json_t *status, const struct table_style *style, usec_t now_wall_usec,
		       FILE *f);

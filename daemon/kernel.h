/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Kernel settings that the configuration needs: sysctls (forwarding, net.ipv4.vs.*) and scheduler modules. Set,
 * reported or ignored, as `sysctls` and `modules` in [ipvsd] say. Values and reasons: a table in kernel.c.
 */

#include <jansson.h>

struct conf;

/*
 * Returns findings: [{"name", "wanted", "actual", "reason", "done": bool, "remedy"}] for what was or is not as it
 * must be; the caller logs them. NULL on lack of memory. Never fails the daemon's start.
 */
json_t *kernel_prepare(const struct conf *conf);

/* By modprobe; 0, or negative errno. */
int kernel_load_module(const char *module);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The kernel's IPVS table as ipvsadm shows it: a reader that shares no code with ipvs/. Of the caller's network
 * namespace. 0 or negative errno.
 */

#include "ipvs/ruleset.h"

/* From `ipvsadm -Sn`: all configuration but the thresholds, which it does not print; destinations in no order. Sorted. */
int ipvsadm_read(struct ipvs_ruleset *ret);

/* Feeds the lines to `ipvsadm -R`. */
int ipvsadm_restore(const char *lines);

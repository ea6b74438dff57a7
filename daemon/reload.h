/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Read, validate, plan, apply, report; all or nothing. The new configuration and registry are built beside the old
 * ones and take their place only when the plane has accepted every operation; else the plane is led back.
 */

struct manager;

/*
 * The first application, by manager_new(): m->conf and m->registry are there, the plane is as it was found.
 * ret_error: owned by the caller, what failed and the remedy. Negative errno.
 */
int reload_first(struct manager *m, char **ret_error);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Read, validate, plan, apply, report; all or nothing. The new configuration and registry are built beside the old
 * ones and take their place only when the plane has accepted every operation; else the plane is led back.
 */

struct diag_list;
struct manager;

/* To the log, of this severity (enum diag_severity) or worse; the first ones only: `ipvsd check` shows all. */
void reload_log_diags(const struct diag_list *diags, int least);

/*
 * The first application, by manager_new(): m->conf and m->registry are there, the plane is as it was found.
 * ret_error: owned by the caller, what failed and the remedy. Negative errno.
 */
int reload_first(struct manager *m, char **ret_error);

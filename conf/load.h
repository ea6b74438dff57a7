/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reads the configuration from disk: the main file, then DIR/conf.d/{*.conf} in name order beside it, then every
 * targets-file. The only I/O of this folder.
 */

struct conf;
struct diag_list;

/*
 * 0 and *ret_conf when the configuration is valid (there may be warnings and notes); -EINVAL when diags holds
 * errors (an unreadable file is one of them); -ENOMEM. diags is appended to and sorted.
 */
int conf_load(const char *path, struct conf **ret_conf, struct diag_list *diags);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Reads the configuration from disk: the main file, then DIR/conf.d/{*.conf} in name order beside it, then every
 * targets-file and health-check-ca-file. The only I/O of this folder.
 */

#include <stddef.h>

struct authorities;
struct conf;
struct conf_target;
struct diag_list;

/*
 * 0 and *ret_conf when the configuration is valid (there may be warnings and notes); -EINVAL when diags holds
 * errors (an unreadable file is one of them); -ENOMEM. diags is appended to and sorted.
 */
int conf_load(const char *path, struct conf **ret_conf, struct diag_list *diags);

/*
 * The same without the files that groups name: they are not read. So a daemon can start beside a bad one, and who wants a
 * key alone does not read files for nothing.
 */
int conf_load_own(const char *path, struct conf **ret_conf, struct diag_list *diags);

/*
 * A targets-file anew, for a group of the configuration that runs. As targets_file_parse(), which also says who owns
 * what; the targets borrow path. A file that cannot be read is an error in diags, and -EINVAL.
 */
int load_targets(const struct conf *c, size_t group, const char *path, struct diag_list *diags,
		 struct conf_target **ret, size_t *ret_n);

/* A health-check-ca-file anew: 0 and a reference; -EINVAL, and an error in diags; -ENOMEM. */
int load_authorities(const char *path, struct diag_list *diags, struct authorities **ret);

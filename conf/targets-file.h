/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The text of a targets-file: the targets of a group, as `targets` in its section takes them, in lines of their own.
 * Pure.
 */

#include <stddef.h>

struct conf;
struct conf_group;
struct conf_target;
struct diag_list;

/* Appends to g's targets; findings go to diags. path is borrowed by the targets. -ENOMEM only. */
int targets_file_append(struct conf_group *g, const char *path, const char *text, size_t len,
			struct diag_list *diags);

/*
 * A new text of the file, while the configuration runs: as a whole or not at all. 0 and the targets, in an array owned
 * by the caller (targets_file_free()); -EINVAL when diags has errors, one of which is that there is no target in it;
 * -ENOMEM.
 */
int targets_file_parse(const struct conf *c, size_t group, const char *path, const char *text,
		       size_t len, struct diag_list *diags, struct conf_target **ret,
		       size_t *ret_n);

void targets_file_free(struct conf_target *targets, size_t n);

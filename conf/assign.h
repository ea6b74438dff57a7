/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One value of one key into its member, checked against the key table. Pure.
 */

#include <stdbool.h>
#include <stddef.h>

#include "conf/keys.h"

struct diag_list;

/* Where a value is, for messages. */
struct assign_place {
	struct diag_list *diags; /* borrowed */
	const char *path;	 /* borrowed */
	unsigned line;
	const struct key *key;
};

/*
 * A key that is not a list. object is the section's struct; value may be changed. 0, -EINVAL (reported), -ENOMEM.
 */
int assign_scalar(const struct assign_place *at, void *object, char *value);

/* "must be 1 to 65535, or \"traffic-port\"": what a key accepts, for messages and the manual page. */
void assign_describe(const struct key *key, char *buf, size_t size);

/* Appends one zeroed item to an array that is doubled at powers of two; NULL on lack of memory. */
void *assign_append(void **items, size_t *n, size_t item_size);

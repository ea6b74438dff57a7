/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* One target in its group's document: which members it has, and whether any of them changed. Pure but for memory. */

#include <jansson.h>
#include <stddef.h>
#include <stdint.h>

struct json_text;
struct target;

/* Of address and port. */
uint64_t state_target_hash_key(const struct target *t);

/* Of all that makes the document out of date; never 0. */
uint64_t state_target_hash(const struct target *t);

/* position: in the group; index: in the document. */
void state_target_format(struct json_text *j, const struct target *t, size_t position,
			 size_t index);

/* -EBADMSG when it makes no sense. */
int state_target_parse(const json_t *entry, size_t index, struct target *ret,
		       uint32_t *ret_position);

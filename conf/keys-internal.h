/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* How the rows of the key table are written, and the sections that stand in a file of their own. */

#include "base/clock.h"
#include "conf/conf.h"
#include "conf/keys.h"

#define SECONDS(n) ((n)*USEC_PER_SEC)
#define MSECS(n) ((n)*USEC_PER_MSEC)
#define MEMBER(type, member) .offset = offsetof(type, member), .size = sizeof(((type *)0)->member)
#define GLOBAL(member) .section = KEY_SECTION_GLOBAL, MEMBER(struct conf_global, member)
#define LISTENER(member) .section = KEY_SECTION_LISTENER, MEMBER(struct conf_listener, member)
#define GROUP(member) .section = KEY_SECTION_GROUP, MEMBER(struct conf_group, member)
#define SECURITY(member)                                                                           \
	.section = KEY_SECTION_SECURITY_GROUP, MEMBER(struct conf_security_group, member)
#define FASTPATH(member) .section = KEY_SECTION_FASTPATH, MEMBER(struct conf_fastpath, member)
#define COUNT(type, member) .count_offset = offsetof(type, member)

struct key_table {
	const struct key *keys;
	size_t n;
};

extern const struct key_table keys_listener, keys_security, keys_fastpath; /* keys-plane.c */

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Listener addresses on interfaces, through rtnetlink: those that the configuration wants (a listener with a
 * vip-interface) are added, those that ipvsd added before and nobody wants any more are removed. An address that was
 * there already, whoever put it there, is used and never removed. What ipvsd added is marked in the kernel by the
 * address protocol where the kernel has it (IFA_PROTO, 5.18+), and remembered in the state file in any case.
 */

#include <jansson.h>
#include <stdbool.h>

#include "base/addr.h"

struct conf;
struct vip_set;

/* Opens the rtnetlink socket. */
int vip_set_new(struct vip_set **ret);
void vip_set_free(struct vip_set *v);

/*
 * Adds what is missing; does not remove. Duplicate address detection is off for the added IPv6 addresses. On error
 * what this call added is taken back; *ret_error (owned by the caller) says what failed and the remedy.
 */
int vip_set_add_wanted(struct vip_set *v, const struct conf *conf, char **ret_error);

/*
 * Adds what is missing, as far as it can: an interface that is gone is no reason to leave the others without their
 * addresses. *ret_n: how many were added. On error *ret_error tells of the first that could not be.
 */
int vip_set_repair(struct vip_set *v, const struct conf *conf, size_t *ret_n, char **ret_error);

/* Removes ours that `conf` (NULL = none) does not want. Errors are tolerated: an address may be gone already. */
void vip_set_remove_unwanted(struct vip_set *v, const struct conf *conf);

/* Warnings about listeners whose address no interface has and nobody adds: an array of strings, owned by the caller. */
json_t *vip_set_missing(struct vip_set *v, const struct conf *conf);

/*
 * Where the configuration says `from`, `to` is meant from now on; ours move with it (somebody else moves the addresses
 * themselves). `to` NULL: `from` is meant again. -ENOMEM.
 */
int vip_set_redirect(struct vip_set *v, const char *from, const char *to);

/* The ones that are ours, for the state file; and back. [{"address", "prefix", "interface"}] */
json_t *vip_set_to_json(const struct vip_set *v);
void vip_set_from_json(struct vip_set *v, const json_t *j);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Rules between keys and between sections: resolves names to indices, fills in what depends on other keys, and
 * reports what cannot work, or works otherwise than it reads. Pure.
 */

struct parse;

/* Findings go to p->diags; -ENOMEM only. Does what it can on a configuration with errors. */
int validate(struct parse *p);

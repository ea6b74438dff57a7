/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * One line of a list key into its items: targets, forwards, rules, names. Pure.
 */

#include "conf/assign.h"

/*
 * Appends what the line holds to the array at the key's offset in object. Bad items are reported, the others are
 * kept. 0, -EINVAL (reported), -ENOMEM. value is changed.
 */
int items_parse(const struct assign_place *at, void *object, char *value);

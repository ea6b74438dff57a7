/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Any bytes as a script of frames, configuration changes and time for directors of two workers, with every method in
 * both families; and what must hold whatever the script. For the test, which makes the bytes at random, and the fuzzer.
 */

#include <stddef.h>
#include <stdint.h>

struct storm;

struct storm *storm_new(void);
void storm_free(struct storm *s);

/* Plays the script, checks, and ends all connections. Aborts where something does not hold. */
void storm_play(struct storm *s, const uint8_t *script, size_t n);

/* Frames that ended in the counter, over all scripts. */
uint64_t storm_counter(const struct storm *s, unsigned counter);

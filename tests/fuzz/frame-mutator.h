/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Inputs of the packet fuzzers: bytes that steer, then a frame. The mutator makes new frames by the rules of the
 * protocols, damages old ones, and puts IPv4 checksums right again, so that what is behind them is reached.
 */

#include <stddef.h>
#include <stdint.h>

enum {
	MUTATOR_STEER_BYTES = 48,
	MUTATOR_FRAME_MAX = 2048,
};

size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max_size);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max_size, unsigned seed);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

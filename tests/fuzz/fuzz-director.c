/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Frames, configuration and time in any order: see director-storm.h for what must hold. */
#include "tests/director-storm.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct storm *storm;

	/* One for all inputs, which leave it as they found it: its tables take long to make. */
	if (!storm)
		storm = storm_new();
	storm_play(storm, data, size);
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The neighbours that an interface knows, for the one that takes its place: it would have to ask for each of them first,
 * and packets would be dropped meanwhile. In the calling thread's network namespace.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	INTERFACE_HARDWARE_MAX = 32,
};

struct interface_neighbour {
	struct addr addr;
	uint8_t hardware[INTERFACE_HARDWARE_MAX];
	size_t hardware_len_bytes;
	bool permanent;
};

struct interface_neighbours {
	struct interface_neighbour *at; /* owned */
	size_t n;
};

#define INTERFACE_NEIGHBOURS_INIT ((struct interface_neighbours){ 0 })

void interface_neighbours_deinit(struct interface_neighbours *l);

/* Those with a known address. -ENODEV, -EINTR: they kept changing. */
int interface_neighbours_save(const char *name, struct interface_neighbours *ret);

/*
 * Those that did not answer, since what came in was dropped: the kernel would wait for the time of its next question
 * before it asks again.
 */
int interface_neighbours_forget_unanswered(const char *name);

/* The kernel asks each of them again when it is used. The first error; goes on past it. */
int interface_neighbours_give(const struct interface_neighbours *l, const char *to);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * Configurations by chance, from the key table: every key but those of the caller's own section [ipvsd], with values from
 * its range and at its ends; some are beyond. What they name is of a lab (tests/lab/lab.h) with the files below.
 * Functions fail the running cmocka test themselves.
 */

#include <stdbool.h>
#include <stddef.h>

#define RANDOM_CONF_TARGETS_FILE "/run/random.targets"
#define RANDOM_CONF_CA_FILE "/run/random.pem"

enum {
	RANDOM_CONF_LINES_MAX = 512,
};

struct random_conf {
	char *lines[RANDOM_CONF_LINES_MAX]; /* owned */
	size_t n;
};

/* own: complete lines of a section [ipvsd], without log-level. */
void random_conf_init(struct random_conf *c, const char *own, unsigned *seed);
void random_conf_deinit(struct random_conf *c);

/* All lines, as one text; owned by the caller. */
char *random_conf_text(const struct random_conf *c);

/*
 * Writes it and takes out what errors are about, line by line and section by section, until the file is valid. How many
 * times that was: 0 = it was valid.
 */
unsigned random_conf_mend(struct random_conf *c, const char *path);

/* Is the file valid, as `ipvsd check` has it? */
bool random_conf_check(const char *path);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The state of `scale`, and its parts. Each returns 0 or negative errno after a message. */

#include "tests/bench/scale-rivals.h"
#include "tests/bench/stats.h"
#include "tests/lab/gateway.h"
#include "tests/lab/lab.h"

struct scale_bench {
	struct lab *lab;	    /* owned */
	struct gateway *gateway;    /* owned */
	struct kernel_table *table; /* owned */
	struct lab_process keepalived;
	struct scale scale;
	unsigned rounds;
};

/* A daemon without a past, from the configuration b->scale. */
int scale_start(struct scale_bench *b);
int scale_stop(struct scale_bench *b);
/* POST /v1/reload; everything but 200 is a failure. */
int scale_post_reload(struct scale_bench *b);

/* The time that the kernel needs for the table of b->scale, whoever asks it; added to *ret. */
int scale_measure_floor(struct scale_bench *b, struct stats_series *ret);
/* Repair of what others changed, and what it costs when nobody did. */
int scale_measure_drift(struct scale_bench *b);
/* What is written, by the daemon's own count and by an independent one. */
int scale_count_writes(struct scale_bench *b);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What ipvsd is measured against, on the lab's gateway, and the waiting that is the same for all. */

#include <sys/types.h>

#include "tests/bench/scale-conf.h"
#include "tests/bench/kernel-table.h"
#include "tests/lab/process.h"

struct lab;

/* -ETIMEDOUT, said, when the table of s does not stand in time. *ret: when it was seen. */
int rivals_wait_table(struct kernel_table *t, const struct scale *s, usec_t *ret);
/* Until the target with a weight of its own has it. */
int rivals_wait_weight(struct kernel_table *t, const struct scale *s, usec_t *ret);

/* `ipvsadm -R` with SCALE_IPVSADM_RULES as standard input; returns when it runs. */
int rivals_ipvsadm_start(struct lab *lab, pid_t *ret);
/* Its exit status, 128 + signal. */
int rivals_ipvsadm_wait(pid_t pid);

/* Its IPVS part only, from SCALE_KEEPALIVED_CONF. */
int rivals_keepalived_start(struct lab *lab, struct lab_process *ret);
/* It removes its services. */
int rivals_keepalived_stop(struct lab_process *p);

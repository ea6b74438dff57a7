/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What the fast path has taken from the kernel, and how to put it back: written to the state directory
 * (fastpath.json) before it is taken, so that the next daemon can put it back after a crash, or go on with a process
 * that still has the traffic.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/fastpath-port.h"
#include "daemon/interface.h"
#include "daemon/pci.h"

enum fastpath_phase {
	FASTPATH_IDLE,	  /* nothing is taken */
	FASTPATH_RUNNING, /* there is a process, which has nothing yet */
	FASTPATH_SEIZED,  /* something has been taken, perhaps not all */
	FASTPATH_CARRIES, /* it has the traffic */
	_FASTPATH_PHASE_MAX,
};

struct fastpath_taken {
	struct fastpath_port port;
	char interface[IFNAMSIZ];    /* the kernel's, of which addresses are moved; "" = none */
	char exception[IFNAMSIZ];    /* where they go */
	char driver[PCI_DRIVER_MAX]; /* of a PCI device, before; "" = none had it */
	struct interface_state state;
};

struct fastpath_record {
	enum fastpath_phase phase;
	bool enabled, wanted; /* the configuration's word and the order in force */
	pid_t pid;
	uint64_t start_ticks;	      /* daemon/fastpath-process.h */
	char *command;		      /* owned; the process's command line, one text; NULL = none */
	struct fastpath_taken *ports; /* owned */
	size_t n_ports;
};

#define FASTPATH_RECORD_INIT ((struct fastpath_record){ 0 })

void fastpath_record_deinit(struct fastpath_record *r);

/* Forgets the ports. */
void fastpath_record_clear(struct fastpath_record *r);

/* NULL = no memory. */
json_t *fastpath_record_to_json(const struct fastpath_record *r);
/* Read with distrust: -EBADMSG. */
int fastpath_record_from_json(const json_t *j, struct fastpath_record *ret);

/* Durably. Negative errno. */
int fastpath_record_save(const struct fastpath_record *r, const char *directory);
/* -ENOENT: there is none; -EBADMSG: not ours, or damaged; it is set aside. */
int fastpath_record_load(const char *directory, struct fastpath_record *ret);

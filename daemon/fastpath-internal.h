/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What fastpath.c (doing), fastpath-switch.c (orders, life), fastpath-steps.c (what is moved) and fastpath-command.c (the command line) share. */

#include <systemd/sd-event.h>

#include "daemon/fastpath-states.h"
#include "daemon/fastpath-link.h"
#include "daemon/fastpath-machine.h"
#include "daemon/fastpath-plane.h"
#include "daemon/fastpath-process.h"
#include "daemon/fastpath-record.h"
#include "daemon/fastpath-task.h"
#include "daemon/fastpath.h"

#define FASTPATH_NAME_USEC (2 * USEC_PER_SEC) /* for udev to give an interface its name */

enum {
	FASTPATH_END_MSEC = 1000,
};

struct fastpath {
	struct manager *manager; /* borrowed */
	char *socket;		 /* owned; the control socket of the process */
	struct fastpath_machine machine;
	struct fastpath_record record;
	struct fastpath_process process;
	struct fastpath_task task; /* what is being taken or given back */
	struct fastpath_plane plane;
	struct fastpath_states states; /* as of the last look */
	struct fastpath_link *link;    /* owned; NULL = not connected */
	sd_event_source *timer;	       /* owned */
	usec_t asked_usec;	       /* for the last sign of life */
	bool is_awaited;	       /* somebody waits for the next one */
	bool adopted;		       /* in fastpath_new(); to be told to the machine */
	bool unsynced; /* something was not told to the process, which was silent then */
	bool force;    /* of the last order */
	unsigned restore_failures;
	bool restored; /* the kernel has everything; the process may still be ending */
	enum fastpath_state announced;
	bool announced_failure;
	char text[FASTPATH_REASON_MAX];	   /* of the event that is being made */
	char trouble[FASTPATH_REASON_MAX]; /* to be told to the machine; "" = none */
};

struct fastpath_command {
	char **argv; /* owned, with its texts; ends with NULL */
	size_t n;
	char *text; /* owned; all of it, to be compared */
};

struct conf_fastpath;

int fastpath_command_make(struct fastpath_command *c, const struct conf_fastpath *f,
			  const char *socket);
void fastpath_command_free(struct fastpath_command *c);

/* A failure, with its reason in f->text. */
struct fastpath_event fastpath_failed(struct fastpath *f, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* The actions of these names. True: *e is the answer; false: it comes later. */
bool fastpath_seize(struct fastpath *f, struct fastpath_event *e);
bool fastpath_move(struct fastpath *f, struct fastpath_event *e);
bool fastpath_restore(struct fastpath *f, struct fastpath_event *e);

/* Addresses of listeners are on the exception interfaces, or back. */
void fastpath_redirect_vips(struct fastpath *f, bool there);
/* Nothing is taken any more. */
void fastpath_forget(struct fastpath *f);
bool fastpath_has_udev(void);

/* The event, and whatever follows from it. Not from within what it does. */
void fastpath_handle(struct fastpath *f, const struct fastpath_event *event);

/* When it is to be asked for a sign of life. */
usec_t fastpath_ask_due(const struct fastpath *f);

/* Sets the timer to the machine's next TIME, or to the next question that somebody waits for. */
void fastpath_arm(struct fastpath *f);
void fastpath_tick(struct fastpath *f);

/* What the record tells of: adopts its process, or puts everything back. 0: adopted. */
int fastpath_adopt(struct fastpath *f);

/* The settings of the running configuration, where they go without a new start. */
void fastpath_refresh(struct fastpath *f);

/* Writes the record; logs. */
void fastpath_save(struct fastpath *f);

const char *fastpath_directory(const struct fastpath *f);

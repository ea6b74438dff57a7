/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * When the fast path is started, given the traffic, taken it away from, and tried again: the decisions alone. Pure:
 * events and the time go in, what is to be done comes out, one action at a time; daemon/fastpath.c does it and says how
 * it went. The kernel plane is programmed all the time, so the way back is to give it its addresses and devices; a
 * process that was killed is not waited for, except by its devices and by the next start.
 *
 *	state		entered by		left by
 *	off		nothing is wanted	SWITCH_ON: checks, starts the program -> starting
 *	starting	the program runs	BEAT: programs it, takes the devices -> attaching
 *	attaching	ports are being taken	DONE: moves the addresses -> active
 *	active		it has the traffic	no BEAT or no turn of a worker for too long, EXITED, TROUBLE,
 *						SWITCH_OFF -> stopping
 *	adopting	a daemon before us	BEAT with its ports: programs it -> active
 *			left it running
 *	stopping	told to end, or killed	EXITED, or killed -> restoring
 *	restoring	everything is put back	DONE -> off, waiting, or starting (again)
 *	waiting		it failed, and is	TIME -> starting
 *			enabled
 */

#include <stdbool.h>

#include "base/clock.h"
#include "health/guard.h"

enum fastpath_state {
	FASTPATH_OFF,
	FASTPATH_STARTING,
	FASTPATH_ATTACHING,
	FASTPATH_ACTIVE,
	FASTPATH_ADOPTING,
	FASTPATH_STOPPING,
	FASTPATH_RESTORING,
	FASTPATH_WAITING,
	_FASTPATH_STATE_MAX,
};

/* Those with an answer are answered by DONE or FAILED. */
enum fastpath_action {
	FASTPATH_NOTHING,
	FASTPATH_CHECK,	    /* preflight; answer */
	FASTPATH_START,	    /* the process; answer */
	FASTPATH_PROGRAM,   /* services and destinations; answer */
	FASTPATH_SEIZE,	    /* what is moved goes to disk, PCI devices to vfio-pci; answer */
	FASTPATH_ATTACH,    /* the process takes its ports; answer, later */
	FASTPATH_MOVE,	    /* addresses and routes to the exception interfaces; answer */
	FASTPATH_TERMINATE, /* the process; EXITED follows */
	FASTPATH_KILL,	    /* likewise; answer */
	FASTPATH_RESTORE, /* devices, addresses, routes, the process is gone; answer, also AGAIN */
	_FASTPATH_ACTION_MAX,
};

enum fastpath_event_kind {
	FASTPATH_SWITCH_ON,
	FASTPATH_SWITCH_OFF,
	FASTPATH_CONFIGURED, /* .enabled; .changed: what runs does not run as configured */
	FASTPATH_ADOPT,	     /* at the daemon's start: a process that has the traffic was found */
	FASTPATH_DONE,
	FASTPATH_FAILED,  /* .reason */
	FASTPATH_AGAIN,	  /* RESTORE: not yet, ask again soon */
	FASTPATH_BEAT,	  /* the process answered; .attached, .asked_usec, .late_usec */
	FASTPATH_CLOSED,  /* it has let go of its control socket: it ends, EXITED will say why */
	FASTPATH_EXITED,  /* .reason */
	FASTPATH_TROUBLE, /* a request to the process failed; .reason */
	FASTPATH_TIME,	  /* at least every FASTPATH_TICK_USEC */
	_FASTPATH_EVENT_MAX,
};

struct fastpath_event {
	enum fastpath_event_kind kind;
	const char *reason; /* borrowed */
	bool enabled, changed, attached;
	usec_t asked_usec; /* BEAT: when the question was sent that it answers */
	usec_t late_usec;  /* BEAT: since the slowest worker last came round its loop */
};

enum {
	FASTPATH_REASON_MAX = 256,
};

#define FASTPATH_TICK_USEC (50 * USEC_PER_MSEC)
#define FASTPATH_BEAT_USEC (100 * USEC_PER_MSEC) /* the process is asked this often */
/* Four missed beats; with the tick and the way back it is less than a second. */
#define FASTPATH_SILENCE_USEC (400 * USEC_PER_MSEC)
/* Came back after longer than this: probes of that time do not count. */
#define FASTPATH_HUNG_USEC (200 * USEC_PER_MSEC)
/* A worker that stands still so long is stuck. One that lost its CPU may come back, so it gets more time. */
#define FASTPATH_STUCK_USEC USEC_PER_SEC
/* Who asks for a sign of life out of turn asks no more often than this. */
#define FASTPATH_ASK_USEC (10 * USEC_PER_MSEC)
#define FASTPATH_START_USEC (30 * USEC_PER_SEC) /* gigabytes of huge pages take their time */
/* A device takes a second or two, on a busy host more. */
#define FASTPATH_ATTACH_USEC (10 * USEC_PER_SEC)
#define FASTPATH_TERMINATE_USEC (300 * USEC_PER_MSEC)
#define FASTPATH_AGAIN_USEC (20 * USEC_PER_MSEC)
#define FASTPATH_RESTORE_RETRY_USEC USEC_PER_SEC
/* After a move: a neighbour that missed the kernel's question is asked again a second later. */
#define FASTPATH_GRACE_USEC USEC_PER_SEC
#define FASTPATH_BACKOFF_MIN_USEC USEC_PER_SEC
#define FASTPATH_BACKOFF_MAX_USEC (60 * USEC_PER_SEC)

struct fastpath_machine {
	enum fastpath_state state;
	enum fastpath_action awaited; /* its answer; NOTHING = none */
	bool enabled;		      /* by the configuration: tried again after a failure */
	bool wanted;		      /* by the operator or the configuration */
	bool gentle; /* a healthy process is told to end, and not killed: devices want to be closed */
	bool failed;	      /* while it ends: because of .reason */
	bool unexplained;     /* what EXITED tells is the better .reason */
	usec_t since_usec;    /* of the state; monotonic, as all */
	usec_t deadline_usec; /* USEC_NEVER = none */
	usec_t beat_usec;     /* last answer */
	usec_t turn_usec;     /* when the slowest worker last came round */
	usec_t alive_usec;    /* when all of it was alive for certain: see vouches() below */
	usec_t tick_usec;     /* last TIME */
	usec_t late_usec;     /* when this process last came late itself */
	usec_t backoff_usec;  /* of the next failure */
	unsigned failures;    /* since it last was active for long */
	char reason[FASTPATH_REASON_MAX]; /* of the last failure; "" = none */
	/* The last one: from .alive_usec, or from the first device that is taken; also a hang that has passed. */
	struct guard_outage outage;
};

void fastpath_machine_init(struct fastpath_machine *m, bool enabled, usec_t now);

/* What to do now. Only one action is ever unanswered. */
enum fastpath_action fastpath_machine_handle(struct fastpath_machine *m,
					     const struct fastpath_event *e, usec_t now);

/* When the next TIME is due at the latest; USEC_NEVER = nothing is going on. */
usec_t fastpath_machine_due(const struct fastpath_machine *m);

/* Is the operator's last order carried out, or has it failed? */
bool fastpath_machine_is_settled(const struct fastpath_machine *m);

/* Does the process have (part of) the traffic, so that weights must reach it? */
bool fastpath_machine_is_programmed(const struct fastpath_machine *m);

/*
 * Is it known that the process was alive at that time, or that it had no traffic? Else a later answer will tell, or the
 * outage, which then began before. beat_usec and turn_usec don't say it: they forgive this process its own lateness.
 */
bool fastpath_machine_vouches(const struct fastpath_machine *m, usec_t at_usec);

const char *fastpath_state_to_string(enum fastpath_state s);

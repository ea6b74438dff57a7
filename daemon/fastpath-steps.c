/* SPDX-License-Identifier: GPL-2.0-or-later */

/* Taking from the kernel and giving back: what may take long is done by a task (daemon/fastpath-task.h). */

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/fastpath-internal.h"
#include "daemon/fastpath-move.h"
#include "daemon/manager.h"
#include "daemon/vip.h"
#include "ipvs/channel-unix.h"

#define TASK_USEC (10 * USEC_PER_SEC)	 /* unbinding takes ENA a second or two */
#define EXIT_USEC (300 * USEC_PER_MSEC)	 /* of a process that ends by itself */
#define GIVE_UP_USEC (10 * USEC_PER_SEC) /* on one that was killed */

enum {
	RESTORE_FAILURES_MAX = 10, /* then what cannot be put back is left to the operator */
};

_Static_assert((int)FASTPATH_MOVE_REASON_MAX <= (int)FASTPATH_TASK_REASON_MAX, "fits");

static const struct fastpath_event done = { .kind = FASTPATH_DONE };

/* Unless the machine has given up on it meanwhile. */
static void answer(struct fastpath *f, enum fastpath_action action, struct fastpath_event e)
{
	if (f->machine.awaited == action)
		fastpath_handle(f, &e);
}

static int do_seize(const void *arg, char ret_reason[static FASTPATH_TASK_REASON_MAX])
{
	return fastpath_move_seize(arg, ret_reason);
}

static void on_seized(int error, const char *reason, void *userdata)
{
	struct fastpath *f = userdata;

	answer(f, FASTPATH_SEIZE,
	       error < 0 ? fastpath_failed(f, "cannot take its devices: %s", reason) : done);
}

bool fastpath_seize(struct fastpath *f, struct fastpath_event *e)
{
	const struct conf_fastpath *c = &f->manager->conf->fastpath;
	char reason[FASTPATH_MOVE_REASON_MAX] = "";
	int r = fastpath_move_prepare(&f->record, (const char *const *)c->ports, c->n_ports,
				      c->exception_interface, reason);

	if (r < 0) {
		*e = fastpath_failed(f, "%s", reason);
		return true;
	}
	f->record.phase = FASTPATH_SEIZED;
	f->machine.gentle = fastpath_move_has_devices(&f->record);
	r = fastpath_record_save(&f->record, fastpath_directory(f));
	if (r < 0) {
		*e = fastpath_failed(f, "cannot save what is about to be moved in %s: %s",
				     fastpath_directory(f), strerror(-r));
		return true;
	}
	*e = done;
	if (!fastpath_move_has_devices(&f->record))
		return true;
	r = fastpath_task_start(&f->task, f->manager->event, do_seize, &f->record, TASK_USEC,
				on_seized, f);
	if (r < 0)
		*e = fastpath_failed(f, "cannot take its devices: %s", strerror(-r));
	return r < 0;
}

void fastpath_redirect_vips(struct fastpath *f, bool there)
{
	for (size_t i = 0; i < f->record.n_ports; i++) {
		const struct fastpath_taken *t = &f->record.ports[i];

		if (*t->interface && vip_set_redirect(f->manager->vips, t->interface,
						      there ? t->exception : NULL) < 0)
			log_err("fast path: %s", strerror(ENOMEM));
	}
}

/* While one port's addresses move, the way to its targets would be another port's, by the default route. */
static int hold_routes(const struct fastpath *f, bool hold)
{
	return f->plane.channel ? channel_hold_routes(f->plane.channel, hold) : -ENOTCONN;
}

static int do_move(const void *arg, char ret_reason[static FASTPATH_TASK_REASON_MAX])
{
	return fastpath_move_addresses(arg, ret_reason);
}

static void on_moved(int error, const char *reason, void *userdata)
{
	struct fastpath *f = userdata;
	int r;

	if (f->machine.awaited != FASTPATH_MOVE)
		return;
	if (error < 0)
		return answer(f, FASTPATH_MOVE, fastpath_failed(f, "%s", reason));
	r = hold_routes(f, false);
	if (r < 0)
		return answer(f, FASTPATH_MOVE,
			      fastpath_failed(f, "the fast path does not answer: %s",
					      strerror(-r)));
	f->record.phase = FASTPATH_CARRIES;
	r = fastpath_record_save(&f->record, fastpath_directory(f));
	answer(f, FASTPATH_MOVE,
	       r < 0 ? fastpath_failed(f, "cannot save what was moved in %s: %s",
				       fastpath_directory(f), strerror(-r))
		     : done);
}

/* Who looks for a listener's address meanwhile must not put it back. */
bool fastpath_move(struct fastpath *f, struct fastpath_event *e)
{
	int r = hold_routes(f, true);

	if (r < 0) {
		*e = fastpath_failed(f, "the fast path does not answer: %s", strerror(-r));
		return true;
	}
	fastpath_redirect_vips(f, true);
	r = fastpath_task_start(&f->task, f->manager->event, do_move, &f->record, TASK_USEC,
				on_moved, f);
	if (r < 0)
		*e = fastpath_failed(f, "cannot move addresses: %s", strerror(-r));
	return r < 0;
}

void fastpath_forget(struct fastpath *f)
{
	fastpath_redirect_vips(f, false);
	fastpath_record_clear(&f->record);
	f->record.phase = FASTPATH_IDLE;
	f->record.pid = 0;
	fastpath_save(f);
	f->restore_failures = 0;
	f->restored = false;
}

/* Who else gives interfaces their names? */
bool fastpath_has_udev(void)
{
	return access("/run/udev/control", F_OK) == 0;
}

/* Who does not end by itself is killed. */
static bool is_gone(const struct fastpath *f, usec_t waited)
{
	if (f->process.pid && waited >= EXIT_USEC)
		fastpath_process_signal(&f->process, SIGKILL);
	return f->process.pid == 0;
}

/* SIGKILL cannot be refused, but what the process does in the kernel may take its time, or never end. */
static bool give_up(struct fastpath *f, usec_t waited)
{
	if (waited < GIVE_UP_USEC)
		return false;
	log_warning("fast path: process %d does not end", (int)f->process.pid);
	fastpath_process_deinit(&f->process);
	return true;
}

static usec_t waited_usec(const struct fastpath *f)
{
	return clock_monotonic_usec() - f->machine.since_usec;
}

/* Everything has been put back, or `r` says why not. */
static struct fastpath_event conclude(struct fastpath *f, int r, const char *reason)
{
	f->restored = r == 0;
	if (r == -EAGAIN || (r == 0 && f->process.pid && !give_up(f, waited_usec(f))))
		return (struct fastpath_event){ .kind = FASTPATH_AGAIN };
	if (r < 0) {
		manager_event(f->manager, LOG_ERR, "fastpath", "fast path", "%s", reason);
		if (++f->restore_failures < RESTORE_FAILURES_MAX)
			return fastpath_failed(f, "%s", reason);
	}
	fastpath_forget(f);
	return done;
}

struct restore {
	const struct fastpath_record *record;
	bool gone, patient;
};

static int do_restore(const void *arg, char ret_reason[static FASTPATH_TASK_REASON_MAX])
{
	const struct restore *r = arg;

	return fastpath_move_restore(r->record, r->gone, r->patient, ret_reason);
}

static void on_restored(int error, const char *reason, void *userdata)
{
	struct fastpath *f = userdata;

	if (f->machine.awaited == FASTPATH_RESTORE)
		answer(f, FASTPATH_RESTORE, conclude(f, error, reason));
}

/*
 * Always by a task: what the process had may keep the kernel's network lock until it has ended, and each address waits
 * for that. Without memory for one by ourselves, for the traffic waits too.
 */
bool fastpath_restore(struct fastpath *f, struct fastpath_event *e)
{
	char reason[FASTPATH_TASK_REASON_MAX] = "";
	usec_t waited = waited_usec(f);
	struct restore what = { .record = &f->record, .gone = is_gone(f, waited) };
	int r;

	fastpath_plane_close(&f->plane);
	fastpath_link_free(take_ptr(f->link));
	if (fastpath_task_is_running(&f->task)) {
		*e = (struct fastpath_event){ .kind = FASTPATH_AGAIN };
		return true;
	}
	if (f->restored || f->record.phase < FASTPATH_SEIZED) {
		*e = conclude(f, 0, "");
		return true;
	}
	what.patient = fastpath_has_udev() && waited < FASTPATH_NAME_USEC;
	r = fastpath_task_start(&f->task, f->manager->event, do_restore, &what, TASK_USEC,
				on_restored, f);
	if (r == 0)
		return false;
	r = do_restore(&what, reason);
	*e = conclude(f, r, reason);
	return true;
}

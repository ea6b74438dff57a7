/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-event.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/checks.h"
#include "daemon/fastpath-check.h"
#include "daemon/fastpath-internal.h"
#include "daemon/fastpath-move.h"
#include "daemon/manager.h"
#include "daemon/reconcile.h"
#include "ipvs/channel-unix.h"

#define PROGRAM_USEC (5 * USEC_PER_SEC)	    /* of one request, before it has the traffic */
#define REQUEST_USEC (250 * USEC_PER_MSEC)  /* afterwards */
#define STALE_USEC (3 * FASTPATH_BEAT_USEC) /* without a sign of life nothing else is asked */
#define ADOPT_USEC (500 * USEC_PER_MSEC)    /* for the answer of a process that ran before us */
#define TASK_USEC USEC_PER_SEC		    /* for a task that is under way when all ends */

struct fastpath_event fastpath_failed(struct fastpath *f, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(f->text, sizeof(f->text), format, args);
	va_end(args);
	return (struct fastpath_event){ .kind = FASTPATH_FAILED, .reason = f->text };
}

static const struct fastpath_event done = { .kind = FASTPATH_DONE };

void fastpath_save(struct fastpath *f)
{
	int r;

	f->record.wanted = f->machine.wanted;
	r = fastpath_record_save(&f->record, fastpath_directory(f));
	if (r < 0)
		log_err("fast path: cannot save its state in %s: %s", fastpath_directory(f),
			strerror(-r));
}

static void on_process_exit(const char *reason, void *userdata)
{
	struct fastpath *f = userdata;

	fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_EXITED, .reason = reason });
}

/*
 * Each request would hold up the daemon for as long as it may take. A process that takes its ports answers when it has
 * them.
 */
static bool is_stale(const struct fastpath *f)
{
	return f->machine.awaited == FASTPATH_ATTACH ||
	       clock_monotonic_usec() > f->machine.beat_usec + STALE_USEC ||
	       fastpath_process_is_ending(&f->process);
}

static usec_t slowest_worker(const struct private_status *s)
{
	usec_t late_usec = 0;

	for (size_t i = 0; i < s->n_workers; i++)
		late_usec = MAX(late_usec, s->workers[i].late_usec);
	return late_usec;
}

static void on_status(const struct private_status *s, usec_t asked_usec, void *userdata)
{
	struct fastpath *f = userdata;

	/* A record without ports is that of a process that holds them back still. */
	fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_BEAT,
						     .attached = s->n_ports > 0,
						     .asked_usec = asked_usec,
						     .late_usec = slowest_worker(s) });
	if (!f->unsynced || is_stale(f))
		return;
	f->unsynced = false;
	fastpath_refresh(f);
	manager_apply_within(f->manager, 0);
}

static void on_attached(int error, void *userdata)
{
	char line[FASTPATH_PROCESS_REASON_MAX];
	struct fastpath *f = userdata;
	struct fastpath_event e = done;

	if (error < 0) {
		fastpath_process_last_line(&f->process, line);
		e = fastpath_failed(f, "the fast path cannot take its ports: %s%s%s",
				    strerror(-error), *line ? ": " : "", line);
	}
	fastpath_handle(f, &e);
}

static void on_closed(void *userdata)
{
	fastpath_handle(userdata, &(struct fastpath_event){ .kind = FASTPATH_CLOSED });
}

static struct fastpath_event check(struct fastpath *f)
{
	char reason[FASTPATH_CHECK_REASON_MAX] = "";
	/* Who enables it has decided. */
	bool force = f->force || f->manager->conf->fastpath.enabled;

	if (fastpath_check(f->manager->conf, force, reason) < 0)
		return fastpath_failed(f, "%s", reason);
	return done;
}

static struct fastpath_event start(struct fastpath *f)
{
	_cleanup_(fastpath_command_free) struct fastpath_command command = { 0 };
	int r = fastpath_command_make(&command, &f->manager->conf->fastpath, f->socket);

	if (r == 0)
		r = fastpath_process_start(&f->process, f->manager->event, command.argv,
					   on_process_exit, f);
	if (r < 0)
		return fastpath_failed(f, "%s: %s", f->manager->conf->fastpath.program,
				       strerror(-r));
	free(f->record.command);
	f->record.command = take_ptr(command.text);
	f->record.phase = FASTPATH_RUNNING;
	f->record.pid = f->process.pid;
	f->record.start_ticks = f->process.start_ticks;
	fastpath_save(f);
	return done;
}

/* Everything that a packet may need, before the first one comes. */
static struct fastpath_event program(struct fastpath *f)
{
	_cleanup_(reconcile_report_deinit) struct reconcile_report report = RECONCILE_REPORT_INIT;
	struct manager *m = f->manager;
	int r = fastpath_plane_open(&f->plane, f->socket, PROGRAM_USEC);

	if (r == 0)
		r = fastpath_plane_set_up(&f->plane, m->channel, m->conf);
	if (r == 0)
		r = fastpath_plane_dump(&f->plane);
	if (r == 0)
		r = fastpath_plane_apply(&f->plane, m->conf, &m->registry, &m->linger, &report);
	if (r == 0)
		r = fastpath_plane_open(&f->plane, f->socket, REQUEST_USEC);
	if (r == -E2BIG)
		return fastpath_failed(f, "nat-pools: more than %d addresses", PRIVATE_LOCALS_MAX);
	if (r < 0)
		return fastpath_failed(f, "cannot program the fast path: %s",
				       report.error ? report.error : strerror(-r));
	return done;
}

static struct fastpath_event perform(struct fastpath *f, enum fastpath_action action)
{
	switch (action) {
	case FASTPATH_CHECK:
		return check(f);
	case FASTPATH_START:
		return start(f);
	default:
		return program(f);
	}
}

/* False: the answer to the action comes later, or none is due. */
static bool perform_now(struct fastpath *f, enum fastpath_action action, struct fastpath_event *e)
{
	int r;

	switch (action) {
	case FASTPATH_NOTHING:
		return false;
	case FASTPATH_TERMINATE:
		fastpath_process_signal(&f->process, SIGTERM);
		return false;
	case FASTPATH_KILL:
		fastpath_process_signal(&f->process, SIGKILL);
		*e = done;
		return true;
	case FASTPATH_ATTACH:
		r = f->link ? fastpath_link_attach(f->link) : -ENOTCONN;
		if (r < 0)
			*e = fastpath_failed(f, "the fast path does not answer: %s", strerror(-r));
		return r < 0;
	case FASTPATH_SEIZE:
		return fastpath_seize(f, e);
	case FASTPATH_MOVE:
		return fastpath_move(f, e);
	case FASTPATH_RESTORE:
		return fastpath_restore(f, e);
	default:
		*e = perform(f, action);
		return true;
	}
}

static void announce(struct fastpath *f)
{
	const struct fastpath_machine *x = &f->machine;
	struct manager *m = f->manager;

	if (x->state == f->announced)
		return;
	f->announced = x->state;
	switch (x->state) {
	case FASTPATH_STARTING:
		manager_event(m, LOG_NOTICE, "fastpath", "fast path", "starting");
		break;
	case FASTPATH_ACTIVE:
		manager_event(m, LOG_NOTICE, "fastpath", "fast path",
			      "has the traffic (process %d)", (int)f->process.pid);
		break;
	case FASTPATH_STOPPING:
	case FASTPATH_RESTORING:
		if (x->failed && !f->announced_failure)
			manager_event(m, LOG_ERR, "fastpath", "fast path",
				      "%s: the traffic goes to the kernel", x->reason);
		f->announced_failure = x->failed;
		break;
	case FASTPATH_WAITING:
		manager_event(
			m, LOG_WARNING, "fastpath", "fast path", "off: %s; trying again in %llu s",
			x->reason,
			(unsigned long long)((x->deadline_usec - x->since_usec) / USEC_PER_SEC));
		break;
	case FASTPATH_OFF:
		manager_event(m, x->failed ? LOG_ERR : LOG_NOTICE, "fastpath", "fast path",
			      "off%s%s", x->failed ? ": " : "", x->failed ? x->reason : "");
		break;
	default:
		break;
	}
	if (x->state != FASTPATH_STOPPING && x->state != FASTPATH_RESTORING)
		f->announced_failure = false;
}

void fastpath_handle(struct fastpath *f, const struct fastpath_event *event)
{
	struct fastpath_event e = *event;
	enum fastpath_action action;

	do {
		action = fastpath_machine_handle(&f->machine, &e, clock_monotonic_usec());
		announce(f);
	} while (perform_now(f, action, &e));
	fastpath_arm(f);
	/* What came of probes may be clear now. NULL: the daemon is being set up. */
	if (f->manager->checks)
		checks_settle(f->manager->checks);
}

static int connect_link(struct fastpath *f)
{
	const struct fastpath_link_handlers handlers = { on_status, on_attached, on_closed, f };

	if (f->link && fastpath_link_is_closed(f->link))
		fastpath_link_free(take_ptr(f->link));
	return f->link ? 0 : fastpath_link_new(f->manager->event, f->socket, &handlers, &f->link);
}

/* Asks for a sign of life, passes the time on. */
void fastpath_tick(struct fastpath *f)
{
	usec_t now = clock_monotonic_usec();

	fastpath_process_pass_on(&f->process);
	if (fastpath_process_is_ending(&f->process))
		fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_CLOSED });
	if (*f->trouble) {
		char reason[sizeof(f->trouble)];

		memcpy(reason, f->trouble, sizeof(reason));
		f->trouble[0] = '\0';
		fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_TROUBLE,
							     .reason = reason });
	}
	if (f->process.pid && now + USEC_PER_MSEC >= fastpath_ask_due(f)) {
		f->asked_usec = now;
		f->is_awaited = false;
		if (connect_link(f) == 0)
			(void)fastpath_link_ask(f->link);
	}
	fastpath_handle(f, &(struct fastpath_event){ .kind = FASTPATH_TIME });
}

/* Acted upon from the loop, for the caller is in the middle of something. */
static void note_trouble(struct fastpath *f, const char *what, int error)
{
	(void)snprintf(f->trouble, sizeof(f->trouble), "the fast path does not answer (%s): %s",
		       what, strerror(-error));
	fastpath_arm(f);
}

static bool is_programmed(const struct fastpath *f)
{
	return f->plane.channel && !*f->trouble && fastpath_machine_is_programmed(&f->machine);
}

int fastpath_apply(struct fastpath *f, const struct conf *conf, const struct registry *registry,
		   struct reconcile_report *report)
{
	int r;

	if (!f || !is_programmed(f))
		return 0;
	if (is_stale(f)) {
		f->unsynced = true;
		return 0;
	}
	r = fastpath_plane_apply(&f->plane, conf, registry, &f->manager->linger, report);
	if (r == 0 || r == -EIO || r == -ENOMEM)
		return r;
	note_trouble(f, "services", r);
	return 0;
}

void fastpath_add_live(struct fastpath *f, struct ipvs_ruleset *to)
{
	int r;

	if (!f || !is_programmed(f))
		return;
	r = is_stale(f) ? 0 : fastpath_plane_dump(&f->plane);
	if (r == 0)
		fastpath_plane_add_live(&f->plane, to);
	else
		note_trouble(f, "counters", r);
}

void fastpath_look_at_states(struct fastpath *f)
{
	if (!f)
		return;
	fastpath_states_deinit(&f->states);
	/* What is not known is taken for open: the drain's deadline ends it. */
	if (is_programmed(f) && !is_stale(f))
		(void)fastpath_states_read(f->plane.channel, &f->states);
}

bool fastpath_has_unclosed(const struct fastpath *f, const struct addr *addr, uint16_t port)
{
	return f && is_programmed(f) &&
	       fastpath_plane_inactive(&f->plane, addr, port) >
		       fastpath_states_closed(&f->states, addr, port);
}

uint64_t fastpath_half_open(const struct fastpath *f, const struct addr *addr, uint16_t port)
{
	return f ? fastpath_states_half_open(&f->states, addr, port) : 0;
}

void fastpath_refresh(struct fastpath *f)
{
	int r = 0;

	if (!is_programmed(f))
		return;
	if (is_stale(f))
		f->unsynced = true;
	else
		r = fastpath_plane_set_up(&f->plane, f->manager->channel, f->manager->conf);
	if (r < 0)
		note_trouble(f, "settings", r);
}

bool fastpath_vouches(const struct fastpath *f, usec_t at_usec)
{
	return !f || fastpath_machine_vouches(&f->machine, at_usec);
}

void fastpath_await_life(struct fastpath *f)
{
	f->is_awaited = true;
	fastpath_arm(f);
}

struct guard_outage fastpath_outage(const struct fastpath *f)
{
	return f ? f->machine.outage : (struct guard_outage){ 0 };
}

const char *fastpath_plane_name(const struct fastpath *f)
{
	return f && f->machine.state == FASTPATH_ACTIVE ? "fast path" : "kernel";
}

/* What a daemon before us had not finished is put back before anything else looks at addresses. */
static void recover(struct fastpath *f)
{
	usec_t start_usec = clock_monotonic_usec(), now = start_usec;
	char reason[FASTPATH_MOVE_REASON_MAX] = "";
	int r;

	if (f->record.pid && fastpath_process_end(f->record.pid, f->record.start_ticks,
						  FASTPATH_END_MSEC) == -ETIMEDOUT)
		log_warning("fast path: process %d does not end", (int)f->record.pid);
	if (f->record.phase < FASTPATH_SEIZED)
		return fastpath_forget(f);
	do {
		r = fastpath_move_restore(
			&f->record, true,
			fastpath_has_udev() && now < start_usec + FASTPATH_NAME_USEC, reason);
		if (r == 0)
			break;
		(void)poll(NULL, 0, 20);
		now = clock_monotonic_usec();
	} while (now < start_usec + 2 * FASTPATH_NAME_USEC);
	if (r < 0)
		manager_event(f->manager, LOG_ERR, "fastpath", "fast path",
			      "cannot put everything back: %s", *reason ? reason : strerror(-r));
	fastpath_forget(f);
}

/* A process that is ending, or hangs, has nothing that could be adopted. */
static int look_at_process(struct fastpath *f)
{
	struct private_status *status = calloc(1, sizeof(*status));
	int r = status ? fastpath_plane_open(&f->plane, f->socket, ADOPT_USEC) : -ENOMEM;

	if (r == 0)
		r = channel_get_status(f->plane.channel, status);
	if (r == 0 && status->n_ports != f->record.n_ports)
		r = -ENODEV;
	fastpath_plane_close(&f->plane);
	free(status);
	return r;
}

int fastpath_adopt(struct fastpath *f)
{
	int r = f->record.phase == FASTPATH_CARRIES ? look_at_process(f) : -ESRCH;

	if (r == 0)
		r = fastpath_process_adopt(&f->process, f->manager->event, f->record.pid,
					   f->record.start_ticks, on_process_exit, f);
	if (r == 0) {
		f->machine.gentle = fastpath_move_has_devices(&f->record);
		fastpath_redirect_vips(f, true);
		return 0;
	}
	if (f->record.phase != FASTPATH_IDLE) {
		log_notice("fast path: the last daemon left it half way, putting everything back");
		recover(f);
	}
	return r;
}

void fastpath_end(struct fastpath *f)
{
	if (!f || f->record.phase == FASTPATH_IDLE)
		return;
	fastpath_task_deinit(&f->task, TASK_USEC);
	fastpath_plane_close(&f->plane);
	fastpath_link_free(take_ptr(f->link));
	fastpath_process_deinit(&f->process);
	recover(f);
	fastpath_machine_init(&f->machine, false, clock_monotonic_usec());
}

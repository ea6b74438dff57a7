/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/deadlines.h"

#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "daemon/manager.h"
#include "daemon/persist.h"

#define CLOCK_STEP_MIN_USEC ((int64_t)USEC_PER_SEC) /* less is slewing */

static int on_due(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	manager_apply_within(userdata, 0);
	return 0;
}

int deadlines_init(struct manager *m)
{
	int r = sd_event_add_time(m->event, &m->times_timer, CLOCK_BOOTTIME, 0, 1, on_due, m);

	return r < 0 ? r : sd_event_source_set_enabled(m->times_timer, SD_EVENT_OFF);
}

void deadlines_watch(struct manager *m)
{
	usec_t next = registry_next_change(&m->registry);

	/* One of a time before the machine was started is due. */
	if (next != USEC_NEVER)
		(void)sd_event_source_set_time(m->times_timer, next > m->wall_offset_usec
								       ? next - m->wall_offset_usec
								       : 0);
	(void)sd_event_source_set_enabled(m->times_timer,
					  next == USEC_NEVER ? SD_EVENT_OFF : SD_EVENT_ONESHOT);
}

void deadlines_follow_clock(struct manager *m)
{
	usec_t offset = clock_wall_usec() - clock_boottime_usec();
	int64_t step = (int64_t)(offset - m->wall_offset_usec);

	if (step > -CLOCK_STEP_MIN_USEC && step < CLOCK_STEP_MIN_USEC)
		return;
	m->wall_offset_usec = offset;
	registry_shift_times(&m->registry, step);
	linger_shift(&m->linger, step);
	manager_event(
		m, LOG_NOTICE, "daemon", "",
		"the clock was set by %lld s: drains and slow starts end when they would have",
		(long long)(step / (int64_t)USEC_PER_SEC));
	persist_soon(m);
}

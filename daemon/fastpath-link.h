/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A connection to the fast path's control socket that never waits: signs of life, and the order to take its ports, which
 * takes as long as devices need. All else goes over a channel (ipvs/channel.h).
 */

#include <stdbool.h>
#include <systemd/sd-event.h>

#include "base/clock.h"

struct private_status;
struct fastpath_link;

/* They do not free the link, but on_closed, which is the last. */
struct fastpath_link_handlers {
	/* asked_usec: when the question was sent */
	void (*on_status)(const struct private_status *s, usec_t asked_usec, void *userdata);
	void (*on_attached)(int error, void *userdata); /* 0 or negative errno */
	void (*on_closed)(void *userdata);		/* there will be no answers */
	void *userdata;
};

/* -ENOENT, -ECONNREFUSED: nobody listens there (yet). */
int fastpath_link_new(sd_event *event, const char *path,
		      const struct fastpath_link_handlers *handlers, struct fastpath_link **ret);
void fastpath_link_free(struct fastpath_link *l);

/* Negative errno: not sent. A status that was asked for and not given is not asked for again. */
int fastpath_link_ask(struct fastpath_link *l);
int fastpath_link_attach(struct fastpath_link *l);

/* The connection ended: there will be no answers. */
bool fastpath_link_is_closed(const struct fastpath_link *l);

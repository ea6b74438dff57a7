/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The daemon's end of the resolver process: starts it when there is something to ask, restarts it with a back-off when
 * it ends, and when it owes an answer for longer than c-ares can take. Nothing blocks.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "base/clock.h"
#include "daemon/discovery.h"

struct resolver_link;

struct resolver_settings {
	const char *user;    /* all borrowed, copied */
	const char *servers; /* comma-separated; NULL = those of resolv.conf */
	usec_t timeout_usec;
};

struct resolver_handlers {
	/* Never within resolver_link_ask(). Items are gone after the return. */
	void (*on_answer)(uint32_t id, const struct discovery_answer *a, void *userdata);
	/* The process is gone: what was asked and not answered never will be. text: a line about it. */
	void (*on_lost)(const char *text, void *userdata);
	void *userdata;
};

int resolver_link_new(sd_event *event, const struct resolver_handlers *handlers,
		      struct resolver_link **ret);
void resolver_link_free(struct resolver_link *l);

/*
 * With other settings than before a running process is ended, without on_lost(): the caller asks again. -ENOMEM, and
 * then the old ones hold.
 */
int resolver_link_configure(struct resolver_link *l, const struct resolver_settings *s,
			    bool *ret_changed);

/* Ends the process, also without on_lost(); the next question starts another, which reads resolv.conf anew. */
void resolver_link_stop(struct resolver_link *l);

/* -EAGAIN: in a moment. Other negative errno: there is no process, and there will be none in a moment. */
int resolver_link_ask(struct resolver_link *l, uint32_t id, const char *name, uint16_t family,
		      bool service);

pid_t resolver_link_pid(const struct resolver_link *l);
uint64_t resolver_link_restarts(const struct resolver_link *l);

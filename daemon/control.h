/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control socket: HTTP/1.1 with JSON on an AF_UNIX stream socket (mode 0660, group ipvsd where it exists), served
 * by libmicrohttpd in the manager's loop. Peers: root, the daemon's own user, or a member of the socket's group.
 * Request bodies are bounded; a slow or silent client is dropped after a time-out and holds nobody up.
 *
 *   GET  /v1/version                         {"version"}
 *   GET  /v1/status
 *   GET  /v1/events?after=SEQ&wait=SECONDS   waits up to 60 s for the first newer event
 *                  &since=TIME&group=G&target=T
 *   GET  /v1/describe-target-health?group=G[&targets=LIST]
 *   GET  /v1/explain?target=T[&group=G]
 *   GET  /v1/history?group=G | target=T
 *   POST /v1/reload
 *   POST /v1/plan[?config=PATH]              PATH: root only
 *   POST /v1/register | deregister | drain | undrain
 *                                            {"group", "target", "weight"?, "zone"?}
 *
 * 200 with the report; 400 malformed request, 403 not allowed, 404 unknown path, group or target, 405, 409 conflict,
 * 413 body too large, 422 the configuration has errors, 500 with "error".
 */

struct manager;
struct control;

/*
 * Takes the socket, so that there is one daemon; who connects waits. Logs its own errors. -EADDRINUSE: another ipvsd is
 * running.
 */
int control_new(struct manager *m, const char *path, struct control **ret);
/* Begins to answer, and lets members of the group in. Needs m->event and m->events. Logs its own errors. */
int control_start(struct control *c);
/* Answers who waits, closes, removes the socket file. Not from inside a request (a reload cannot move the socket). */
void control_free(struct control *c);

/* Where it listens. Borrowed. */
const char *control_path(const struct control *c);

/* New events are there: the requests that wait for them are answered soon. Callable from anywhere in the loop. */
void control_notify_events(struct control *c);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The control socket: AF_UNIX, SOCK_SEQPACKET, on the caller's event loop. Root, the process's own user, and members
 * (by their first group) of one group may use it.
 *
 * Clients cannot hold up each other: what one has not read yet is kept for it, bounded; no more requests are read from
 * it meanwhile; a dump is made piece by piece as it is read; each turn of the loop handles one datagram of a client. A
 * few places are kept for root.
 */

#include <sys/types.h>
#include <systemd/sd-event.h>

struct answer;
struct control_server;

/*
 * Listens at path; the file's directory must be there. A socket that nobody listens on is replaced. gid: (gid_t)-1 =
 * none. -EADDRINUSE: another process listens there; -EEXIST: there is something else; other negative errno. `event` is
 * referenced, `answer` borrowed.
 */
int control_server_new(sd_event *event, struct answer *answer, const char *path, gid_t gid,
		       struct control_server **ret);

/* Closes all clients, and removes the socket's file if it is still ours. */
void control_server_free(struct control_server *s);

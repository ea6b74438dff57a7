/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The listening socket of the control interface, and who may use it. Mode 0660, group ipvsd where that group exists,
 * else 0600. The parent directory is created (0755) when only it is missing.
 */

#include <stdbool.h>
#include <sys/types.h>

struct control_socket {
	int fd;	    /* owned; non-blocking, listening */
	char *path; /* owned */
	dev_t dev;  /* of the socket file: it is removed only if it is still this one */
	ino_t inode;
	gid_t group; /* whose members may use it; (gid_t)-1 = nobody's */
};

#define CONTROL_SOCKET_INIT ((struct control_socket){ .fd = -1, .group = (gid_t)-1 })

/*
 * -EADDRINUSE: another daemon listens there. -EEXIST: the path is something else than a socket. -ENAMETOOLONG.
 * Logs why and what to do.
 */
int control_socket_open(const char *path, struct control_socket *ret);

/*
 * Gives it to group ipvsd, where there is one: asking for it can take longer than a start may be held up, so that this
 * is done when the plane is set up.
 */
void control_socket_admit_group(struct control_socket *s);

/* Closes and removes the file. */
void control_socket_close(struct control_socket *s);

enum control_peer {
	CONTROL_PEER_DENIED,
	CONTROL_PEER_MEMBER, /* of the socket's group */
	CONTROL_PEER_ROOT,   /* or the daemon's own user */
};

/* Who is at the other end of a connection. Denies when the kernel does not say. */
enum control_peer control_socket_peer(const struct control_socket *s, int connection_fd);

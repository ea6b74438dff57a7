/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A TCP or TLS server on loopback that misbehaves as told. It has no thread: the test's loop adds its descriptors to its
 * poll set and calls scripted_server_step(). Failures of its own system calls abort the test.
 */

#include <openssl/ssl.h>
#include <poll.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"

enum server_script {
	SERVER_ANSWER,	     /* .answer, then close */
	SERVER_ANSWER_HALF,  /* .answer, then no more from this side, but the connection stays */
	SERVER_ANSWER_RESET, /* .answer, then a reset */
	SERVER_ANSWER_STAY,  /* .answer, then silence with the connection open */
	SERVER_SILENT,	     /* accepts, reads, says nothing */
	SERVER_RESET,	     /* resets when the request is there */
	SERVER_RESET_EARLY,  /* resets as soon as it has accepted */
	SERVER_CLOSE_EARLY,  /* closes as soon as it has accepted */
	SERVER_DRIP,	     /* .answer, a byte every 50 ms */
	SERVER_ENDLESS,	     /* .answer, then .filler again and again */
	SERVER_FULL_BACKLOG, /* never accepts, and its queue is full: SYNs are dropped */
};

enum {
	SERVER_CONNECTIONS_MAX = 16,
	SERVER_REQUEST_MAX = 2048,
};

struct server_connection {
	int fd;	     /* -1 = free; owned */
	SSL *ssl;    /* owned; NULL = in the clear */
	bool shaken; /* the handshake is done */
	size_t sent_bytes;
	usec_t next_drip_usec;
	size_t request_len;
	char request[SERVER_REQUEST_MAX];
};

struct scripted_server {
	enum server_script script;
	const char *answer, *filler; /* borrowed */
	size_t answer_size;	     /* strlen of it, unless it is set after the init */
	SSL_CTX *tls;		     /* borrowed, set after the init; NULL = in the clear */
	const char *request_end;     /* borrowed; an empty line, unless it is set after the init */
	size_t request_end_size;     /* 0 = any bytes are a request */
	int fd;			     /* listens; owned */
	int fillers[4];		     /* connections that fill the backlog; owned */
	uint16_t port;
	unsigned accepted, resumed; /* connections, and those of them that resumed a TLS session */
	char server_name[256];	    /* what the last handshake asked for */
	char last_request[SERVER_REQUEST_MAX];
	struct server_connection connections[SERVER_CONNECTIONS_MAX];
};

/* family: AF_INET or AF_INET6; a port that the kernel picks. answer may be NULL. */
void scripted_server_init(struct scripted_server *s, int family, enum server_script script,
			  const char *answer);
void scripted_server_deinit(struct scripted_server *s);

/* Appends what to poll for; returns the count, at most 1 + SERVER_CONNECTIONS_MAX. */
size_t scripted_server_poll_set(const struct scripted_server *s, struct pollfd *fds);

/* Does what can be done now without blocking. */
void scripted_server_step(struct scripted_server *s, usec_t now_usec);

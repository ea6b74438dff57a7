/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A small HTTP/1.1 client: one connection a request, from a host of the lab. It tells apart how a request failed,
 * which is what the tests are about.
 */

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>

#include "base/clock.h"

struct lab_host;

enum lab_outcome {
	LAB_ANSWERED, /* a whole answer, whatever its status */
	LAB_REFUSED,  /* no connection: refused, unreachable, reset while connecting */
	LAB_RESET,    /* connected, then reset */
	LAB_CUT,      /* the end came before the whole answer */
	LAB_TIMED_OUT,
	_LAB_OUTCOME_MAX,
};

const char *lab_outcome_to_string(enum lab_outcome o);

enum {
	LAB_TARGET_MAX = 12,
	LAB_HEAD_MAX_BYTES = 1024,
};

struct lab_reply {
	enum lab_outcome outcome;
	int error;		     /* errno of LAB_REFUSED, LAB_RESET */
	int status;		     /* HTTP; 0 without an answer */
	char target[LAB_TARGET_MAX]; /* X-Target */
	char body[256];		     /* its beginning, as text */
	uint64_t body_bytes;	     /* that arrived */
	usec_t start_usec, end_usec; /* monotonic */
};

struct lab_url {
	const char *address; /* numeric, IPv4 or IPv6 */
	uint16_t port;
	const char *path;
};

/* 0 when the request was made at all; see ret->outcome. received (may be NULL) is kept up to date meanwhile. */
int lab_http_get(const struct lab_host *from, const struct lab_url *url, usec_t timeout_usec,
		 struct lab_reply *ret, _Atomic uint64_t *received);

/* Fills status, target and body from the first bytes of an answer that ended after total_bytes. */
void lab_reply_finish(struct lab_reply *r, const char *head, size_t n_head, uint64_t total_bytes);

socklen_t lab_sockaddr(const char *address, uint16_t port, struct sockaddr_storage *ret);

/* One GET in a thread of its own. */
struct lab_download {
	pthread_t thread;
	const struct lab_host *from; /* borrowed */
	struct lab_url url;
	usec_t timeout_usec;
	_Atomic uint64_t received_bytes;
	struct lab_reply reply; /* valid after lab_download_wait() */
};

/* The strings of url must live until lab_download_wait(). */
int lab_download_start(struct lab_download *d, const struct lab_host *from,
		       const struct lab_url *url, usec_t timeout_usec);
void lab_download_wait(struct lab_download *d);

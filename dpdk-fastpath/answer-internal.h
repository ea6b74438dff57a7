/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What answer.c, answer-private.c and answer-dump.c share. */

#include "dpdk-fastpath/answer.h"

struct nlmsghdr;

enum {
	/*
	 * Connections that one call takes into a worker, which meanwhile does nothing else for some 100 µs, and out of
	 * it: calls cost more than they do.
	 */
	ANSWER_IMPORT_AT_ONCE = 1024,
	ANSWER_EXPORT_AT_ONCE = 512,
};

struct answer {
	struct answer_config config;
	uint64_t changes; /* of the lists of services, destinations and source addresses */
	bool to_publish;
	/* Room for what one message says. */
	struct private_counters counters;
	struct director_conn conns[ANSWER_IMPORT_AT_ONCE];
	int conn_rets[ANSWER_IMPORT_AT_ONCE];
	struct private_conn private_conns[ANSWER_EXPORT_AT_ONCE];
};

/* One message on its way. */
struct answer_request {
	struct answer *answer;
	struct answer_client *client;
	const struct nlmsghdr *nlh;
	struct answer_buffer *out;
	uint8_t command;
};

/* Room for one message: ANSWER_MESSAGE_MAX bytes at *ret. -ENOMEM, -ENOBUFS. */
int answer_reserve(struct answer_buffer *b, uint8_t **ret);

/* r: what an encoder has written to that room, or its error. */
int answer_append(struct answer_buffer *b, int r);

/* The header of a reply to the request. */
struct codec_header answer_header(const struct answer_request *q, uint16_t flags);

/* Workers see what the messages so far have changed. */
void answer_publish(struct answer *a);

/* Commands from 64 on that are no dumps. */
int answer_private(const struct answer_request *q);

/* Begins a dump. -EOPNOTSUPP: there is none of that command; -EBUSY. */
int answer_dump_begin(const struct answer_request *q);

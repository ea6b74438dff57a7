/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* What answer.c, answer-private.c and answer-dump.c share. */

#include "dpdk-fastpath/answer.h"

struct nlmsghdr;

struct answer {
	struct answer_config config;
	uint64_t changes; /* of the lists of services, destinations and source addresses */
	bool to_publish;
	struct private_counters counters; /* room for one worker's or port's */
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

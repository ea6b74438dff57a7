/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* The inside of a channel, for channel.c and channel-unix.c alone. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "ipvs/codec.h"

struct nlmsghdr;

enum {
	CHANNEL_RX_BYTES = 64 * 1024,  /* a dump's datagrams have at most 32 KiB (af_netlink.c) */
	CHANNEL_TX_BYTES = 128 * 1024, /* one batch */
};

struct channel {
	int fd; /* owned */
	bool kernel;
	usec_t timeout_usec; /* without an answer */
	uint16_t family;
	uint32_t seq;	/* of the last request */
	size_t tx_max;	/* bytes that one send may carry */
	size_t ops_max; /* requests whose answers the receive buffer can hold */
	uint64_t writes;
	_Alignas(8) uint8_t rx[CHANNEL_RX_BYTES];
	_Alignas(8) uint8_t tx[CHANNEL_TX_BYTES];
};

/* Called for every message of an exchange that is neither an error nor the end. Negative ends the exchange. */
typedef int (*channel_on_message)(const struct nlmsghdr *nlh, void *userdata);

struct channel_exchange {
	uint32_t seq;		       /* of the only request */
	channel_on_message on_message; /* NULL: nothing but an acknowledgement is expected */
	void *userdata;
	bool dump;
	int error; /* the first of our own; a dump must be read to its end, or the socket refuses the next one */
};

/* Sends the len bytes of c->tx and reads until the answer has ended. */
int channel_exchange(struct channel *c, struct channel_exchange *x, size_t len);

/* Of the next request. */
struct codec_header channel_header(struct channel *c, uint16_t flags);

int channel_resolve_family(struct channel *c);

/* The socket's buffer after we have asked for a large one; options as of setsockopt(). */
size_t channel_buffer_size(int fd, int force, int option);

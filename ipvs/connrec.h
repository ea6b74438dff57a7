/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * A connection as the kernel's sync protocol, version 1, has it (net/netfilter/ipvs/ip_vs_sync.c): the record, and the
 * datagram of up to 255 of them that master and backup threads exchange. All integers on the wire are big-endian. Pure.
 * Decoders take untrusted bytes.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"

enum {
	/* linux/ip_vs.h: IP_VS_CONN_F_* that the backup thread takes from a record, IP_VS_CONN_F_BACKUP_MASK. */
	CONNREC_FWD_MASK = 0x0007,
	CONNREC_NOOUTPUT = 0x0080,
	CONNREC_INACTIVE = 0x0100, /* must agree with the state, or the kernel's counts go wrong */
	CONNREC_OUT_SEQ = 0x0200,
	CONNREC_IN_SEQ = 0x0400,
	CONNREC_NO_CPORT = 0x0800,
	CONNREC_TEMPLATE = 0x1000,
	CONNREC_ONE_PACKET = 0x2000,

	CONNREC_HEADER_BYTES = 8,
	CONNREC_PER_MESSAGE_MAX = 255,
	/* IPv6, with sequence numbers, engine data and name, each behind its type and length. */
	CONNREC_BYTES_MAX = 72 + 2 + 24 + 2 + 255 + 2 + 16 + 1,
};

struct connrec_seq {
	uint32_t init, delta, previous_delta;
};

struct connrec {
	uint8_t protocol; /* 0: a template by mark */
	uint16_t state;
	uint32_t flags;
	uint16_t client_port, virtual_port, dest_port; /* host order */
	uint32_t fwmark;
	uint32_t timeout_sec; /* of the state as a whole, not what remains of it */
	/* All of one family. A template by mark has the mark as its virtual address. */
	struct addr client, virtual, dest;
	bool has_seq;
	struct connrec_seq in_seq, out_seq;
	/* Persistence engine: borrowed from the bytes that were decoded; the name has no NUL. */
	const uint8_t *pe_data, *pe_name;
	uint8_t pe_data_len, pe_name_len;
};

/* The length without padding; -EMSGSIZE; -EINVAL: families that differ, or an engine's name longer than 16. */
int connrec_encode(void *buf, size_t size, const struct connrec *r);

/*
 * One record at the beginning of the bytes; *ret_len is its length, padding included but never beyond len. -EBADMSG:
 * the rest of the message cannot be read either, as in the kernel.
 */
int connrec_decode(const void *bytes, size_t len, struct connrec *ret, size_t *ret_len);

/* The datagram. */
struct connrec_writer {
	uint8_t *start; /* borrowed */
	size_t size, len;
	unsigned n;
};

/* -EMSGSIZE: not even the header fits. */
int connrec_writer_init(struct connrec_writer *w, void *buf, size_t size, uint8_t syncid);
/* -EMSGSIZE: the message is full: send it and begin another. Other errors as of connrec_encode(). */
int connrec_writer_add(struct connrec_writer *w, const struct connrec *r);
/* Completes the header; the length of the datagram. More may be added afterwards. */
size_t connrec_writer_finish(struct connrec_writer *w);

struct connrec_reader {
	const uint8_t *at; /* borrowed */
	size_t left;
	unsigned n_left;
	uint8_t syncid;
};

/* -EBADMSG: no message of version 1, or of another length than it says. */
int connrec_reader_init(struct connrec_reader *r, const void *bytes, size_t len);
/* 1: *ret is a record; 0: no more; -EBADMSG: the rest makes no sense. */
int connrec_reader_next(struct connrec_reader *r, struct connrec *ret);

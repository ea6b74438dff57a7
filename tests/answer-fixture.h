/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Datagrams of requests for answer_datagram(), and their answers message by message; these fail the running cmocka test. */

#include <stddef.h>
#include <stdint.h>

#include <linux/netlink.h>

#include "control-rig.h"

enum {
	DATAGRAM_BYTES = 128 * 1024,
	NO_ANSWER = 1,
};

struct answer_fixture {
	struct control_rig rig;
	struct answer_client client;
	struct answer_buffer out;
	uint32_t seq;
	size_t len; /* of the datagram */
	_Alignas(8) uint8_t datagram[DATAGRAM_BYTES];
};

/* cmocka fixtures: *state is a struct answer_fixture with empty tables. */
int answer_set_up(void **state);
int answer_tear_down(void **state);

#define answer_test(f) cmocka_unit_test_setup_teardown(f, answer_set_up, answer_tear_down)

struct addr make_addr(const char *text);
struct ipvs_service make_service(const char *text, uint16_t port);
struct ipvs_dest make_dest(const char *text, uint16_t port);

struct codec_header request_header(struct answer_fixture *f, uint16_t flags);

/* The room behind the datagram's messages, as the two arguments of an encoder. */
#define ROOM(f) (f)->datagram + (f)->len, sizeof((f)->datagram) - (f)->len

/* One more message, which an encoder has put there: r is its length. */
void request_add(struct answer_fixture *f, int r);

/* These add one and return its sequence number. */
uint32_t request_service(struct answer_fixture *f, uint8_t cmd, uint16_t flags,
			 const struct ipvs_service *s);
uint32_t request_dest(struct answer_fixture *f, uint8_t cmd, uint16_t flags,
		      const struct ipvs_service *s, const struct ipvs_dest *d);
uint32_t request_plain(struct answer_fixture *f, uint8_t cmd, uint16_t flags);

/* Has the datagram answered, and begins another. */
void datagram_run(struct answer_fixture *f);

/* The answer's messages one by one; NULL at the end. */
const struct nlmsghdr *answer_next(const struct answer_fixture *f, size_t *cursor);

/* Of an acknowledgement. */
int answer_error(const struct nlmsghdr *nlh);

/* What a datagram of one message is answered with: an error, 0, or NO_ANSWER. */
int datagram_run_one(struct answer_fixture *f);
int request_service_run(struct answer_fixture *f, uint8_t cmd, const struct ipvs_service *s);
int request_dest_run(struct answer_fixture *f, uint8_t cmd, const struct ipvs_service *s,
		     const struct ipvs_dest *d);

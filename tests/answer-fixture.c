/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "answer-fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

int answer_set_up(void **state)
{
	struct answer_fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	control_rig_init(&f->rig);
	*state = f;
	return 0;
}

int answer_tear_down(void **state)
{
	struct answer_fixture *f = *state;

	answer_buffer_deinit(&f->out);
	control_rig_deinit(&f->rig);
	free(f);
	return 0;
}

struct addr make_addr(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

struct ipvs_service make_service(const char *text, uint16_t port)
{
	struct ipvs_service s = { .key = { .protocol = IPPROTO_TCP, .port = port },
				  .scheduler = "wlc",
				  .netmask = UINT32_MAX };

	s.key.addr = make_addr(text);
	s.key.family = s.key.addr.family;
	if (s.key.family == AF_INET6)
		s.netmask = 128;
	return s;
}

struct ipvs_dest make_dest(const char *text, uint16_t port)
{
	return (struct ipvs_dest){ .addr = make_addr(text), .port = port, .weight = 1 };
}

struct codec_header request_header(struct answer_fixture *f, uint16_t flags)
{
	return (struct codec_header){ .family = PRIVATE_FAMILY, .flags = flags, .seq = ++f->seq };
}

void request_add(struct answer_fixture *f, int r)
{
	assert_true(r > 0);
	f->len += (size_t)r;
}

uint32_t request_service(struct answer_fixture *f, uint8_t cmd, uint16_t flags,
			 const struct ipvs_service *s)
{
	struct codec_header h = request_header(f, flags);

	request_add(f, codec_service_request(ROOM(f), &h, cmd, s));
	return h.seq;
}

uint32_t request_dest(struct answer_fixture *f, uint8_t cmd, uint16_t flags,
		      const struct ipvs_service *s, const struct ipvs_dest *d)
{
	struct codec_header h = request_header(f, flags);

	request_add(f, codec_dest_request(ROOM(f), &h, cmd, &s->key, d));
	return h.seq;
}

uint32_t request_plain(struct answer_fixture *f, uint8_t cmd, uint16_t flags)
{
	struct codec_header h = request_header(f, flags);

	request_add(f, codec_plain_request(ROOM(f), &h, cmd));
	return h.seq;
}

void datagram_run(struct answer_fixture *f)
{
	f->out.len_bytes = 0;
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 0);
	f->len = 0;
}

const struct nlmsghdr *answer_next(const struct answer_fixture *f, size_t *cursor)
{
	const struct nlmsghdr *nlh;

	if (*cursor == f->out.len_bytes)
		return NULL;
	nlh = (const struct nlmsghdr *)(f->out.bytes + *cursor);
	assert_true(f->out.len_bytes - *cursor >= NLMSG_HDRLEN);
	assert_true(nlh->nlmsg_len >= NLMSG_HDRLEN && nlh->nlmsg_len <= f->out.len_bytes - *cursor);
	*cursor += NLMSG_ALIGN(nlh->nlmsg_len);
	return nlh;
}

int answer_error(const struct nlmsghdr *nlh)
{
	struct nlmsgerr e;

	assert_int_equal(nlh->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(nlh->nlmsg_len, NLMSG_HDRLEN + sizeof(e));
	memcpy(&e, NLMSG_DATA(nlh), sizeof(e));
	assert_int_equal(e.msg.nlmsg_seq, nlh->nlmsg_seq);
	return e.error;
}

int datagram_run_one(struct answer_fixture *f)
{
	size_t cursor = 0;
	const struct nlmsghdr *nlh;
	int error;

	datagram_run(f);
	nlh = answer_next(f, &cursor);
	if (!nlh)
		return NO_ANSWER;
	assert_int_equal(nlh->nlmsg_seq, f->seq);
	error = answer_error(nlh);
	assert_null(answer_next(f, &cursor));
	return error;
}

int request_service_run(struct answer_fixture *f, uint8_t cmd, const struct ipvs_service *s)
{
	request_service(f, cmd, NLM_F_ACK, s);
	return datagram_run_one(f);
}

int request_dest_run(struct answer_fixture *f, uint8_t cmd, const struct ipvs_service *s,
		     const struct ipvs_dest *d)
{
	request_dest(f, cmd, NLM_F_ACK, s, d);
	return datagram_run_one(f);
}

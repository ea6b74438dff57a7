/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The control socket's answers: a sequence of datagrams of one client, each behind its length in two bytes, over the
 * real tables and a real director. Whatever comes, the answer is made of whole messages to requests that were there,
 * every dump ends, and the tables hold what can be said in messages.
 */

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "tests/control-rig.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	DATAGRAMS_MAX = 16,
	PIECES_MAX = 4096, /* of one dump: more is without end */
	STEP_USEC = 600 * 1000 * 1000,
};

static void check_answer(const struct answer_buffer *out)
{
	size_t at = 0;

	while (at < out->len_bytes) {
		struct nlmsghdr h;

		assert(out->len_bytes - at >= sizeof(h));
		memcpy(&h, out->bytes + at, sizeof(h));
		assert(h.nlmsg_len >= sizeof(h) && h.nlmsg_len <= out->len_bytes - at);
		assert(h.nlmsg_len <= ANSWER_MESSAGE_MAX);
		at += NLMSG_ALIGN(h.nlmsg_len);
	}
	assert(at == out->len_bytes);
}

static void finish_dump(struct control_rig *rig, struct answer_client *c, struct answer_buffer *out)
{
	for (unsigned i = 0; c->dump; i++) {
		assert(i < PIECES_MAX);
		out->len_bytes = 0;
		assert(answer_continue(rig->answer, c, out) == 0);
		assert(out->len_bytes > 0);
		check_answer(out);
	}
}

static void check_tables(const struct tables *t)
{
	const struct codec_header h = { .family = PRIVATE_FAMILY };
	_Alignas(8) uint8_t buf[2048];
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)buf;
	struct ipvs_service s, s_back;
	size_t services = 0;

	while (tables_next_service(t, &services, &s)) {
		struct ipvs_dest d, d_back;
		size_t dests = 0;

		assert(codec_service_reply(buf, sizeof(buf), &h, &s) > 0);
		assert(codec_parse_service(nlh, &s_back) == 0);
		assert(ipvs_service_key_cmp(&s.key, &s_back.key) == 0);
		assert(ipvs_service_conf_eq(&s, &s_back));
		while (tables_next_dest(t, &s.key, &dests, &d)) {
			assert(codec_dest_reply(buf, sizeof(buf), &h, &d) > 0);
			assert(codec_parse_dest(nlh, s.key.family, &d_back) == 0);
			assert(ipvs_dest_key_cmp(&d, &d_back) == 0);
			assert(ipvs_dest_conf_eq(&d, &d_back));
		}
	}
}

static void run(struct control_rig *rig, struct answer_client *c, const uint8_t *bytes, size_t len)
{
	_cleanup_(answer_buffer_deinit) struct answer_buffer out = ANSWER_BUFFER_INIT;
	_cleanup_free_ uint8_t *copy = malloc(len ? len : 1); /* guarded at its end */
	int r;

	assert(copy);
	if (len)
		memcpy(copy, bytes, len);
	r = answer_datagram(rig->answer, c, copy, len, &out);
	assert(r == 0 || r == -ENOBUFS);
	check_answer(&out);
	/* One piece between two datagrams: a dump is overtaken by what they change. */
	out.len_bytes = 0;
	if (c->dump)
		assert(answer_continue(rig->answer, c, &out) == 0);
	check_answer(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct control_rig rig;
	static uint64_t now_usec;
	_cleanup_(answer_buffer_deinit) struct answer_buffer out = ANSWER_BUFFER_INIT;
	struct answer_client c = { 0 };

	if (!rig.tables)
		control_rig_init(&rig);
	for (unsigned i = 0; i < DATAGRAMS_MAX && size >= 2; i++) {
		size_t len = MIN((size_t)(data[0] | data[1] << 8), size - 2);

		run(&rig, &c, data + 2, len);
		data += 2 + len;
		size -= 2 + len;
	}
	finish_dump(&rig, &c, &out);
	check_tables(rig.tables);
	control_rig_clear(&rig, now_usec);
	now_usec += STEP_USEC;
	return 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/* One datagram in, the bytes of its answer out: what the kernel would say, over the real tables. */

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <netlink/attr.h>

#include "base/cleanup.h"
#include "control-rig.h"

enum {
	DATAGRAM_BYTES = 128 * 1024,
	NO_ANSWER = 1,
};

struct fixture {
	struct control_rig rig;
	struct answer_client client;
	struct answer_buffer out;
	uint32_t seq;
	size_t len; /* of the datagram */
	_Alignas(8) uint8_t datagram[DATAGRAM_BYTES];
};

static int set_up(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	control_rig_init(&f->rig);
	*state = f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	answer_buffer_deinit(&f->out);
	control_rig_deinit(&f->rig);
	free(f);
	return 0;
}

static struct addr address(const char *text)
{
	struct addr a;

	assert_int_equal(addr_parse(text, &a), 0);
	return a;
}

static struct ipvs_service make_service(const char *text, uint16_t port)
{
	struct ipvs_service s = { .key = { .protocol = IPPROTO_TCP, .port = port },
				  .scheduler = "wlc",
				  .netmask = UINT32_MAX };

	s.key.addr = address(text);
	s.key.family = s.key.addr.family;
	if (s.key.family == AF_INET6)
		s.netmask = 128;
	return s;
}

static struct ipvs_dest make_dest(const char *text, uint16_t port)
{
	return (struct ipvs_dest){ .addr = address(text), .port = port, .weight = 1 };
}

static struct codec_header header(struct fixture *f, uint16_t flags)
{
	return (struct codec_header){ .family = PRIVATE_FAMILY, .flags = flags, .seq = ++f->seq };
}

static void add(struct fixture *f, int r)
{
	assert_true(r > 0);
	f->len += (size_t)r;
}

#define ROOM(f) (f)->datagram + (f)->len, sizeof((f)->datagram) - (f)->len

static uint32_t add_service(struct fixture *f, uint8_t cmd, uint16_t flags,
			    const struct ipvs_service *s)
{
	struct codec_header h = header(f, flags);

	add(f, codec_service_request(ROOM(f), &h, cmd, s));
	return h.seq;
}

static uint32_t add_dest(struct fixture *f, uint8_t cmd, uint16_t flags,
			 const struct ipvs_service *s, const struct ipvs_dest *d)
{
	struct codec_header h = header(f, flags);

	add(f, codec_dest_request(ROOM(f), &h, cmd, &s->key, d));
	return h.seq;
}

static uint32_t add_plain(struct fixture *f, uint8_t cmd, uint16_t flags)
{
	struct codec_header h = header(f, flags);

	add(f, codec_plain_request(ROOM(f), &h, cmd));
	return h.seq;
}

static void run(struct fixture *f)
{
	f->out.len_bytes = 0;
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 0);
	f->len = 0;
}

/* The answer's messages one by one; NULL at the end. */
static const struct nlmsghdr *next(const struct fixture *f, size_t *cursor)
{
	const struct nlmsghdr *nlh = (const struct nlmsghdr *)(f->out.bytes + *cursor);

	if (*cursor == f->out.len_bytes)
		return NULL;
	assert_true(f->out.len_bytes - *cursor >= NLMSG_HDRLEN);
	assert_true(nlh->nlmsg_len >= NLMSG_HDRLEN && nlh->nlmsg_len <= f->out.len_bytes - *cursor);
	*cursor += NLMSG_ALIGN(nlh->nlmsg_len);
	return nlh;
}

static int error_of(const struct nlmsghdr *nlh)
{
	struct nlmsgerr e;

	assert_int_equal(nlh->nlmsg_type, NLMSG_ERROR);
	assert_int_equal(nlh->nlmsg_len, NLMSG_HDRLEN + sizeof(e));
	memcpy(&e, NLMSG_DATA(nlh), sizeof(e));
	assert_int_equal(e.msg.nlmsg_seq, nlh->nlmsg_seq);
	return e.error;
}

/* What the datagram's only message is answered with. */
static int run_one(struct fixture *f)
{
	size_t cursor = 0;
	const struct nlmsghdr *nlh;
	int error;

	run(f);
	nlh = next(f, &cursor);
	if (!nlh)
		return NO_ANSWER;
	assert_int_equal(nlh->nlmsg_seq, f->seq);
	error = error_of(nlh);
	assert_null(next(f, &cursor));
	return error;
}

static int service(struct fixture *f, uint8_t cmd, const struct ipvs_service *s)
{
	add_service(f, cmd, NLM_F_ACK, s);
	return run_one(f);
}

static int dest(struct fixture *f, uint8_t cmd, const struct ipvs_service *s,
		const struct ipvs_dest *d)
{
	add_dest(f, cmd, NLM_F_ACK, s, d);
	return run_one(f);
}

static int raw(struct fixture *f, uint16_t type, uint16_t flags, uint8_t cmd)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)f->datagram;

	add_plain(f, cmd, 0);
	nlh->nlmsg_type = type;
	nlh->nlmsg_flags = flags;
	return run_one(f);
}

/* netlink_rcv_skb() and genl_rcv_msg(): what is answered before any command is looked at. */
static void test_framing(void **state)
{
	struct fixture *f = *state;
	static const struct {
		uint16_t type, flags;
		uint8_t cmd;
		int expected;
	} cases[] = {
		{ PRIVATE_FAMILY, NLM_F_ACK, 0xff, 0 }, /* no request: only acknowledged */
		{ PRIVATE_FAMILY, 0, 0xff, NO_ANSWER },
		{ NLMSG_NOOP, NLM_F_REQUEST | NLM_F_ACK, 0, 0 },
		{ NLMSG_DONE, NLM_F_REQUEST, 0, NO_ANSWER },
		{ PRIVATE_FAMILY + 1, NLM_F_REQUEST, 1, -ENOENT },
		{ GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_NEWFAMILY, -EOPNOTSUPP },
		{ GENL_ID_CTRL, NLM_F_REQUEST, CTRL_CMD_GETFAMILY, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_UNSPEC, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_SET_INFO, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_NEW_DAEMON, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_GET_DEST, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_INFO, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_DUMP, IPVS_CMD_GET_DAEMON, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, _PRIVATE_CMD_END, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_GET_CONNS, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_NEW_PORT, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, 255, -EOPNOTSUPP },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_NEW_SERVICE, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_DEL_DEST, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_GET_SERVICE, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, IPVS_CMD_ZERO, NO_ANSWER },
		{ PRIVATE_FAMILY, NLM_F_REQUEST | NLM_F_ACK, IPVS_CMD_FLUSH, 0 },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_OPTIONS, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_RULES, -EINVAL },
		{ PRIVATE_FAMILY, NLM_F_REQUEST, PRIVATE_CMD_SET_LAST_WEIGHT, -EINVAL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int r = raw(f, cases[i].type, cases[i].flags, cases[i].cmd);

		if (r != cases[i].expected)
			fail_msg("case %zu: %d instead of %d", i, r, cases[i].expected);
	}
}

static void test_family(void **state)
{
	struct fixture *f = *state;

	for (unsigned i = 0; i < 2; i++) {
		struct nlmsghdr *nlh = (struct nlmsghdr *)f->datagram;
		const char *name = i ? "IPVT" : IPVS_GENL_NAME;
		struct nlattr *a, *tb[CTRL_ATTR_MAX + 1];
		const struct nlmsghdr *answer;
		size_t cursor = 0;

		add_plain(f, CTRL_CMD_GETFAMILY, 0);
		a = (struct nlattr *)(f->datagram + f->len);
		a->nla_type = CTRL_ATTR_FAMILY_NAME;
		a->nla_len = (uint16_t)(NLA_HDRLEN + strlen(name) + 1);
		memcpy(nla_data(a), name, strlen(name) + 1);
		f->len += NLA_ALIGN(a->nla_len);
		nlh->nlmsg_len = (uint32_t)f->len;
		nlh->nlmsg_type = GENL_ID_CTRL;
		if (i == 1) {
			assert_int_equal(run_one(f), -ENOENT);
			continue;
		}
		run(f);
		answer = next(f, &cursor);
		assert_non_null(answer);
		assert_int_equal(answer->nlmsg_type, GENL_ID_CTRL);
		assert_int_equal(
			nla_parse(tb, CTRL_ATTR_MAX,
				  (struct nlattr *)((uint8_t *)NLMSG_DATA(answer) + GENL_HDRLEN),
				  (int)(answer->nlmsg_len - NLMSG_HDRLEN - GENL_HDRLEN), NULL),
			0);
		assert_int_equal(nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]), PRIVATE_FAMILY);
		assert_string_equal(nla_data(tb[CTRL_ATTR_FAMILY_NAME]), IPVS_GENL_NAME);
		assert_null(next(f, &cursor));
	}
}

/* As test_framing, of the commands: each step's errno is that of the kernel. */
static void test_errors(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), other = make_service("10.9.0.2", 80);
	struct ipvs_service mark = { .key = { .fwmark = 7, .family = AF_INET }, .scheduler = "rr" };
	struct ipvs_dest d = make_dest("10.1.0.1", 8080), bad = d;

	assert_int_equal(service(f, IPVS_CMD_SET_SERVICE, &s), -ESRCH);
	assert_int_equal(service(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
	assert_int_equal(service(f, IPVS_CMD_GET_SERVICE, &s), -ESRCH);
	assert_int_equal(service(f, IPVS_CMD_ZERO, &s), -ESRCH);
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &d), -ESRCH);
	assert_int_equal(dest(f, IPVS_CMD_DEL_DEST, &s, &d), -ESRCH);
	/* The service's absence comes first, whatever the destination lacks. */
	assert_int_equal(dest(f, IPVS_CMD_DEL_DEST, &s, NULL), -ESRCH);

	strcpy(s.scheduler, "lblcr");
	assert_int_equal(service(f, IPVS_CMD_NEW_SERVICE, &s), -ENOENT);
	strcpy(s.scheduler, "mh");
	assert_int_equal(service(f, IPVS_CMD_NEW_SERVICE, &s), 0);
	assert_int_equal(service(f, IPVS_CMD_NEW_SERVICE, &s), -EEXIST);
	assert_int_equal(service(f, IPVS_CMD_SET_SERVICE, &s), 0);
	strcpy(s.pe, "sip");
	assert_int_equal(service(f, IPVS_CMD_SET_SERVICE, &s), -ENOENT);

	assert_int_equal(dest(f, IPVS_CMD_DEL_DEST, &s, NULL), -EINVAL);
	assert_int_equal(dest(f, IPVS_CMD_SET_DEST, &s, &d), -ENOENT);
	assert_int_equal(dest(f, IPVS_CMD_DEL_DEST, &s, &d), -ENOENT);
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &d), 0);
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &d), -EEXIST);
	bad.weight = 1U << 31;
	assert_int_equal(dest(f, IPVS_CMD_SET_DEST, &s, &bad), -ERANGE);
	bad = d;
	bad.lower_threshold = 1;
	assert_int_equal(dest(f, IPVS_CMD_SET_DEST, &s, &bad), -ERANGE);
	bad = make_dest("fd01::1", 80);
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &bad), -EINVAL);
	bad.forward = IPVS_FORWARD_TUNNEL;
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &bad), 0);
	bad.addr.family = 99;
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &s, &bad), -EAFNOSUPPORT);
	d.forward = IPVS_FORWARD_FULL_NAT;
	assert_int_equal(dest(f, IPVS_CMD_SET_DEST, &s, &d), 0);
	assert_int_equal(dest(f, IPVS_CMD_NEW_DEST, &other, &d), -ESRCH);

	mark.netmask = UINT32_MAX;
	assert_int_equal(service(f, IPVS_CMD_NEW_SERVICE, &mark), -EOPNOTSUPP);
	mark.key.fwmark = IPVS_HOOK_KEEPER_MARK;
	strcpy(mark.scheduler, "none");
	assert_int_equal(service(f, IPVS_CMD_NEW_SERVICE, &mark), 0);
	assert_int_equal(service(f, IPVS_CMD_DEL_SERVICE, &mark), 0);
	assert_int_equal(service(f, IPVS_CMD_DEL_SERVICE, &s), 0);
	assert_int_equal(service(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
}

/* No request stops at another's error, and the last one's acknowledgement is the barrier. */
static void test_batch(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), got;
	struct ipvs_dest d = make_dest("10.1.0.1", 8080);
	const struct nlmsghdr *nlh;
	uint32_t refused[2], last;
	size_t cursor = 0;

	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	refused[0] = add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	(void)add_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	refused[1] = add_dest(f, IPVS_CMD_NEW_DEST, NLM_F_ACK, &s, &d);
	d.weight = 9;
	last = add_dest(f, IPVS_CMD_SET_DEST, NLM_F_ACK, &s, &d);
	run(f);
	for (unsigned i = 0; i < 2; i++) {
		nlh = next(f, &cursor);
		assert_non_null(nlh);
		assert_int_equal(nlh->nlmsg_seq, refused[i]);
		assert_int_equal(error_of(nlh), -EEXIST);
	}
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, last);
	assert_int_equal(error_of(nlh), 0);
	assert_null(next(f, &cursor));

	/* And workers see it. */
	assert_int_equal(tables_get_service(f->rig.tables, &s.key, &got), 0);
	assert_true(
		snapshot_has_address(tables_snapshot(f->rig.tables), AF_INET, s.key.addr.bytes));
}

static void test_get(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80), got;
	struct ipvs_timeouts timeouts = { .tcp_sec = 777 }, t;
	struct codec_header h = header(f, 0);
	struct ipvs_info info;
	const struct nlmsghdr *nlh;
	size_t cursor = 0;
	uint32_t seq[3];

	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	add(f, codec_config_request(ROOM(f), &h, &timeouts));
	seq[0] = add_service(f, IPVS_CMD_GET_SERVICE, NLM_F_ACK, &s);
	seq[1] = add_plain(f, IPVS_CMD_GET_CONFIG, 0);
	seq[2] = add_plain(f, IPVS_CMD_GET_INFO, 0);
	run(f);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[0]);
	assert_int_equal(nlh->nlmsg_flags, 0);
	assert_int_equal(codec_parse_service(nlh, &got), 0);
	assert_true(ipvs_service_conf_eq(&got, &s));
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(error_of(nlh), 0);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[1]);
	assert_int_equal(codec_parse_config(nlh, &t), 0);
	assert_int_equal(t.tcp_sec, 777);
	assert_int_equal(t.tcp_fin_sec, 120);
	assert_int_equal(t.udp_sec, 300);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(nlh->nlmsg_seq, seq[2]);
	assert_int_equal(codec_parse_info(nlh, &info), 0);
	assert_int_equal(info.version, 0x010201);
	assert_int_equal(info.conn_table_size, 4096);
	assert_null(next(f, &cursor));

	timeouts.tcp_sec = UINT32_MAX;
	h = header(f, 0);
	add(f, codec_config_request(ROOM(f), &h, &timeouts));
	assert_int_equal(run_one(f), -EINVAL);
}

/* A datagram that ends within a message: what is whole is done, the rest is answered where its header is there. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	size_t first, whole;

	(void)add_service(f, IPVS_CMD_ZERO, 0, &s);
	first = f->len;
	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	whole = f->len;
	for (size_t len = 0; len < whole; len++) {
		/* In memory that ends there. */
		_cleanup_free_ uint8_t *copy = malloc(len + 1);
		const struct nlmsghdr *nlh;
		size_t cursor = 0;

		assert_non_null(copy);
		memcpy(copy, f->datagram, len);
		copy = realloc(copy, len ? len : 1);
		assert_non_null(copy);
		f->out.len_bytes = 0;
		assert_int_equal(answer_datagram(f->rig.answer, &f->client, copy, len, &f->out), 0);
		nlh = next(f, &cursor);
		if (len < NLMSG_HDRLEN) {
			assert_null(nlh);
			continue;
		}
		assert_non_null(nlh);
		assert_int_equal(error_of(nlh), len < first ? -EBADMSG : -ESRCH);
		nlh = next(f, &cursor);
		if (len < first + NLMSG_HDRLEN) {
			assert_null(nlh);
			continue;
		}
		assert_non_null(nlh);
		assert_int_equal(error_of(nlh), -EBADMSG);
		assert_null(next(f, &cursor));
	}
	f->len = 0;
	assert_int_equal(service(f, IPVS_CMD_DEL_SERVICE, &s), -ESRCH);
	/* A length that is none does not go round in circles. */
	add_plain(f, IPVS_CMD_GET_INFO, 0);
	((struct nlmsghdr *)f->datagram)->nlmsg_len = 0;
	assert_int_equal(run_one(f), -EBADMSG);
	/* Neither a command's header nor an attribute's. */
	add_plain(f, IPVS_CMD_FLUSH, 0);
	((struct nlmsghdr *)f->datagram)->nlmsg_len = NLMSG_HDRLEN + 1;
	assert_int_equal(run_one(f), -EINVAL);
	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	f->datagram[NLMSG_HDRLEN + GENL_HDRLEN] = 3;
	assert_int_equal(run_one(f), -EBADMSG);
}

enum {
	MANY = 700,
};

static void make_many(struct fixture *f)
{
	struct ipvs_service s = make_service("10.9.0.1", 80);

	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	for (unsigned i = 0; i < MANY; i++) {
		struct ipvs_dest d = make_dest("10.1.0.1", (uint16_t)(1 + i));

		(void)add_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	}
	run(f);
	assert_int_equal(f->out.len_bytes, 0);
}

static bool is_done(const struct nlmsghdr *nlh, int error, bool interrupted)
{
	int got;

	if (nlh->nlmsg_type != NLMSG_DONE)
		return false;
	assert_int_equal(nlh->nlmsg_len, NLMSG_HDRLEN + sizeof(int));
	memcpy(&got, NLMSG_DATA(nlh), sizeof(got));
	assert_int_equal(got, error);
	assert_int_equal(nlh->nlmsg_flags, NLM_F_MULTI | (interrupted ? NLM_F_DUMP_INTR : 0));
	return true;
}

/* A piece of the running dump; false when it was the last. */
static bool piece(struct fixture *f)
{
	f->out.len_bytes = 0;
	assert_int_equal(answer_continue(f->rig.answer, &f->client, &f->out), 0);
	assert_true(f->out.len_bytes < ANSWER_PIECE_BYTES + 1024);
	return f->client.dump != 0;
}

static void test_dump(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	unsigned pieces = 0, dests = 0, dones = 0;
	uint32_t seq;
	bool more;

	make_many(f);
	seq = add_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP | NLM_F_ACK, &s, NULL);
	run(f);
	assert_int_equal(f->out.len_bytes, 0); /* a dump is not acknowledged */
	do {
		const struct nlmsghdr *nlh;
		size_t cursor = 0;

		more = piece(f);
		pieces++;
		while ((nlh = next(f, &cursor))) {
			struct ipvs_dest d;

			assert_int_equal(nlh->nlmsg_seq, seq);
			assert_int_equal(dones, 0);
			if (is_done(nlh, 0, false)) {
				dones++;
				continue;
			}
			assert_int_equal(nlh->nlmsg_flags, NLM_F_MULTI);
			assert_int_equal(codec_parse_dest(nlh, AF_INET, &d), 0);
			assert_int_equal(d.port, MANY - dests); /* the newest first */
			dests++;
		}
		/* What else is asked meanwhile is answered; but no second dump. */
		add_plain(f, IPVS_CMD_GET_SERVICE, NLM_F_DUMP);
		if (more)
			assert_int_equal(run_one(f), -EBUSY);
		else
			run(f);
	} while (more);
	assert_true(pieces > 3);
	assert_int_equal(dests, MANY);
	assert_int_equal(dones, 1);
}

/* A change of the list ends a dump of the list, a change of a weight does not. */
static void test_dump_interrupted(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	struct ipvs_dest d = make_dest("10.1.0.1", 5);
	const struct nlmsghdr *nlh;
	size_t cursor = 0;

	make_many(f);
	(void)add_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP, &s, NULL);
	run(f);
	assert_true(piece(f));
	d.weight = 7;
	assert_int_equal(dest(f, IPVS_CMD_SET_DEST, &s, &d), 0);
	assert_true(piece(f));
	assert_int_equal(dest(f, IPVS_CMD_DEL_DEST, &s, &d), 0);
	assert_false(piece(f));
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, 0, true));
	assert_null(next(f, &cursor));

	/* Of a service that is not there: an empty list, as the kernel says. */
	s.key.port++;
	(void)add_dest(f, IPVS_CMD_GET_DEST, NLM_F_DUMP, &s, NULL);
	run(f);
	assert_false(piece(f));
	cursor = 0;
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, 0, false));
}

static struct private_conn make_conn(uint16_t client_port)
{
	return (struct private_conn){
		.record = { .protocol = IPPROTO_TCP,
			    .state = 1,
			    .client_port = client_port,
			    .virtual_port = 80,
			    .dest_port = 5,
			    .timeout_sec = 900,
			    .client = address("192.0.2.1"),
			    .virtual = address("10.9.0.1"),
			    .dest = address("10.1.0.1") },
		.remaining_sec = 333,
	};
}

/* One of each outcome, over the real director. */
static void test_import(void **state)
{
	struct fixture *f = *state;
	struct private_conn conns[12];
	struct codec_header h = header(f, NLM_F_REQUEST | NLM_F_ACK);
	struct private_result result;
	const struct nlmsghdr *nlh;
	size_t taken, cursor = 0;

	for (unsigned i = 0; i < ARRAY_SIZE(conns); i++)
		conns[i] = make_conn((uint16_t)(1000 + i));
	make_many(f);
	conns[1].record.client_port = 1000; /* the first again */
	conns[2].record.dest_port = 9999;
	conns[3].record.virtual_port = 81;
	conns[4].record.client_port = 1000;
	conns[4].record.dest_port = 6;
	conns[5].record.fwmark = 7;
	conns[6].record.state = 11;
	conns[7].record.flags = CONNREC_ONE_PACKET;
	conns[8].record.has_seq = true;
	conns[8].record.in_seq.delta = 4;
	conns[9].record.flags = IPVS_FORWARD_FULL_NAT; /* without its source */
	conns[10].record.protocol = IPPROTO_ICMP;
	add(f, private_conns_message(ROOM(f), &h, conns, ARRAY_SIZE(conns), &taken));
	assert_int_equal(taken, ARRAY_SIZE(conns));
	run(f);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(private_parse_result(nlh, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], 3); /* 0, 1, 11 */
	assert_int_equal(result.counts[PRIVATE_CONN_NO_DEST], 3);
	assert_int_equal(result.counts[PRIVATE_CONN_CONFLICT], 1);
	assert_int_equal(result.counts[PRIVATE_CONN_INVALID], 5);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(error_of(nlh), 0);
}

/* A destination and its connections in one datagram: workers know the first when the second come. */
static void test_import_with_dest(void **state)
{
	struct fixture *f = *state;
	struct ipvs_service s = make_service("10.9.0.1", 80);
	struct ipvs_dest d = make_dest("10.1.0.1", 5);
	struct private_conn c = make_conn(1000);
	struct private_result result;
	const struct nlmsghdr *nlh;
	struct codec_header h;
	size_t taken, cursor = 0;

	(void)add_service(f, IPVS_CMD_NEW_SERVICE, 0, &s);
	(void)add_dest(f, IPVS_CMD_NEW_DEST, 0, &s, &d);
	h = header(f, NLM_F_REQUEST);
	add(f, private_conns_message(ROOM(f), &h, &c, 1, &taken));
	run(f);
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_int_equal(private_parse_result(nlh, &result), 0);
	assert_int_equal(result.counts[PRIVATE_CONN_DONE], 1);
	assert_null(next(f, &cursor));
}

static void test_export_error(void **state)
{
	struct fixture *f = *state;
	const struct nlmsghdr *nlh;
	size_t cursor = 0;

	f->rig.export_error = -ETIMEDOUT;
	add_plain(f, PRIVATE_CMD_GET_CONNS, NLM_F_DUMP);
	run(f);
	assert_false(piece(f));
	nlh = next(f, &cursor);
	assert_non_null(nlh);
	assert_true(is_done(nlh, -ETIMEDOUT, false));
}

/* A datagram of requests for large answers does not make the answer grow without bounds. */
static void test_amplification(void **state)
{
	struct fixture *f = *state;

	while (f->len + 64 < sizeof(f->datagram))
		add_plain(f, PRIVATE_CMD_GET_STATUS, 0);
	f->out.len_bytes = 0;
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 0);
	assert_true(f->out.len_bytes > 500 * 1024); /* two workers and two ports, 6,500 times */
	while (answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out) == 0)
		assert_true(f->out.len_bytes < ANSWER_BUFFER_MAX);
	assert_int_equal(answer_datagram(f->rig.answer, &f->client, f->datagram, f->len, &f->out),
			 -ENOBUFS);
	assert_true(f->out.allocated_bytes <= 2 * ANSWER_BUFFER_MAX);
}

#define answer_test(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		answer_test(test_framing),	answer_test(test_family),
		answer_test(test_errors),	answer_test(test_batch),
		answer_test(test_get),		answer_test(test_truncated),
		answer_test(test_dump),		answer_test(test_dump_interrupted),
		answer_test(test_import),	answer_test(test_import_with_dest),
		answer_test(test_export_error), answer_test(test_amplification),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

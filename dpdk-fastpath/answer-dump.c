/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <string.h>

#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/answer-conn.h"
#include "dpdk-fastpath/answer-internal.h"
#include "dpdk-fastpath/tables.h"

enum {
	EXPORT_AT_ONCE = 128,
	LOCALS_AT_ONCE = 1024,
};

_Static_assert(EXPORT_AT_ONCE *(CONNREC_BYTES_MAX + 48) < ANSWER_MESSAGE_MAX,
	       "one message takes what one call exports");
_Static_assert(PRIVATE_COUNTERS_MAX *(PRIVATE_NAME_MAX + 20) + 1024 < ANSWER_MESSAGE_MAX,
	       "and all counters of a port");

/* ip_vs_genl_dump_dests() answers for a service that is not there, or not one, with an empty list. */
static int begin_dests(const struct answer_request *q, struct answer_client *begun)
{
	struct ipvs_service s;
	int r = codec_parse_service(q->nlh, &s);

	if (r == -EBADMSG)
		return r;
	if (r == 0)
		begun->key = s.key;
	return 0;
}

int answer_dump_begin(const struct answer_request *q)
{
	struct answer_client begun = { .dump = q->command,
				       .seq = q->nlh->nlmsg_seq,
				       .changes = q->answer->changes };
	const struct answer_ops *ops = q->answer->config.ops;
	bool there;
	int r = 0;

	switch (q->command) {
	case IPVS_CMD_GET_SERVICE:
	case IPVS_CMD_GET_DEST:
	case PRIVATE_CMD_GET_LOCALS:
		there = true;
		break;
	case PRIVATE_CMD_GET_CONNS:
		there = ops->export_conns;
		break;
	case PRIVATE_CMD_GET_WORKERS:
		there = ops->worker;
		break;
	case PRIVATE_CMD_GET_PORTS:
		there = ops->port;
		break;
	default:
		there = false;
	}
	if (!there)
		return -EOPNOTSUPP;
	if (q->client->dump)
		return -EBUSY;
	if (q->command == IPVS_CMD_GET_DEST)
		r = begin_dests(q, &begun);
	if (r == 0)
		*q->client = begun;
	return r;
}

/* One step of a dump: writes at most one message to room. Its length, 0 at the end, negative errno. */

static int step_services(struct answer *a, struct answer_client *c, const struct codec_header *h,
			 uint8_t *room)
{
	struct ipvs_service s;

	if (!tables_next_service(a->config.tables, &c->next, &s))
		return 0;
	return codec_service_reply(room, ANSWER_MESSAGE_MAX, h, &s);
}

static int step_dests(struct answer *a, struct answer_client *c, const struct codec_header *h,
		      uint8_t *room)
{
	struct ipvs_dest d;

	if (!tables_next_dest(a->config.tables, &c->key, &c->next, &d))
		return 0;
	return codec_dest_reply(room, ANSWER_MESSAGE_MAX, h, &d);
}

static int step_locals(struct answer *a, struct answer_client *c, const struct codec_header *h,
		       uint8_t *room)
{
	struct addr addrs[LOCALS_AT_ONCE];
	size_t all = tables_n_locals(a->config.tables), n = 0;

	while (n < LOCALS_AT_ONCE && c->next < all)
		addrs[n++] = tables_get_local(a->config.tables, c->next++);
	return n == 0 ? 0 : private_locals_reply(room, ANSWER_MESSAGE_MAX, h, addrs, n);
}

static int step_conns(struct answer *a, struct answer_client *c, const struct codec_header *h,
		      uint8_t *room)
{
	size_t taken;
	int n = a->config.ops->export_conns(a->config.context, &c->conns, a->conns,
					    ANSWER_EXPORT_AT_ONCE);

	if (n <= 0)
		return n;
	for (int i = 0; i < n; i++)
		answer_conn_to_private(&a->conns[i], &a->private_conns[i]);
	return private_conns_message(room, ANSWER_MESSAGE_MAX, h, a->private_conns, (size_t)n,
				     &taken);
}

static int step_workers(struct answer *a, struct answer_client *c, const struct codec_header *h,
			uint8_t *room)
{
	struct private_worker w;
	int r = a->config.ops->worker(a->config.context, (unsigned)c->next, &w, &a->counters);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	c->next++;
	return private_worker_reply(room, ANSWER_MESSAGE_MAX, h, &w, &a->counters);
}

static int step_ports(struct answer *a, struct answer_client *c, const struct codec_header *h,
		      uint8_t *room)
{
	struct private_port p;
	int r = a->config.ops->port(a->config.context, (unsigned)c->next, &p, &a->counters);

	if (r < 0)
		return r == -ENOENT ? 0 : r;
	c->next++;
	return private_port_reply(room, ANSWER_MESSAGE_MAX, h, &p, &a->counters);
}

static int step(struct answer *a, struct answer_client *c, const struct codec_header *h,
		uint8_t *room)
{
	switch (c->dump) {
	case IPVS_CMD_GET_SERVICE:
		return step_services(a, c, h, room);
	case IPVS_CMD_GET_DEST:
		return step_dests(a, c, h, room);
	case PRIVATE_CMD_GET_LOCALS:
		return step_locals(a, c, h, room);
	case PRIVATE_CMD_GET_CONNS:
		return step_conns(a, c, h, room);
	case PRIVATE_CMD_GET_WORKERS:
		return step_workers(a, c, h, room);
	default:
		return step_ports(a, c, h, room);
	}
}

/* Are positions in the lists those of other elements than when the dump began? */
static bool overtaken(const struct answer *a, const struct answer_client *c)
{
	return c->changes != a->changes &&
	       (c->dump == IPVS_CMD_GET_SERVICE || c->dump == IPVS_CMD_GET_DEST ||
		c->dump == PRIVATE_CMD_GET_LOCALS);
}

int answer_continue(struct answer *a, struct answer_client *c, struct answer_buffer *out)
{
	struct codec_header h = { .family = PRIVATE_FAMILY, .flags = NLM_F_MULTI, .seq = c->seq };
	size_t begin = out->len_bytes;
	uint8_t *room;
	int r = 0;

	while (c->dump && r >= 0 && out->len_bytes - begin < ANSWER_PIECE_BYTES) {
		int n;

		r = answer_reserve(out, &room);
		if (r < 0)
			break;
		if (overtaken(a, c)) {
			h.flags |= NLM_F_DUMP_INTR;
			n = 0;
		} else {
			n = step(a, c, &h, room);
		}
		if (n <= 0) {
			n = codec_done_reply(room, ANSWER_MESSAGE_MAX, &h, n);
			c->dump = 0;
		}
		r = answer_append(out, n);
	}
	return r;
}

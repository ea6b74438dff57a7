/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/answer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "base/cleanup.h"
#include "dpdk-fastpath/answer-internal.h"
#include "dpdk-fastpath/tables.h"

enum {
	IPVS_VERSION = 0x010201, /* IP_VS_VERSION_CODE of every kernel since 2.6.17 */
	BUFFER_FIRST_BYTES = 64 * 1024,
};

int answer_new(const struct answer_config *config, struct answer **ret)
{
	struct answer *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->config = *config;
	*ret = a;
	return 0;
}

void answer_free(struct answer *a)
{
	free(a);
}

void answer_buffer_deinit(struct answer_buffer *b)
{
	free(b->bytes);
	*b = ANSWER_BUFFER_INIT;
}

int answer_reserve(struct answer_buffer *b, uint8_t **ret)
{
	size_t size = MAX(b->allocated_bytes, (size_t)BUFFER_FIRST_BYTES);
	uint8_t *bytes;

	if (b->len_bytes > ANSWER_BUFFER_MAX - ANSWER_MESSAGE_MAX)
		return -ENOBUFS;
	while (size - b->len_bytes < ANSWER_MESSAGE_MAX)
		size *= 2;
	if (size > b->allocated_bytes) {
		bytes = realloc(b->bytes, size);
		if (!bytes)
			return -ENOMEM;
		b->bytes = bytes;
		b->allocated_bytes = size;
	}
	*ret = b->bytes + b->len_bytes;
	return 0;
}

int answer_append(struct answer_buffer *b, int r)
{
	if (r < 0)
		return r;
	b->len_bytes += (size_t)r;
	return 0;
}

struct codec_header answer_header(const struct answer_request *q, uint16_t flags)
{
	return (struct codec_header){ .family = PRIVATE_FAMILY,
				      .flags = flags,
				      .seq = q->nlh->nlmsg_seq };
}

/* Lack of memory is tried again by the next call, at the latest the tables' tick: nothing is lost by ignoring it. */
void answer_publish(struct answer *a)
{
	if (a->to_publish && tables_publish(a->config.tables) == 0)
		a->to_publish = false;
}

static int list_changed(const struct answer_request *q, int r)
{
	q->answer->changes += r == 0;
	q->answer->to_publish |= r == 0;
	return r;
}

static int changed(const struct answer_request *q, int r)
{
	q->answer->to_publish |= r == 0;
	return r;
}

static int service_command(const struct answer_request *q)
{
	struct tables *t = q->answer->config.tables;
	struct ipvs_service s;
	int r = codec_parse_service(q->nlh, &s);

	if (r < 0)
		return r;
	switch (q->command) {
	case IPVS_CMD_NEW_SERVICE:
		return list_changed(q, tables_service_new(t, &s));
	case IPVS_CMD_SET_SERVICE:
		return changed(q, tables_service_set(t, &s));
	default:
		return list_changed(q, tables_service_del(t, &s.key));
	}
}

/* ip_vs_genl_set_cmd() looks for the service before it looks at the destination. */
static int dest_command(const struct answer_request *q)
{
	struct tables *t = q->answer->config.tables;
	struct ipvs_service s;
	struct ipvs_dest d;
	int r = codec_parse_service(q->nlh, &s);

	if (r < 0)
		return r;
	r = codec_parse_dest(q->nlh, s.key.family, &d);
	if (r < 0)
		return tables_get_service(t, &s.key, &s) < 0 ? -ESRCH : r;
	switch (q->command) {
	case IPVS_CMD_NEW_DEST:
		return list_changed(q, tables_dest_new(t, &s.key, &d));
	case IPVS_CMD_SET_DEST:
		return changed(q, tables_dest_set(t, &s.key, &d));
	default:
		return list_changed(q, tables_dest_del(t, &s.key, &d.addr, d.port));
	}
}

static int zero(const struct answer_request *q)
{
	struct tables *t = q->answer->config.tables;
	struct ipvs_service s;
	int r;

	if (!nlmsg_find_attr((struct nlmsghdr *)q->nlh, GENL_HDRLEN, IPVS_CMD_ATTR_SERVICE))
		return tables_zero(t, NULL);
	r = codec_parse_service(q->nlh, &s);
	return r < 0 ? r : tables_zero(t, &s.key);
}

static int set_config(const struct answer_request *q)
{
	struct ipvs_timeouts timeouts;
	int r = codec_parse_config(q->nlh, &timeouts);

	return r < 0 ? r : changed(q, tables_set_timeouts(q->answer->config.tables, &timeouts));
}

static int get_config(const struct answer_request *q, uint8_t *room)
{
	struct codec_header h = answer_header(q, 0);
	struct ipvs_timeouts timeouts;

	tables_get_timeouts(q->answer->config.tables, &timeouts);
	return codec_config_reply(room, ANSWER_MESSAGE_MAX, &h, &timeouts);
}

static int get_service(const struct answer_request *q, uint8_t *room)
{
	struct codec_header h = answer_header(q, 0);
	struct ipvs_service s, found;
	int r = codec_parse_service(q->nlh, &s);

	if (r == 0)
		r = tables_get_service(q->answer->config.tables, &s.key, &found);
	return r < 0 ? r : codec_service_reply(room, ANSWER_MESSAGE_MAX, &h, &found);
}

/* ip_vs_genl_get_cmd() */
static int get(const struct answer_request *q)
{
	const struct ipvs_info info = { .version = IPVS_VERSION,
					.conn_table_size = q->answer->config.conn_table_size };
	struct codec_header h = answer_header(q, 0);
	uint8_t *room;
	int r = answer_reserve(q->out, &room);

	if (r < 0)
		return r;
	switch (q->command) {
	case IPVS_CMD_GET_SERVICE:
		return answer_append(q->out, get_service(q, room));
	case IPVS_CMD_GET_CONFIG:
		return answer_append(q->out, get_config(q, room));
	default:
		return answer_append(q->out, codec_info_reply(room, ANSWER_MESSAGE_MAX, &h, &info));
	}
}

static int command(const struct answer_request *q)
{
	switch (q->command) {
	case IPVS_CMD_NEW_SERVICE:
	case IPVS_CMD_SET_SERVICE:
	case IPVS_CMD_DEL_SERVICE:
		return service_command(q);
	case IPVS_CMD_NEW_DEST:
	case IPVS_CMD_SET_DEST:
	case IPVS_CMD_DEL_DEST:
		return dest_command(q);
	case IPVS_CMD_GET_SERVICE:
	case IPVS_CMD_GET_CONFIG:
	case IPVS_CMD_GET_INFO:
		return get(q);
	case IPVS_CMD_SET_CONFIG:
		return set_config(q);
	case IPVS_CMD_ZERO:
		return zero(q);
	case IPVS_CMD_FLUSH:
		tables_flush(q->answer->config.tables);
		return list_changed(q, 0);
	default:
		return answer_private(q);
	}
}

static int control_request(const struct answer_request *q)
{
	struct codec_header h = answer_header(q, 0);
	uint8_t *room;
	int r = answer_reserve(q->out, &room);

	if (r == 0)
		r = codec_parse_family_request(q->nlh);
	if (r < 0)
		return r;
	return answer_append(q->out,
			     codec_family_reply(room, ANSWER_MESSAGE_MAX, &h, PRIVATE_FAMILY));
}

/* genl_rcv_msg(). A dump that has begun needs no acknowledgement: 1. */
static int request(struct answer_request *q)
{
	int r;

	if (!(q->nlh->nlmsg_flags & NLM_F_REQUEST) || q->nlh->nlmsg_type < NLMSG_MIN_TYPE)
		return 0;
	if (q->nlh->nlmsg_type == GENL_ID_CTRL)
		return control_request(q);
	if (q->nlh->nlmsg_type != PRIVATE_FAMILY)
		return -ENOENT;
	if (codec_command(q->nlh, &q->command) < 0)
		return -EINVAL;
	if ((q->nlh->nlmsg_flags & NLM_F_DUMP) != NLM_F_DUMP)
		return command(q);
	r = answer_dump_begin(q);
	return r < 0 ? r : 1;
}

/* Negative: no room for the answer. */
static int acknowledge(const struct nlmsghdr *nlh, int error, struct answer_buffer *out)
{
	uint8_t *room;
	int r;

	if (error > 0 || (error == 0 && !(nlh->nlmsg_flags & NLM_F_ACK)))
		return 0;
	r = answer_reserve(out, &room);
	return r < 0 ? r
		     : answer_append(out, codec_error_reply(room, ANSWER_MESSAGE_MAX, nlh, error));
}

int answer_datagram(struct answer *a, struct answer_client *c, const void *bytes, size_t len,
		    struct answer_buffer *out)
{
	const uint8_t *at = bytes;
	int r = 0;

	while (r == 0 && len >= NLMSG_HDRLEN) {
		struct answer_request q = {
			.answer = a, .client = c, .nlh = (const struct nlmsghdr *)at, .out = out
		};
		size_t step;

		if (q.nlh->nlmsg_len < NLMSG_HDRLEN || q.nlh->nlmsg_len > len) {
			r = acknowledge(q.nlh, -EBADMSG, out);
			break;
		}
		r = acknowledge(q.nlh, request(&q), out);
		step = MIN((size_t)NLMSG_ALIGN(q.nlh->nlmsg_len), len);
		at += step;
		len -= step;
	}
	answer_publish(a);
	return r;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * The kernel alone: the same table as requests that were encoded before, sent as ipvsd sends them (as much as a socket
 * takes in one call, one acknowledgement a batch) by a sender that does nothing else. No program can be sooner.
 */

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "ipvs/codec.h"
#include "tests/bench/scale-bench.h"

enum {
	REQUEST_MAX = 512,
	BATCH_BYTES = 128 * 1024, /* channel.c: TX_BYTES */
};

/* All requests, one behind the other. */
struct requests {
	uint8_t *bytes; /* owned */
	size_t len, size;
	struct codec_header header;
};

static int add_service(struct requests *q, const struct scale *s, unsigned i)
{
	const struct ipvs_service service = { .key = scale_service(i),
					      .scheduler = "wrr",
					      .netmask = UINT32_MAX };
	int n;

	q->header.seq++;
	n = codec_service_request(q->bytes + q->len, q->size - q->len, &q->header,
				  IPVS_CMD_NEW_SERVICE, &service);
	if (n < 0)
		return n;
	q->len += (size_t)n;
	for (unsigned j = 0; j < s->targets; j++) {
		const struct ipvs_dest d = { .addr = scale_target(i, j),
					     .port = SCALE_TARGET_PORT,
					     .weight = SCALE_WEIGHT };

		q->header.seq++;
		n = codec_dest_request(q->bytes + q->len, q->size - q->len, &q->header,
				       IPVS_CMD_NEW_DEST, &service.key, &d);
		if (n < 0)
			return n;
		q->len += (size_t)n;
	}
	return 0;
}

static int send_batch(int fd, uint8_t *bytes, size_t len, struct nlmsghdr *last)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = { 0 };

	last->nlmsg_flags |= NLM_F_ACK;
	if (send(fd, bytes, len, 0) != (ssize_t)len)
		return -errno;
	/* The kernel has done all of it when send() returns. The first answer is the barrier's, or a refusal. */
	if (recv(fd, &answer, sizeof(answer), 0) < 0)
		return -errno;
	return answer.header.nlmsg_seq == last->nlmsg_seq ? answer.error.error : -EPROTO;
}

static struct nlmsghdr *request_at(const struct requests *q, size_t offset)
{
	return (struct nlmsghdr *)(void *)(q->bytes + offset);
}

static int send_all(int fd, const struct requests *q)
{
	size_t from = 0;

	while (from < q->len) {
		struct nlmsghdr *last = request_at(q, from);
		size_t to = from + last->nlmsg_len;
		int r;

		while (to < q->len && to - from + request_at(q, to)->nlmsg_len <= BATCH_BYTES) {
			last = request_at(q, to);
			to += last->nlmsg_len;
		}
		r = send_batch(fd, q->bytes + from, to - from, last);
		if (r < 0)
			return r;
		from = to;
	}
	return 0;
}

static int open_socket(const struct lab_host *host)
{
	const int bytes = 2 * BATCH_BYTES;
	_lab_leave_ int back = -1;
	int fd, r = lab_enter(host, &back);

	if (r < 0)
		return r;
	fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_GENERIC);
	if (fd < 0)
		return -errno;
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &bytes, sizeof(bytes));
	return fd;
}

static int measure(struct scale_bench *b, struct requests *q, struct stats_series *ret)
{
	_cleanup_close_ int fd = open_socket(&b->lab->gateway);
	usec_t start, seen = 0;
	int r = fd < 0 ? fd : 0;

	for (unsigned i = 0; r == 0 && i < b->scale.services; i++)
		r = add_service(q, &b->scale, i);
	if (r < 0)
		return lab_fail(-r, "the requests of the kernel alone");
	start = clock_monotonic_usec();
	r = send_all(fd, q);
	seen = clock_monotonic_usec();
	if (r < 0)
		return lab_fail(-r, "the kernel alone refuses");
	stats_add(ret, (double)(seen - start) / USEC_PER_MSEC);
	r = rivals_wait_table(b->table, &b->scale, &seen); /* it must be there already */
	return r < 0 ? r : kernel_table_flush(b->table);
}

int scale_measure_floor(struct scale_bench *b, struct stats_series *ret)
{
	struct requests q = {
		.size = (size_t)b->scale.services * (b->scale.targets + 1) * REQUEST_MAX,
		.header = { .family = kernel_table_family(b->table) },
	};
	int r;

	q.bytes = malloc(q.size);
	if (!q.bytes)
		return -ENOMEM;
	r = measure(b, &q, ret);
	free(q.bytes);
	return r;
}

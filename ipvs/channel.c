/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "ipvs/channel.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/ip_vs.h>
#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/genl/genl.h>
#include <netlink/msg.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ipvs/channel-exchange.h"

enum {
	SOCKET_BUFFER_BYTES = 4 * 1024 * 1024,
	/* What one queued acknowledgement takes of SO_RCVBUF: the packet's own size and sk_buff, rounded up. */
	ACK_COST_BYTES = 2048,
	OPS_PER_BATCH_MIN = 32,
	DUMP_ATTEMPTS = 5,
	DESTS_PER_SERVICE_MAX = 1024 * 1024, /* more: the other side repeats itself */
	/* The kernel may load a scheduler's module while it handles a request. */
	TIMEOUT_USEC = 20 * 1000 * 1000,
};

DEFINE_CLEANUP(struct channel *, channel_free)

void channel_free(struct channel *c)
{
	if (!c)
		return;
	if (c->fd >= 0)
		(void)close(c->fd);
	free(c);
}

uint64_t channel_writes(const struct channel *c)
{
	return c->writes;
}

static int wait_for(const struct channel *c, short events, usec_t deadline)
{
	struct pollfd p = { .fd = c->fd, .events = events };
	usec_t now = clock_monotonic_usec();
	int r;

	if (now >= deadline)
		return -ETIMEDOUT;
	r = poll(&p, 1, (int)((deadline - now) / USEC_PER_MSEC) + 1);
	return r < 0 && errno != EINTR ? -errno : 0;
}

static int send_all(const struct channel *c, const void *buf, size_t len, usec_t deadline)
{
	for (;;) {
		ssize_t n = send(c->fd, buf, len, MSG_NOSIGNAL);
		int r;

		if (n == (ssize_t)len)
			return 0;
		if (n >= 0)
			return -EIO;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(c, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
}

/*
 * One datagram to c->rx; its length. -ENOBUFS: the kernel has dropped answers. Netlink also carries what other
 * processes send to our port: that is dropped.
 */
static int receive(struct channel *c, usec_t deadline)
{
	for (;;) {
		struct sockaddr_nl from = { 0 };
		struct iovec iov = { .iov_base = c->rx, .iov_len = sizeof(c->rx) };
		struct msghdr msg = {
			.msg_name = c->kernel ? &from : NULL,
			.msg_namelen = c->kernel ? sizeof(from) : 0,
			.msg_iov = &iov,
			.msg_iovlen = 1,
		};
		ssize_t n = recvmsg(c->fd, &msg, 0);
		int r;

		if (n == 0)
			return -ECONNRESET;
		if (n > 0 && (msg.msg_flags & MSG_TRUNC))
			return -EMSGSIZE;
		if (n > 0 && from.nl_pid == 0)
			return (int)n;
		if (n > 0 || errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return -errno;
		r = wait_for(c, POLLIN, deadline);
		if (r < 0)
			return r;
	}
}

static int error_of(const struct nlmsghdr *nlh, int *ret)
{
	if (nlh->nlmsg_len < NLMSG_LENGTH(sizeof(int)))
		return -EBADMSG;
	memcpy(ret, NLMSG_DATA(nlh), sizeof(*ret));
	return *ret > 0 ? -EBADMSG : 0;
}

enum progress {
	PROGRESS_MORE,
	PROGRESS_DONE,
};

/* Negative: the request's own error. */
static int take_message(struct channel_exchange *x, const struct nlmsghdr *nlh)
{
	int r, error;

	if (nlh->nlmsg_seq != x->seq)
		return PROGRESS_MORE; /* left over from an exchange that was given up */
	if ((nlh->nlmsg_flags & NLM_F_DUMP_INTR) && x->error == 0)
		x->error = -EINTR;
	if (nlh->nlmsg_type == NLMSG_ERROR || nlh->nlmsg_type == NLMSG_DONE) {
		r = error_of(nlh, &error);
		if (r == 0)
			r = error;
		if (r == 0)
			r = x->error;
		return r < 0 ? r : PROGRESS_DONE;
	}
	if (nlh->nlmsg_type < NLMSG_MIN_TYPE || !x->on_message || x->error < 0)
		return PROGRESS_MORE;
	x->error = x->on_message(nlh, x->userdata);
	return PROGRESS_MORE;
}

int channel_exchange(struct channel *c, struct channel_exchange *x, size_t len)
{
	usec_t deadline = clock_monotonic_usec() + c->timeout_usec;
	int r = send_all(c, c->tx, len, deadline);

	if (r < 0)
		return r;
	for (;;) {
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)c->rx;
		int left = receive(c, deadline);

		/* A table of millions takes its time: what is bounded is the silence. */
		if (left > 0 && x->dump)
			deadline = clock_monotonic_usec() + c->timeout_usec;
		if (left == -ENOBUFS && x->dump) {
			x->error = left;
			continue;
		}
		if (left < 0)
			return left;
		for (; nlmsg_ok(nlh, left); nlh = nlmsg_next((struct nlmsghdr *)nlh, &left)) {
			r = take_message(x, nlh);
			if (r != PROGRESS_MORE)
				return r < 0 ? r : 0;
		}
		if (left > 0)
			return -EBADMSG;
	}
}

struct codec_header channel_header(struct channel *c, uint16_t flags)
{
	return (struct codec_header){ .family = c->family, .flags = flags, .seq = ++c->seq };
}

static int on_family(const struct nlmsghdr *nlh, void *userdata)
{
	static const struct nla_policy policy[CTRL_ATTR_MAX + 1] = {
		[CTRL_ATTR_FAMILY_ID] = { .type = NLA_U16 },
	};
	struct nlattr *tb[CTRL_ATTR_MAX + 1];

	if (genlmsg_parse((struct nlmsghdr *)nlh, 0, tb, CTRL_ATTR_MAX, policy) < 0 ||
	    !tb[CTRL_ATTR_FAMILY_ID])
		return -EBADMSG;
	*(uint16_t *)userdata = nla_get_u16(tb[CTRL_ATTR_FAMILY_ID]);
	return 0;
}

DEFINE_CLEANUP(struct nl_msg *, nlmsg_free)

/* By name: this loads the module where it can be loaded (MODULE_ALIAS_GENL_FAMILY). */
int channel_resolve_family(struct channel *c)
{
	uint16_t family = 0;
	struct channel_exchange x = { .seq = ++c->seq,
				      .on_message = on_family,
				      .userdata = &family };
	_cleanup_(nlmsg_free_p) struct nl_msg *msg = nlmsg_alloc_size(256);
	int r;

	if (!msg ||
	    !genlmsg_put(msg, 0, x.seq, GENL_ID_CTRL, 0, NLM_F_REQUEST | NLM_F_ACK,
			 CTRL_CMD_GETFAMILY, 1) ||
	    nla_put_string(msg, CTRL_ATTR_FAMILY_NAME, IPVS_GENL_NAME) < 0)
		return -ENOMEM;
	memcpy(c->tx, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len);
	r = channel_exchange(c, &x, nlmsg_hdr(msg)->nlmsg_len);
	if (r < 0)
		return r;
	if (family < NLMSG_MIN_TYPE)
		return -EBADMSG;
	c->family = family;
	return 0;
}

size_t channel_buffer_size(int fd, int force, int option)
{
	int bytes = SOCKET_BUFFER_BYTES;
	socklen_t len = sizeof(bytes);

	/* Without CAP_NET_ADMIN the system's maximum has to do. */
	if (setsockopt(fd, SOL_SOCKET, force, &bytes, sizeof(bytes)) < 0)
		(void)setsockopt(fd, SOL_SOCKET, option, &bytes, sizeof(bytes));
	if (getsockopt(fd, SOL_SOCKET, option, &bytes, &len) < 0 || bytes < 0)
		return 0;
	return (size_t)bytes;
}

int channel_open_kernel(struct channel **ret)
{
	_cleanup_(channel_free_p) struct channel *c = calloc(1, sizeof(*c));
	struct sockaddr_nl local = { .nl_family = AF_NETLINK };
	int on = 1, r;

	if (!c)
		return -ENOMEM;
	c->kernel = true;
	c->timeout_usec = TIMEOUT_USEC;
	c->fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_GENERIC);
	if (c->fd < 0 || bind(c->fd, (struct sockaddr *)&local, sizeof(local)) < 0)
		return -errno;
	/* Older kernels lack it: error messages are only longer then. */
	(void)setsockopt(c->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	c->tx_max = MIN(sizeof(c->tx), channel_buffer_size(c->fd, SO_SNDBUFFORCE, SO_SNDBUF) / 2);
	c->ops_max = MAX((size_t)OPS_PER_BATCH_MIN,
			 channel_buffer_size(c->fd, SO_RCVBUFFORCE, SO_RCVBUF) / ACK_COST_BYTES);
	r = channel_resolve_family(c);
	if (r < 0)
		return r;
	*ret = take_ptr(c);
	return 0;
}

static int on_service(const struct nlmsghdr *nlh, void *userdata)
{
	struct ipvs_ruleset *r = userdata;
	struct ipvs_service s, *added;
	int e = codec_parse_service(nlh, &s);

	if (e < 0)
		return e;
	added = ipvs_ruleset_append(r, &s.key);
	if (!added)
		return -ENOMEM;
	*added = s;
	return 0;
}

static int on_dest(const struct nlmsghdr *nlh, void *userdata)
{
	struct ipvs_service *s = userdata;
	struct ipvs_dest d;
	int e = codec_parse_dest(nlh, s->key.family, &d);

	if (e < 0)
		return e;
	if (s->n_dests >= DESTS_PER_SERVICE_MAX)
		return -EBADMSG;
	return ipvs_service_append(s, &d) ? 0 : -ENOMEM;
}

/* -EINTR: the dump was interrupted, ret is not to be believed. */
static int dump_services(struct channel *c, struct ipvs_ruleset *ret)
{
	struct codec_header h = channel_header(c, NLM_F_DUMP);
	struct channel_exchange x = {
		.seq = h.seq, .on_message = on_service, .userdata = ret, .dump = true
	};
	int r = codec_plain_request(c->tx, sizeof(c->tx), &h, IPVS_CMD_GET_SERVICE);

	if (r > 0)
		r = channel_exchange(c, &x, (size_t)r);
	return r;
}

static int dest_ptr_cmp(const void *a, const void *b)
{
	return ipvs_dest_key_cmp(*(const struct ipvs_dest *const *)a,
				 *(const struct ipvs_dest *const *)b);
}

/* A dump's position is a plain index: an insertion meanwhile makes it repeat a destination (ipvs.md §1.8). */
static int check_repeated(const struct ipvs_service *s)
{
	_cleanup_free_ const struct ipvs_dest **sorted =
		calloc(s->n_dests + 1, sizeof(const struct ipvs_dest *));

	if (!sorted)
		return -ENOMEM;
	for (size_t i = 0; i < s->n_dests; i++)
		sorted[i] = &s->dests[i];
	qsort(sorted, s->n_dests, sizeof(*sorted), dest_ptr_cmp);
	for (size_t i = 1; i < s->n_dests; i++)
		if (ipvs_dest_key_cmp(sorted[i - 1], sorted[i]) == 0)
			return -EINTR;
	return 0;
}

static int dump_dests(struct channel *c, struct ipvs_service *s)
{
	struct codec_header h = channel_header(c, NLM_F_DUMP);
	struct channel_exchange x = {
		.seq = h.seq, .on_message = on_dest, .userdata = s, .dump = true
	};
	int r = codec_dest_request(c->tx, sizeof(c->tx), &h, IPVS_CMD_GET_DEST, &s->key, NULL);

	if (r > 0)
		r = channel_exchange(c, &x, (size_t)r);
	return r < 0 ? r : check_repeated(s);
}

/*
 * The kernel answers the dump of a vanished service with an empty list, and its family of services has no generation
 * counter: so the services are looked at twice, before and after their destinations.
 */
static int dump_once(struct channel *c, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset first = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset second = IPVS_RULESET_INIT;
	int r = dump_services(c, &first);

	for (size_t i = 0; r == 0 && i < first.n; i++)
		r = dump_dests(c, &first.services[i]);
	if (r == 0)
		r = dump_services(c, &second);
	if (r < 0)
		return r;
	ipvs_ruleset_sort(&first);
	ipvs_ruleset_sort(&second);
	if (first.n != second.n)
		return -EINTR;
	for (size_t i = 0; i < first.n; i++)
		if (ipvs_service_key_cmp(&first.services[i].key, &second.services[i].key) != 0 ||
		    (i > 0 &&
		     ipvs_service_key_cmp(&first.services[i].key, &first.services[i - 1].key) == 0))
			return -EINTR;
	*ret = first;
	first = IPVS_RULESET_INIT;
	return 0;
}

int channel_dump(struct channel *c, struct ipvs_ruleset *ret)
{
	for (unsigned attempt = 0; attempt < DUMP_ATTEMPTS; attempt++) {
		int r = dump_once(c, ret);

		/* No such family: ip_vs was unloaded, and has another number when it is back. */
		if (r == -ENOENT && c->kernel) {
			r = channel_resolve_family(c);
			if (r < 0)
				return r;
			continue;
		}
		if (r != -EINTR && r != -ENOBUFS)
			return r;
	}
	return -EAGAIN;
}

int channel_dump_services(struct channel *c, struct ipvs_ruleset *ret)
{
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset services = IPVS_RULESET_INIT;
	int r = dump_services(c, &services);

	if (r < 0)
		return r;
	ipvs_ruleset_sort(&services);
	*ret = services;
	services = IPVS_RULESET_INIT;
	return 0;
}

static int encode_service(struct channel *c, size_t used, const struct codec_header *h, uint8_t cmd,
			  const struct plan_op *op)
{
	struct ipvs_service s = *op->service;

	if (op->bare && op->kind == PLAN_SERVICE_NEW)
		strcpy(s.scheduler, PLAN_BARE_SCHEDULER);
	return codec_service_request(c->tx + used, c->tx_max - used, h, cmd, &s);
}

static int encode_op(struct channel *c, size_t used, const struct plan_op *op, uint16_t flags)
{
	static const uint8_t commands[_PLAN_OP_MAX] = {
		[PLAN_SERVICE_NEW] = IPVS_CMD_NEW_SERVICE,
		[PLAN_SERVICE_SET] = IPVS_CMD_SET_SERVICE,
		[PLAN_SERVICE_DEL] = IPVS_CMD_DEL_SERVICE,
		[PLAN_DEST_NEW] = IPVS_CMD_NEW_DEST,
		[PLAN_DEST_SET] = IPVS_CMD_SET_DEST,
		[PLAN_DEST_DEL] = IPVS_CMD_DEL_DEST,
	};
	struct codec_header h = { .family = c->family, .flags = flags, .seq = c->seq + 1 };
	uint8_t cmd = commands[op->kind];

	if (op->kind == PLAN_SERVICE_NEW || op->kind == PLAN_SERVICE_SET ||
	    op->kind == PLAN_SERVICE_DEL)
		return encode_service(c, used, &h, cmd, op);
	return codec_dest_request(c->tx + used, c->tx_max - used, &h, cmd, &op->service->key,
				  op->dest);
}

struct batch {
	size_t n_ops, len_bytes;
	uint32_t first_seq;
};

/* As many of the ops as one send may carry; only the last one is acknowledged. */
static int batch_build(struct channel *c, const struct plan_op *ops, size_t n, struct batch *ret)
{
	struct batch b = { .first_seq = c->seq + 1 };
	struct nlmsghdr *last = NULL;

	while (b.n_ops < MIN(n, c->ops_max)) {
		int r = encode_op(c, b.len_bytes, &ops[b.n_ops], 0);

		if (r == -EMSGSIZE && b.n_ops > 0)
			break;
		if (r < 0)
			return r;
		last = (struct nlmsghdr *)(c->tx + b.len_bytes);
		b.len_bytes += (size_t)r;
		b.n_ops++;
		c->seq++;
	}
	if (last)
		last->nlmsg_flags |= NLM_F_ACK;
	*ret = b;
	return 0;
}

/* PROGRESS_DONE with the barrier's answer; negative when the bytes make no sense. */
static int take_results(struct channel *c, const struct batch *b, int left,
			struct channel_result *results)
{
	struct nlmsghdr *nlh = (struct nlmsghdr *)c->rx;

	for (; nlmsg_ok(nlh, left); nlh = nlmsg_next(nlh, &left)) {
		uint32_t index = nlh->nlmsg_seq - b->first_seq;
		int error, r;

		if (nlh->nlmsg_type != NLMSG_ERROR || index >= b->n_ops)
			continue;
		r = error_of(nlh, &error);
		if (r < 0)
			return r;
		results[index].error = error;
		if (index == b->n_ops - 1)
			return PROGRESS_DONE;
	}
	return left > 0 ? -EBADMSG : PROGRESS_MORE;
}

static int batch_run(struct channel *c, const struct batch *b, struct channel_result *results)
{
	usec_t deadline = clock_monotonic_usec() + c->timeout_usec;
	int r = send_all(c, c->tx, b->len_bytes, deadline);

	if (r < 0)
		return r;
	c->writes += b->n_ops;
	memset(results, 0, b->n_ops * sizeof(*results));
	do {
		r = receive(c, deadline);
		if (r >= 0)
			r = take_results(c, b, r, results);
	} while (r == PROGRESS_MORE);
	return r < 0 ? r : 0;
}

int channel_apply(struct channel *c, const struct plan *p, struct channel_result *results,
		  size_t *ret_failed)
{
	size_t done = 0, failed = 0;

	while (done < p->n) {
		struct batch b = { 0 };
		int r = batch_build(c, p->ops + done, p->n - done, &b);

		if (r == 0)
			r = batch_run(c, &b, results + done);
		if (r < 0)
			return r;
		for (size_t i = 0; i < b.n_ops; i++)
			failed += results[done + i].error != 0;
		done += b.n_ops;
	}
	*ret_failed = failed;
	return 0;
}

static int on_config(const struct nlmsghdr *nlh, void *userdata)
{
	return codec_parse_config(nlh, userdata);
}

static int on_info(const struct nlmsghdr *nlh, void *userdata)
{
	return codec_parse_info(nlh, userdata);
}

/* A request without attributes whose answer is one message. */
static int get(struct channel *c, uint8_t cmd, channel_on_message on_message, void *ret)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);
	struct channel_exchange x = { .seq = h.seq, .on_message = on_message, .userdata = ret };
	int r = codec_plain_request(c->tx, sizeof(c->tx), &h, cmd);

	return r < 0 ? r : channel_exchange(c, &x, (size_t)r);
}

int channel_get_timeouts(struct channel *c, struct ipvs_timeouts *ret)
{
	return get(c, IPVS_CMD_GET_CONFIG, on_config, ret);
}

int channel_get_info(struct channel *c, struct ipvs_info *ret)
{
	return get(c, IPVS_CMD_GET_INFO, on_info, ret);
}

int channel_set_timeouts(struct channel *c, const struct ipvs_timeouts *t)
{
	struct codec_header h = channel_header(c, NLM_F_ACK);
	struct channel_exchange x = { .seq = h.seq };
	int r = codec_config_request(c->tx, sizeof(c->tx), &h, t);

	if (r < 0)
		return r;
	c->writes++;
	return channel_exchange(c, &x, (size_t)r);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/netlink-exchange.h"

#include <errno.h>
#include <netlink/handlers.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <sys/socket.h>
#include <sys/time.h>

#include "base/cleanup.h"

enum {
	ANSWER_SECONDS = 2,
	ANSWER_BYTES = 32 * 1024,
};

typedef struct nl_cb *nl_callbacks;

DEFINE_CLEANUP(struct nl_sock *, nl_socket_free)
DEFINE_CLEANUP(nl_callbacks, nl_cb_put)

struct answer {
	netlink_message_fn on_message;
	void *userdata;
	int error;
	bool done;
};

int netlink_exchange_open(int protocol, struct nl_sock **ret)
{
	_cleanup_(nl_socket_free_p) struct nl_sock *s = nl_socket_alloc();
	struct timeval limit = { .tv_sec = ANSWER_SECONDS };

	if (!s)
		return -ENOMEM;
	if (nl_connect(s, protocol) < 0)
		return -EIO;
	if (setsockopt(nl_socket_get_fd(s), SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	*ret = take_ptr(s);
	return 0;
}

static int on_error(struct sockaddr_nl *from, struct nlmsgerr *e, void *userdata)
{
	struct answer *a = userdata;

	(void)from;
	a->error = e->error;
	a->done = true;
	return NL_STOP;
}

static int on_end(struct nl_msg *m, void *userdata)
{
	struct answer *a = userdata;

	(void)m;
	a->done = true;
	return NL_STOP;
}

static int on_interrupted(struct nl_msg *m, void *userdata)
{
	struct answer *a = userdata;

	(void)m;
	if (a->error == 0)
		a->error = -EINTR;
	return NL_OK;
}

static int on_valid(struct nl_msg *m, void *userdata)
{
	struct answer *a = userdata;

	if (a->on_message && a->error == 0)
		a->error = a->on_message(nlmsg_hdr(m), a->userdata);
	return NL_OK;
}

static int exchange(struct nl_sock *s, struct nl_msg *m, struct answer *a)
{
	_cleanup_(nl_cb_put_p) nl_callbacks callbacks = nl_cb_alloc(NL_CB_DEFAULT);

	if (!callbacks)
		return -ENOMEM;
	(void)nl_cb_err(callbacks, NL_CB_CUSTOM, on_error, a);
	(void)nl_cb_set(callbacks, NL_CB_ACK, NL_CB_CUSTOM, on_end, a);
	(void)nl_cb_set(callbacks, NL_CB_FINISH, NL_CB_CUSTOM, on_end, a);
	(void)nl_cb_set(callbacks, NL_CB_DUMP_INTR, NL_CB_CUSTOM, on_interrupted, a);
	(void)nl_cb_set(callbacks, NL_CB_VALID, NL_CB_CUSTOM, on_valid, a);
	if (nl_send_auto(s, m) < 0)
		return -EIO;
	while (!a->done) {
		int r = nl_recvmsgs(s, callbacks);

		/* NLE_AGAIN: the socket's receive time-out. */
		if (r < 0 && !a->done)
			return r == -NLE_AGAIN ? -ETIMEDOUT : -EIO;
	}
	return a->error;
}

int netlink_exchange_request(struct nl_sock *s, struct nl_msg *m)
{
	struct answer a = { 0 };

	return exchange(s, m, &a);
}

int netlink_exchange_dump(struct nl_sock *s, struct nl_msg *m, netlink_message_fn on_message,
			  void *userdata)
{
	struct answer a = { .on_message = on_message, .userdata = userdata };

	return exchange(s, m, &a);
}

/* PROGRESS: 1 = more to come, 0 = the acknowledgement, negative = an error. */
static int take_acknowledgements(const void *buf, ssize_t len, unsigned seq)
{
	const struct nlmsghdr *h = buf;
	int left = (int)len;

	for (; nlmsg_ok(h, left); h = nlmsg_next((struct nlmsghdr *)h, &left)) {
		const struct nlmsgerr *e = nlmsg_data(h);

		if (h->nlmsg_type != NLMSG_ERROR || h->nlmsg_len < NLMSG_LENGTH(sizeof(*e)))
			continue;
		if (e->error || h->nlmsg_seq == seq)
			return e->error;
	}
	return 1;
}

int netlink_exchange_batch(struct nl_sock *s, const void *buf, size_t len_bytes, unsigned seq)
{
	_cleanup_free_ char *answer = malloc(ANSWER_BYTES);
	int fd = nl_socket_get_fd(s), r = 1;

	if (!answer)
		return -ENOMEM;
	if (send(fd, buf, len_bytes, 0) != (ssize_t)len_bytes)
		return errno ? -errno : -EIO;
	while (r > 0) {
		ssize_t n = recv(fd, answer, ANSWER_BYTES, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == EAGAIN ? -ETIMEDOUT : -errno;
		r = take_acknowledgements(answer, n, seq);
	}
	return r;
}

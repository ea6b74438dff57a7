/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-link.h"

#include <errno.h>
#include <linux/netlink.h>
#include <netlink/msg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/cleanup.h"
#include "ipvs/private.h"

enum {
	RECEIVE_BYTES = 64 * 1024,
	SEND_BYTES = 256,
};

struct fastpath_link {
	int fd;		     /* owned; -1 = closed */
	sd_event_source *io; /* owned */
	struct fastpath_link_handlers handlers;
	uint32_t seq, status_seq, attach_seq; /* 0 = not asked for */
	usec_t asked_usec;		      /* for the status */
	struct private_status status;
	_Alignas(8) uint8_t buffer[RECEIVE_BYTES];
};

DEFINE_CLEANUP(struct fastpath_link *, fastpath_link_free)

void fastpath_link_free(struct fastpath_link *l)
{
	if (!l)
		return;
	sd_event_source_disable_unref(l->io);
	cleanup_close(&l->fd);
	free(l);
}

bool fastpath_link_is_closed(const struct fastpath_link *l)
{
	return l->fd < 0;
}

static void close_link(struct fastpath_link *l)
{
	l->io = sd_event_source_disable_unref(l->io);
	cleanup_close(&l->fd);
	l->fd = -1;
}

static void take_acknowledgement(struct fastpath_link *l, const struct nlmsghdr *h)
{
	int error = -EBADMSG;

	if (h->nlmsg_len >= NLMSG_LENGTH(sizeof(error)))
		memcpy(&error, NLMSG_DATA(h), sizeof(error));
	if (h->nlmsg_seq == l->status_seq) {
		l->status_seq = 0;
	} else if (h->nlmsg_seq == l->attach_seq) {
		l->attach_seq = 0;
		l->handlers.on_attached(error > 0 ? -EBADMSG : error, l->handlers.userdata);
	}
}

static void take_message(struct fastpath_link *l, const struct nlmsghdr *h)
{
	if (h->nlmsg_seq == 0)
		return;
	if (h->nlmsg_type == NLMSG_ERROR) {
		take_acknowledgement(l, h);
	} else if (h->nlmsg_seq == l->status_seq && private_parse_status(h, &l->status) == 0) {
		l->status_seq = 0;
		l->handlers.on_status(&l->status, l->asked_usec, l->handlers.userdata);
	}
}

static int on_io(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct fastpath_link *l = userdata;
	const struct nlmsghdr *h = (const struct nlmsghdr *)l->buffer;
	ssize_t n = recv(fd, l->buffer, sizeof(l->buffer), MSG_DONTWAIT);
	int left = (int)n;

	(void)s;
	(void)revents;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return 0;
	if (n <= 0) {
		close_link(l);
		l->handlers.on_closed(l->handlers.userdata);
		return 0;
	}
	for (; nlmsg_ok(h, left); h = nlmsg_next((struct nlmsghdr *)h, &left))
		take_message(l, h);
	return 0;
}

int fastpath_link_new(sd_event *event, const char *path,
		      const struct fastpath_link_handlers *handlers, struct fastpath_link **ret)
{
	_cleanup_(fastpath_link_free_p) struct fastpath_link *l = calloc(1, sizeof(*l));
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int r;

	if (!l)
		return -ENOMEM;
	l->handlers = *handlers;
	if (strlen(path) >= sizeof(address.sun_path)) {
		l->fd = -1;
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	l->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (l->fd < 0 || connect(l->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		return -errno;
	r = sd_event_add_io(event, &l->io, l->fd, EPOLLIN, on_io, l);
	if (r < 0)
		return r;
	*ret = take_ptr(l);
	return 0;
}

static int send_request(struct fastpath_link *l, uint8_t command, uint16_t flags, uint32_t *seq)
{
	const struct codec_header h = { .family = PRIVATE_FAMILY, .flags = flags, .seq = ++l->seq };
	uint8_t message[SEND_BYTES];
	int n = codec_plain_request(message, sizeof(message), &h, command);

	if (n < 0)
		return n;
	if (l->fd < 0)
		return -ECONNRESET;
	if (send(l->fd, message, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) != n)
		return errno ? -errno : -EIO;
	*seq = h.seq;
	return 0;
}

int fastpath_link_ask(struct fastpath_link *l)
{
	if (l->status_seq)
		return 0;
	l->asked_usec = clock_monotonic_usec();
	return send_request(l, PRIVATE_CMD_GET_STATUS, 0, &l->status_seq);
}

int fastpath_link_attach(struct fastpath_link *l)
{
	return send_request(l, PRIVATE_CMD_ATTACH_PORTS, NLM_F_ACK, &l->attach_seq);
}

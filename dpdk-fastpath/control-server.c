/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/control-server.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "dpdk-fastpath/answer.h"

enum {
	BACKLOG = 64,
	CLIENTS_MAX = 64,
	CLIENTS_FOR_ROOT = 16, /* of these */
	RX_BYTES = 256 * 1024, /* a client's batch has 128 KiB (ipvs/channel-exchange.h) */
	SEND_BUFFER_BYTES = 1024 * 1024,
	UNREAD_MAX = 256 * 1024, /* beyond it no more requests are read from this client */
	PIECES_PER_TURN = 4,	 /* of a dump */
};

struct client {
	struct control_server *server; /* borrowed */
	LIST_ENTRY(client) link;
	int fd;			 /* owned */
	sd_event_source *source; /* owned */
	struct answer_client state;
	struct answer_buffer out;
	size_t sent_bytes; /* of out */
};

struct control_server {
	sd_event *event; /* owned */
	struct answer *answer;
	int fd; /* owned; -1 = none yet */
	sd_event_source *source;
	char *path; /* owned; of the file that is ours */
	dev_t dev;
	ino_t inode;
	gid_t gid;
	LIST_HEAD(, client) clients;
	unsigned n_clients;
	bool refusing; /* said so already */
	_Alignas(8) uint8_t rx[RX_BYTES];
};

DEFINE_CLEANUP(struct control_server *, control_server_free)

static void client_free(struct client *c)
{
	LIST_REMOVE(c, link);
	c->server->n_clients--;
	(void)sd_event_source_disable_unref(c->source);
	cleanup_close(&c->fd);
	answer_buffer_deinit(&c->out);
	free(c);
}

static size_t unread(const struct client *c)
{
	return c->out.len_bytes - c->sent_bytes;
}

/* Whole messages up to a piece, or one longer message. */
static size_t next_datagram(const struct client *c)
{
	size_t len = 0, left = unread(c);

	while (len < left) {
		struct nlmsghdr header;
		size_t message;

		memcpy(&header, c->out.bytes + c->sent_bytes + len, sizeof(header));
		message = NLMSG_ALIGN(header.nlmsg_len);
		if (len > 0 && len + message > ANSWER_PIECE_BYTES)
			break;
		len += message;
	}
	return len;
}

/* 0 = all is sent; -EAGAIN: the client has to read first; else it is gone. */
static int client_send(struct client *c)
{
	while (unread(c) > 0) {
		size_t len = next_datagram(c);
		ssize_t n = send(c->fd, c->out.bytes + c->sent_bytes, len, MSG_NOSIGNAL);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		c->sent_bytes += len;
	}
	/* What a large answer took is not kept for the next. */
	if (c->out.allocated_bytes > UNREAD_MAX)
		answer_buffer_deinit(&c->out);
	c->out.len_bytes = 0;
	c->sent_bytes = 0;
	return 0;
}

/* Sends what there is, and as much of a dump as one turn may take. */
static int client_flush(struct client *c)
{
	int r = client_send(c);

	for (unsigned i = 0; r == 0 && c->state.dump && i < PIECES_PER_TURN; i++) {
		r = answer_continue(c->server->answer, &c->state, &c->out);
		if (r == 0)
			r = client_send(c);
	}
	return r == -EAGAIN ? 0 : r;
}

static int client_receive(struct client *c)
{
	struct control_server *s = c->server;
	struct iovec iov = { .iov_base = s->rx, .iov_len = sizeof(s->rx) };
	struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
	ssize_t n = recvmsg(c->fd, &msg, 0);

	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -errno;
	if (n == 0)
		return -ECONNRESET;
	/* What was cut off is the end of a message, which is answered as such. */
	return answer_datagram(s->answer, &c->state, s->rx, (size_t)n, &c->out);
}

static uint32_t client_events(const struct client *c)
{
	return (unread(c) < UNREAD_MAX ? (uint32_t)EPOLLIN : 0) |
	       (unread(c) > 0 || c->state.dump ? (uint32_t)EPOLLOUT : 0);
}

static int on_client(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct client *c = userdata;
	int r = 0;

	(void)source;
	(void)fd;
	if (revents & EPOLLIN)
		r = client_receive(c);
	else if (revents & (EPOLLHUP | EPOLLERR))
		r = -ECONNRESET;
	if (r == 0)
		r = client_flush(c);
	if (r == 0)
		r = sd_event_source_set_io_events(c->source, client_events(c));
	if (r == 0)
		return 0;
	if (r != -ECONNRESET && r != -EPIPE)
		log_warning("control socket: a client is dropped: %s", strerror(-r));
	client_free(c);
	return 0;
}

/* Where the kernel does not say who it is, it is nobody. */
static int check_peer(const struct control_server *s, int fd, bool *ret_root)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return -errno;
	*ret_root = peer.uid == 0 || peer.uid == geteuid();
	if (!*ret_root && (s->gid == (gid_t)-1 || peer.gid != s->gid))
		return -EACCES;
	return 0;
}

static int add_client(struct control_server *s, int *fd, bool root)
{
	unsigned max = root ? CLIENTS_MAX : CLIENTS_MAX - CLIENTS_FOR_ROOT;
	int bytes = SEND_BUFFER_BYTES, r;
	struct client *c;

	if (s->n_clients >= max)
		return -EBUSY;
	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->server = s;
	c->fd = -1;
	/* The default holds a piece as well. */
	(void)setsockopt(*fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes));
	r = sd_event_add_io(s->event, &c->source, *fd, EPOLLIN, on_client, c);
	if (r < 0) {
		free(c);
		return r;
	}
	c->fd = take_fd(fd);
	LIST_INSERT_HEAD(&s->clients, c, link);
	s->n_clients++;
	return 0;
}

/* Takes fd, also on error. -EACCES; -EBUSY: too many; -ENOMEM. */
static int admit(struct control_server *s, int fd)
{
	_cleanup_close_ int owned = fd;
	bool root = false;
	int r = check_peer(s, owned, &root);

	return r < 0 ? r : add_client(s, &owned, root);
}

/* One line until somebody is admitted again: who is refused can try as often as they like. */
static void say_refused(struct control_server *s, int error)
{
	if (!s->refusing)
		log_warning("control socket: a client is refused: %s", strerror(-error));
	s->refusing = true;
}

static int on_connect(sd_event_source *source, int fd, uint32_t revents, void *userdata)
{
	struct control_server *s = userdata;
	int r, accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

	(void)source;
	(void)revents;
	if (accepted < 0) {
		if (errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
			say_refused(s, -errno);
		return 0;
	}
	r = admit(s, accepted);
	if (r < 0)
		say_refused(s, r);
	else
		s->refusing = false;
	return 0;
}

/* A socket file that a dead process left is removed; anything else at this place is not ours to touch. */
static int remove_stale(const struct sockaddr_un *address)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode))
		return -EEXIST;
	fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: somebody listens, with a full backlog. EPROTOTYPE: somebody listens for something else. */
	if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 ||
	    errno == EAGAIN || errno == EPROTOTYPE)
		return -EADDRINUSE;
	if (errno != ECONNREFUSED)
		return -errno;
	return unlink(address->sun_path) < 0 && errno != ENOENT ? -errno : 0;
}

static int bind_private(int fd, const struct sockaddr_un *address)
{
	mode_t old = umask(0177);
	int r = bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0 ? -errno : 0;

	(void)umask(old);
	return r;
}

static int listen_at(struct control_server *s, const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int r;

	if (strlen(path) >= sizeof(address.sun_path))
		return -ENAMETOOLONG;
	memcpy(address.sun_path, path, strlen(path));
	r = remove_stale(&address);
	if (r < 0)
		return r;
	s->fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s->fd < 0)
		return -errno;
	r = bind_private(s->fd, &address);
	if (r < 0)
		return r;
	s->path = strdup(path);
	if (!s->path || stat(path, &st) < 0) {
		r = s->path ? -errno : -ENOMEM;
		(void)unlink(path);
		return r;
	}
	s->dev = st.st_dev;
	s->inode = st.st_ino;
	if (s->gid != (gid_t)-1 && (chown(path, (uid_t)-1, s->gid) < 0 || chmod(path, 0660) < 0))
		return -errno;
	if (listen(s->fd, BACKLOG) < 0)
		return -errno;
	return sd_event_add_io(s->event, &s->source, s->fd, EPOLLIN, on_connect, s);
}

int control_server_new(sd_event *event, struct answer *answer, const char *path, gid_t gid,
		       struct control_server **ret)
{
	_cleanup_(control_server_free_p) struct control_server *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(event);
	s->answer = answer;
	s->fd = -1;
	s->gid = gid;
	LIST_INIT(&s->clients);
	r = listen_at(s, path);
	if (r < 0)
		return r;
	*ret = take_ptr(s);
	return 0;
}

void control_server_free(struct control_server *s)
{
	struct stat st;

	if (!s)
		return;
	while (!LIST_EMPTY(&s->clients))
		client_free(LIST_FIRST(&s->clients));
	(void)sd_event_source_disable_unref(s->source);
	cleanup_close(&s->fd);
	if (s->path && stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->inode)
		(void)unlink(s->path);
	free(s->path);
	(void)sd_event_unref(s->event);
	free(s);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/control-socket.h"

#include <errno.h>
#include <grp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"

enum {
	BACKLOG = 256,
	PEER_GROUPS_MAX = 65536, /* kernel: NGROUPS_MAX */
};

static int make_parent(const char *path)
{
	_cleanup_free_ char *parent = strdup(path);
	char *slash;

	if (!parent)
		return -ENOMEM;
	slash = strrchr(parent, '/');
	if (!slash || slash == parent)
		return 0;
	*slash = '\0';
	if (mkdir(parent, 0755) < 0 && errno != EEXIST) {
		int error = -errno;

		log_err("control socket: cannot create %s: %s", parent, strerror(-error));
		return error;
	}
	return 0;
}

/* A socket file that a dead daemon left is removed; anything else at this place is not ours to touch. */
static int remove_stale(const struct sockaddr_un *address, socklen_t len)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (lstat(address->sun_path, &st) < 0)
		return errno == ENOENT ? 0 : -errno;
	if (!S_ISSOCK(st.st_mode)) {
		log_err("control socket: %s is there and is no socket; move it away or set "
			"control-socket",
			address->sun_path);
		return -EEXIST;
	}

	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	/* EAGAIN: somebody listens, with a full backlog. */
	if (connect(fd, (const struct sockaddr *)address, len) == 0 || errno == EAGAIN) {
		log_err("control socket: another ipvsd is running: it listens on %s",
			address->sun_path);
		return -EADDRINUSE;
	}
	if (errno != ECONNREFUSED)
		return -errno;
	if (unlink(address->sun_path) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

static int bind_private(int fd, const struct sockaddr_un *address, socklen_t len)
{
	mode_t old = umask(0177);
	int ret = bind(fd, (const struct sockaddr *)address, len) < 0 ? -errno : 0;

	(void)umask(old);
	return ret;
}

/* Members of the group get in only once the file's group is theirs: failure leaves it to root alone. */
void control_socket_admit_group(struct control_socket *s)
{
	const struct group *g = getgrnam("ipvsd");

	if (!g)
		return;
	if (chown(s->path, (uid_t)-1, g->gr_gid) < 0 || chmod(s->path, 0660) < 0) {
		log_warning(
			"control socket: cannot give %s to group ipvsd: %s; only root can use it",
			s->path, strerror(errno));
		return;
	}
	s->group = g->gr_gid;
}

int control_socket_open(const char *path, struct control_socket *ret)
{
	_cleanup_(control_socket_close) struct control_socket s = CONTROL_SOCKET_INIT;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct stat st;
	int error;

	if (strlen(path) >= sizeof(address.sun_path)) {
		log_err("control socket: %s is longer than %zu bytes", path,
			sizeof(address.sun_path) - 1);
		return -ENAMETOOLONG;
	}
	memcpy(address.sun_path, path, strlen(path));

	error = make_parent(path);
	if (error == 0)
		error = remove_stale(&address, sizeof(address));
	if (error < 0)
		return error;

	s.fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (s.fd < 0)
		return -errno;
	error = bind_private(s.fd, &address, sizeof(address));
	if (error < 0) {
		log_err("control socket: cannot bind %s: %s", path, strerror(-error));
		return error;
	}
	s.path = strdup(path);
	if (!s.path || stat(path, &st) < 0) {
		error = s.path ? -errno : -ENOMEM;
		(void)unlink(path);
		return error;
	}
	s.dev = st.st_dev;
	s.inode = st.st_ino;
	if (listen(s.fd, BACKLOG) < 0)
		return -errno;

	*ret = s;
	s.fd = -1;
	s.path = NULL;
	return 0;
}

void control_socket_close(struct control_socket *s)
{
	struct stat st;

	if (s->path && stat(s->path, &st) == 0 && st.st_dev == s->dev && st.st_ino == s->inode)
		(void)unlink(s->path);
	cleanup_close(&s->fd);
	free(s->path);
	*s = CONTROL_SOCKET_INIT;
}

static bool peer_has_group(int fd, gid_t group)
{
	_cleanup_free_ gid_t *groups = NULL;
	socklen_t len = 0;

	/* An empty buffer asks for the size: ERANGE, and len set (unix(7) has no word on it; net/core/sock.c). */
	if (getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, NULL, &len) == 0 || errno != ERANGE ||
	    len > PEER_GROUPS_MAX * sizeof(gid_t))
		return false;
	groups = malloc(len);
	if (!groups || getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups, &len) < 0)
		return false;
	for (size_t i = 0; i < len / sizeof(gid_t); i++) {
		if (groups[i] == group)
			return true;
	}
	return false;
}

enum control_peer control_socket_peer(const struct control_socket *s, int connection_fd)
{
	struct ucred peer;
	socklen_t len = sizeof(peer);

	if (getsockopt(connection_fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
		return CONTROL_PEER_DENIED;
	if (peer.uid == 0 || peer.uid == geteuid())
		return CONTROL_PEER_ROOT;
	if (s->group == (gid_t)-1)
		return CONTROL_PEER_DENIED;
	if (peer.gid == s->group || peer_has_group(connection_fd, s->group))
		return CONTROL_PEER_MEMBER;
	return CONTROL_PEER_DENIED;
}

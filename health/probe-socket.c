/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe.h"

#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static int bind_source(int fd, const struct addr *source)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(source, 0, &ss);
	int one = 1;

	/* The port is chosen at connect(), per destination: else 28,000 probes in flight would use up all ports. */
	if (setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof(one)) < 0)
		return -errno;
	if (bind(fd, (struct sockaddr *)&ss, len) < 0)
		return -errno;
	return 0;
}

int probe_socket_open_as(const struct probe_spec *spec, int type, int protocol)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	_cleanup_close_ int fd = -1;
	int r;

	fd = socket(spec->addr.family, type | SOCK_NONBLOCK | SOCK_CLOEXEC, protocol);
	if (fd < 0)
		return -errno;
	if (type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof(reset)) < 0)
		return -errno;
	if (spec->firewall_mark && setsockopt(fd, SOL_SOCKET, SO_MARK, &spec->firewall_mark,
					      sizeof(spec->firewall_mark)) < 0)
		return -errno;
	if (spec->interface[0] && setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, spec->interface,
					     (socklen_t)strlen(spec->interface)) < 0)
		return -errno;
	if (spec->source.family != AF_UNSPEC) {
		r = bind_source(fd, &spec->source);
		if (r < 0)
			return r;
	}
	return take_fd(&fd);
}

int probe_socket_open(const struct probe_spec *spec)
{
	return probe_socket_open_as(spec, SOCK_STREAM, IPPROTO_TCP);
}

/* haproxy.org, proxy-protocol.txt 2.2: the signature, version 2 and LOCAL, AF_UNSPEC, no addresses. */
const char probe_proxy_header[PROBE_PROXY_HEADER_LEN] = {
	'\r', '\n', '\r', '\n', '\0', '\r', '\n', 'Q', 'U', 'I', 'T', '\n', 0x20, 0, 0, 0,
};

int probe_socket_send_proxy_header(int fd)
{
	ssize_t n = send(fd, probe_proxy_header, PROBE_PROXY_HEADER_LEN, MSG_NOSIGNAL);

	if (n < 0)
		return -errno;
	return n == PROBE_PROXY_HEADER_LEN ? 0 : -ENOBUFS;
}

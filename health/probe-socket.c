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

/*
 * What goes to an address of this host has that address as its source too, unless it is given another one; and the
 * target would take it for its own. So it is the one that this host has towards the target. Nothing is sent.
 */
static int find_source(const struct probe_spec *spec, struct addr *ret)
{
	struct sockaddr_storage ss = { 0 };
	_cleanup_close_ int fd = -1;
	struct addr through;
	socklen_t len;

	if (addr_parse(spec->text[PROTOCOL_TEXT_THROUGH], &through) < 0)
		return -EINVAL;
	if (through.family != spec->addr.family)
		return 0;
	fd = socket(through.family, SOCK_DGRAM | SOCK_CLOEXEC, IPPROTO_UDP);
	if (fd < 0)
		return -errno;
	len = addr_to_sockaddr(&through, 9, &ss); /* any port but 0 */
	if (connect(fd, (struct sockaddr *)&ss, len) < 0)
		return probe_outcome_from_errno(errno) == PROBE_UNREACHABLE ? -ENETUNREACH : -errno;
	len = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &len) < 0)
		return -errno;
	*ret = (struct addr){ .family = through.family };
	if (through.family == AF_INET6)
		ret->in6 = ((struct sockaddr_in6 *)&ss)->sin6_addr;
	else
		ret->in = ((struct sockaddr_in *)&ss)->sin_addr;
	return 0;
}

int probe_socket_open_as(const struct probe_spec *spec, int type, int protocol)
{
	struct linger reset = { .l_onoff = 1, .l_linger = 0 };
	struct addr source = spec->source;
	_cleanup_close_ int fd = -1;
	int r;

	if (source.family == AF_UNSPEC && spec->text_size[PROTOCOL_TEXT_THROUGH]) {
		r = find_source(spec, &source);
		if (r < 0)
			return r;
	}
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
	if (source.family != AF_UNSPEC) {
		r = bind_source(fd, &source);
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

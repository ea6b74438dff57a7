/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-tcp.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "base/cleanup.h"

static void finish(struct probe_tcp *p, int error)
{
	enum probe_outcome outcome = probe_outcome_from_errno(error);

	(void)probe_tcp_cancel(p);
	p->done(p->userdata, outcome, error);
}

static void on_end_of_connect(struct probe_tcp *p, int error)
{
	if (error == 0 && p->proxy)
		error = -probe_socket_send_proxy_header(p->fd);
	finish(p, error);
}

static int on_connected(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct probe_tcp *p = userdata;
	socklen_t len = sizeof(int);
	int error = 0;

	(void)s;
	(void)revents;
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	on_end_of_connect(p, error);
	return 0;
}

void probe_tcp_start(struct probe_tcp *p, sd_event *event, const struct probe_spec *spec,
		     probe_done_t done, void *userdata)
{
	struct sockaddr_storage ss;
	socklen_t len = addr_to_sockaddr(&spec->addr, spec->port, &ss);
	int off = 0, fd, r;

	*p = (struct probe_tcp){
		.fd = -1,
		.proxy = spec->flags & PROTOCOL_PROBE_PROXY_V2,
		.done = done,
		.userdata = userdata,
	};
	fd = probe_socket_open(spec);
	if (fd < 0) {
		p->done(p->userdata, PROBE_INTERNAL_ERROR, -fd);
		return;
	}
	p->fd = fd;
	/* Ignoring a failure: the probe works with the ACK as well. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off));
	if (connect(fd, (struct sockaddr *)&ss, len) == 0) {
		on_end_of_connect(p, 0);
		return;
	}
	if (errno != EINPROGRESS) {
		finish(p, errno);
		return;
	}
	r = sd_event_add_io(event, &p->source, fd, EPOLLOUT, on_connected, p);
	if (r < 0) {
		(void)probe_tcp_cancel(p);
		p->done(p->userdata, PROBE_INTERNAL_ERROR, -r);
	}
}

enum probe_outcome probe_tcp_cancel(struct probe_tcp *p)
{
	p->source = sd_event_source_disable_unref(p->source);
	if (p->fd >= 0)
		(void)close(p->fd);
	p->fd = -1;
	return PROBE_CONNECT_TIMEOUT;
}

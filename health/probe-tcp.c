/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-tcp.h"

#include <errno.h>

static void finish(struct probe_tcp *p, int error)
{
	(void)probe_tcp_cancel(p);
	p->done(p->userdata, probe_outcome_from_errno(error), error);
}

static void on_event(struct connection *c, uint32_t events)
{
	struct probe_tcp *p =
		(struct probe_tcp *)((char *)c - offsetof(struct probe_tcp, connection));
	int r = connection_error(c, events);

	if (r == 0 && p->proxy)
		r = probe_socket_send_proxy_header(connection_fd(c));
	if (r != -EAGAIN)
		finish(p, -r);
}

void probe_tcp_start(struct probe_tcp *p, struct connector *connector,
		     const struct probe_spec *spec, probe_done_t done, void *userdata)
{
	int r;

	*p = (struct probe_tcp){
		.connection.on_event = on_event,
		.proxy = spec->flags & PROTOCOL_PROBE_PROXY_V2,
		.done = done,
		.userdata = userdata,
	};
	r = connection_open(&p->connection, connector, spec);
	if (r < 0)
		finish(p, -r);
}

enum probe_outcome probe_tcp_cancel(struct probe_tcp *p)
{
	connection_close(&p->connection);
	return PROBE_CONNECT_TIMEOUT;
}

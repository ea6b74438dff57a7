/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-tcp.h"

#include <errno.h>

static void finish(struct probe_tcp *p, enum probe_outcome outcome, int error)
{
	(void)probe_tcp_cancel(p);
	p->done(p->userdata, outcome, error);
}

static void on_end(struct connection *c, int error)
{
	finish((struct probe_tcp *)((char *)c - offsetof(struct probe_tcp, connection)),
	       probe_outcome_from_errno(error), error);
}

void probe_tcp_start(struct probe_tcp *p, struct connector *connector,
		     const struct probe_spec *spec, probe_done_t done, void *userdata)
{
	int r;

	*p = (struct probe_tcp){
		.connection.on_end = on_end,
		.done = done,
		.userdata = userdata,
	};
	if (spec->flags & PROTOCOL_PROBE_PROXY_V2) {
		p->connection.request = probe_proxy_header;
		p->connection.request_size = PROBE_PROXY_HEADER_LEN;
	}
	r = connection_open(&p->connection, connector, spec);
	if (r < 0)
		finish(p, probe_outcome_from_setup(-r), -r);
	else if (r > 0)
		finish(p, probe_outcome_from_errno(r), r);
}

enum probe_outcome probe_tcp_cancel(struct probe_tcp *p)
{
	connection_close(&p->connection);
	return PROBE_CONNECT_TIMEOUT;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/conformance/rig-fastpath.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "dpdk-fastpath/conn-state.h"
#include "ipvs/channel-unix.h"

#define START_USEC (30 * USEC_PER_SEC)
#define REQUEST_USEC (10 * USEC_PER_SEC)

struct waiting {
	const char *path;
	struct lab_process *process;
	struct channel *channel;
};

static bool answers(void *userdata)
{
	struct waiting *w = userdata;
	struct private_status *status = malloc(sizeof(*status));
	bool up = false;

	if (!status)
		abort();
	if (!w->channel && channel_open_unix(w->path, REQUEST_USEC, &w->channel) < 0)
		w->channel = NULL;
	if (w->channel)
		up = channel_get_status(w->channel, status) == 0 && status->n_ports > 0;
	free(status);
	return up || !lab_process_running(w->process);
}

/* nftables' ingress hook comes after packet sockets: the program still gets every frame. */
static int silence_kernel(const struct lab_host *h)
{
	_cleanup_(lab_result_deinit) struct lab_result result = LAB_RESULT_INIT;
	int r = lab_run(h,
			(const char *const[]){
				"nft",
				"add table netdev quiet; add chain netdev quiet in { type filter "
				"hook ingress device eth0 priority -500; policy drop; }",
				NULL },
			&result);

	if (r == 0 && result.status != 0)
		(void)fprintf(stderr, "%s", result.err);
	return r < 0 ? r : result.status == 0 ? 0 : -EIO;
}

int rig_fastpath_start(const struct lab_host *h, const char *program, const char *directory,
		       struct lab_process *ret_process, struct channel **ret_channel)
{
	char path[256];
	const char *argv[] = { program,
			       "--control",
			       path,
			       "--port",
			       "net_af_packet0,iface=eth0",
			       "--workers",
			       "1",
			       "--no-hugepages",
			       "--memory",
			       "192",
			       "--max-connections",
			       "65536",
			       "--exception-interface",
			       RIG_EXCEPTION,
			       NULL };
	struct waiting w = { .path = path, .process = ret_process };
	int r = silence_kernel(h);

	(void)snprintf(path, sizeof(path), "%s/fastpath.sock", directory);
	if (r == 0)
		r = lab_spawn(h, argv, NULL, ret_process);
	if (r == 0)
		r = lab_wait_until(answers, &w, START_USEC);
	if (r == 0 && !lab_process_running(ret_process))
		r = -ECHILD;
	if (r < 0) {
		_cleanup_free_ char *err = ret_process->err < 0 ? NULL
								: lab_output_read(ret_process->err);

		channel_free(w.channel);
		(void)lab_process_wait(ret_process, 0);
		return lab_fail(-r, "start %s: status %d: %s", program, ret_process->status,
				err ? err : "");
	}
	*ret_channel = w.channel;
	return 0;
}

static void print_address(FILE *f, const struct addr *a, uint16_t port)
{
	if (a->family == AF_INET)
		(void)fprintf(f, " %08X", ntohl(a->in.s_addr));
	else
		for (int i = 0; i < 16; i += 2)
			(void)fprintf(f, "%c%02x%02x", i ? ':' : ' ', a->bytes[i], a->bytes[i + 1]);
	(void)fprintf(f, " %04X", port);
}

static int print_conn(void *userdata, const struct private_conn *conn)
{
	const struct connrec *r = &conn->record;
	const char *protocol = r->protocol == IPPROTO_TCP   ? "TCP"
			       : r->protocol == IPPROTO_UDP ? "UDP"
							    : "SCTP";
	const char *state = conn_state_to_string(r->protocol, (uint8_t)r->state);
	FILE *f = userdata;

	if (r->flags & CONNREC_TEMPLATE)
		state = r->state & 1 ? "ASSURED" : "NONE";
	(void)fputs(protocol, f);
	print_address(f, &r->client, r->client_port);
	print_address(f, &r->virtual, r->virtual_port);
	print_address(f, &r->dest, r->dest_port);
	(void)fprintf(f, " %s %u\n", state, conn->remaining_sec);
	return 0;
}

char *rig_fastpath_connections(struct channel *c)
{
	char *text = NULL;
	size_t size = 0;
	FILE *f = open_memstream(&text, &size);
	int r;

	if (!f)
		return NULL;
	r = channel_dump_conns(c, print_conn, f);
	if (fclose(f) != 0 || r < 0) {
		(void)lab_fail(-r, "dump the fast path's connections");
		free(text);
		return NULL;
	}
	return text;
}

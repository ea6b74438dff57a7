/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * ipvsd-fastpath between real hosts: their kernels verify every checksum, real servers answer. Runs on any kernel: no
 * IPVS is needed.
 */

#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/lab/httpget.h"
#include "tests/lab/realserver.h"
#include "tests/netns/fastpath-gateway.h"

enum {
	WEB_PORT = 80,
	UDP_PORT = 53,
	ANSWER_MSEC = 3000,
};

static const struct lab_spec two_targets = { .targets = { 2, 0 } };

/* nginx on the target, with a file of random bytes under its root; all targets have the same. */
static void start_nginx(struct fastpath_gateway *g, struct lab_process *processes)
{
	fastpath_shell(&g->lab->router, "head -c 20000000 /dev/urandom > /run/file");
	for (size_t i = 0; i < g->lab->n_targets; i++) {
		const struct lab_host *h = &g->lab->targets[i];
		char conf[64];
		const char *const argv[] = { "nginx", "-e", "stderr", "-c", conf, NULL };

		(void)snprintf(conf, sizeof(conf), "/run/nginx-%s.conf", h->name);
		fastpath_shell(h,
			       "cat > %s <<END\n"
			       "daemon off; master_process off; pid /run/%s.pid;\n"
			       "events {}\n"
			       "http { access_log off; client_body_temp_path /run/%s;\n"
			       " proxy_temp_path /run/%s; fastcgi_temp_path /run/%s;\n"
			       " uwsgi_temp_path /run/%s; scgi_temp_path /run/%s;\n"
			       " client_max_body_size 100m;\n"
			       " server { listen 80; listen [::]:80; root /run; } }\nEND",
			       conf, h->name, h->name, h->name, h->name, h->name, h->name);
		assert_int_equal(lab_spawn(h, argv, NULL, &processes[i]), 0);
		fastpath_shell(h, "curl -s --retry 20 --retry-connrefused --retry-delay 0 "
				  "--retry-max-time 10 -o /dev/null http://127.0.0.1/file -r 0-1");
	}
}

static void stop_all(struct lab_process *processes, size_t n)
{
	for (size_t i = 0; i < n; i++)
		lab_process_deinit(&processes[i]);
}

static void download(struct fastpath_gateway *g, const char *vip)
{
	fastpath_shell(&g->lab->internet,
		       "curl -sS --fail --max-time 20 -o /run/copy http://%s/file && cmp /run/file "
		       "/run/copy",
		       vip);
}

static void test_nat_downloads(void **state)
{
	static const struct fastpath_service services[] = {
		{ LAB_VIP, IPPROTO_TCP, WEB_PORT, WEB_PORT, "rr", IPVS_FORWARD_MASQ, 2 },
		{ LAB_VIP6, IPPROTO_TCP, WEB_PORT, WEB_PORT, "rr", IPVS_FORWARD_MASQ, 2 },
	};
	struct lab_process nginx[2] = { LAB_PROCESS_INIT, LAB_PROCESS_INIT };
	struct fastpath_gateway g;

	(void)state;
	fastpath_gateway_start(&g, FASTPATH_AF_PACKET, "1", &two_targets);
	start_nginx(&g, nginx);
	fastpath_gateway_program(&g, services, ARRAY_SIZE(services));
	for (unsigned i = 0; i < 4; i++) {
		download(&g, LAB_VIP);
		download(&g, "[" LAB_VIP6 "]");
	}
	stop_all(nginx, ARRAY_SIZE(nginx));
	fastpath_gateway_stop(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_nat_downloads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

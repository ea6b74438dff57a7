/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/addr.h"
#include "base/cleanup.h"
#include "base/log.h"
#include "health/grpc-message.h"
#include "health/outcome.h"
#include "tests/certificates.h"
#include "tests/temporary.h"
#include "tests/worker-rig.h"

/* The worker and servers that others have written: nginx, OpenSSL's s_server, gRPC's library. */

enum port {
	NGINX_HTTP,
	NGINX_HTTPS,
	NGINX_H2,
	NGINX_H2C,
	NGINX_PROXY,
	NGINX_PROXY_TLS,
	OPENSSL_12,
	OPENSSL_13,
	GRPC_CLEAR,
	GRPC_TLS,
	N_PORTS,
};

enum {
	HTTP = PROTOCOL_CHECK_HTTP,
	HTTPS = PROTOCOL_CHECK_HTTPS,
	TLS = PROTOCOL_CHECK_TLS,
	TCP = PROTOCOL_CHECK_TCP,
	GRPC = PROTOCOL_CHECK_GRPC,
	VERIFY = PROTOCOL_PROBE_VERIFY_CERTIFICATE,
	H2 = PROTOCOL_PROBE_HTTP2,
	PROXY = PROTOCOL_PROBE_PROXY_V2,
	OVER_TLS = PROTOCOL_PROBE_TLS,
	N_SERVERS = 4,
};

#define NAME "www.example.com"
#define CHECK GRPC_HEALTH_CHECK
#define SHORT_TIMEOUT_USEC (400 * USEC_PER_MSEC)
#define RETRY_USEC (200 * USEC_PER_MSEC)

static const struct server_case {
	const char *name;
	enum port port;
	int check;
	uint32_t flags;
	const char *path, *host, *send, *expect;
	uint16_t matcher;
	enum probe_outcome outcome;
	int32_t detail;
} cases[] = {
	{ "http", NGINX_HTTP, HTTP, 0, "/ok", "a.example", "", "host=a.example HTTP/1.1", 200,
	  PROBE_OK, 200 },
	{ "404", NGINX_HTTP, HTTP, 0, "/nothing", "", "", "", 200, PROBE_WRONG_STATUS, 404 },
	{ "a redirect", NGINX_HTTP, HTTP, 0, "/away", "", "", "", 200, PROBE_WRONG_STATUS, 301 },
	{ "http to https", NGINX_HTTPS, HTTP, 0, "/ok", "", "", "", 200, PROBE_WRONG_STATUS, 400 },
	{ "https", NGINX_HTTPS, HTTPS, 0, "/ok", NAME, "", "host=" NAME " HTTP/1.1 sni=" NAME, 200,
	  PROBE_OK, 200 },
	{ "https, a page of a megabyte", NGINX_HTTPS, HTTPS, 0, "/large", "", "", "", 200, PROBE_OK,
	  200 },
	{ "https, a page without it", NGINX_HTTPS, HTTPS, 0, "/large", "", "", "needle", 200,
	  PROBE_TOO_LARGE, 0 },
	{ "https, verified", NGINX_HTTPS, HTTPS, VERIFY, "/ok", NAME, "", "", 200, PROBE_OK, 200 },
	{ "https, another name", NGINX_HTTPS, HTTPS, VERIFY, "/ok", "a.example", "", "", 200,
	  PROBE_CERTIFICATE, 62 },
	{ "https, a resumed session", NGINX_HTTPS, HTTPS, 0, "/ok", "", "", "session=r", 200,
	  PROBE_OK, 200 },
	{ "https to http", NGINX_HTTP, HTTPS, 0, "/ok", "", "", "", 200, PROBE_TLS_ERROR, 0 },
	{ "https, HTTP/2", NGINX_H2, HTTPS, H2, "/ok", NAME, "", "host=" NAME " HTTP/2.0", 200,
	  PROBE_OK, 200 },
	{ "https, HTTP/2, 404", NGINX_H2, HTTPS, H2, "/nothing", NAME, "", "", 200,
	  PROBE_WRONG_STATUS, 404 },
	{ "https, HTTP/2, a large page", NGINX_H2, HTTPS, H2, "/large", NAME, "", "needle", 200,
	  PROBE_TOO_LARGE, 0 },
	{ "https, HTTP/2 wanted", NGINX_HTTPS, HTTPS, H2, "/ok", "", "", "", 200,
	  PROBE_BAD_RESPONSE, 0 },
	{ "https, HTTP/1.1 where both are", NGINX_H2, HTTPS, 0, "/ok", "", "", "HTTP/1.1", 200,
	  PROBE_OK, 200 },
	{ "http, HTTP/2", NGINX_H2C, HTTP, H2, "/ok", "b.example", "", "host=b.example HTTP/2.0",
	  200, PROBE_OK, 200 },
	{ "tcp, PROXY", NGINX_PROXY, TCP, PROXY, "", "", "", "", 200, PROBE_OK, 0 },
	{ "http, PROXY", NGINX_PROXY, HTTP, PROXY, "/ok", "", "", "client=.", 200, PROBE_OK, 200 },
	{ "http, PROXY is missing", NGINX_PROXY, HTTP, 0, "/ok", "", "", "", 200, PROBE_RESET, 0 },
	{ "https, PROXY", NGINX_PROXY_TLS, HTTPS, PROXY, "/ok", NAME, "", "client=.", 200, PROBE_OK,
	  200 },
	{ "https, HTTP/2, PROXY", NGINX_PROXY_TLS, HTTPS, PROXY | H2, "/ok", NAME, "", "client=.",
	  200, PROBE_OK, 200 },
	{ "tls, PROXY", NGINX_PROXY_TLS, TLS, PROXY, "", "", "", "", 200, PROBE_OK, 0 },
	{ "tls, PROXY is missing", NGINX_PROXY_TLS, TLS, 0, "", "", "", "", 200, PROBE_RESET, 0 },
	{ "tls 1.2", OPENSSL_12, TLS, VERIFY, "", "", "", "", 200, PROBE_OK, 0 },
	{ "tls 1.3", OPENSSL_13, TLS, 0, "", "", "", "", 200, PROBE_OK, 0 },
	{ "https by s_server", OPENSSL_13, HTTPS, VERIFY, "/", "", "", "s_server", 200, PROBE_OK,
	  200 },
	{ "grpc", GRPC_CLEAR, GRPC, 0, CHECK, "", "", "", 0, PROBE_OK, 0 },
	{ "grpc, a service", GRPC_CLEAR, GRPC, 0, CHECK, "", "up", "", 0, PROBE_OK, 0 },
	{ "grpc, one that is down", GRPC_CLEAR, GRPC, 0, CHECK, "", "down", "", 0,
	  PROBE_NOT_SERVING, 2 },
	{ "grpc, an unknown one", GRPC_CLEAR, GRPC, 0, CHECK, "", "none", "", 0, PROBE_WRONG_STATUS,
	  5 },
	{ "grpc, a slow one", GRPC_CLEAR, GRPC, 0, CHECK, "", "slow", "", 0, PROBE_HEADER_TIMEOUT,
	  0 },
	{ "grpc, AWS's default", GRPC_CLEAR, GRPC, 0, "/AWS.ALB/healthcheck", "", "", "", 12,
	  PROBE_OK, 12 },
	{ "grpc over TLS", GRPC_TLS, GRPC, OVER_TLS | VERIFY, CHECK, NAME, "up", "", 0, PROBE_OK,
	  0 },
	{ "grpc over TLS, down", GRPC_TLS, GRPC, OVER_TLS, CHECK, "", "down", "", 0,
	  PROBE_NOT_SERVING, 2 },
};

/* A session is resumed by a later probe. */
static bool is_repeated(const struct server_case *c)
{
	return strcmp(c->expect, "session=r") == 0;
}

static struct {
	char directory[TEMPORARY_MAX], authority[96], certificate[96], key[96];
	uint16_t ports[N_PORTS];
	pid_t servers[N_SERVERS];
	size_t n_servers;
} rack;

/* Of the kernel's choice a moment ago, all at a time so that no two are the same. */
static void choose_ports(void)
{
	int fds[N_PORTS];

	for (size_t i = 0; i < N_PORTS; i++) {
		struct sockaddr_in sin = { .sin_family = AF_INET,
					   .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
		socklen_t len = sizeof(sin);

		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		assert_return_code(fds[i], errno);
		assert_return_code(bind(fds[i], (struct sockaddr *)&sin, len), errno);
		assert_return_code(getsockname(fds[i], (struct sockaddr *)&sin, &len), errno);
		rack.ports[i] = ntohs(sin.sin_port);
	}
	for (size_t i = 0; i < N_PORTS; i++)
		(void)close(fds[i]);
}

static void start(const char *const argv[])
{
	pid_t pid = fork();

	assert_return_code(pid, errno);
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR | O_CLOEXEC);

		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)dup2(null, STDOUT_FILENO);
		if (chdir(rack.directory) == 0)
			(void)execvp(argv[0], (char *const *)argv);
		_exit(127);
	}
	rack.servers[rack.n_servers++] = pid;
}

static const char *in_rack(char *buf, size_t size, const char *name)
{
	(void)snprintf(buf, size, "%s/%s", rack.directory, name);
	return buf;
}

static void write_nginx_conf(const char *path)
{
	static const char *const temporary[] = { "client_body", "proxy", "fastcgi", "uwsgi",
						 "scgi" };
	static const char *const listens[] = {
		[NGINX_HTTP] = "",
		[NGINX_HTTPS] = "ssl",
		[NGINX_H2] = "ssl http2",
		[NGINX_H2C] = "http2",
		[NGINX_PROXY] = "proxy_protocol",
		[NGINX_PROXY_TLS] = "ssl http2 proxy_protocol",
	};
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	assert_non_null(f);
	(void)fprintf(f,
		      "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/error.log;\n"
		      "events { worker_connections 256; }\nhttp {\naccess_log off;\n"
		      "ssl_session_cache shared:sessions:1m;\n"
		      "ssl_certificate %s;\nssl_certificate_key %s;\n",
		      rack.directory, rack.directory, rack.certificate, rack.key);
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		(void)fprintf(f, "%s_temp_path %s/%s;\n", temporary[i], rack.directory,
			      temporary[i]);
	for (size_t i = 0; i < ARRAY_SIZE(listens); i++)
		(void)fprintf(f,
			      "server { listen 127.0.0.1:%u %s; root %s;\n"
			      "location = /ok { return 200 \"host=$host $server_protocol "
			      "sni=$ssl_server_name session=$ssl_session_reused "
			      "client=$proxy_protocol_addr.\\n\"; }\n"
			      "location = /away { return 301 http://127.0.0.1:1/; } }\n",
			      rack.ports[i], listens[i], rack.directory);
	(void)fprintf(f, "}\n");
}

static void write_large_page(void)
{
	char path[128], line[1024];
	_cleanup_fclose_ FILE *f = fopen(in_rack(path, sizeof(path), "large"), "we");

	assert_non_null(f);
	memset(line, 'x', sizeof(line));
	for (unsigned i = 0; i < 1024; i++)
		assert_int_equal(fwrite(line, 1, sizeof(line), f), sizeof(line));
}

static void start_nginx(void)
{
	char conf[96], log[96];

	write_large_page();
	write_nginx_conf(in_rack(conf, sizeof(conf), "nginx.conf"));
	start((const char *const[]){ "nginx", "-e", in_rack(log, sizeof(log), "error.log"), "-p",
				     rack.directory, "-c", conf, NULL });
}

static void start_openssl(enum port port, const char *version)
{
	char accept[32];

	(void)snprintf(accept, sizeof(accept), "127.0.0.1:%u", rack.ports[port]);
	start((const char *const[]){ "openssl", "s_server", "-accept", accept, "-cert",
				     rack.certificate, "-key", rack.key, "-www", "-quiet", version,
				     NULL });
}

static void start_grpc(void)
{
	char program[256], clear[8], tls[8];

	(void)snprintf(program, sizeof(program), "%s/tests/grpc-health.py",
		       getenv("IPVSD_SOURCE_ROOT"));
	(void)snprintf(clear, sizeof(clear), "%u", rack.ports[GRPC_CLEAR]);
	(void)snprintf(tls, sizeof(tls), "%u", rack.ports[GRPC_TLS]);
	start((const char *const[]){ "/usr/bin/python3", program, clear, tls, rack.certificate,
				     rack.key, NULL });
}

static int set_up(void **state)
{
	(void)state;
	assert_int_equal(temporary_make(rack.directory), 0);
	assert_return_code(chmod(rack.directory, 0755), errno); /* the worker is another user */
	certificate_write_authority(in_rack(rack.authority, sizeof(rack.authority), "ca.pem"));
	certificate_write(CERTIFICATE_GOOD,
			  in_rack(rack.certificate, sizeof(rack.certificate), "cert.pem"),
			  in_rack(rack.key, sizeof(rack.key), "key.pem"));
	assert_return_code(setenv("SSL_CERT_FILE", rack.authority, 1), errno);
	choose_ports();
	start_nginx();
	start_openssl(OPENSSL_12, "-tls1_2");
	start_openssl(OPENSSL_13, "-tls1_3");
	start_grpc();
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	for (size_t i = 0; i < rack.n_servers; i++) {
		(void)kill(rack.servers[i], SIGKILL);
		(void)waitpid(rack.servers[i], NULL, 0);
	}
	return temporary_remove(rack.directory);
}

/* The first result of this probe, or the first good one where an earlier one may be bad. */
static const struct protocol_result *wait_for(struct rig *rig, uint64_t id, bool good)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;

	for (size_t i = 0;; i++) {
		const struct protocol_result *r = &rig->results[i];

		rig_wait_results(rig, i + 1);
		if (clock_monotonic_usec() > end)
			fail_msg("probe %zu: no answer", (size_t)id);
		if (r->id == id && (r->outcome == PROBE_OK || !good))
			return r;
	}
}

/* Until each port is listened on. */
static void wait_for_servers(struct rig *rig)
{
	for (size_t i = 0; i < N_PORTS; i++) {
		struct protocol_probe_record p =
			probe_make(i, PROTOCOL_CHECK_TCP, "127.0.0.1", rack.ports[i]);

		p.probe.interval_usec = p.probe.timeout_usec = RETRY_USEC;
		rig_send_probe(rig, &p);
	}
	for (size_t i = 0; i < N_PORTS; i++) {
		(void)wait_for(rig, i, true);
		rig_send_del(rig, i);
	}
}

static void send_case(struct rig *rig, uint64_t id, const struct server_case *c)
{
	struct protocol_probe_record p =
		probe_make(id, (enum protocol_check)c->check, "127.0.0.1", rack.ports[c->port]);

	p.probe.flags = c->flags;
	p.probe.interval_usec = p.probe.timeout_usec = PATIENCE_MSEC * USEC_PER_MSEC;
	if (is_repeated(c))
		p.probe.interval_usec = p.probe.timeout_usec = RETRY_USEC;
	if (strcmp(c->send, "slow") == 0)
		p.probe.timeout_usec = SHORT_TIMEOUT_USEC;
	p.probe.matcher[0] = (struct protocol_range){ c->matcher, c->matcher };
	probe_text(&p, PROTOCOL_TEXT_PATH, c->path);
	probe_text(&p, PROTOCOL_TEXT_HOST, c->host);
	probe_text(&p, PROTOCOL_TEXT_SEND, c->send);
	probe_text(&p, PROTOCOL_TEXT_EXPECT, c->expect);
	rig_send_probe(rig, &p);
}

static void test_servers(void **state)
{
	static struct rig rig;

	(void)state;
	rig_init(&rig);
	rig_send_hello(&rig);
	wait_for_servers(&rig);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		send_case(&rig, N_PORTS + i, &cases[i]);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct protocol_result *r =
			wait_for(&rig, N_PORTS + i, is_repeated(&cases[i]));

		if (r->outcome != cases[i].outcome ||
		    (r->detail != cases[i].detail && r->outcome != PROBE_RESET))
			fail_msg("%s: %s, detail %d", cases[i].name,
				 probe_outcome_to_string((enum probe_outcome)r->outcome),
				 r->detail);
	}
	rig_deinit(&rig);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_servers),
	};

	log_init(LOG_INFO);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}

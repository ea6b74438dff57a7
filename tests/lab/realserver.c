/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/realserver.h"

#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "tests/lab/httpget.h"
#include "tests/lab/lab.h"

enum {
	START_TIMEOUT_SEC = 10,
};

static bool orders_taken(void *userdata)
{
	struct lab_server *s = userdata;

	return atomic_load(&s->page->applied) == atomic_load(&s->page->generation);
}

static int raise_orders(struct lab_server *s)
{
	uint64_t one = 1;

	atomic_fetch_add(&s->page->generation, 1);
	if (s->process.pidfd < 0)
		return 0;
	if (write(s->event_fd, &one, sizeof(one)) < 0)
		return lab_fail(errno, "wake the server of %s", s->host->name);
	return lab_fail(-lab_wait_until(orders_taken, s, START_TIMEOUT_SEC * USEC_PER_SEC),
			"orders for the server of %s", s->host->name);
}

static int spawn_server(struct lab_server *s)
{
	char program[LAB_PATH_MAX], http[8], echo[8];
	const char *argv[] = { lab_program("lab/lab-server", program), s->host->name, http, echo,
			       NULL };
	const int fds[] = { s->page_fd, s->event_fd };
	const struct lab_spawn_options options = { .fds = fds, .n_fds = ARRAY_SIZE(fds) };
	int r;

	(void)snprintf(http, sizeof(http), "%d", LAB_HTTP_PORT);
	(void)snprintf(echo, sizeof(echo), "%d", LAB_ECHO_PORT);
	atomic_fetch_add(&s->page->generation, 1);
	r = lab_spawn(s->host, argv, &options, &s->process);
	if (r < 0)
		return r;
	return lab_fail(-lab_wait_until(orders_taken, s, START_TIMEOUT_SEC * USEC_PER_SEC),
			"start of the server of %s", s->host->name);
}

int lab_server_start(const struct lab_host *host, struct lab_server *ret)
{
	struct lab_server s = LAB_SERVER_INIT;
	int r;

	s.host = host;
	s.page_fd = memfd_create("server-page", MFD_CLOEXEC);
	s.event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (s.page_fd < 0 || s.event_fd < 0 || ftruncate(s.page_fd, sizeof(*s.page)) < 0)
		return lab_fail(errno, "page of the server of %s", host->name);
	s.page = mmap(NULL, sizeof(*s.page), PROT_READ | PROT_WRITE, MAP_SHARED, s.page_fd, 0);
	if (s.page == MAP_FAILED)
		return lab_fail(errno, "map the page of the server of %s", host->name);
	atomic_store(&s.page->status, 200);
	r = spawn_server(&s);
	if (r < 0)
		lab_server_deinit(&s);
	else
		*ret = s;
	return r;
}

static int write_nginx_conf(const struct lab_host *host, const char *directory, const char *path)
{
	static const char *const temporary[] = { "client_body", "proxy", "fastcgi", "uwsgi",
						 "scgi" };
	_cleanup_fclose_ FILE *f = fopen(path, "we");

	if (!f)
		return -errno;
	(void)fprintf(f,
		      "daemon off;\nmaster_process off;\npid %s/pid;\nerror_log %s/error.log;\n"
		      "events { worker_connections 1024; }\nhttp {\n access_log off;\n",
		      directory, directory);
	for (size_t i = 0; i < ARRAY_SIZE(temporary); i++)
		(void)fprintf(f, " %s_temp_path %s/%s;\n", temporary[i], directory, temporary[i]);
	(void)fprintf(
		f,
		" server {\n  listen %d;\n  listen [::]:%d;\n  add_header X-Target %s always;\n"
		"  location / { return 200 \"%s\\n\"; }\n }\n}\n",
		LAB_HTTP_PORT, LAB_HTTP_PORT, host->name, host->name);
	return 0;
}

static bool nginx_answers(void *userdata)
{
	struct lab_server *s = userdata;
	const struct lab_url url = { s->host->address, LAB_HTTP_PORT, "/" };
	struct lab_reply reply;

	return !lab_process_running(&s->process) ||
	       (lab_http_get(s->host, &url, USEC_PER_SEC, &reply, NULL) == 0 &&
		reply.status == 200);
}

static int spawn_nginx(struct lab_server *s)
{
	char directory[64], conf[80], log[80];
	const char *argv[] = { "nginx", "-e", log, "-p", directory, "-c", conf, NULL };
	int r;

	(void)snprintf(directory, sizeof(directory), "/run/nginx-%s", s->host->name);
	(void)snprintf(conf, sizeof(conf), "%s/nginx.conf", directory);
	(void)snprintf(log, sizeof(log), "%s/error.log", directory);
	if (mkdir(directory, 0755) < 0 && errno != EEXIST)
		return lab_fail(errno, "%s", directory);
	r = lab_fail(-write_nginx_conf(s->host, directory, conf), "%s", conf);
	if (r == 0)
		r = lab_spawn(s->host, argv, NULL, &s->process);
	if (r == 0)
		r = lab_wait_until(nginx_answers, s, START_TIMEOUT_SEC * USEC_PER_SEC);
	if (r == 0 && !lab_process_running(&s->process))
		r = -ECHILD;
	return lab_fail(-r, "start nginx on %s", s->host->name);
}

int lab_nginx_start(const struct lab_host *host, struct lab_server *ret)
{
	struct lab_server s = LAB_SERVER_INIT;
	int r;

	s.host = host;
	r = spawn_nginx(&s);
	if (r < 0)
		lab_server_deinit(&s);
	else
		*ret = s;
	return r;
}

int lab_server_order(struct lab_server *s, enum server_mode mode, unsigned status)
{
	atomic_store(&s->page->mode, (uint32_t)mode);
	if (status != 0)
		atomic_store(&s->page->status, status);
	return raise_orders(s);
}

void lab_server_order_health(struct lab_server *s, unsigned status)
{
	atomic_store(&s->page->health_status, status);
}

void lab_server_kill(struct lab_server *s)
{
	lab_process_deinit(&s->process);
}

int lab_server_restart(struct lab_server *s)
{
	return s->page ? spawn_server(s) : spawn_nginx(s);
}

void lab_server_deinit(struct lab_server *s)
{
	lab_process_deinit(&s->process);
	if (s->page)
		(void)munmap(s->page, sizeof(*s->page));
	cleanup_close(&s->page_fd);
	cleanup_close(&s->event_fd);
	*s = LAB_SERVER_INIT;
}

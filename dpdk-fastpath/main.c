/* SPDX-License-Identifier: GPL-2.0-or-later */

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <systemd/sd-daemon.h>
#include <systemd/sd-event.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "dpdk-fastpath/answer.h"
#include "dpdk-fastpath/control-server.h"
#include "dpdk-fastpath/eal.h"
#include "dpdk-fastpath/options.h"
#include "dpdk-fastpath/plane.h"
#include "dpdk-fastpath/telemetry.h"

enum {
	EXIT_USAGE = 2,
	/* The kernel's default; `ipvsadm -l` prints it. */
	CONN_TABLE_SIZE = 4096,
};

DEFINE_CLEANUP(struct plane *, plane_free)
DEFINE_CLEANUP(struct answer *, answer_free)
DEFINE_CLEANUP(struct control_server *, control_server_free)
DEFINE_CLEANUP(struct telemetry *, telemetry_free)

/* The supervisor's end is closed: it has died, or wants us to end. Nothing is ever written there. */
static int on_supervisor(sd_event_source *source, int fd, uint32_t events, void *userdata)
{
	char byte;
	ssize_t n;

	(void)events;
	(void)userdata;
	n = read(fd, &byte, 1);
	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return 0;
	log_notice("the supervisor has gone: ending");
	return sd_event_exit(sd_event_source_get_event(source), 0);
}

static int watch_supervisor(sd_event *event, int fd)
{
	int r;

	if (fd < 0)
		return 0;
	r = sd_event_add_io(event, NULL, fd, EPOLLIN | EPOLLHUP, on_supervisor, NULL);
	if (r < 0)
		log_err("--supervisor-fd %d: %s", fd, strerror(-r));
	return r;
}

static int add_signals(sd_event *event)
{
	int r = sd_event_add_signal(event, NULL, SIGTERM, NULL, NULL);

	return r < 0 ? r : sd_event_add_signal(event, NULL, SIGINT, NULL, NULL);
}

/* The directory of the control socket: only its last part is made. */
static void make_directory(const char *path)
{
	_cleanup_free_ char *directory = strdup(path);
	char *slash = directory ? strrchr(directory, '/') : NULL;

	if (!slash || slash == directory)
		return;
	*slash = '\0';
	(void)mkdir(directory, 0755); /* what is wrong shows when the socket is made */
}

static int serve(const struct options *o, sd_event *event)
{
	_cleanup_(plane_free_p) struct plane *plane = NULL;
	_cleanup_(answer_free_p) struct answer *answer = NULL;
	_cleanup_(control_server_free_p) struct control_server *server = NULL;
	_cleanup_(telemetry_free_p) struct telemetry *telemetry = NULL;
	struct answer_config config = { .ops = &plane_answer_ops,
					.conn_table_size = CONN_TABLE_SIZE };
	int r;

	r = plane_new(o, event, &plane);
	if (r < 0)
		return r;
	if (!o->hold_ports)
		r = plane_attach(plane);
	if (r < 0)
		return r;
	config.tables = plane->tables;
	config.context = plane;
	r = answer_new(&config, &answer);
	if (r < 0)
		return r;
	make_directory(o->control);
	r = control_server_new(event, answer, o->control, (gid_t)-1, &server);
	if (r < 0) {
		log_err("cannot listen at %s: %s%s", o->control, strerror(-r),
			r == -EADDRINUSE ? "; another ipvsd-fastpath does: give another --control"
			: r == -ENOENT	 ? "; make its directory"
					 : "");
		return r;
	}
	r = telemetry_new(event, plane->tables, &plane_answer_ops, plane, &telemetry);
	if (r < 0) {
		log_err("cannot answer on DPDK's telemetry socket: %s", strerror(-r));
		return r;
	}
	log_notice("%zu worker%s, %zu port%s%s, control socket %s", o->n_workers,
		   o->n_workers == 1 ? "" : "s", o->n_ports, o->n_ports == 1 ? "" : "s",
		   o->hold_ports ? " (held)" : "", o->control);
	(void)sd_notify(0, "READY=1");
	return sd_event_loop(event);
}

static int start(struct options *o)
{
	_cleanup_(sd_event_unrefp) sd_event *event = NULL;
	sigset_t blocked;
	int r;

	/* Before DPDK starts its threads, which inherit it. */
	(void)sigemptyset(&blocked);
	(void)sigaddset(&blocked, SIGTERM);
	(void)sigaddset(&blocked, SIGINT);
	(void)sigprocmask(SIG_BLOCK, &blocked, NULL);
	(void)signal(SIGPIPE, SIG_IGN);
	r = sd_event_new(&event);
	if (r >= 0)
		r = add_signals(event);
	if (r >= 0)
		r = watch_supervisor(event, o->supervisor_fd);
	if (r < 0)
		return r;
	r = eal_start(o);
	if (r < 0)
		return r;
	r = serve(o, event);
	eal_stop();
	return r;
}

int main(int argc, char **argv)
{
	char error[OPTIONS_ERROR_MAX];
	enum options_action action;
	struct options o;

	log_init(LOG_INFO);
	if (options_parse(argc, argv, &o, &action, error) < 0) {
		(void)fprintf(stderr, "ipvsd-fastpath: %s\n", error);
		return EXIT_USAGE;
	}
	if (action == OPTIONS_HELP)
		return fputs(options_help, stdout) == EOF || fflush(stdout) == EOF;
	if (action == OPTIONS_VERSION)
		return printf("ipvsd-fastpath %s\n", IPVSD_VERSION) < 0 || fflush(stdout) == EOF;
	return start(&o) < 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}

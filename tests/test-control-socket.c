/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control socket itself, and HTTP over it: the real server in this thread's loop, the real client in another. */

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/client.h"
#include "daemon/control-request.h"
#include "daemon/control-socket.h"
#include "daemon/control.h"
#include "daemon/manager.h"
#include "tests/temporary.h"

static char folder[TEMPORARY_MAX];
static char path[128];

static int make_folder(void **state)
{
	(void)state;
	if (temporary_make(folder) < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "%s/run/control.sock", folder);
	return 0;
}

static int remove_folder(void **state)
{
	char run[80];

	(void)state;
	(void)unlink(path);
	(void)snprintf(run, sizeof(run), "%s/run", folder);
	(void)rmdir(run);
	return rmdir(folder);
}

static void test_open_and_close(void **state)
{
	struct control_socket s = CONTROL_SOCKET_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(control_socket_open(path, &s), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(S_ISSOCK(st.st_mode));
	assert_int_equal(st.st_mode & 0117, 0); /* nobody else, and nothing to execute */
	control_socket_close(&s);
	assert_int_equal(stat(path, &st), -1);
}

static void test_second_is_refused(void **state)
{
	struct control_socket first = CONTROL_SOCKET_INIT, second = CONTROL_SOCKET_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(control_socket_open(path, &first), 0);
	assert_int_equal(control_socket_open(path, &second), -EADDRINUSE);
	assert_int_equal(stat(path, &st), 0);
	control_socket_close(&first);
}

static void test_stale_is_replaced(void **state)
{
	struct control_socket dead = CONTROL_SOCKET_INIT, s = CONTROL_SOCKET_INIT;
	struct stat st;

	(void)state;
	assert_int_equal(control_socket_open(path, &dead), 0);
	/* As a SIGKILL leaves it: the file without a listener. */
	cleanup_close(&dead.fd);
	dead.fd = -1;
	assert_int_equal(control_socket_open(path, &s), 0);

	/* What is not its own file any more it does not remove. */
	dead.inode = 0;
	control_socket_close(&dead);
	assert_int_equal(stat(path, &st), 0);
	control_socket_close(&s);
}

static void test_other_files_stay(void **state)
{
	struct control_socket s = CONTROL_SOCKET_INIT;
	char run[80], longer[200];
	int fd;

	(void)state;
	(void)snprintf(run, sizeof(run), "%s/run", folder);
	(void)mkdir(run, 0755);
	fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(control_socket_open(path, &s), -EEXIST);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(unlink(path), 0);

	memset(longer, 'x', sizeof(longer));
	longer[0] = '/';
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_socket_open(longer, &s), -ENAMETOOLONG);
}

static void test_own_user_is_admitted(void **state)
{
	struct control_socket s = CONTROL_SOCKET_INIT;
	int pair[2];

	(void)state;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	assert_int_equal(control_socket_peer(&s, pair[0]), CONTROL_PEER_ROOT);
	assert_int_equal(control_socket_peer(&s, -1), CONTROL_PEER_DENIED);
	(void)close(pair[0]);
	(void)close(pair[1]);
}

/* A daemon of which only the loop, the events and the control socket live. */
struct server {
	struct manager manager;
	int done_fds[2];
};

static int on_done(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)fd;
	(void)revents;
	(void)userdata;
	return sd_event_exit(sd_event_source_get_event(s), 0);
}

static void server_start(struct server *s)
{
	memset(s, 0, sizeof(*s));
	assert_true(sd_event_new(&s->manager.event) >= 0);
	assert_int_equal(event_ring_init(&s->manager.events, 16), 0);
	event_ring_add(&s->manager.events, 1, "daemon", "", "one");
	assert_int_equal(control_new(&s->manager, path, &s->manager.control), 0);
	assert_int_equal(control_start(s->manager.control), 0);
	assert_int_equal(pipe2(s->done_fds, O_CLOEXEC), 0);
	assert_true(sd_event_add_io(s->manager.event, NULL, s->done_fds[0], EPOLLIN, on_done,
				    NULL) >= 0);
}

static void server_stop(struct server *s)
{
	control_free(s->manager.control);
	event_ring_deinit(&s->manager.events);
	(void)sd_event_unref(s->manager.event);
	(void)close(s->done_fds[0]);
}

struct call {
	struct client_request request;
	struct client_reply reply;
	char *error;
	int result;
	int done_fd;
};

static void *run_call(void *userdata)
{
	struct call *c = userdata;

	c->result = client_call(path, &c->request, &c->reply, &c->error);
	(void)close(c->done_fd);
	return NULL;
}

/* The reply's status; the body is left in *c. */
static long exchange(struct call *c, int (*meanwhile)(struct server *))
{
	struct server s;
	pthread_t thread;

	server_start(&s);
	c->done_fd = s.done_fds[1];
	assert_int_equal(pthread_create(&thread, NULL, run_call, c), 0);
	if (meanwhile)
		assert_int_equal(meanwhile(&s), 0);
	assert_true(sd_event_loop(s.manager.event) >= 0);
	assert_int_equal(pthread_join(thread, NULL), 0);
	server_stop(&s);
	if (c->result < 0)
		fail_msg("%s", c->error ? c->error : "no memory");
	return c->reply.status;
}

static void test_http(void **state)
{
	struct call version = { .request = { "GET", "/v1/version", NULL, 10 } };
	struct call unknown = { .request = { "GET", "/v1/nope", NULL, 10 } };
	struct call method = { .request = { "POST", "/v1/status", NULL, 10 } };
	struct call nul = { .request = { "GET", "/v1/events?after=%00", NULL, 10 } };

	(void)state;
	assert_int_equal(exchange(&version, NULL), 200);
	assert_string_equal(json_string_value(json_object_get(version.reply.body, "version")),
			    IPVSD_VERSION);
	assert_int_equal(exchange(&unknown, NULL), 404);
	assert_int_equal(exchange(&method, NULL), 405);
	assert_int_equal(exchange(&nul, NULL), 400);
	client_reply_deinit(&version.reply);
	client_reply_deinit(&unknown.reply);
	client_reply_deinit(&method.reply);
	client_reply_deinit(&nul.reply);
}

static void test_http_large_body(void **state)
{
	static char text[CONTROL_BODY_MAX];
	struct call large = { .request = { "POST", "/v1/drain", NULL, 10 } };
	json_t *body;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	body = json_pack("{s:s}", "group", text);
	large.request.body = body;
	assert_int_equal(exchange(&large, NULL), 413);
	client_reply_deinit(&large.reply);
	json_decref(body);
}

/* Turns the loop until the request waits: it has come, and there is nothing more to do about it. */
static void turn_until_waiting(struct server *s)
{
	bool came = false;
	unsigned quiet = 0;

	while (!came || quiet < 10) {
		int r = sd_event_run(s->manager.event, 50 * USEC_PER_MSEC);

		assert_true(r >= 0);
		came = came || r > 0;
		quiet += r == 0;
	}
}

/* An event happens. */
static int add_event_while_waiting(struct server *s)
{
	turn_until_waiting(s);
	event_ring_add(&s->manager.events, 2, "target", "g/t", "two");
	control_notify_events(s->manager.control);
	return 0;
}

static void test_http_event_wait(void **state)
{
	struct call wait = { .request = { "GET", "/v1/events?after=1&wait=60", NULL, 20 } };
	struct call expire = { .request = { "GET", "/v1/events?after=1&wait=1", NULL, 20 } };
	json_t *events;

	(void)state;
	assert_int_equal(exchange(&wait, add_event_while_waiting), 200);
	events = json_object_get(wait.reply.body, "events");
	assert_int_equal(json_array_size(events), 1);
	assert_string_equal(json_string_value(json_object_get(json_array_get(events, 0), "text")),
			    "two");
	assert_int_equal(json_integer_value(json_object_get(wait.reply.body, "last")), 2);
	client_reply_deinit(&wait.reply);

	assert_int_equal(exchange(&expire, NULL), 200);
	assert_int_equal(json_array_size(json_object_get(expire.reply.body, "events")), 0);
	client_reply_deinit(&expire.reply);
}

/* control_free() while a request waits: it is answered, not cut. */
static void test_http_stop_while_waiting(void **state)
{
	struct call wait = { .request = { "GET", "/v1/events?after=1&wait=60", NULL, 20 } };
	struct server s;
	pthread_t thread;

	(void)state;
	server_start(&s);
	wait.done_fd = s.done_fds[1];
	assert_int_equal(pthread_create(&thread, NULL, run_call, &wait), 0);
	turn_until_waiting(&s);
	server_stop(&s);
	assert_int_equal(pthread_join(thread, NULL), 0);
	assert_int_equal(wait.result, 0);
	assert_int_equal(wait.reply.status, 200);
	client_reply_deinit(&wait.reply);
}

static void test_client_without_daemon(void **state)
{
	struct client_request request = { "GET", "/v1/version", NULL, 5 };
	struct client_reply reply;
	struct control_socket dead = CONTROL_SOCKET_INIT;
	char *error = NULL;

	(void)state;
	assert_int_equal(client_call(path, &request, &reply, &error), -ENOENT);
	assert_non_null(strstr(error, "systemctl start ipvsd"));
	free(error);

	assert_int_equal(control_socket_open(path, &dead), 0);
	(void)close(dead.fd);
	dead.fd = -1;
	assert_int_equal(client_call(path, &request, &reply, &error), -ECONNREFUSED);
	assert_non_null(strstr(error, "systemctl start ipvsd"));
	free(error);
	control_socket_close(&dead);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_open_and_close, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_second_is_refused, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_stale_is_replaced, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_other_files_stay, make_folder, remove_folder),
		cmocka_unit_test(test_own_user_is_admitted),
		cmocka_unit_test_setup_teardown(test_http, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_http_large_body, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_http_event_wait, make_folder, remove_folder),
		cmocka_unit_test_setup_teardown(test_http_stop_while_waiting, make_folder,
						remove_folder),
		cmocka_unit_test_setup_teardown(test_client_without_daemon, make_folder,
						remove_folder),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

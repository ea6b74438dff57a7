/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The control socket and its clients: who gets in, and what those can do to each other who do not behave. */

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include <linux/ip_vs.h>
#include <linux/netlink.h>

#include "base/cleanup.h"
#include "control-rig.h"
#include "netns/channel-fixture.h"

enum {
	LARGE_DESTS = 4000,
	CLIENTS = 70, /* more than are admitted */
};

/* A client of no manners: what it sends is its own affair, and it reads nothing. */
static int rude_client(const struct control_rig *rig)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0);
	memcpy(address.sun_path, rig->path, strlen(rig->path));
	assert_int_equal(connect(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
	return fd;
}

static void send_until_full(int fd, const void *bytes, size_t len, unsigned at_most)
{
	for (unsigned i = 0; i < at_most; i++)
		if (send(fd, bytes, len, MSG_NOSIGNAL) < 0)
			break;
}

/* Those that never read, in a dump or with requests by the thousand, do not keep others waiting. */
static void test_hostile(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset after = IPVS_RULESET_INIT;
	_cleanup_free_ uint8_t *junk = malloc(100 * 1024);
	_Alignas(8) uint8_t request[1024];
	struct codec_header h = { .family = PRIVATE_FAMILY, .flags = NLM_F_DUMP, .seq = 1 };
	int fds[6], n;
	size_t used = 0;

	assert_non_null(junk);
	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), LARGE_DESTS);
	reconcile(rig->channel, &r, &(struct plan_ownership){ 0 });
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		fds[i] = rude_client(rig);

	/* 0: dumps, one after the other. */
	n = codec_dest_request(request, sizeof(request), &h, IPVS_CMD_GET_DEST, &r.services[0].key,
			       NULL);
	assert_true(n > 0);
	send_until_full(fds[0], request, (size_t)n, 1000);
	/* 1: half of a message, and goes. */
	send_until_full(fds[1], request, (size_t)n / 2, 1);
	(void)close(fds[1]);
	fds[1] = -1;
	/* 2: noise. */
	for (unsigned i = 0; i < 100 * 1024; i++)
		junk[i] = (uint8_t)(i * 2654435761U >> 13);
	send_until_full(fds[2], junk, 100 * 1024, 1000);
	/* 3: large answers by the thousand; it is dropped, or not read from. */
	h.flags = 0;
	while (used + 64 < 100 * 1024) {
		n = codec_plain_request(junk + used, 64, &h, PRIVATE_CMD_GET_STATUS);
		assert_true(n > 0);
		used += (size_t)n;
	}
	send_until_full(fds[3], junk, used, 1000);
	/* 4: nothing at all. 5: an empty datagram. */
	send_until_full(fds[5], junk, 0, 1);

	dump(rig->channel, &after);
	assert_same("the fast path\'s table", &after, &r);
	assert_int_equal(channel_get_timeouts(rig->channel, &(struct ipvs_timeouts){ 0 }), 0);
	for (unsigned i = 0; i < ARRAY_SIZE(fds); i++)
		if (fds[i] >= 0)
			(void)close(fds[i]);
	ipvs_ruleset_deinit(&after);
	dump(rig->channel, &after);
	assert_same("the fast path's table", &after, &r);
}

/* A dump that nobody reads waits, and goes on where it was; in full. */
static void test_back_pressure(void **state)
{
	struct control_rig *rig = *state;
	_cleanup_(ipvs_ruleset_deinit) struct ipvs_ruleset r = IPVS_RULESET_INIT;
	_Alignas(8) static uint8_t rx[64 * 1024];
	struct codec_header h = { .family = PRIVATE_FAMILY, .flags = NLM_F_DUMP, .seq = 77 };
	int n, fd = rude_client(rig), small = 1;
	unsigned dests = 0;
	bool done = false;

	add_dests(add_service(&r, "10.9.0.1", 80, "rr"), LARGE_DESTS);
	reconcile(rig->channel, &r, &(struct plan_ownership){ 0 });
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small)), 0);
	n = codec_dest_request(rx, sizeof(rx), &h, IPVS_CMD_GET_DEST, &r.services[0].key, NULL);
	assert_int_equal(send(fd, rx, (size_t)n, 0), n);
	/* Once this is answered the dump has come as far as it can. */
	assert_int_equal(channel_get_timeouts(rig->channel, &(struct ipvs_timeouts){ 0 }), 0);
	while (!done) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		const struct nlmsghdr *nlh = (const struct nlmsghdr *)rx;
		ssize_t len;

		assert_int_equal(poll(&p, 1, 20000), 1);
		len = recv(fd, rx, sizeof(rx), MSG_TRUNC);
		assert_true(len > 0 && (size_t)len <= sizeof(rx));
		for (; NLMSG_OK(nlh, (size_t)len); nlh = NLMSG_NEXT(nlh, len)) {
			assert_int_equal(nlh->nlmsg_seq, 77);
			done = nlh->nlmsg_type == NLMSG_DONE;
			dests += !done;
		}
		assert_int_equal(len, 0);
	}
	assert_int_equal(dests, LARGE_DESTS);
	(void)close(fd);
}

/* No more clients than there are places for; and a place that is left can be taken. */
static void test_many_clients(void **state)
{
	struct control_rig *rig = *state;
	struct channel *channels[CLIENTS] = { rig->channel };
	unsigned admitted = 1;

	while (admitted < CLIENTS &&
	       channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &channels[admitted]) == 0)
		admitted++;
	assert_int_equal(admitted, 64);
	channel_free(channels[--admitted]);
	/* The server may not have seen it go yet, but what it does in turn: once it has answered, it has. */
	assert_int_equal(channel_get_timeouts(rig->channel, &(struct ipvs_timeouts){ 0 }), 0);
	assert_int_equal(channel_get_timeouts(rig->channel, &(struct ipvs_timeouts){ 0 }), 0);
	assert_int_equal(channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &channels[admitted]), 0);
	admitted++;
	while (admitted > 1)
		channel_free(channels[--admitted]);
}

static void test_path(void **state)
{
	struct control_rig *rig = *state;
	struct control_server *other = NULL;
	struct channel *c = NULL;
	char longer[200], file[128];
	int fd;

	assert_int_equal(control_server_new(rig->event, rig->answer, rig->path, (gid_t)-1, &other),
			 -EADDRINUSE);
	(void)snprintf(file, sizeof(file), "%s/file", rig->folder);
	fd = open(file, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	(void)close(fd);
	assert_int_equal(control_server_new(rig->event, rig->answer, file, (gid_t)-1, &other),
			 -EEXIST);
	assert_int_equal(channel_open_unix(file, CONTROL_RIG_TIMEOUT, &c), -ECONNREFUSED);
	assert_int_equal(unlink(file), 0);
	assert_int_equal(channel_open_unix(file, CONTROL_RIG_TIMEOUT, &c), -ENOENT);
	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	assert_int_equal(control_server_new(rig->event, rig->answer, longer, (gid_t)-1, &other),
			 -ENAMETOOLONG);
	assert_int_equal(channel_open_unix(longer, CONTROL_RIG_TIMEOUT, &c), -ENAMETOOLONG);
}

/* A socket that a dead process left. */
static void test_stale(void **state)
{
	struct control_rig *rig = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	struct control_server *s = NULL;
	sd_event *event = NULL;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/stale", rig->folder);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	(void)close(fd);
	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(control_server_new(event, rig->answer, address.sun_path, (gid_t)-1, &s),
			 0);
	control_server_free(s);
	assert_int_equal(access(address.sun_path, F_OK), -1);
	(void)sd_event_unref(event);
}

/* The other side is gone, or says nothing: neither hangs. */
static void test_gone(void **state)
{
	struct control_rig *rig = *state;
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	struct channel *c = NULL;
	struct ipvs_ruleset r;
	int r2, fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
	usec_t begin;

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s/silent", rig->folder);
	assert_true(fd >= 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(listen(fd, 1), 0);
	begin = clock_monotonic_usec();
	assert_int_equal(channel_open_unix(address.sun_path, 50 * USEC_PER_MSEC, &c), -ETIMEDOUT);
	assert_true(clock_monotonic_usec() - begin < 10 * USEC_PER_SEC);
	(void)close(fd);
	(void)unlink(address.sun_path);

	assert_int_equal(channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &c), 0);
	control_rig_stop(rig);
	r2 = channel_dump(c, &r);
	assert_true(r2 == -EPIPE || r2 == -ECONNRESET);
	channel_free(c);
	control_rig_start(rig);
}

/* What a process of that user and group gets: 0 or negative errno. */
static int open_as(const char *path, uid_t uid, gid_t gid)
{
	int status;
	pid_t pid = fork();

	assert_true(pid >= 0);
	if (pid == 0) {
		struct channel *c = NULL;
		int r;

		if (setgroups(0, NULL) < 0 || setgid(gid) < 0 || setuid(uid) < 0)
			_exit(255);
		r = channel_open_unix(path, CONTROL_RIG_TIMEOUT, &c);
		channel_free(c);
		_exit(-r);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFEXITED(status));
	assert_int_not_equal(WEXITSTATUS(status), 255);
	return -WEXITSTATUS(status);
}

static void test_peers(void **state)
{
	const uid_t nobody = 65534, other = 65533;
	struct control_rig *rig = *state;
	struct stat st;
	int r;

	if (geteuid() != 0)
		skip();
	assert_int_equal(chmod(rig->folder, 0711), 0);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(open_as(rig->path, nobody, nobody), -EACCES);
	/* The file's mode is not all that keeps them out. */
	assert_int_equal(chmod(rig->path, 0666), 0);
	r = open_as(rig->path, nobody, nobody);
	assert_true(r == -ECONNRESET || r == -EPIPE);

	control_rig_stop(rig);
	rig->gid = other;
	control_rig_start(rig);
	assert_int_equal(chmod(rig->folder, 0711), 0);
	assert_int_equal(stat(rig->path, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0660);
	assert_int_equal(st.st_gid, other);
	assert_int_equal(open_as(rig->path, nobody, nobody), -EACCES);
	assert_int_equal(open_as(rig->path, nobody, other), 0);
}

/* Members of the group who take all places that they can get leave some for root. */
static void test_places_for_root(void **state)
{
	const uid_t nobody = 65534, other = 65533;
	struct control_rig *rig = *state;
	struct channel *c = NULL;
	int status, hold[2], told[2];
	uint8_t n = 0;
	pid_t pid;

	if (geteuid() != 0)
		skip();
	control_rig_stop(rig);
	rig->gid = other;
	control_rig_start(rig);
	assert_int_equal(chmod(rig->folder, 0711), 0);
	assert_int_equal(pipe2(hold, O_CLOEXEC), 0);
	assert_int_equal(pipe2(told, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		(void)close(hold[1]);
		if (setgroups(0, NULL) < 0 || setgid(other) < 0 || setuid(nobody) < 0)
			_exit(255);
		while (n < CLIENTS && channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &c) == 0)
			n++;
		if (write(told[1], &n, 1) != 1 || read(hold[0], &n, 1) != 0)
			_exit(255);
		_exit(0);
	}
	(void)close(told[1]);
	(void)close(hold[0]);
	assert_int_equal(read(told[0], &n, 1), 1);
	assert_int_equal(n, 47); /* and the rig's own */
	assert_int_equal(channel_open_unix(rig->path, CONTROL_RIG_TIMEOUT, &c), 0);
	channel_free(c);
	(void)close(hold[1]);
	(void)close(told[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		control_test(test_hostile),	 control_test(test_back_pressure),
		control_test(test_many_clients), control_test(test_path),
		control_test(test_stale),	 control_test(test_gone),
		control_test(test_peers),	 control_test(test_places_for_root),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

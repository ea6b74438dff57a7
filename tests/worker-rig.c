/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/worker-rig.h"

void rig_init(struct rig *rig)
{
	rig_init_kind(rig, WORKER_NETWORK);
}

static bool rings_refused;

void rig_refuse_rings(void)
{
	rings_refused = true;
}

static int refuse_rings(void)
{
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, SYS_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(code), code };

	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

bool rig_has_ring(const struct rig *rig)
{
	char directory[64], target[64];
	bool found = false;
	struct dirent *entry;
	DIR *dir;

	(void)snprintf(directory, sizeof(directory), "/proc/%d/fd", (int)rig->pid);
	dir = opendir(directory);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		ssize_t n = readlinkat(dirfd(dir), entry->d_name, target, sizeof(target) - 1);

		target[n > 0 ? n : 0] = '\0';
		found = found || strcmp(target, "anon_inode:[io_uring]") == 0;
	}
	(void)closedir(dir);
	return found;
}

void rig_init_kind(struct rig *rig, enum worker_kind kind)
{
	int pair[2];

	memset(rig, 0, sizeof(*rig));
	rig->kind = kind;
	assert_return_code(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), errno);
	rig->stderr_fd = memfd_create("worker-stderr", MFD_CLOEXEC);
	assert_true(rig->stderr_fd >= 0);
	rig->pid = fork();
	assert_true(rig->pid >= 0);
	if (rig->pid == 0) {
		(void)dup2(rig->stderr_fd, STDERR_FILENO);
		if (rings_refused && refuse_rings() < 0)
			_exit(EXIT_FAILURE);
		_exit(worker_main(pair[1], "nobody", rig->kind));
	}
	(void)close(pair[1]);
	rig->fd = pair[0];
	rig->pid_fd = (int)syscall(SYS_pidfd_open, rig->pid, 0);
	assert_true(rig->pid_fd >= 0);
}

struct scripted_server *rig_server(struct rig *rig, int family, enum server_script script,
				   const char *answer)
{
	struct scripted_server *s = &rig->servers[rig->n_servers++];

	assert_true(rig->n_servers <= SERVERS_MAX);
	scripted_server_init(s, family, script, answer);
	return s;
}

/* The exit status; waits for the end of the worker, for which the caller gave a reason. */
int rig_wait_exit(struct rig *rig)
{
	struct pollfd p = { .fd = rig->pid_fd, .events = POLLIN };
	int status;

	assert_int_equal(poll(&p, 1, PATIENCE_MSEC), 1);
	assert_int_equal(waitpid(rig->pid, &status, 0), rig->pid);
	rig->pid = 0;
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

void rig_deinit(struct rig *rig)
{
	if (rig->fd >= 0)
		(void)close(rig->fd);
	rig->fd = -1;
	if (rig->pid > 0)
		assert_int_equal(rig_wait_exit(rig), 0);
	for (size_t i = 0; i < rig->n_servers; i++)
		scripted_server_deinit(&rig->servers[i]);
	(void)close(rig->pid_fd);
	(void)close(rig->stderr_fd);
}

static void take_record(struct rig *rig, const void *record, size_t size)
{
	enum protocol_kind kind = 0;
	struct protocol_hello hello;

	assert_int_equal(protocol_check(record, size, &kind), 0);
	assert_true(kind == PROTOCOL_HELLO || rig->n_hellos == 1);
	switch (kind) {
	case PROTOCOL_HELLO:
		memcpy(&hello, record, sizeof(hello));
		rig->hello_pid = hello.pid;
		rig->n_hellos++;
		break;
	case PROTOCOL_RESULT:
		assert_true(rig->n_results < RESULTS_MAX);
		memcpy(&rig->results[rig->n_results++], record, sizeof(rig->results[0]));
		break;
	case PROTOCOL_HEARTBEAT:
		memcpy(&rig->heartbeat, record, sizeof(rig->heartbeat));
		rig->n_heartbeats++;
		break;
	default:
		fail_msg("the worker sent a record of kind %d", kind);
	}
}

static void drain_worker(struct rig *rig)
{
	char buffer[PROTOCOL_DATAGRAM_MAX];
	ssize_t n;

	for (;;) {
		n = recv(rig->fd, buffer, sizeof(buffer), MSG_DONTWAIT);
		if (n < 0 && errno == EAGAIN)
			return;
		if (n <= 0) {
			rig->closed = true;
			return;
		}
		for (size_t at = 0, size; at < (size_t)n; at += size) {
			size = protocol_first_size(buffer + at, (size_t)n - at);
			take_record(rig, buffer + at, size);
		}
	}
}

void rig_pump(struct rig *rig)
{
	struct pollfd fds[1 + SERVERS_MAX * (1 + SERVER_CONNECTIONS_MAX)];
	size_t n = 0;

	fds[n++] = (struct pollfd){ .fd = rig->fd, .events = POLLIN };
	for (size_t i = 0; i < rig->n_servers; i++)
		n += scripted_server_poll_set(&rig->servers[i], fds + n);
	(void)poll(fds, n, 10);
	for (size_t i = 0; i < rig->n_servers; i++)
		scripted_server_step(&rig->servers[i], clock_monotonic_usec());
	drain_worker(rig);
}

static const struct protocol_result *find_result(const struct rig *rig, uint64_t id,
						 uint32_t generation)
{
	for (size_t i = 0; i < rig->n_results; i++)
		if (rig->results[i].id == id && rig->results[i].generation == generation)
			return &rig->results[i];
	return NULL;
}

/* The first of this specification. */
const struct protocol_result *rig_wait_result(struct rig *rig, uint64_t id, uint32_t generation)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;
	const struct protocol_result *r;

	while (!(r = find_result(rig, id, generation))) {
		rig_pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("no result of probe %" PRIu64, id);
	}
	return r;
}

void rig_wait_results(struct rig *rig, size_t n)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;

	while (rig->n_results < n) {
		rig_pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("%zu of %zu results came", rig->n_results, n);
	}
}

void rig_wait_heartbeats(struct rig *rig, unsigned more)
{
	usec_t end = clock_monotonic_usec() + PATIENCE_MSEC * USEC_PER_MSEC;
	unsigned n = rig->n_heartbeats + more;

	while (rig->n_heartbeats < n) {
		rig_pump(rig);
		if (rig->closed || clock_monotonic_usec() > end)
			fail_msg("no heartbeat");
	}
}

size_t rig_peak_kib(const struct rig *rig)
{
	static const char field[] = "VmHWM:";
	char path[64], line[256];
	size_t kib = 0;
	FILE *f;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", rig->pid);
	f = fopen(path, "re");
	assert_non_null(f);
	while (kib == 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, field, sizeof(field) - 1) == 0)
			kib = strtoul(line + sizeof(field) - 1, NULL, 10);
	(void)fclose(f);
	assert_true(kib > 0);
	return kib;
}

void rig_send(struct rig *rig, const void *record, size_t size)
{
	assert_int_equal(send(rig->fd, record, size, MSG_NOSIGNAL), size);
}

void rig_send_hello(struct rig *rig)
{
	struct protocol_hello hello = { .pid = (uint32_t)getpid() };

	protocol_init(&hello.header, PROTOCOL_HELLO, sizeof(hello));
	rig_send(rig, &hello, sizeof(hello));
}

struct protocol_probe_record probe_make(uint64_t id, enum protocol_check check, const char *address,
					uint16_t port)
{
	struct protocol_probe_record r = {
		.probe = {
			.id = id,
			.generation = 1,
			.check = (uint8_t)check,
			.port = port,
			.interval_usec = 2 * USEC_PER_SEC,
			.timeout_usec = 2 * USEC_PER_SEC,
			.n_matcher = 1,
			.matcher = { { 200, 299 } },
		},
	};

	assert_int_equal(addr_parse(address, &r.probe.addr), 0);
	protocol_init(&r.probe.header, PROTOCOL_PROBE_SET, sizeof(r.probe));
	return r;
}

void probe_text(struct protocol_probe_record *r, enum protocol_text which, const char *text)
{
	assert_int_equal(protocol_probe_append(r, which, text, strlen(text)), 0);
}

void rig_send_probe(struct rig *rig, const struct protocol_probe_record *r)
{
	rig_send(rig, r, r->probe.header.size);
}

void rig_send_del(struct rig *rig, uint64_t id)
{
	struct protocol_probe_del del = { .id = id };

	protocol_init(&del.header, PROTOCOL_PROBE_DEL, sizeof(del));
	rig_send(rig, &del, sizeof(del));
}

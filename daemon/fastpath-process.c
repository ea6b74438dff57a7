/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/number.h"
#include "conf/value.h"
#include "daemon/child-process.h"

enum {
	OUTPUT_KEPT_BYTES = 64 * 1024, /* more is cut off once it has been passed on */
	STAT_BYTES = 1024,
	CHUNK_BYTES = 4096,
	STAT_FLAGS = 9, /* fields of proc(5) */
	STAT_START_TIME = 22,
	FLAG_EXITING = 0x4, /* linux/sched.h: PF_EXITING */
};

static int pidfd_open(pid_t pid)
{
	int fd = (int)syscall(SYS_pidfd_open, pid, 0);

	return fd < 0 ? -errno : fd;
}

/* A number of /proc/PID/stat; proc(5) counts the fields. The command's name, the second, may hold blanks. */
static int read_stat(pid_t pid, int field, uint64_t *ret)
{
	char path[64], text[STAT_BYTES];
	_cleanup_close_ int fd = -1;
	const char *word;
	size_t len;
	char *at;
	int r;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;
	r = fd_read_all(fd, text, sizeof(text) - 1, &len);
	if (r < 0)
		return r;
	text[len] = '\0';
	at = strrchr(text, ')');
	for (int i = 2; at && i < field; i++)
		at = strchr(at + 1, ' ');
	word = at ? value_next_word(&at) : NULL;
	if (!word || number_parse(word, UINT64_MAX, ret) < 0)
		return -EBADMSG;
	return 0;
}

bool fastpath_process_is_ending(const struct fastpath_process *p)
{
	uint64_t flags;

	return p->pid && read_stat(p->pid, STAT_FLAGS, &flags) == 0 && (flags & FLAG_EXITING);
}

void fastpath_process_last_line(const struct fastpath_process *p,
				char buf[static FASTPATH_PROCESS_REASON_MAX])
{
	char text[CHUNK_BYTES + 1];
	off_t end = p->output_fd < 0 ? 0 : lseek(p->output_fd, 0, SEEK_END);
	off_t start = end > CHUNK_BYTES ? end - CHUNK_BYTES : 0;
	ssize_t n = end <= 0 ? 0 : pread(p->output_fd, text, CHUNK_BYTES, start);
	char *line;

	buf[0] = '\0';
	if (n <= 0)
		return;
	text[n] = '\0';
	while (n > 0 && text[n - 1] == '\n')
		text[--n] = '\0';
	line = strrchr(text, '\n');
	line = line ? line + 1 : text;
	/* Who says it, and how loud, is said by us. */
	if (!strncmp(line, "ipvsd: error: ", strlen("ipvsd: error: ")))
		line += strlen("ipvsd: error: ");
	(void)snprintf(buf, FASTPATH_PROCESS_REASON_MAX, "%.*s", FASTPATH_PROCESS_REASON_MAX - 1,
		       line);
}

static void describe_exit(const struct fastpath_process *p, const siginfo_t *si, bool known,
			  char buf[static FASTPATH_PROCESS_REASON_MAX])
{
	char line[FASTPATH_PROCESS_REASON_MAX];

	if (!known) {
		(void)snprintf(buf, FASTPATH_PROCESS_REASON_MAX, "the fast path has ended");
		return;
	}
	fastpath_process_last_line(p, line);
	if (si->si_code == CLD_EXITED)
		(void)snprintf(buf, FASTPATH_PROCESS_REASON_MAX,
			       "the fast path exited with status %d%s%.150s", si->si_status,
			       *line ? ": " : "", line);
	else
		(void)snprintf(buf, FASTPATH_PROCESS_REASON_MAX,
			       "the fast path was killed by signal %d (%s)", si->si_status,
			       strsignal(si->si_status));
}

static int on_pidfd(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	struct fastpath_process *p = userdata;
	char reason[FASTPATH_PROCESS_REASON_MAX];
	siginfo_t si = { 0 };
	/* ECHILD: another daemon's child, which somebody else waits for. */
	bool known = waitid(P_PIDFD, (id_t)p->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid;

	(void)s;
	(void)fd;
	(void)revents;
	fastpath_process_pass_on(p);
	describe_exit(p, &si, known, reason);
	fastpath_process_deinit(p);
	p->on_exit(reason, p->userdata);
	return 0;
}

static int watch(struct fastpath_process *p, sd_event *event, fastpath_process_exit_fn on_exit,
		 void *userdata)
{
	p->on_exit = on_exit;
	p->userdata = userdata;
	p->pidfd = pidfd_open(p->pid);
	if (p->pidfd < 0)
		return p->pidfd;
	return sd_event_add_io(event, &p->exit, p->pidfd, EPOLLIN, on_pidfd, p);
}

/* What is the daemon's alone: its readiness, its watchdog, its journal stream. */
static char **environment(void)
{
	static const char *const ours[] = { "NOTIFY_SOCKET=", "WATCHDOG_", "LISTEN_",
					    "JOURNAL_STREAM=" };
	size_t n = 0, kept = 0;
	char **env;

	while (environ[n])
		n++;
	env = calloc(n + 1, sizeof(*env));
	for (size_t i = 0; env && i < n; i++) {
		bool is_ours = false;

		for (size_t k = 0; k < ARRAY_SIZE(ours); k++)
			is_ours = is_ours || !strncmp(environ[i], ours[k], strlen(ours[k]));
		if (!is_ours)
			env[kept++] = environ[i];
	}
	return env;
}

static int spawn(int output_fd, char *const *argv, pid_t *ret)
{
	_cleanup_free_ char **env = environment();
	posix_spawn_file_actions_t actions;
	int r;

	if (!env || posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	r = -posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(&actions, output_fd, STDOUT_FILENO);
	if (r == 0)
		r = -posix_spawn_file_actions_adddup2(&actions, output_fd, STDERR_FILENO);
	if (r == 0)
		r = -posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	if (r == 0)
		r = child_process_spawn(argv[0], &actions, POSIX_SPAWN_SETSID, argv, env, ret);
	(void)posix_spawn_file_actions_destroy(&actions);
	return r;
}

int fastpath_process_start(struct fastpath_process *p, sd_event *event, char *const *argv,
			   fastpath_process_exit_fn on_exit, void *userdata)
{
	int r;

	fastpath_process_deinit(p);
	p->output_fd = memfd_create("ipvsd-fastpath", MFD_CLOEXEC);
	if (p->output_fd < 0 || fcntl(p->output_fd, F_SETFL, O_APPEND) < 0)
		return -errno;
	r = spawn(p->output_fd, argv, &p->pid);
	if (r == 0)
		r = read_stat(p->pid, STAT_START_TIME, &p->start_ticks);
	if (r == 0)
		r = watch(p, event, on_exit, userdata);
	if (r < 0) {
		if (p->pid > 0)
			(void)kill(p->pid, SIGKILL);
		fastpath_process_deinit(p);
	}
	return r < 0 ? r : 0;
}

static bool is_same(pid_t pid, uint64_t start_ticks)
{
	uint64_t now = 0;

	return pid > 1 && read_stat(pid, STAT_START_TIME, &now) == 0 && now == start_ticks;
}

int fastpath_process_adopt(struct fastpath_process *p, sd_event *event, pid_t pid,
			   uint64_t start_ticks, fastpath_process_exit_fn on_exit, void *userdata)
{
	char path[64];
	int r;

	fastpath_process_deinit(p);
	p->pid = pid;
	p->start_ticks = start_ticks;
	r = watch(p, event, on_exit, userdata);
	/* Looked at with the descriptor open: it cannot become another's. */
	if (r >= 0 && !is_same(pid, start_ticks))
		r = -ESRCH;
	if (r < 0) {
		fastpath_process_deinit(p);
		return r;
	}
	/* Its output is still where a daemon before us had put it. */
	(void)snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, STDERR_FILENO);
	p->output_fd = open(path, O_RDWR | O_CLOEXEC | O_APPEND);
	p->passed_on = p->output_fd < 0 ? 0 : MAX(lseek(p->output_fd, 0, SEEK_END), 0);
	return 0;
}

int fastpath_process_end(pid_t pid, uint64_t start_ticks, unsigned timeout_msec)
{
	_cleanup_close_ int fd = pid > 1 ? pidfd_open(pid) : -ESRCH;
	struct pollfd pollfd = { .fd = fd, .events = POLLIN };

	if (fd < 0 || !is_same(pid, start_ticks))
		return -ESRCH;
	(void)kill(pid, SIGKILL);
	return poll(&pollfd, 1, (int)timeout_msec) == 1 ? 0 : -ETIMEDOUT;
}

void fastpath_process_signal(const struct fastpath_process *p, int signal)
{
	if (p->pidfd >= 0)
		(void)syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0);
}

void fastpath_process_pass_on(struct fastpath_process *p)
{
	char text[CHUNK_BYTES + 1];
	ssize_t n;

	if (p->output_fd < 0)
		return;
	while ((n = pread(p->output_fd, text, CHUNK_BYTES, p->passed_on)) > 0) {
		char *line = text, *end;

		text[n] = '\0';
		for (; (end = strchr(line, '\n')); line = end + 1) {
			*end = '\0';
			if (*line)
				log_info("fast path: %s", line);
		}
		/* A line that is not whole yet waits, unless it is endless. */
		if (line == text && n < CHUNK_BYTES)
			return;
		p->passed_on += line == text ? n : line - text;
	}
	if (p->passed_on > OUTPUT_KEPT_BYTES && ftruncate(p->output_fd, 0) == 0)
		p->passed_on = 0;
}

void fastpath_process_deinit(struct fastpath_process *p)
{
	p->exit = sd_event_source_disable_unref(p->exit);
	cleanup_close(&p->pidfd);
	cleanup_close(&p->output_fd);
	p->pidfd = p->output_fd = -1;
	p->pid = 0;
	p->passed_on = 0;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "tests/lab/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "tests/lab/lab.h"

enum {
	FIRST_EXTRA_FD = 3,
	EXTRA_FDS_MAX = 4,
	ENVIRONMENT_MAX = 16,
	RUN_TIMEOUT_SEC = 30,
};

extern char **environ;

/* In the child, after fork in a process with threads: async-signal-safe calls only. */
static void move_descriptors(const struct lab_process *p, const struct lab_spawn_options *options)
{
	int moved[EXTRA_FDS_MAX];
	size_t n = options ? options->n_fds : 0;
	int null = open("/dev/null", O_RDONLY);

	/* Out of the way first: a descriptor may lie where another must go. */
	for (size_t i = 0; i < n; i++)
		moved[i] = fcntl(options->fds[i], F_DUPFD_CLOEXEC, 64);
	if (null < 0 || dup2(null, 0) < 0 || dup2(p->out, 1) < 0 || dup2(p->err, 2) < 0)
		_exit(126);
	for (size_t i = 0; i < n; i++)
		if (dup2(moved[i], FIRST_EXTRA_FD + (int)i) < 0)
			_exit(126);
}

static void run_child(const struct lab_process *p, const char *const *argv,
		      const struct lab_spawn_options *options, char **envp, pid_t parent)
{
	sigset_t none;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(126);
	move_descriptors(p, options);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)execvpe(argv[0], (char *const *)argv, envp);
	_exit(127);
}

static int make_environment(const struct lab_spawn_options *options, char ***ret)
{
	size_t n = 0, k = 0;
	char **envp;

	while (environ[n])
		n++;
	envp = calloc(n + ENVIRONMENT_MAX + 1, sizeof(*envp));
	if (!envp)
		return -ENOMEM;
	/* Added ones first: getenv() takes the first match. */
	for (; options && options->environment && options->environment[k]; k++) {
		if (k == ENVIRONMENT_MAX) {
			free(envp);
			return -E2BIG;
		}
		envp[k] = (char *)options->environment[k];
	}
	memcpy(envp + k, environ, n * sizeof(*envp));
	*ret = envp;
	return 0;
}

int lab_spawn(const struct lab_host *host, const char *const *argv,
	      const struct lab_spawn_options *options, struct lab_process *ret)
{
	struct lab_process p = LAB_PROCESS_INIT;
	_cleanup_free_ char **envp = NULL;
	_lab_leave_ int back = -1;
	pid_t parent = getpid();
	int r;

	if (options && options->n_fds > EXTRA_FDS_MAX)
		return lab_fail(E2BIG, "spawn %s", argv[0]);
	r = make_environment(options, &envp);
	if (r < 0)
		return lab_fail(-r, "spawn %s", argv[0]);
	p.out = memfd_create("stdout", MFD_CLOEXEC);
	p.err = memfd_create("stderr", MFD_CLOEXEC);
	if (host)
		r = lab_enter(host, &back);
	if (r == 0 && (p.out < 0 || p.err < 0))
		r = -errno;
	if (r == 0) {
		p.pid = fork();
		if (p.pid == 0)
			run_child(&p, argv, options, envp, parent);
		r = p.pid < 0 ? -errno : 0;
	}
	if (r == 0)
		p.pidfd = (int)syscall(SYS_pidfd_open, p.pid, 0);
	if (r < 0 || p.pidfd < 0) {
		r = r < 0 ? r : -errno;
		lab_process_deinit(&p);
		return lab_fail(-r, "spawn %s", argv[0]);
	}
	*ret = p;
	return 0;
}

int lab_process_wait(struct lab_process *p, usec_t timeout_usec)
{
	struct pollfd pfd = { .fd = p->pidfd, .events = POLLIN };
	siginfo_t info = { 0 };
	int r;

	if (p->pidfd < 0)
		return 0;
	r = poll(&pfd, 1, (int)(timeout_usec / USEC_PER_MSEC));
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIMEDOUT;
	if (waitid(P_PID, (id_t)p->pid, &info, WEXITED) < 0)
		return -errno;
	p->status = info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
	cleanup_close(&p->pidfd);
	p->pidfd = -1;
	return 0;
}

bool lab_process_running(struct lab_process *p)
{
	return p->pidfd >= 0 && lab_process_wait(p, 0) == -ETIMEDOUT;
}

int lab_process_signal(struct lab_process *p, int signal)
{
	if (p->pidfd < 0)
		return 0;
	if (syscall(SYS_pidfd_send_signal, p->pidfd, signal, NULL, 0) < 0 && errno != ESRCH)
		return -errno;
	return 0;
}

void lab_process_deinit(struct lab_process *p)
{
	if (p->pidfd >= 0) {
		(void)lab_process_signal(p, SIGKILL);
		(void)lab_process_wait(p, 10 * USEC_PER_SEC);
	}
	cleanup_close(&p->pidfd);
	cleanup_close(&p->out);
	cleanup_close(&p->err);
	p->pidfd = p->out = p->err = -1;
}

char *lab_output_read(int fd)
{
	off_t size = lseek(fd, 0, SEEK_CUR); /* shared with the child: where it writes next */
	_cleanup_free_ char *text = size < 0 ? NULL : malloc((size_t)size + 1);
	size_t done = 0;

	if (!text)
		return NULL;
	while (done < (size_t)size) {
		ssize_t n = pread(fd, text + done, (size_t)size - done, (off_t)done);

		if (n <= 0)
			break;
		done += (size_t)n;
	}
	text[done] = '\0';
	return take_ptr(text);
}

const char *lab_program(const char *relative, char buf[static LAB_PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", buf, LAB_PATH_MAX - 1);
	char *slash;

	buf[MAX(n, 0)] = '\0';
	slash = strrchr(buf, '/');
	if (!slash || strlen(relative) >= LAB_PATH_MAX - (size_t)(slash + 1 - buf))
		abort();
	strcpy(slash + 1, relative);
	return buf;
}

void lab_result_deinit(struct lab_result *r)
{
	free(r->out);
	free(r->err);
	*r = LAB_RESULT_INIT;
}

int lab_run(const struct lab_host *host, const char *const *argv, struct lab_result *ret)
{
	_cleanup_(lab_process_deinit) struct lab_process p = LAB_PROCESS_INIT;
	usec_t start = clock_monotonic_usec();
	int r;

	r = lab_spawn(host, argv, NULL, &p);
	if (r < 0)
		return r;
	r = lab_process_wait(&p, RUN_TIMEOUT_SEC * USEC_PER_SEC);
	if (r < 0)
		return lab_fail(-r, "wait for %s", argv[0]);
	lab_result_deinit(ret);
	ret->status = p.status;
	ret->out = lab_output_read(p.out);
	ret->err = lab_output_read(p.err);
	ret->duration_usec = clock_monotonic_usec() - start;
	return ret->out && ret->err ? 0 : -ENOMEM;
}

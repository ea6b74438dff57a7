/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "health/probe-exec.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "base/cleanup.h"
#include "conf/command.h"
#include "health/exec-output.h"

enum {
	ENVIRONMENT_MAX = 32, /* strings */
	DATA_MAX_BYTES = 512 << 20,
	FILE_MAX_BYTES = 16 << 20,
	FILES_MAX = 256,
	READ_BYTES = 65536,
	READS_PER_WAKE = 16,
	EXIT_NO_EXEC = 127,
};

struct probe_exec {
	struct probe_exec_engine *engine; /* borrowed */
	struct probe_exec *next, **link;
	const struct probe_spec *spec; /* borrowed */
	probe_advise_t advise;
	probe_done_t done;
	void *userdata; /* borrowed */
	pid_t pid;
	int output_fd, error_fd; /* owned; the latter brings the errno of a failed exec */
	sd_event_source *io;	 /* owned */
	size_t n_output;
	char output[EXEC_OUTPUT_MAX];
};

struct probe_exec_engine {
	sd_event *event;	 /* owned reference */
	sd_event_source *signal; /* owned */
	struct probe_exec *running;
	unsigned n_running;
	int null_fd; /* owned */
};

/* What execve() gets; the strings lie in `text`. */
struct command {
	char *words, *text; /* owned */
	char *argv[COMMAND_WORDS_MAX + 1];
	char *envp[ENVIRONMENT_MAX + 1];
};

static void command_deinit(struct command *c)
{
	free(c->words);
	free(c->text);
}

static void probe_free(struct probe_exec *p)
{
	sd_event_source_disable_unref(p->io);
	cleanup_close(&p->output_fd);
	cleanup_close(&p->error_fd);
	if (p->link) {
		*p->link = p->next;
		if (p->next)
			p->next->link = p->link;
		p->engine->n_running--;
	}
	free(p);
}

static struct probe_exec *find_pid(const struct probe_exec_engine *e, pid_t pid)
{
	for (struct probe_exec *p = e->running; p; p = p->next)
		if (p->pid == pid)
			return p;
	return NULL;
}

/*
 * Who left its session, or outlived its parent, is a child of this process by now: without a mercy that the kernel's
 * list of children (proc(5), CONFIG_PROC_CHILDREN) makes possible. Each round frees those that the killed had started.
 */
static void kill_orphans(const struct probe_exec_engine *e)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
	pid_t pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		if (!find_pid(e, pid))
			(void)kill(pid, SIGKILL);
}

static void read_output(struct probe_exec *p)
{
	static char buffer[READ_BYTES]; /* of the one thread; only read within this call */

	for (unsigned i = 0; i < READS_PER_WAKE; i++) {
		ssize_t n = read(p->output_fd, buffer, sizeof(buffer));
		size_t kept;

		if (n < 0)
			return;
		if (n == 0) {
			(void)sd_event_source_set_enabled(p->io, SD_EVENT_OFF);
			return;
		}
		kept = MIN((size_t)n, sizeof(p->output) - p->n_output);
		memcpy(p->output + p->n_output, buffer, kept);
		p->n_output += kept;
	}
}

static int on_output(sd_event_source *s, int fd, uint32_t revents, void *userdata)
{
	(void)s;
	(void)fd;
	(void)revents;
	read_output(userdata);
	return 0;
}

static enum probe_outcome judge(const struct probe_exec *p, const siginfo_t *si,
				int32_t *ret_detail)
{
	int error = 0;

	*ret_detail = si->si_status;
	if (si->si_code != CLD_EXITED)
		return PROBE_KILLED;
	if (si->si_status == EXIT_NO_EXEC &&
	    read(p->error_fd, &error, sizeof(error)) == sizeof(error)) {
		*ret_detail = error;
		return PROBE_INTERNAL_ERROR;
	}
	return si->si_status == 0 ? PROBE_OK : PROBE_EXIT_STATUS;
}

static void on_exit_of(struct probe_exec *p, const siginfo_t *si)
{
	probe_advise_t advise = p->advise;
	probe_done_t done = p->done;
	void *userdata = p->userdata;
	int32_t detail, weight;
	enum probe_outcome outcome = judge(p, si, &detail);

	read_output(p);
	weight = exec_output_weight(p->output, p->n_output);
	probe_free(p);
	if (weight >= 0)
		advise(userdata, weight, PROBE_ADVICE_NONE);
	done(userdata, outcome, detail);
}

/* The dead are looked at before they are reaped: until then their process groups cannot be another's. */
static int on_sigchld(sd_event_source *s, const struct signalfd_siginfo *info, void *userdata)
{
	struct probe_exec_engine *e = userdata;
	siginfo_t si = { 0 };

	(void)s;
	(void)info;
	while (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) == 0 && si.si_pid) {
		struct probe_exec *p = find_pid(e, si.si_pid);

		if (p)
			(void)kill(-p->pid, SIGKILL);
		(void)waitpid(si.si_pid, NULL, 0); /* it is dead: at once */
		if (p)
			on_exit_of(p, &si);
		si.si_pid = 0;
	}
	kill_orphans(e);
	return 0;
}

int probe_exec_engine_new(sd_event *event, struct probe_exec_engine **ret)
{
	struct probe_exec_engine *e = calloc(1, sizeof(*e));
	sigset_t chld;
	int r = 0;

	if (!e)
		return -ENOMEM;
	e->event = sd_event_ref(event);
	e->null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	(void)sigemptyset(&chld);
	(void)sigaddset(&chld, SIGCHLD);
	if (e->null_fd < 0 || sigprocmask(SIG_BLOCK, &chld, NULL) < 0 ||
	    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r >= 0)
		r = sd_event_add_signal(event, &e->signal, SIGCHLD, on_sigchld, e);
	if (r < 0) {
		probe_exec_engine_free(e);
		return r;
	}
	*ret = e;
	return 0;
}

void probe_exec_engine_free(struct probe_exec_engine *e)
{
	if (!e)
		return;
	sd_event_source_disable_unref(e->signal);
	sd_event_unref(e->event);
	cleanup_close(&e->null_fd);
	free(e);
}

/* No more than the hard limit that this process has. */
static void limit(int resource, rlim_t to)
{
	struct rlimit now, l;

	if (getrlimit((__rlimit_resource_t)resource, &now) < 0)
		_exit(EXIT_NO_EXEC);
	l.rlim_cur = l.rlim_max = MIN(to, now.rlim_max);
	if (setrlimit((__rlimit_resource_t)resource, &l) < 0)
		_exit(EXIT_NO_EXEC);
}

/* Only what is safe between fork and exec. */
static _Noreturn void run(const struct probe_exec_engine *e, const struct probe_spec *spec,
			  struct command *c, int output_fd, int error_fd, pid_t parent)
{
	sigset_t none;
	int error;

	(void)setsid();
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || getppid() != parent)
		_exit(EXIT_NO_EXEC);
	limit(RLIMIT_CPU, spec->timeout_usec / USEC_PER_SEC + 2);
	limit(RLIMIT_NPROC, EXEC_PROCESSES_MAX);
	limit(RLIMIT_DATA, DATA_MAX_BYTES);
	limit(RLIMIT_FSIZE, FILE_MAX_BYTES);
	limit(RLIMIT_NOFILE, FILES_MAX);
	limit(RLIMIT_CORE, 0);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	if (dup2(e->null_fd, STDIN_FILENO) >= 0 && dup2(output_fd, STDOUT_FILENO) >= 0 &&
	    dup2(output_fd, STDERR_FILENO) >= 0 &&
	    close_range(STDERR_FILENO + 1, ~0U, CLOSE_RANGE_CLOEXEC) == 0)
		(void)execve(c->argv[0], c->argv, c->envp);
	error = errno;
	(void)!write(error_fd, &error, sizeof(error));
	_exit(EXIT_NO_EXEC);
}

static int command_init(struct command *c, const struct probe_spec *spec)
{
	char address[ADDR_STR_MAX], *next;
	const char *more = spec->text[PROTOCOL_TEXT_SEND];
	const char *end = more + spec->text_size[PROTOCOL_TEXT_SEND];
	size_t n = 0;
	int r;

	c->words = strdup(spec->text[PROTOCOL_TEXT_COMMAND]);
	if (!c->words || asprintf(&c->text,
				  "PATH=/usr/sbin:/usr/bin:/sbin:/bin%cIPVSD_TARGET_ADDRESS=%s%c"
				  "IPVSD_TARGET_PORT=%u",
				  0, addr_format(&spec->addr, address), 0, spec->port) < 0)
		return -ENOMEM;
	r = command_split(c->words, c->argv);
	if (r <= 0)
		return -EINVAL;
	next = c->text;
	for (; n < 3; next += strlen(next) + 1)
		c->envp[n++] = next;
	/* The text has a final NUL of its own: spec->text[] is always terminated. */
	for (; more < end && n < ENVIRONMENT_MAX; more += strlen(more) + 1)
		c->envp[n++] = (char *)more;
	c->envp[n] = NULL;
	return 0;
}

static int spawn(struct probe_exec *p, struct command *c)
{
	_cleanup_close_ int output_out = -1, output_in = -1, error_out = -1, error_in = -1;
	pid_t parent = getpid(), pid;
	int fds[2];

	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	output_out = fds[0];
	output_in = fds[1];
	if (pipe2(fds, O_CLOEXEC) < 0)
		return -errno;
	error_out = fds[0];
	error_in = fds[1];
	if (fcntl(output_out, F_SETFL, O_NONBLOCK) < 0 || fcntl(error_out, F_SETFL, O_NONBLOCK) < 0)
		return -errno;
	pid = fork();
	if (pid < 0)
		return -errno;
	if (pid == 0)
		run(p->engine, p->spec, c, output_in, error_in, parent);
	p->pid = pid;
	p->output_fd = take_fd(&output_out);
	p->error_fd = take_fd(&error_out);
	return 0;
}

bool probe_exec_has_place(const struct probe_exec_engine *e)
{
	return e->n_running < EXEC_IN_FLIGHT_MAX;
}

int probe_exec_start(struct probe_exec_engine *e, const struct probe_spec *spec,
		     probe_advise_t advise, probe_done_t done, void *userdata,
		     struct probe_exec **ret)
{
	_cleanup_(command_deinit) struct command command = { 0 };
	struct probe_exec *p;
	int r;

	if (!probe_exec_has_place(e))
		return -EAGAIN;
	r = command_init(&command, spec);
	if (r < 0)
		return r;
	p = malloc(sizeof(*p));
	if (!p)
		return -ENOMEM;
	*p = (struct probe_exec){
		.engine = e,
		.spec = spec,
		.advise = advise,
		.done = done,
		.userdata = userdata,
		.output_fd = -1,
		.error_fd = -1,
	};
	r = spawn(p, &command);
	if (r < 0) {
		probe_free(p);
		return r;
	}
	p->next = e->running;
	p->link = &e->running;
	if (p->next)
		p->next->link = &p->next;
	e->running = p;
	e->n_running++;
	r = sd_event_add_io(e->event, &p->io, p->output_fd, EPOLLIN, on_output, p);
	if (r < 0) {
		(void)probe_exec_cancel(p);
		return r;
	}
	*ret = p;
	return 0;
}

enum probe_outcome probe_exec_cancel(struct probe_exec *p)
{
	struct probe_exec_engine *e = p->engine;

	/* Before its setsid() it has no group of its own yet. It is reaped by on_sigchld(). */
	(void)kill(-p->pid, SIGKILL);
	(void)kill(p->pid, SIGKILL);
	probe_free(p);
	kill_orphans(e);
	return PROBE_TIMEOUT;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "tests/bench/bench-fastpath.h"

enum {
	FEW = 16 * 32, /* packets that testpmd sends itself; its ring takes 1,023 */
};

/*
 * dpdk-testpmd is driven by its prompt, and stands still while our own side is measured: the two processors may be
 * threads of one core. Its rate is by the CPU time of its forwarding thread, as ours is.
 */
struct testpmd {
	pid_t pid;
	FILE *commands, *answers; /* owned */
	char line[256];		  /* the last that it said */
};

struct reading {
	double packets, nsec;
};

static void say(const struct testpmd *t, const char *command)
{
	(void)fprintf(t->commands, "%s\n", command);
	(void)fflush(t->commands);
}

static void child(const int in[2], const int out[2])
{
	const char *pages = plane_rig_hugepages() ? "--in-memory" : "--no-huge";

	cpu_set_t set;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* DPDK has bound us to processor 0. */
	CPU_ZERO(&set);
	CPU_SET(0, &set);
	CPU_SET(1, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
	if (dup2(in[0], STDIN_FILENO) < 0 || dup2(out[1], STDOUT_FILENO) < 0 ||
	    dup2(out[1], STDERR_FILENO) < 0)
		_exit(126);
	(void)execlp("stdbuf", "stdbuf", "-oL", "dpdk-testpmd", "-l", "0,1", "-m", "256",
		     "--no-pci", "--no-telemetry", pages, "--vdev=net_ring0", "--", "-i",
		     "--no-mlockall", "--total-num-mbufs=16384", "--nb-cores=1", "--burst=32",
		     (char *)NULL);
	_exit(127);
}

static bool begin(struct testpmd *t)
{
	int in[2], out[2];

	if (pipe2(in, O_CLOEXEC) < 0 || pipe2(out, O_CLOEXEC) < 0)
		return false;
	t->pid = fork();
	if (t->pid == 0)
		child(in, out);
	(void)close(in[0]);
	(void)close(out[1]);
	t->commands = fdopen(in[1], "we");
	t->answers = fdopen(out[0], "re");
	return t->pid > 0 && t->commands && t->answers;
}

static void end(struct testpmd *t)
{
	say(t, "quit");
	(void)fclose(t->commands);
	(void)kill(t->pid, SIGKILL);
	(void)waitpid(t->pid, NULL, 0);
	(void)fclose(t->answers);
}

/* Of the thread that forwards. schedstat begins with the nanoseconds that it ran. */
static double thread_nsec(pid_t pid)
{
	char path[64], comm[32], name[384];
	double nsec = 0;
	DIR *dir;

	(void)snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	dir = opendir(path);
	for (struct dirent *d; dir && (d = readdir(dir));) {
		_cleanup_fclose_ FILE *f = NULL, *g = NULL;

		(void)snprintf(name, sizeof(name), "%s/%s/comm", path, d->d_name);
		f = fopen(name, "re");
		if (!f || !fgets(comm, sizeof(comm), f) || strcmp(comm, "rte-worker-1\n") != 0)
			continue;
		(void)snprintf(name, sizeof(name), "%s/%s/schedstat", path, d->d_name);
		g = fopen(name, "re");
		if (g && fscanf(g, "%lf", &nsec) != 1)
			nsec = 0;
	}
	if (dir)
		(void)closedir(dir);
	return nsec;
}

static bool read_now(struct testpmd *t, struct reading *ret)
{
	say(t, "show port stats 0");
	while (fgets(t->line, sizeof(t->line), t->answers)) {
		const char *p = strstr(t->line, "RX-packets:");

		/* What "stop" prints has RX-dropped there. */
		if (!p || !strstr(t->line, "RX-missed:"))
			continue;
		if (sscanf(p, "RX-packets: %lf", &ret->packets) != 1)
			return false;
		ret->nsec = thread_nsec(t->pid);
		return ret->nsec > 0;
	}
	return false;
}

/* One window of a second: nanoseconds a packet, or 0. */
static double window(struct testpmd *t)
{
	struct reading a, b;
	double nsec = 0;

	/* 16 bursts of 32, which circulate. What is left of the last window is thrown away first. */
	say(t, "start tx_first 16");
	if (!read_now(t, &a))
		return 0;
	(void)sleep(1);
	if (read_now(t, &b) && b.packets > a.packets)
		nsec = (b.nsec - a.nsec) / (b.packets - a.packets);
	say(t, "stop");
	return nsec;
}

enum row {
	RIVAL,
	SWAP_FEW,
	ALL_FEW,
	SWAP,
	ALL,
	_ROW_MAX,
};

/* Million packets a second. */
static double ours(struct plane_rig *rig, enum plane_rig_work work, unsigned n_frames)
{
	struct plane_rig_time t = { 0 };

	plane_rig_set_frames(rig, n_frames);
	plane_rig_steady(rig, 0, work, BENCH_PASSES, &t);
	return (double)t.frames / t.nsec * 1000;
}

static bool compare(struct testpmd *t, struct plane_rig *rig, unsigned rounds)
{
	struct stats_series s[_ROW_MAX] = {
		[RIVAL] = { .name = "dpdk-testpmd, macswap, 512 in flight", .unit = "Mpps" },
		[SWAP_FEW] = { .name = "macswap here, 512", .unit = "Mpps" },
		[ALL_FEW] = { .name = "a worker, full-nat, 512", .unit = "Mpps" },
		[SWAP] = { .name = "macswap here, 16384", .unit = "Mpps" },
		[ALL] = { .name = "a worker, full-nat, 16384", .unit = "Mpps" },
	};
	const struct stats_series *rows[_ROW_MAX];

	say(t, "set fwd macswap");
	if (window(t) <= 0) /* warms up */
		return false;
	for (unsigned i = 0; i < rounds; i++) {
		const double nsec = window(t);

		if (nsec <= 0)
			return false;
		stats_add(&s[RIVAL], 1000 / nsec);
		stats_add(&s[SWAP_FEW], ours(rig, PLANE_RIG_MACSWAP, FEW));
		stats_add(&s[ALL_FEW], ours(rig, PLANE_RIG_DIRECTOR, FEW));
		stats_add(&s[SWAP], ours(rig, PLANE_RIG_MACSWAP, PLANE_RIG_FRAMES));
		stats_add(&s[ALL], ours(rig, PLANE_RIG_DIRECTOR, PLANE_RIG_FRAMES));
	}
	for (int k = 0; k < _ROW_MAX; k++)
		rows[k] = &s[k];
	stats_print_table("beside dpdk-testpmd on net_ring", rows, _ROW_MAX);
	for (int k = SWAP_FEW; k < _ROW_MAX; k++)
		(void)stats_print_ratio(&s[k], &s[RIVAL], 0);
	(void)stats_print_ratio(&s[ALL], &s[SWAP], 0);
	return true;
}

void bench_testpmd(unsigned rounds, size_t flows)
{
	const struct plane_rig_config config = { .forward = IPVS_FORWARD_FULL_NAT,
						 .scheduler = "wrr",
						 .n_dests = BENCH_DESTS,
						 .max_flows = flows,
						 .n_lanes = 1 };
	struct plane_rig *rig = plane_rig_new(&config);
	struct testpmd t = { 0 };

	(void)signal(SIGPIPE, SIG_IGN);
	plane_rig_open(rig, flows);
	if (!begin(&t)) {
		(void)fprintf(stderr, "bench: cannot start dpdk-testpmd: %s\n", strerror(errno));
		exit(1);
	}
	if (!compare(&t, rig, rounds))
		printf("\ndpdk-testpmd is not installed, or gave no figures, and is left out; it "
		       "said: "
		       "%s\n",
		       t.line);
	end(&t);
	plane_rig_free(rig);
}

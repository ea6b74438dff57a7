/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * demo-traffic ADDRESS PORT RATE FILE: RATE requests a second until SIGTERM. FILE always holds one line, "OK FAILED"
 * and "NAME=COUNT" for each target that answered, counted since the start.
 */

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>

#include "base/cleanup.h"
#include "tests/lab/lab.h"
#include "tests/lab/loadgen.h"

enum {
	NAMES_MAX = 16,
};

struct tally {
	size_t seen, ok, failed;
	char names[NAMES_MAX][LAB_TARGET_MAX];
	size_t counts[NAMES_MAX];
};

static volatile sig_atomic_t stop;

static void on_signal(int signal)
{
	(void)signal;
	stop = 1;
}

static void count(struct tally *t, const struct lab_load *load)
{
	for (size_t n = lab_load_count(load); t->seen < n; t->seen++) {
		const struct lab_reply *r = lab_load_at(load, t->seen);

		if (r->outcome != LAB_ANSWERED || r->status != 200) {
			t->failed++;
			continue;
		}
		t->ok++;
		for (size_t i = 0; i < NAMES_MAX; i++) {
			if (t->counts[i] == 0)
				memcpy(t->names[i], r->target, sizeof(r->target));
			if (strcmp(t->names[i], r->target) == 0) {
				t->counts[i]++;
				break;
			}
		}
	}
}

static void write_tally(const struct tally *t, const char *path)
{
	char text[512], new[256];
	int n = snprintf(text, sizeof(text), "%zu %zu", t->ok, t->failed);
	_cleanup_close_ int fd = -1;

	for (size_t i = 0; i < NAMES_MAX && t->counts[i] > 0; i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, " %s=%zu", t->names[i],
			      t->counts[i]);
	n += snprintf(text + n, sizeof(text) - (size_t)n, "\n");
	(void)snprintf(new, sizeof(new), "%s.new", path);
	fd = open(new, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
	if (fd >= 0 && write(fd, text, (size_t)n) == n)
		(void)rename(new, path); /* a reader sees a whole line */
}

int main(int argc, char **argv)
{
	struct lab_host here = { .name = "here" };
	struct lab_load_spec spec = { .from = &here, .timeout_usec = 2 * USEC_PER_SEC };
	struct tally tally = { 0 };
	struct lab_load *load;

	if (argc != 5) {
		(void)fprintf(stderr, "usage: demo-traffic ADDRESS PORT RATE FILE\n");
		return 2;
	}
	(void)prctl(PR_SET_PDEATHSIG, SIGTERM);
	(void)signal(SIGTERM, on_signal);
	here.ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
	spec.url = (struct lab_url){ argv[1], (uint16_t)atoi(argv[2]), "/" };
	spec.rate = (unsigned)atoi(argv[3]);
	if (here.ns < 0 || lab_load_start(&spec, &load) < 0)
		return 1;
	while (!stop) {
		count(&tally, load);
		write_tally(&tally, argv[4]);
		lab_sleep(50 * USEC_PER_MSEC);
	}
	lab_load_stop(load);
	count(&tally, load);
	write_tally(&tally, argv[4]);
	lab_load_free(load);
	return 0;
}

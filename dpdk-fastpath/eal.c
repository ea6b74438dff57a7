/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "dpdk-fastpath/eal.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_timer.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/number.h"

enum {
	ARGUMENTS_MAX = 24 + 2 * OPTIONS_PORTS_MAX,
	TEXT_MAX = 2048,
	/* Without hugepages: address space, of which only what is used takes memory. */
	MEMORY_MIB = 512,
};

static void cleanup_dir(DIR **d)
{
	if (*d)
		(void)closedir(*d);
}

/* Those of all sizes that nobody has. */
static uint64_t free_hugepages(void)
{
	static const char *const base = "/sys/kernel/mm/hugepages";
	_cleanup_(cleanup_dir) DIR *dir = opendir(base);
	uint64_t sum = 0;

	for (struct dirent *e = dir ? readdir(dir) : NULL; e; e = readdir(dir)) {
		_cleanup_fclose_ FILE *f = NULL;
		char path[512], text[32];
		uint64_t n;

		(void)snprintf(path, sizeof(path), "%s/%s/free_hugepages", base, e->d_name);
		f = fopen(path, "re");
		if (!f || !fgets(text, sizeof(text), f))
			continue;
		text[strcspn(text, "\n")] = '\0';
		if (number_parse(text, UINT32_MAX, &n) == 0)
			sum += n;
	}
	return sum;
}

static int check_hugepages(const struct options *o)
{
	if (!o->hugepages || free_hugepages() > 0)
		return 0;
	log_err("no free hugepages: sysctl vm.nr_hugepages=256 (2 MiB each), or give "
		"--no-hugepages");
	return -ENOMEM;
}

/* The workers' CPUs must be ours; *ret_others has what is left, or all when nothing is. */
static int share_cpus(struct options *o, cpu_set_t *ret_others)
{
	cpu_set_t allowed = { 0 };

	if (sched_getaffinity(0, sizeof(allowed), &allowed) < 0)
		return -errno;
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0 && o->n_workers == 0; cpu--)
		if (CPU_ISSET(cpu, &allowed))
			o->workers[o->n_workers++] = (uint16_t)cpu;
	*ret_others = allowed;
	for (size_t i = 0; i < o->n_workers; i++) {
		if (o->workers[i] >= CPU_SETSIZE || !CPU_ISSET(o->workers[i], &allowed)) {
			log_err("--workers: CPU %u is not there, or not ours (see: nproc, taskset "
				"-p "
				"$$, CPUAffinity= of the unit)",
				o->workers[i]);
			return -EINVAL;
		}
		CPU_CLR(o->workers[i], ret_others);
	}
	if (CPU_COUNT(ret_others) == 0)
		*ret_others = allowed;
	return 0;
}

/* "0@(0,2),1@1": lcore 0 is the control thread. */
static void format_lcores(const struct options *o, const cpu_set_t *others,
			  char ret[static TEXT_MAX])
{
	const char *separator = "";
	size_t n;

	n = (size_t)snprintf(ret, TEXT_MAX, "0@(");
	for (int cpu = 0; cpu < CPU_SETSIZE && n < TEXT_MAX / 2; cpu++)
		if (CPU_ISSET(cpu, others)) {
			n += (size_t)snprintf(ret + n, TEXT_MAX - n, "%s%d", separator, cpu);
			separator = ",";
		}
	n += (size_t)snprintf(ret + n, TEXT_MAX - n, ")");
	for (size_t i = 0; i < o->n_workers; i++)
		n += (size_t)snprintf(ret + n, TEXT_MAX - n, ",%zu@%u", i + 1, o->workers[i]);
}

struct arguments {
	char *list[ARGUMENTS_MAX];
	int n;
};

/* EAL takes char *, and changes nothing. */
static void push(struct arguments *a, const char *text)
{
	assert(a->n + 1 < ARGUMENTS_MAX);
	a->list[a->n++] = (char *)(uintptr_t)text;
}

static void push_devices(struct arguments *a, const struct options *o)
{
	bool pci = false;

	for (size_t i = 0; i < o->n_ports; i++)
		if (o->ports[i].is_pci) {
			push(a, "-a");
			push(a, o->ports[i].spec);
			pci = true;
		}
	/* Else it would take every device that is bound to vfio-pci. */
	if (!pci)
		push(a, "--no-pci");
}

int eal_start(struct options *o)
{
	struct arguments a = { 0 };
	char lcores[TEXT_MAX], memory[16];
	cpu_set_t others = { 0 };
	int r;

	r = check_hugepages(o);
	if (r == 0)
		r = share_cpus(o, &others);
	if (r < 0)
		return r;
	format_lcores(o, &others, lcores);
	push(&a, "ipvsd-fastpath");
	/* The two cannot be given together; without hugepages there is nothing else that would leave a file. */
	push(&a, o->hugepages ? "--in-memory" : "--no-shconf");
	push(&a, "--file-prefix=ipvsd");
	/* The first that fits counts. It is an error to telemetry that it has no legacy callbacks. */
	push(&a, "--log-level=lib.telemetry:critical");
	push(&a, "--log-level=*:warning");
	push(&a, "--lcores");
	push(&a, lcores);
	/* vhost-user, net_virtio_user's other side, takes no more than eight pieces of memory. */
	push(&a, o->hugepages ? "--single-file-segments" : "--no-huge");
	if (!o->hugepages || o->memory_mib > 0) {
		(void)snprintf(memory, sizeof(memory), "%u",
			       o->memory_mib ? o->memory_mib : (uint32_t)MEMORY_MIB);
		push(&a, "-m");
		push(&a, memory);
	}
	if (!o->telemetry)
		push(&a, "--no-telemetry");
	push_devices(&a, o);
	if (rte_eal_init(a.n, a.list) < 0) {
		r = rte_errno > 0 ? -rte_errno : -EIO;
		log_err("cannot start DPDK: %s; its own lines above say more%s", rte_strerror(-r),
			r == -EACCES || r == -EPERM
				? "; run as root (CAP_NET_ADMIN, CAP_NET_RAW, CAP_IPC_LOCK)"
			: r == -ENOMEM
				? "; give more hugepages, a smaller --memory, or --no-hugepages"
				: "");
		return r;
	}
	/* ENA's watchdog is a timer of this library. */
	r = rte_timer_subsystem_init();
	return r == -EALREADY ? 0 : r;
}

void eal_stop(void)
{
	(void)rte_eal_cleanup();
}

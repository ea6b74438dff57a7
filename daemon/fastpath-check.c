/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <net/if.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/value.h"
#include "daemon/fastpath-port.h"
#include "daemon/interface-link.h"
#include "daemon/interface.h"
#include "daemon/kernel.h"
#include "daemon/pci.h"

#define HUGEPAGES "/sys/kernel/mm/hugepages"

typedef DIR *directory;

static inline void cleanup_directory(directory *d)
{
	if (*d)
		(void)closedir(*d);
}

__attribute__((format(printf, 3, 4))) static int
refuse(char reason[static FASTPATH_CHECK_REASON_MAX], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, FASTPATH_CHECK_REASON_MAX, format, args);
	va_end(args);
	return error;
}

/* Of a directory's name: hugepages-2048kB. */
static bool page_kib(const char *name, uint64_t *ret)
{
	static const char prefix[] = "hugepages-";
	char text[NAME_MAX + 1], *unit;

	if (strncmp(name, prefix, sizeof(prefix) - 1) != 0)
		return false;
	(void)snprintf(text, sizeof(text), "%s", name + sizeof(prefix) - 1);
	unit = strstr(text, "kB");
	if (unit)
		*unit = '\0';
	return number_parse(text, UINT32_MAX, ret) == 0;
}

static bool read_number(FILE *f, uint64_t *ret)
{
	char line[32];

	if (!f || !fgets(line, sizeof(line), f))
		return false;
	line[strcspn(line, "\n")] = '\0';
	return number_parse(line, UINT32_MAX, ret) == 0;
}

static uint64_t free_huge_mib(void)
{
	_cleanup_(cleanup_directory) directory d = opendir(HUGEPAGES);
	const struct dirent *e;
	uint64_t kib = 0;

	while (d && (e = readdir(d))) {
		char path[sizeof(HUGEPAGES) + 300];
		uint64_t size, n;
		_cleanup_fclose_ FILE *f = NULL;

		if (!page_kib(e->d_name, &size))
			continue;
		(void)snprintf(path, sizeof(path), HUGEPAGES "/%s/free_hugepages", e->d_name);
		f = fopen(path, "re");
		if (read_number(f, &n))
			kib += n * size;
	}
	return kib / 1024;
}

static uint64_t available_mib(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/meminfo", "re");
	char line[128];
	uint64_t kib;

	while (f && fgets(line, sizeof(line), f)) {
		char *cursor = line;
		const char *name = value_next_word(&cursor), *number = value_next_word(&cursor);

		if (name && number && !strcmp(name, "MemAvailable:") &&
		    number_parse(number, UINT64_MAX, &kib) == 0)
			return kib / 1024;
	}
	return UINT64_MAX;
}

static int check_memory(const struct conf_fastpath *f,
			char reason[static FASTPATH_CHECK_REASON_MAX])
{
	uint64_t has = f->hugepages ? free_huge_mib() : available_mib();

	if (has >= f->memory_mib)
		return 0;
	if (f->hugepages)
		return refuse(reason, -ENOMEM,
			      "memory is %u MiB of huge pages, and %llu MiB are free: `sysctl -w "
			      "vm.nr_hugepages=N`, lower memory, or set hugepages = no",
			      f->memory_mib, (unsigned long long)has);
	return refuse(reason, -ENOMEM, "memory is %u MiB, and %llu MiB are free: lower memory",
		      f->memory_mib, (unsigned long long)has);
}

static int check_pci(const struct conf *conf, const struct fastpath_port *port, bool force,
		     char reason[static FASTPATH_CHECK_REASON_MAX])
{
	char why[PCI_REASON_MAX] = "", interface[IFNAMSIZ], driver[PCI_DRIVER_MAX];
	int r = pci_check_vfio(PCI_SYSFS, port->pci, why);

	if (r == -ENOENT && conf->global.modules == CONF_KERNEL_SET &&
	    kernel_load_module(PCI_VFIO) == 0)
		r = pci_check_vfio(PCI_SYSFS, port->pci, why);
	if (r < 0)
		return refuse(reason, r, "%s", why);
	if (pci_driver(PCI_SYSFS, port->pci, driver) < 0 || !strcmp(driver, PCI_VFIO) ||
	    pci_interface(PCI_SYSFS, port->pci, interface) < 0)
		return 0;
	r = interface_check(interface, !force, why);
	return r < 0 ? refuse(reason, r, "%s: %s", port->pci, why) : 0;
}

static int check_port(const struct conf *conf, const char *spec, bool force,
		      char reason[static FASTPATH_CHECK_REASON_MAX])
{
	char why[INTERFACE_REASON_MAX] = "";
	struct fastpath_port port;
	int r = fastpath_port_parse(spec, &port);

	if (r < 0)
		return refuse(
			reason, r,
			"port \"%.100s\" is neither a PCI address nor a virtual device such as "
			"net_af_packet0,iface=eth1",
			spec);
	if (port.kind == FASTPATH_PORT_PCI)
		return check_pci(conf, &port, force, reason);
	if (!*port.interface)
		return 0;
	r = interface_check(port.interface, !force, why);
	if (r < 0)
		return refuse(reason, r, "%s", why);
	/* What comes in by another queue would be lost. */
	if (port.kind == FASTPATH_PORT_AF_XDP && interface_queues(port.interface) > port.n_queues)
		return refuse(reason, -EINVAL,
			      "%s has %u receive queues, and the port takes %u: `ethtool -L %s "
			      "combined %u` (or rx), or give queue_count= and as many lcores",
			      port.interface, interface_queues(port.interface), port.n_queues,
			      port.interface, port.n_queues);
	return 0;
}

static int check_ports(const struct conf *conf, bool force,
		       char reason[static FASTPATH_CHECK_REASON_MAX])
{
	const struct conf_fastpath *f = &conf->fastpath;
	char exception[IFNAMSIZ];
	int r = 0;

	if (f->n_ports == 0)
		return refuse(reason, -EINVAL, "no ports: give ports in [fastpath]");
	for (size_t i = 0; r == 0 && i < f->n_ports; i++) {
		r = check_port(conf, f->ports[i], force, reason);
		if (r < 0)
			break;
		if (fastpath_exception_name(f->exception_interface, i, exception) < 0)
			return refuse(reason, -EINVAL, "exception-interface %s is too long",
				      f->exception_interface);
		if (if_nametoindex(exception))
			return refuse(reason, -EEXIST,
				      "interface %s exists: another fast path has it, or change "
				      "exception-interface",
				      exception);
	}
	return r;
}

static int check_groups(const struct conf *conf, char reason[static FASTPATH_CHECK_REASON_MAX])
{
	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct conf_group *g = &conf->groups[i];

		if (!g->in_use)
			continue;
		if (!strcmp(g->algorithm.scheduler, "lblc") ||
		    !strcmp(g->algorithm.scheduler, "lblcr"))
			return refuse(reason, -EOPNOTSUPP,
				      "target group %s: the fast path has no scheduler %s: take "
				      "another algorithm",
				      g->name, g->algorithm.scheduler);
		if (g->forwarding == CONF_FORWARDING_FULL_NAT && conf->fastpath.n_nat_pools == 0)
			return refuse(reason, -EINVAL,
				      "target group %s: full-nat needs source addresses: give "
				      "nat-pools in [fastpath]",
				      g->name);
	}
	return 0;
}

int fastpath_check(const struct conf *conf, bool force,
		   char ret_reason[static FASTPATH_CHECK_REASON_MAX])
{
	int r;

	if (prctl(PR_CAPBSET_READ, CAP_NET_RAW) == 0)
		return refuse(
			ret_reason, -EPERM,
			"the unit's sandbox is too narrow for the fast path: copy "
			"/usr/share/ipvsd/fastpath.conf to /etc/systemd/system/ipvsd.service.d/, "
			"then `systemctl daemon-reload` and `systemctl restart ipvsd`");
	if (access(conf->fastpath.program, X_OK) < 0)
		return refuse(ret_reason, -errno,
			      "%s: %s: install the program, or give its place with program",
			      conf->fastpath.program, strerror(errno));
	r = check_ports(conf, force, ret_reason);
	if (r == 0)
		r = check_memory(&conf->fastpath, ret_reason);
	return r < 0 ? r : check_groups(conf, ret_reason);
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/pci.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"

enum {
	TAKES_TRIES = 100, /* 10 ms each: a driver may probe asynchronously */
};

typedef DIR *directory;

static inline void cleanup_directory(directory *d)
{
	if (*d)
		(void)closedir(*d);
}

#define _cleanup_directory_ _cleanup_(cleanup_directory)

__attribute__((format(printf, 2, 3))) static int make_path(char path[static PATH_MAX],
							   const char *format, ...)
{
	va_list args;
	int n;

	va_start(args, format);
	n = vsnprintf(path, PATH_MAX, format, args);
	va_end(args);
	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

/* The last component of what a symbolic link points to. */
static int link_name(const char *path, char *ret, size_t size)
{
	char target[PATH_MAX];
	ssize_t n = readlink(path, target, sizeof(target) - 1);
	const char *name;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	name = strrchr(target, '/');
	name = name ? name + 1 : target;
	if (strlen(name) >= size)
		return -ENAMETOOLONG;
	memcpy(ret, name, strlen(name) + 1);
	return 0;
}

static int write_text(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return fd_write_all(fd, text, strlen(text));
}

static bool device_exists(const char *sysfs, const char *address)
{
	char path[PATH_MAX];

	return make_path(path, "%s/bus/pci/devices/%s", sysfs, address) == 0 &&
	       access(path, F_OK) == 0;
}

int pci_driver(const char *sysfs, const char *address, char ret[static PCI_DRIVER_MAX])
{
	char path[PATH_MAX];
	int r;

	if (!device_exists(sysfs, address))
		return -ENODEV;
	r = make_path(path, "%s/bus/pci/devices/%s/driver", sysfs, address);
	if (r == 0)
		r = link_name(path, ret, PCI_DRIVER_MAX);
	if (r == -ENOENT) {
		ret[0] = '\0';
		return 0;
	}
	return r;
}

/* The first entry of a directory whose name begins like this. */
static int first_entry(const char *path, const char *prefix, char *ret, size_t size)
{
	_cleanup_directory_ directory d = opendir(path);
	const struct dirent *e;

	if (!d)
		return -errno;
	while ((e = readdir(d))) {
		if (e->d_name[0] == '.' || strncmp(e->d_name, prefix, strlen(prefix)) != 0 ||
		    strlen(e->d_name) >= size)
			continue;
		memcpy(ret, e->d_name, strlen(e->d_name) + 1);
		return 0;
	}
	return -ENOENT;
}

/* A virtio device's interface belongs to the virtio device below the PCI device. */
int pci_interface(const char *sysfs, const char *address, char ret[static IFNAMSIZ])
{
	char path[PATH_MAX], child[NAME_MAX + 1];
	int r = make_path(path, "%s/bus/pci/devices/%s/net", sysfs, address);

	if (r == 0)
		r = first_entry(path, "", ret, IFNAMSIZ);
	if (r != -ENOENT)
		return r;
	r = make_path(path, "%s/bus/pci/devices/%s", sysfs, address);
	if (r == 0)
		r = first_entry(path, "virtio", child, sizeof(child));
	if (r == 0)
		r = make_path(path, "%s/bus/pci/devices/%s/%s/net", sysfs, address, child);
	return r < 0 ? r : first_entry(path, "", ret, IFNAMSIZ);
}

int pci_of_interface(const char *sysfs, const char *interface, char ret[static PCI_ADDRESS_MAX])
{
	char path[PATH_MAX], name[NAME_MAX + 1];
	int r = make_path(path, "%s/class/net/%s/device", sysfs, interface);

	if (r == 0)
		r = link_name(path, name, sizeof(name));
	if (r == 0 && strncmp(name, "virtio", strlen("virtio")) == 0) {
		char real[PATH_MAX];
		char *slash;

		if (!realpath(path, real))
			return -errno;
		slash = strrchr(real, '/');
		if (!slash)
			return -ENOENT;
		*slash = '\0';
		slash = strrchr(real, '/');
		(void)snprintf(name, sizeof(name), "%s", slash ? slash + 1 : "");
	}
	if (r < 0)
		return r;
	return pci_address_parse(name, ret) < 0 ? -ENOENT : 0;
}

__attribute__((format(printf, 3, 4))) static int refuse(char reason[static PCI_REASON_MAX],
							int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	/* Cut at the maximum it still says what is wrong. */
	(void)vsnprintf(reason, PCI_REASON_MAX, format, args);
	va_end(args);
	return error;
}

/* Without an IOMMU vfio-pci gives devices out only where an administrator has said that this is safe enough. */
static bool allows_no_iommu(const char *sysfs)
{
	char path[PATH_MAX], text[2] = "";
	_cleanup_close_ int fd = -1;
	size_t len;

	if (make_path(path, "%s/module/vfio/parameters/enable_unsafe_noiommu_mode", sysfs) < 0)
		return false;
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd >= 0 && fd_read_all(fd, text, 1, &len) == 0 && (text[0] == 'Y' || text[0] == '1');
}

/* Does this driver leave devices of a group that user space has alone? (vfio_main.c, vfio_dev_driver_allowed()) */
static bool is_harmless_driver(const char *driver)
{
	return !*driver || !strcmp(driver, PCI_VFIO) || !strcmp(driver, "pci-stub") ||
	       !strcmp(driver, "pcieport");
}

static int check_group(const char *sysfs, const char *address, const char *group,
		       char reason[static PCI_REASON_MAX])
{
	char path[PATH_MAX], driver[PCI_DRIVER_MAX] = "";
	_cleanup_directory_ directory d = NULL;
	const struct dirent *e;

	if (make_path(path, "%s/kernel/iommu_groups/%s/devices", sysfs, group) < 0)
		return -ENAMETOOLONG;
	d = opendir(path);
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' || !strcmp(e->d_name, address))
			continue;
		if (pci_driver(sysfs, e->d_name, driver) == 0 && !is_harmless_driver(driver))
			return refuse(
				reason, -EPERM,
				"%s shares its IOMMU group with %s, which driver %s has: unbind "
				"that one, or put the device into another slot",
				address, e->d_name, driver);
	}
	return 0;
}

int pci_check_vfio(const char *sysfs, const char *address, char ret_reason[static PCI_REASON_MAX])
{
	char path[PATH_MAX], group[NAME_MAX + 1];
	int r;

	if (!device_exists(sysfs, address))
		return refuse(ret_reason, -ENODEV,
			      "%s: there is no such PCI device: see `lspci -D`", address);
	r = make_path(path, "%s/bus/pci/drivers/" PCI_VFIO, sysfs);
	if (r < 0 || access(path, F_OK) < 0)
		return refuse(ret_reason, -ENOENT,
			      "%s: driver " PCI_VFIO " is not loaded: `modprobe " PCI_VFIO "`",
			      address);
	r = make_path(path, "%s/bus/pci/devices/%s/iommu_group", sysfs, address);
	if (r == 0)
		r = link_name(path, group, sizeof(group));
	if (r == 0)
		return check_group(sysfs, address, group, ret_reason);
	if (allows_no_iommu(sysfs))
		return 0;
	return refuse(
		ret_reason, -EPERM,
		"%s has no IOMMU: boot with iommu=1 intel_iommu=on (or amd_iommu=on) where the "
		"machine has one, else `echo 1 "
		">/sys/module/vfio/parameters/enable_unsafe_noiommu_mode`",
		address);
}

static bool has_driver(const char *sysfs, const char *address, const char *driver)
{
	char now[PCI_DRIVER_MAX];

	return pci_driver(sysfs, address, now) == 0 && !strcmp(now, driver);
}

static int override(const char *sysfs, const char *address, const char *driver)
{
	char path[PATH_MAX], line[PCI_DRIVER_MAX + 1];
	int r = make_path(path, "%s/bus/pci/devices/%s/driver_override", sysfs, address);

	/* A lone newline takes the override away. */
	(void)snprintf(line, sizeof(line), "%s\n", driver);
	return r < 0 ? r : write_text(path, line);
}

static int release(const char *sysfs, const char *address)
{
	char path[PATH_MAX], driver[PCI_DRIVER_MAX] = "";
	int r = pci_driver(sysfs, address, driver);

	if (r < 0 || !*driver)
		return r;
	r = make_path(path, "%s/bus/pci/drivers/%s/unbind", sysfs, driver);
	return r < 0 ? r : write_text(path, address);
}

static int wait_for_driver(const char *sysfs, const char *address, const char *driver)
{
	for (int i = 0; i < TAKES_TRIES; i++) {
		if (has_driver(sysfs, address, driver))
			return 0;
		(void)nanosleep(&(struct timespec){ .tv_nsec = 10L * 1000 * 1000 }, NULL);
	}
	return -EBUSY;
}

int pci_bind(const char *sysfs, const char *address, const char *driver, bool lasting)
{
	char path[PATH_MAX];
	int r;

	if (!device_exists(sysfs, address))
		return -ENODEV;
	r = make_path(path, "%s/bus/pci/drivers/%s", sysfs, driver);
	if (r < 0 || access(path, F_OK) < 0)
		return r < 0 ? r : -ENOENT;
	r = override(sysfs, address, driver);
	if (r < 0)
		return r;
	if (!has_driver(sysfs, address, driver)) {
		r = release(sysfs, address);
		if (r == 0)
			r = make_path(path, "%s/bus/pci/drivers/%s/bind", sysfs, driver);
		if (r == 0)
			r = write_text(path, address);
		if (r == 0)
			r = wait_for_driver(sysfs, address, driver);
	}
	return r < 0 || lasting ? r : override(sysfs, address, "");
}

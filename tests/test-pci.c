/* SPDX-License-Identifier: GPL-2.0-or-later */

/*
 * PCI devices and drivers in a directory that is laid out like /sys. A thread is the kernel: it sees what is written to
 * bind, unbind and driver_override, and moves the device's link as drivers/base/bus.c would. The real kernel's part is
 * in tests/netns/netns-pci.c.
 */

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/cleanup.h"
#include "daemon/pci.h"
#include "tests/temporary.h"

#define A "0000:00:06.0"
#define B "0000:00:07.0"

static char root[PATH_MAX / 2];
static int watch_fd, watches[6];
static const char *const watched[6] = {
	"bus/pci/drivers/ena/unbind",
	"bus/pci/drivers/ena/bind",
	"bus/pci/drivers/vfio-pci/unbind",
	"bus/pci/drivers/vfio-pci/bind",
	"bus/pci/devices/0000:00:06.0/driver_override",
	NULL,
};
static pthread_t kernel;
static _Atomic bool stopping, refuses;
static char override[64];

__attribute__((format(printf, 2, 3))) static const char *at(char *buf, const char *format, ...)
{
	va_list ap;
	int n = snprintf(buf, PATH_MAX, "%s/", root);

	va_start(ap, format);
	(void)vsnprintf(buf + n, (size_t)(PATH_MAX - n), format, ap);
	va_end(ap);
	return buf;
}

static void make_directory(const char *path)
{
	char buf[PATH_MAX];

	(void)at(buf, "%s", path);
	for (char *slash = buf + strlen(root) + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		(void)mkdir(buf, 0755);
		*slash = '/';
	}
	assert_true(mkdir(buf, 0755) == 0 || errno == EEXIST);
}

static void make_file(const char *path, const char *text)
{
	char buf[PATH_MAX];
	FILE *f = fopen(at(buf, "%s", path), "we");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void make_link(const char *target, const char *path)
{
	char buf[PATH_MAX];

	assert_int_equal(symlink(target, at(buf, "%s", path)), 0);
}

static void read_file(const char *path, char text[static 64])
{
	char buf[PATH_MAX];
	FILE *f = fopen(at(buf, "%s", path), "re");

	text[0] = '\0';
	if (!f)
		return;
	if (!fgets(text, 64, f))
		text[0] = '\0';
	(void)fclose(f);
}

/* Only a driver that the override names, if it names one, is bound. */
static void act(const char *file)
{
	char buf[PATH_MAX], to[PATH_MAX], text[64];
	bool binds = strstr(file, "/bind");
	const char *driver = strstr(file, "vfio-pci") ? "vfio-pci" : "ena";

	read_file(file, text);
	if (strstr(file, "driver_override")) {
		(void)snprintf(override, sizeof(override), "%.*s", (int)strcspn(text, "\n"), text);
		return;
	}
	if (strcmp(text, A) != 0)
		return;
	if (!binds) {
		(void)unlink(at(buf, "bus/pci/devices/" A "/driver"));
	} else if (!refuses && (!*override || !strcmp(override, driver))) {
		(void)snprintf(to, sizeof(to), "../../drivers/%s", driver);
		(void)symlink(to, at(buf, "bus/pci/devices/" A "/driver"));
	}
}

static void *run_kernel(void *userdata)
{
	char events[4096] __attribute__((aligned(8)));
	struct pollfd p = { .fd = watch_fd, .events = POLLIN };

	(void)userdata;
	while (!stopping) {
		ssize_t n;

		if (poll(&p, 1, 10) <= 0)
			continue;
		n = read(watch_fd, events, sizeof(events));
		for (ssize_t i = 0; i < n;) {
			const struct inotify_event *e = (const void *)(events + i);

			for (size_t k = 0; watched[k]; k++)
				if (watches[k] == e->wd)
					act(watched[k]);
			i += (ssize_t)(sizeof(*e) + e->len);
		}
	}
	return NULL;
}

static int set_up(void **state)
{
	char buf[PATH_MAX];

	(void)state;
	assert_int_equal(temporary_make(root), 0);
	make_directory("bus/pci/devices/" A "/net/eth1");
	make_directory("bus/pci/devices/" B "/virtio3/net/eth2");
	make_directory("bus/pci/drivers/ena");
	make_directory("bus/pci/drivers/vfio-pci");
	make_directory("kernel/iommu_groups/7/devices/" A);
	make_directory("class/net/eth1");
	make_directory("class/net/eth2");
	for (size_t i = 0; watched[i]; i++)
		make_file(watched[i], "");
	make_link("../../drivers/ena", "bus/pci/devices/" A "/driver");
	make_link("../../../../kernel/iommu_groups/7", "bus/pci/devices/" A "/iommu_group");
	make_link("../../../bus/pci/devices/" A, "class/net/eth1/device");
	make_link("../../../bus/pci/devices/" B "/virtio3", "class/net/eth2/device");
	watch_fd = inotify_init1(IN_CLOEXEC);
	assert_true(watch_fd >= 0);
	for (size_t i = 0; watched[i]; i++) {
		watches[i] = inotify_add_watch(watch_fd, at(buf, "%s", watched[i]), IN_CLOSE_WRITE);
		assert_true(watches[i] >= 0);
	}
	stopping = refuses = false;
	override[0] = '\0';
	return pthread_create(&kernel, NULL, run_kernel, NULL);
}

static int tear_down(void **state)
{
	(void)state;
	stopping = true;
	(void)pthread_join(kernel, NULL);
	(void)close(watch_fd);
	return temporary_remove(root);
}

static void test_look(void **state)
{
	char driver[PCI_DRIVER_MAX], interface[IFNAMSIZ], address[PCI_ADDRESS_MAX];

	(void)state;
	assert_int_equal(pci_driver(root, A, driver), 0);
	assert_string_equal(driver, "ena");
	assert_int_equal(pci_driver(root, B, driver), 0);
	assert_string_equal(driver, "");
	assert_int_equal(pci_driver(root, "0000:00:08.0", driver), -ENODEV);
	assert_int_equal(pci_interface(root, A, interface), 0);
	assert_string_equal(interface, "eth1");
	assert_int_equal(pci_interface(root, B, interface), 0);
	assert_string_equal(interface, "eth2");
	assert_int_equal(pci_interface(root, "0000:00:08.0", interface), -ENOENT);
	assert_int_equal(pci_of_interface(root, "eth1", address), 0);
	assert_string_equal(address, A);
	assert_int_equal(pci_of_interface(root, "eth2", address), 0);
	assert_string_equal(address, B);
	assert_int_equal(pci_of_interface(root, "lo", address), -ENOENT);
}

static void test_there_and_back(void **state)
{
	char driver[PCI_DRIVER_MAX], text[64];

	(void)state;
	assert_int_equal(pci_bind(root, A, PCI_VFIO, true), 0);
	assert_int_equal(pci_driver(root, A, driver), 0);
	assert_string_equal(driver, PCI_VFIO);
	read_file("bus/pci/devices/" A "/driver_override", text);
	assert_string_equal(text, "vfio-pci\n");
	assert_int_equal(pci_bind(root, A, PCI_VFIO, true), 0);
	assert_int_equal(pci_bind(root, A, "ena", false), 0);
	assert_int_equal(pci_driver(root, A, driver), 0);
	assert_string_equal(driver, "ena");
	read_file("bus/pci/devices/" A "/driver_override", text);
	assert_string_equal(text, "\n");
}

static void test_refusals(void **state)
{
	char driver[PCI_DRIVER_MAX];

	(void)state;
	assert_int_equal(pci_bind(root, "0000:00:08.0", PCI_VFIO, true), -ENODEV);
	assert_int_equal(pci_bind(root, A, "igb_uio", true), -ENOENT);
	assert_int_equal(pci_driver(root, A, driver), 0);
	assert_string_equal(driver, "ena");
	refuses = true;
	assert_int_equal(pci_bind(root, A, PCI_VFIO, true), -EBUSY);
	refuses = false;
	assert_int_equal(pci_bind(root, A, "ena", false), 0);
	assert_int_equal(pci_driver(root, A, driver), 0);
	assert_string_equal(driver, "ena");
}

static void test_check(void **state)
{
	char reason[PCI_REASON_MAX] = "", buf[PATH_MAX];

	(void)state;
	assert_int_equal(pci_check_vfio(root, A, reason), 0);
	assert_int_equal(pci_check_vfio(root, "0000:00:08.0", reason), -ENODEV);
	assert_non_null(strstr(reason, "no such PCI device"));
	/* B has no IOMMU group. */
	assert_int_equal(pci_check_vfio(root, B, reason), -EPERM);
	assert_non_null(strstr(reason, "IOMMU"));
	make_directory("module/vfio/parameters");
	make_file("module/vfio/parameters/enable_unsafe_noiommu_mode", "N\n");
	assert_int_equal(pci_check_vfio(root, B, reason), -EPERM);
	make_file("module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
	assert_int_equal(pci_check_vfio(root, B, reason), 0);
	/* Now it is in A's group: harmless without a driver, and with one it is not. */
	make_directory("kernel/iommu_groups/7/devices/" B);
	assert_int_equal(pci_check_vfio(root, A, reason), 0);
	make_link("../../drivers/ena", "bus/pci/devices/" B "/driver");
	assert_int_equal(pci_check_vfio(root, A, reason), -EPERM);
	assert_non_null(strstr(reason, B));
	assert_int_equal(unlink(at(buf, "bus/pci/devices/" B "/driver")), 0);
	make_link("../../drivers/vfio-pci", "bus/pci/devices/" B "/driver");
	assert_int_equal(pci_check_vfio(root, A, reason), 0);
	assert_int_equal(unlink(at(buf, "bus/pci/drivers/vfio-pci/bind")), 0);
	assert_int_equal(unlink(at(buf, "bus/pci/drivers/vfio-pci/unbind")), 0);
	assert_int_equal(rmdir(at(buf, "bus/pci/drivers/vfio-pci")), 0);
	assert_int_equal(pci_check_vfio(root, A, reason), -ENOENT);
	assert_non_null(strstr(reason, "modprobe vfio-pci"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_look, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_there_and_back, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_refusals, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_check, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

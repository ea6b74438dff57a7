/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * PCI devices and their drivers through sysfs (Documentation/ABI/testing/sysfs-bus-pci): which driver has a device, and
 * giving it to another one by driver_override, which names the only driver that may have it (Linux 3.16). `sysfs` is
 * where it is mounted, "/sys" but in tests. Addresses are complete: "0000:00:06.0".
 *
 * A driver that is told to let go of a device does so inside write(): for vfio-pci the write waits until nobody has the
 * device open any more, so the program that uses it must be gone before.
 */

#include <net/if.h>
#include <stdbool.h>

#include "daemon/fastpath-port.h"

enum {
	PCI_DRIVER_MAX = 64,
	PCI_REASON_MAX = 256,
};

#define PCI_SYSFS "/sys"
#define PCI_VFIO "vfio-pci"

/* "" = no driver has it. -ENODEV: no such device. */
int pci_driver(const char *sysfs, const char *address, char ret[static PCI_DRIVER_MAX]);

/* The network interface that its driver made. -ENOENT: none (now). */
int pci_interface(const char *sysfs, const char *address, char ret[static IFNAMSIZ]);

/* The PCI device behind an interface; -ENOENT: it is no PCI device's. */
int pci_of_interface(const char *sysfs, const char *interface, char ret[static PCI_ADDRESS_MAX]);

/*
 * May user space have it through vfio-pci? 0, or negative errno and what is wrong, with the remedy: no such device, no
 * vfio-pci in the kernel, no IOMMU, another device of its IOMMU group in the kernel's hands.
 */
int pci_check_vfio(const char *sysfs, const char *address, char ret_reason[static PCI_REASON_MAX]);

/*
 * Gives the device to `driver`, and takes it from the one that has it. With `lasting`, no other driver is to take it
 * up until the next call; without, any may, as at boot. 0 also when that driver has it already. -ENODEV, -ENOENT: no
 * such driver; -EBUSY: the driver did not take it.
 */
int pci_bind(const char *sysfs, const char *address, const char *driver, bool lasting);

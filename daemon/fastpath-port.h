/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * What `ports` in [fastpath] names: a PCI device, a kernel interface whose frames a virtual device takes, or a virtual
 * device that no interface stands behind. Pure.
 */

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

enum {
	FASTPATH_PORT_SPEC_MAX = 256,
	PCI_ADDRESS_MAX = 16, /* "0000:00:06.0" and the final NUL */
};

enum fastpath_port_kind {
	FASTPATH_PORT_PCI,
	FASTPATH_PORT_AF_PACKET, /* sees copies: the kernel's own must be silenced */
	FASTPATH_PORT_AF_XDP,	 /* takes the frames away from the kernel */
	FASTPATH_PORT_OTHER,	 /* net_tap, net_ring, ...: nothing is moved */
	_FASTPATH_PORT_KIND_MAX,
};

struct fastpath_port {
	enum fastpath_port_kind kind;
	char spec[FASTPATH_PORT_SPEC_MAX]; /* as the program takes it; a PCI address is complete */
	char pci[PCI_ADDRESS_MAX];	   /* "" = no PCI device */
	char interface[IFNAMSIZ]; /* of a virtual device: the kernel's interface; "" = none, or not known */
	unsigned n_queues; /* AF_XDP: receive queues that it takes */
};

/* -EINVAL: neither a PCI address nor a virtual device; or iface= is missing where it is needed. */
int fastpath_port_parse(const char *spec, struct fastpath_port *ret);

/* "00:06.0", "0000:00:06.0" -> "0000:00:06.0". -EINVAL. */
int pci_address_parse(const char *text, char ret[static PCI_ADDRESS_MAX]);

/*
 * The interface by which the kernel has what the program leaves to it: the first port's has the configured name, the
 * others' the same with its trailing number increased, "ipvsd0" -> "ipvsd1". -ENAMETOOLONG.
 */
int fastpath_exception_name(const char *base, size_t index, char ret[static IFNAMSIZ]);

const char *fastpath_port_kind_to_string(enum fastpath_port_kind k);
/* -EINVAL. */
int fastpath_port_kind_parse(const char *text, enum fastpath_port_kind *ret);

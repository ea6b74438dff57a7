/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "daemon/fastpath-move.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "daemon/interface-link.h"
#include "daemon/interface-mute.h"
#include "daemon/interface-neighbour.h"

__attribute__((format(printf, 3, 4))) static int
refuse(char reason[static FASTPATH_MOVE_REASON_MAX], int error, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(reason, FASTPATH_MOVE_REASON_MAX, format, args);
	va_end(args);
	return error;
}

static int prepare_pci(struct fastpath_taken *t, char reason[static FASTPATH_MOVE_REASON_MAX])
{
	int r = pci_driver(PCI_SYSFS, t->port.pci, t->driver);

	if (r < 0)
		return refuse(reason, r, "%s: there is no such PCI device: see `lspci -D`",
			      t->port.pci);
	if (!strcmp(t->driver, PCI_VFIO)) /* the operator's doing, and so it stays */
		return 0;
	r = pci_interface(PCI_SYSFS, t->port.pci, t->interface);
	if (r < 0 && *t->driver)
		return refuse(reason, r,
			      "%s: its driver %s has made no network interface: unbind it yourself "
			      "if it is not a network device in use",
			      t->port.pci, t->driver);
	return 0;
}

static int prepare_port(struct fastpath_taken *t, const char *spec, const char *exception,
			size_t index, char reason[static FASTPATH_MOVE_REASON_MAX])
{
	int r = fastpath_port_parse(spec, &t->port);

	if (r < 0)
		return refuse(reason, r,
			      "port \"%s\" is neither a PCI address nor a virtual device such as "
			      "net_af_packet0,iface=eth1",
			      spec);
	r = fastpath_exception_name(exception, index, t->exception);
	if (r < 0)
		return refuse(reason, r, "exception-interface %s is too long for port %zu",
			      exception, index);
	if (t->port.kind == FASTPATH_PORT_PCI)
		r = prepare_pci(t, reason);
	else
		memcpy(t->interface, t->port.interface, sizeof(t->interface));
	if (r < 0 || !*t->interface)
		return r;
	r = interface_save(t->interface, &t->state);
	if (r < 0)
		return refuse(reason, r, "%s: its addresses and routes cannot be read: %s",
			      t->interface, strerror(-r));
	return 0;
}

int fastpath_move_prepare(struct fastpath_record *r, const char *const *specs, size_t n,
			  const char *exception_interface,
			  char ret_reason[static FASTPATH_MOVE_REASON_MAX])
{
	fastpath_record_clear(r);
	r->ports = calloc(n + 1, sizeof(*r->ports));
	if (!r->ports)
		return refuse(ret_reason, -ENOMEM, "out of memory");
	for (; r->n_ports < n; r->n_ports++) {
		int error = prepare_port(&r->ports[r->n_ports], specs[r->n_ports],
					 exception_interface, r->n_ports, ret_reason);

		if (error < 0)
			return error;
	}
	return 0;
}

/* Is the device the kernel's, and to be given back? */
static bool is_taken_from_kernel(const struct fastpath_taken *t)
{
	return t->port.kind == FASTPATH_PORT_PCI && strcmp(t->driver, PCI_VFIO) != 0;
}

bool fastpath_move_has_devices(const struct fastpath_record *r)
{
	for (size_t i = 0; i < r->n_ports; i++)
		if (r->ports[i].port.kind == FASTPATH_PORT_PCI)
			return true;
	return false;
}

int fastpath_move_seize(const struct fastpath_record *r,
			char ret_reason[static FASTPATH_MOVE_REASON_MAX])
{
	for (size_t i = 0; i < r->n_ports; i++) {
		const struct fastpath_taken *t = &r->ports[i];
		int error = 0;

		if (is_taken_from_kernel(t))
			error = pci_bind(PCI_SYSFS, t->port.pci, PCI_VFIO, true);
		if (error < 0)
			return refuse(ret_reason, error, "%s: cannot bind it to %s: %s",
				      t->port.pci, PCI_VFIO, strerror(-error));
	}
	return 0;
}

/* AF_XDP takes frames away from the kernel, but not those of a queue that it does not have. */
static int mute_all(const struct fastpath_record *r)
{
	_cleanup_free_ const char **names = calloc(r->n_ports + 1, sizeof(*names));
	size_t n = 0;

	if (!names)
		return -ENOMEM;
	for (size_t i = 0; i < r->n_ports; i++)
		if (*r->ports[i].port.interface)
			names[n++] = r->ports[i].port.interface;
	return n ? interface_mute(names, n) : 0;
}

static int move_addresses(const struct fastpath_taken *t)
{
	_cleanup_(interface_neighbours_deinit) struct interface_neighbours known =
		INTERFACE_NEIGHBOURS_INIT;
	int r;

	(void)interface_neighbours_save(t->interface, &known); /* ignoring: they can be asked for */
	r = interface_strip(&t->state, t->interface);
	/* A PCI device's interface has gone with its driver. */
	if (r < 0 && r != -ENODEV)
		return r;
	(void)interface_neighbours_give(&known, t->exception);
	return interface_give(&t->state, t->exception, NULL);
}

int fastpath_move_addresses(const struct fastpath_record *r,
			    char ret_reason[static FASTPATH_MOVE_REASON_MAX])
{
	int error = mute_all(r);

	if (error < 0)
		return refuse(ret_reason, error,
			      "cannot keep frames from the kernel by nftables: %s: `modprobe "
			      "nf_tables`",
			      strerror(-error));
	for (size_t i = 0; i < r->n_ports; i++) {
		const struct fastpath_taken *t = &r->ports[i];

		if (!*t->interface)
			continue;
		error = move_addresses(t);
		if (error < 0)
			return refuse(ret_reason, error,
				      "cannot move the addresses of %s to %s: %s", t->interface,
				      t->exception, strerror(-error));
	}
	return 0;
}

/* The name that the interface had, if it has another one. -EAGAIN: it is not there, or may get its name yet. */
static int restore_name(const struct fastpath_taken *t, bool patient)
{
	char now[IFNAMSIZ];
	int r = pci_interface(PCI_SYSFS, t->port.pci, now);

	if (r == -ENOENT)
		return -EAGAIN;
	if (r < 0 || !strcmp(now, t->interface))
		return r;
	if (patient)
		return -EAGAIN;
	r = interface_set_up(now, false);
	return r < 0 ? r : interface_rename(now, t->interface);
}

static int restore_port(const struct fastpath_taken *t, bool gone, bool patient,
			char reason[static FASTPATH_MOVE_REASON_MAX])
{
	size_t failed = 0;
	int r = 0;

	/* After a crash of this daemon alone the exception interface may still have them. */
	if (*t->interface)
		(void)interface_strip(&t->state, t->exception);
	/* sysfs would hold us as long as the process has the device. */
	if (is_taken_from_kernel(t) && !gone)
		return -EAGAIN;
	if (is_taken_from_kernel(t) && *t->driver)
		r = pci_bind(PCI_SYSFS, t->port.pci, t->driver, false);
	if (r < 0)
		return refuse(reason, r, "%s: cannot give it back to driver %s: %s", t->port.pci,
			      t->driver, strerror(-r));
	if (!*t->interface)
		return 0;
	if (t->port.kind == FASTPATH_PORT_AF_XDP)
		interface_detach_xdp(t->interface);
	if (t->port.kind == FASTPATH_PORT_PCI)
		r = restore_name(t, patient);
	if (r == 0)
		r = interface_give(&t->state, t->interface, &failed);
	if (r == -EAGAIN)
		return r;
	if (r < 0)
		return refuse(reason, r,
			      "%s: cannot put back %zu of its %zu addresses and routes: %s",
			      t->interface, failed, t->state.n, strerror(-r));
	return 0;
}

int fastpath_move_restore(const struct fastpath_record *r, bool gone, bool patient,
			  char ret_reason[static FASTPATH_MOVE_REASON_MAX])
{
	int ret = 0, error;

	for (size_t i = 0; i < r->n_ports; i++) {
		error = restore_port(&r->ports[i], gone, patient, ret_reason);
		/* What is merely not there yet must not hide what has failed. */
		if (error < 0 && (ret == 0 || ret == -EAGAIN))
			ret = error;
	}
	error = interface_unmute();
	if (error < 0 && ret == 0)
		ret = refuse(
			ret_reason, error,
			"cannot let frames reach the kernel again: %s: `nft delete table netdev "
			"ipvsd-fastpath`",
			strerror(-error));
	/* Ignoring failures: the kernel asks again, later. */
	for (size_t i = 0; i < r->n_ports; i++)
		if (*r->ports[i].interface)
			(void)interface_neighbours_forget_unanswered(r->ports[i].interface);
	return ret;
}

/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* MTU, state and settings (sysctls) of an interface. See daemon/interface.h. */

#include <jansson.h>
#include <stdbool.h>

/* -ENODEV. */
int interface_link_get(const char *name, unsigned *ret_mtu, bool *ret_up);
/* Changes only what is otherwise. */
int interface_link_set(const char *name, unsigned mtu, bool up);

/* Receive queues in use; 1 where the driver does not say. */
unsigned interface_queues(const char *name);

/* Takes the program off that an AF_XDP port has put there: frames reach the kernel again, though the process may live. */
void interface_detach_xdp(const char *name);

/* Those settings that a new interface would not have by itself, {"ipv4/rp_filter": "0"}; what this kernel lacks is left out. */
int interface_settings_read(const char *name, json_t **ret);
/* What cannot be written is left as it is. */
void interface_settings_write(const char *name, const json_t *settings);

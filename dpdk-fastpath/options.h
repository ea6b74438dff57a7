/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The command line of ipvsd-fastpath as a value. What depends on the machine (does the port exist, are there so many
 * CPUs) is not looked at here. Not reentrant: getopt_long().
 */

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
	OPTIONS_PORTS_MAX = 8,
	OPTIONS_WORKERS_MAX = 32,
	OPTIONS_SPEC_MAX = 256,
	OPTIONS_ERROR_MAX = 512,
	OPTIONS_CONNECTIONS_MAX = 1 << 30,
};

/* What was asked for. */
enum options_action {
	OPTIONS_RUN,
	OPTIONS_HELP,
	OPTIONS_VERSION,
};

struct options_port {
	char spec[OPTIONS_SPEC_MAX]; /* "0000:00:06.0" or "net_af_packet0,iface=eth1" */
	bool is_pci;
};

struct options {
	const char *control; /* path of the socket; borrowed from argv */
	struct options_port ports[OPTIONS_PORTS_MAX];
	size_t n_ports;
	uint16_t workers[OPTIONS_WORKERS_MAX]; /* the CPU of each; a CPU may be there twice */
	size_t n_workers;		       /* 0 = one, on the last CPU that we may use */
	uint32_t memory_mib;		       /* 0 = as needed */
	uint32_t max_connections;
	uint32_t queue_size;		    /* descriptors */
	uint32_t mtu;			    /* 0 = as the port has it */
	char exception_interface[IFNAMSIZ]; /* of the first port; "" = none */
	int supervisor_fd;		    /* -1 = none */
	bool hugepages, idle_sleep, telemetry;
	bool hold_ports; /* until the control socket says so */
};

/*
 * *ret on OPTIONS_RUN only. -EINVAL: error says what is wrong, one line without a newline.
 */
int options_parse(int argc, char **argv, struct options *ret, enum options_action *ret_action,
		  char error[static OPTIONS_ERROR_MAX]);

/*
 * The exception interface of port `index`: the first has `base` itself, the others base with its trailing number
 * increased ("ipvsd0" → "ipvsd1"). -ENAMETOOLONG.
 */
int options_exception_name(const char *base, size_t index, char ret[static IFNAMSIZ]);

extern const char *const options_help;

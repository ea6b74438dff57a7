/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The sections of the key table about where clients come in: listeners, security groups, the fast path. */

#include <sys/socket.h>

#include "base/cleanup.h"
#include "conf/keys-internal.h"

static const char later_egress[] = "enforcement of egress rules";
static const char later_fastpath[] = "the fast path";

static const struct key_choice families[] = {
	{ "ipv4", AF_INET },
	{ "ipv6", AF_INET6 },
	{ NULL, 0 },
};

static const struct key listener_keys[] = {
	{ LISTENER(address), .name = "address", .type = KEY_ADDRESS,
	  .help = "The IPv4 or IPv6 address that clients connect to. Required, unless the listener "
		  "is by firewall-mark." },
	{ LISTENER(ports), .name = "port", .type = KEY_PORTS,
	  .help = "A port, a range such as 8000-8010 of at most 4096 ports, or all. A listener on "
		  "all "
		  "ports needs target groups with stickiness = yes, because the kernel must know "
		  "which "
		  "connections of a client belong together. Required with address." },
	{ LISTENER(protocol), .name = "protocol", .type = KEY_CHOICE, .choices = key_protocols,
	  .fallback = "tcp", .help = "The protocol; tcp-udp makes one listener for both." },
	{ LISTENER(firewall_mark), .name = "firewall-mark", .type = KEY_UINT, .min = 1,
	  .max = 0x7dffffff,
	  .help = "Take the packets that nftables marked with this number instead of those to an "
		  "address; takes the place of address, port and protocol. The marks "
		  "above are ipvsd's own." },
	{ LISTENER(family), .name = "family", .type = KEY_CHOICE, .choices = families,
	  .help = "With firewall-mark: ipv4 (the default) or ipv6." },
	{ LISTENER(forwards), COUNT(struct conf_listener, n_forwards), .name = "forward",
	  .type = KEY_FORWARDS,
	  .help = "The target groups, each GROUP or GROUP:WEIGHT with a weight of 0 to 999 "
		  "(default "
		  "1). A weight is the group's share of new connections, whatever the health of "
		  "its "
		  "targets; 0 gives none. Required." },
	{ LISTENER(security_group_names), COUNT(struct conf_listener, n_security_groups),
	  .name = "security-groups", .type = KEY_NAMES,
	  .help = "The security groups whose rules admit clients. None admits everybody. The fast "
		  "path enforces them, while it has the traffic; the kernel plane admits "
		  "everybody, and so does a listener by firewall-mark." },
	{ LISTENER(vip_interface), .name = "vip-interface", .type = KEY_INTERFACE, .zero = "none",
	  .help = "As in [ipvsd], for this listener; none leaves this address to the "
		  "administrator." },
	{ LISTENER(vip_prefix_len), .name = "vip-prefix-length", .type = KEY_UINT, .min = 1,
	  .max = 128,
	  .help = "Prefix length with which the address is added to the interface; 32 for IPv4 and "
		  "128 for IPv6 by default." },
	{ LISTENER(one_packet), .name = "one-packet", .type = KEY_BOOL, .fallback = "no",
	  .help = "Schedule each UDP packet by itself, without connections: for DNS and the "
		  "like." },
	{ LISTENER(tcp_idle_timeout_usec), .name = "tcp-idle-timeout", .type = KEY_DURATION,
	  .zero = "inherit", .min = SECONDS(60), .max = SECONDS(6000), .fallback = "inherit",
	  .later = later_fastpath,
	  .help = "tcp.idle_timeout.seconds. The kernel has one timeout for all listeners, "
		  "tcp-timeout in [ipvsd], which is what inherit stands for." },
};

static const struct key security_keys[] = {
	{ SECURITY(ingress), COUNT(struct conf_security_group, n_ingress), .name = "ingress",
	  .type = KEY_RULES,
	  .help = "Rules, a line each: PROTOCOL [PORTS] from PREFIX. PROTOCOL is tcp, udp, sctp, "
		  "icmp, icmpv6 or all; PORTS a port or a range of the listener, all ports by "
		  "default. A client whom no rule of any of the listener's groups names gets no "
		  "answer. Connections go on when a rule goes. Rules for icmp and icmpv6 have no "
		  "effect yet: who may ping is the kernel's." },
	{ SECURITY(egress), COUNT(struct conf_security_group, n_egress), .name = "egress",
	  .type = KEY_RULES, .later = later_egress,
	  .help = "The same with to PREFIX, for what leaves towards targets." },
};

static const struct key fastpath_keys[] = {
	{ FASTPATH(enabled), .name = "enabled", .type = KEY_BOOL, .fallback = "no",
	  .help = "Whether the traffic is the fast path's as soon as the daemon runs, also after "
		  "it "
		  "failed, and through interfaces that have the default route. Without it the fast "
		  "path "
		  "is for ipvsd fastpath on." },
	{ FASTPATH(ports), COUNT(struct conf_fastpath, n_ports), .name = "ports", .type = KEY_TEXTS,
	  .help = "PCI addresses or DPDK virtual devices, such as 0000:00:06.0 or "
		  "net_af_packet0,iface=eth1." },
	{ FASTPATH(lcores), .name = "lcores", .type = KEY_TEXT, .max = 256, .fallback = "0-1",
	  .help = "The CPUs of the workers, one worker each, such as 1 or 2-5,7." },
	{ FASTPATH(program), .name = "program", .type = KEY_FILE, .min = 1,
	  .fallback = "/usr/sbin/ipvsd-fastpath", .help = "The executable." },
	{ FASTPATH(memory_mib), .name = "memory", .type = KEY_UINT, .min = 64, .max = 1048576,
	  .fallback = "1024", .unit = "MiB",
	  .help = "Memory for packets and connections, in MiB." },
	{ FASTPATH(hugepages), .name = "hugepages", .type = KEY_BOOL, .fallback = "yes",
	  .help = "Whether that memory is made of huge pages." },
	{ FASTPATH(max_connections), .name = "max-connections", .type = KEY_UINT, .min = 1024,
	  .max = 1ULL << 30, .fallback = "1048576", .help = "Size of the connection table." },
	{ FASTPATH(exception_interface), .name = "exception-interface", .type = KEY_INTERFACE,
	  .fallback = "ipvsd0",
	  .help = "The interface by which packets that are not for listeners reach the kernel, and "
		  "which has the addresses and routes of the port's meanwhile. That of a second "
		  "port "
		  "has the number increased." },
	{ FASTPATH(nat_pools), COUNT(struct conf_fastpath, n_nat_pools), .name = "nat-pools",
	  .type = KEY_PREFIXES,
	  .help = "Source addresses of full-nat: prefixes or addresses. What targets send to them "
		  "must reach this host." },
	{ FASTPATH(queue_size), .name = "queue-size", .type = KEY_UINT, .min = 64, .max = 16384,
	  .fallback = "1024", .help = "Descriptors of a queue." },
	{ FASTPATH(idle_sleep), .name = "idle-sleep", .type = KEY_BOOL, .fallback = "yes",
	  .help = "Sleep briefly when there are no packets, instead of polling on." },
};

const struct key_table keys_listener = { listener_keys, ARRAY_SIZE(listener_keys) };
const struct key_table keys_security = { security_keys, ARRAY_SIZE(security_keys) };
const struct key_table keys_fastpath = { fastpath_keys, ARRAY_SIZE(fastpath_keys) };

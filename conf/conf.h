/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/*
 * The configuration as a value. Built by conf/parse.c, checked and completed by conf/validate.c, immutable from
 * then on; freed as a whole. All pointers are owned by struct conf unless said. Times are microseconds, ports host
 * order. Every reference by name has been resolved to an index when validation has passed.
 *
 * Pure: conf/load.c alone touches files.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/addr.h"
#include "base/clock.h"

struct authorities;
struct diag_list;

enum {
	CONF_NAME_MAX = 32, /* ELBv2: names have at most 32 characters [A-Za-z0-9-] */
	CONF_ZONE_MAX = 32,
	CONF_SCHEDULER_MAX = 16, /* kernel: IP_VS_SCHEDNAME_MAXLEN */
	CONF_IFNAME_MAX = 16,	 /* kernel: IFNAMSIZ */
	CONF_PATH_MAX = 1024,	 /* health-check-path, ELBv2 */
	CONF_HOST_MAX = 253,	 /* a DNS name */
	CONF_MATCHER_RANGES = 16,
	CONF_GROUP_WEIGHT_MAX = 999,
	CONF_TARGET_WEIGHT_MAX = 65535,
	CONF_TARGET_WEIGHT_DEFAULT = 100,
	CONF_PORT_RANGE_MAX = 4096, /* ports that one listener's range may span */
};

#define CONF_DISCOVERY_DNS "dns:"

/* Where a thing stands, for messages. */
struct conf_origin {
	const char *path; /* borrowed from struct conf.paths */
	unsigned line;
};

enum conf_protocol {
	CONF_PROTOCOL_TCP,
	CONF_PROTOCOL_UDP,
	CONF_PROTOCOL_TCP_UDP,
	CONF_PROTOCOL_SCTP,
	_CONF_PROTOCOL_MAX,
};

enum conf_forwarding {
	CONF_FORWARDING_NAT,
	CONF_FORWARDING_FULL_NAT, /* fast path only */
	CONF_FORWARDING_DIRECT,
	CONF_FORWARDING_IPIP,
	CONF_FORWARDING_GUE,
	CONF_FORWARDING_GRE,
	_CONF_FORWARDING_MAX,
};

enum conf_check {
	CONF_CHECK_NONE, /* every target counts as healthy */
	CONF_CHECK_TCP,
	CONF_CHECK_TLS,
	CONF_CHECK_HTTP,
	CONF_CHECK_HTTPS,
	CONF_CHECK_GRPC,
	CONF_CHECK_UDP,
	CONF_CHECK_DNS,
	CONF_CHECK_ICMP,
	CONF_CHECK_EXEC,
	CONF_CHECK_AGENT,
	_CONF_CHECK_MAX,
};

enum conf_stop {
	CONF_STOP_KEEP,	 /* leave the traffic running */
	CONF_STOP_DRAIN, /* weights 0, wait, then remove */
	CONF_STOP_FLUSH, /* remove our services at once */
	_CONF_STOP_MAX,
};

/* What to do about a sysctl or kernel module that is not as it must be. */
enum conf_kernel_policy {
	CONF_KERNEL_SET,
	CONF_KERNEL_REPORT,
	CONF_KERNEL_IGNORE,
	_CONF_KERNEL_POLICY_MAX,
};

/* What connections without an answer do to a target. */
enum conf_passive {
	CONF_PASSIVE_OFF,
	CONF_PASSIVE_PROBE,	/* it is probed at once */
	CONF_PASSIVE_UNHEALTHY, /* and marked unhealthy */
	_CONF_PASSIVE_MAX,
};

enum conf_tristate {
	CONF_TRI_INHERIT, /* use_load_balancer_configuration */
	CONF_TRI_FALSE,
	CONF_TRI_TRUE,
	_CONF_TRISTATE_MAX,
};

enum conf_routing_policy {
	CONF_ROUTING_ANY_ZONE,	       /* any_availability_zone, 0 % */
	CONF_ROUTING_PARTIAL_AFFINITY, /* 85 % */
	CONF_ROUTING_ZONE_AFFINITY,    /* 100 % */
	_CONF_ROUTING_POLICY_MAX,
};

struct conf_range {
	uint16_t low, high; /* inclusive */
};

struct conf_matcher {
	struct conf_range ranges[CONF_MATCHER_RANGES];
	unsigned n;
};

/* Scheduler as the kernel names it, and its IP_VS_SVC_F_SCHED* bits as kernel values. */
struct conf_algorithm {
	char scheduler[CONF_SCHEDULER_MAX];
	uint32_t flags;
};

struct conf_global {
	char *control_socket;
	char *state_directory;
	char *health_user;
	char *exec_user;    /* programs of exec checks run as this one */
	unsigned log_level; /* syslog level */
	usec_t reconcile_interval_usec;
	usec_t state_max_age_usec; /* persisted verdicts older than this are not believed */
	bool exclusive;		   /* also remove IPVS services that we do not own */
	enum conf_stop stop;
	usec_t stop_drain_timeout_usec;
	enum conf_kernel_policy sysctls;
	enum conf_kernel_policy modules;
	char vip_interface[CONF_IFNAME_MAX]; /* "" = VIPs are not managed */
	usec_t tcp_timeout_usec;	     /* IPVS ESTABLISHED; 0 = leave the kernel's */
	usec_t tcp_fin_timeout_usec;
	usec_t udp_timeout_usec;
	char zone[CONF_ZONE_MAX]; /* this gateway's own; "" = none */
	bool cross_zone;
	enum conf_routing_policy routing_policy;
	unsigned health_workers;    /* processes; 0 = as many as needed */
	char *metrics_listen;	    /* ADDR:PORT or NULL */
	size_t event_history;	    /* entries kept for `ipvsd events` */
	uint32_t health_history;    /* probe results kept of each target */
	usec_t lateness_limit_usec; /* failures of probes that begin later do not count; 0 = off */
	usec_t verdict_age_limit_usec; /* 0 = three intervals and the timeout, at least 10 s */
	unsigned correlated_failure_percent; /* of all healthy targets; 0 = off */
	usec_t correlated_failure_window_usec;
	usec_t correlated_failure_hold_usec;
	usec_t passive_interval_usec; /* 0 = with every reconcile */
	char **dns_servers;	      /* ADDRESS or ADDRESS:PORT; none = /etc/resolv.conf */
	size_t n_dns_servers;
	usec_t dns_timeout_usec;     /* of one attempt */
	usec_t dns_min_ttl_usec;     /* an answer is asked for again no sooner than this … */
	usec_t dns_max_ttl_usec;     /* … and no later */
	unsigned dns_absent_answers; /* answers that must lack an address before it leaves */
	usec_t dns_drain_after_usec; /* a name without addresses for so long loses them; 0 = never */
	unsigned dns_max_targets;    /* of one name */
};

struct conf_forward {
	char name[CONF_NAME_MAX + 1];
	size_t group;	 /* index into conf.groups */
	unsigned weight; /* 0..CONF_GROUP_WEIGHT_MAX */
};

struct conf_listener {
	char name[CONF_NAME_MAX + 1];
	struct conf_origin origin;
	struct addr address;	 /* AF_UNSPEC with a firewall mark */
	struct conf_range ports; /* 0-0 = every port (persistent) */
	enum conf_protocol protocol;
	uint32_t firewall_mark; /* 0 = by address */
	uint16_t family;	/* AF_INET or AF_INET6; of the address, or for the mark */
	struct conf_forward *forwards;
	size_t n_forwards;
	char **security_group_names;
	size_t *security_groups; /* indices into conf.security_groups, same length */
	size_t n_security_groups;
	char vip_interface[CONF_IFNAME_MAX]; /* "" = not managed; already defaulted from global */
	uint8_t vip_prefix_len;		     /* default 32 / 128 */
	bool one_packet;		     /* UDP: schedule every packet by itself */
	usec_t tcp_idle_timeout_usec;	     /* 0 = the global one; fast path only */
};

struct conf_target {
	struct conf_origin origin;
	char *host; /* NULL when numeric; else a name to resolve, and addr is AF_UNSPEC */
	struct addr addr;
	uint16_t port;	 /* 0 = the listener's port */
	unsigned weight; /* 0..CONF_TARGET_WEIGHT_MAX */
	char zone[CONF_ZONE_MAX];
};

/* A number of targets or a percentage of the registered ones; 0 = off. */
struct conf_minimum {
	unsigned count;
	unsigned percent;
};

struct conf_health_check {
	enum conf_check protocol;
	uint16_t port;		     /* 0 = traffic-port */
	char *path;		     /* http, https, grpc */
	char *host_header;	     /* NULL = address:port of the probe */
	char *http_version;	     /* "1.1" or "2" */
	struct conf_matcher matcher; /* HTTP status codes, or gRPC codes */
	usec_t interval_usec;
	usec_t timeout_usec;
	unsigned healthy_threshold;
	unsigned unhealthy_threshold;
	char *send;	   /* udp, dns, agent: payload or query; NULL = none */
	char *expect;	   /* expected answer, body text or regular expression; NULL = any */
	char *server_name; /* SNI; NULL = none */
	char *command;	   /* exec */
	bool verify_certificate;
	char *ca_file;			 /* NULL = the system's authorities */
	struct authorities *authorities; /* a reference; those of ca_file, after conf_load() */
	bool tls;			 /* grpc: over TLS */
	struct addr source;		 /* AF_UNSPEC = the kernel's choice */
	char interface[CONF_IFNAME_MAX]; /* "" = any */
	uint32_t firewall_mark;
	bool via_vip; /* direct and tunnels: probe the VIP through the target */
};

struct conf_group {
	char name[CONF_NAME_MAX + 1];
	struct conf_origin origin;
	struct conf_target
		*targets; /* in the order of the file: it decides the kernel's list order */
	size_t n_targets;
	size_t n_file_targets; /* the last ones of .targets: those of the targets-file, as it was read */
	char *targets_file; /* NULL = none; its targets are already in .targets after conf_load() */
	char *discovery;    /* "dns:NAME" or NULL; see conf_group_dns_name() */
	uint16_t port;	    /* default of targets without port; 0 = the listener's */
	struct conf_algorithm algorithm;
	enum conf_forwarding forwarding;
	uint16_t tunnel_port;  /* gue */
	uint16_t tunnel_flags; /* kernel TUN_FLAGS: 0 nocsum, 1 csum, 2 remcsum */
	struct conf_health_check check;
	usec_t deregistration_delay_usec;
	bool deregistration_termination; /* deregistration_delay.connection_termination.enabled */
	bool unhealthy_termination; /* target_health_state.unhealthy.connection_termination.enabled */
	usec_t unhealthy_draining_usec;
	usec_t slow_start_usec;
	bool stickiness; /* source_ip: IPVS persistence */
	usec_t stickiness_duration_usec;
	uint8_t stickiness_prefix_v4; /* clients of one prefix stick together */
	uint8_t stickiness_prefix_v6;
	enum conf_tristate cross_zone;
	struct conf_minimum minimum_healthy_routing; /* below it: fail open */
	struct conf_minimum minimum_healthy_dns;
	uint32_t max_connections;	     /* IPVS upper threshold a target; 0 = none */
	uint32_t min_connections;	     /* lower threshold; 0 = kernel's 75 % */
	unsigned correlated_failure_percent; /* of the group's healthy targets; 0 = off */
	unsigned capacity_loss_percent;	     /* of its targets that may go down a minute; 0 = off */
	enum conf_passive passive;
	unsigned passive_min_connections;
	unsigned passive_percent;
	bool anomaly_mitigation;
	bool preserve_client_ip;
	bool proxy_protocol_v2;
	bool failover_on_unhealthy; /* target_failover.*: rebalance */
	bool failover_on_deregistration;
	bool in_use; /* some listener forwards to it with a weight above 0 */
};

struct conf_rule {
	bool any_protocol;
	uint8_t protocol;	 /* IPPROTO_* */
	struct conf_range ports; /* 0-65535 = any */
	struct prefix peer;	 /* source of ingress, destination of egress */
};

struct conf_security_group {
	char name[CONF_NAME_MAX + 1];
	struct conf_origin origin;
	struct conf_rule *ingress;
	size_t n_ingress;
	struct conf_rule *egress;
	size_t n_egress;
};

struct conf_fastpath {
	struct conf_origin origin; /* path NULL = no [fastpath] section */
	bool enabled;
	char **ports; /* PCI addresses or DPDK vdev strings */
	size_t n_ports;
	char *lcores;  /* as DPDK's -l */
	char *program; /* the executable */
	unsigned memory_mib;
	bool hugepages;
	size_t max_connections;
	char exception_interface[CONF_IFNAME_MAX];
	struct prefix *nat_pools; /* source addresses of full NAT */
	size_t n_nat_pools;
	unsigned queue_size;
	bool idle_sleep;
};

struct conf {
	struct conf_global global;
	struct conf_listener *listeners;
	size_t n_listeners;
	struct conf_group *groups;
	size_t n_groups;
	struct conf_security_group *security_groups;
	size_t n_security_groups;
	struct conf_fastpath fastpath;
	char **paths; /* every file that was read, the main file first */
	size_t n_paths;
};

void conf_free(struct conf *c);

/* By name; NULL when there is none. Borrowed. */
const struct conf_group *conf_find_group(const struct conf *c, const char *name);
const struct conf_listener *conf_find_listener(const struct conf *c, const char *name);

/* What `discovery` looks up, or NULL. A name whose first label begins with an underscore is one of SRV records. */
const char *conf_group_dns_name(const struct conf_group *g);
bool conf_name_is_service(const char *name);

const char *conf_protocol_to_string(enum conf_protocol p);
const char *conf_forwarding_to_string(enum conf_forwarding f);
/* Does it probe a port? */
bool conf_check_has_port(enum conf_check check);

/* Do its probes go over TLS, and is the certificate looked at? */
bool conf_check_verifies(const struct conf_health_check *c);

/* Tunnels reach targets of both address families. */
bool conf_forwarding_is_tunnel(enum conf_forwarding f);
bool conf_forwarding_translates_ports(enum conf_forwarding f);

/* The only port that it takes packets for, or 0 when it takes several. */
uint16_t conf_listener_single_port(const struct conf_listener *l);
/*
 * The port of a target that has none, nor its group: the only one of all listeners that forward to the group; 0 = they
 * have several, or there are none. group: its index.
 */
uint16_t conf_group_listener_port(const struct conf *c, size_t group);
/* group: its index. */
bool conf_listener_forwards_to(const struct conf_listener *l, size_t group);

const char *conf_check_to_string(enum conf_check c);
const char *conf_stop_to_string(enum conf_stop s);

/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "conf/keys.h"

#include <assert.h>
#include <string.h>
#include <sys/socket.h>
#include <syslog.h>

#include "base/cleanup.h"
#include "conf/conf.h"
#include "conf/keys-internal.h"

static const char later_proxy[] = "the fast path, but for probes, which send it already";
static const char later_fastpath[] = "the fast path";

const struct key_section_info key_sections[_KEY_SECTION_MAX] = {
	[KEY_SECTION_GLOBAL] = { "ipvsd", false, sizeof(struct conf_global),
				 "The daemon itself. May be left out; may appear once." },
	[KEY_SECTION_LISTENER] = { "listener", true, sizeof(struct conf_listener),
				   "What clients connect to, and the target groups behind it." },
	[KEY_SECTION_GROUP] = { "target-group", true, sizeof(struct conf_group),
				"Targets that serve the same thing, how they are chosen, reached, "
				"checked and taken out of service." },
	[KEY_SECTION_SECURITY_GROUP] = { "security-group", true, sizeof(struct conf_security_group),
					 "Who may talk to a listener. A listener without security "
					 "groups admits everybody." },
	[KEY_SECTION_FASTPATH] = { "fastpath", false, sizeof(struct conf_fastpath),
				   "The DPDK data plane. May be left out; may appear once." },
};

const struct key_choice key_protocols[] = {
	{ "tcp", CONF_PROTOCOL_TCP },
	{ "udp", CONF_PROTOCOL_UDP },
	{ "tcp-udp", CONF_PROTOCOL_TCP_UDP },
	{ "sctp", CONF_PROTOCOL_SCTP },
	{ NULL, 0 },
};

const struct key_choice key_forwardings[] = {
	{ "nat", CONF_FORWARDING_NAT },
	{ "full-nat", CONF_FORWARDING_FULL_NAT },
	{ "direct", CONF_FORWARDING_DIRECT },
	{ "ipip", CONF_FORWARDING_IPIP },
	{ "gue", CONF_FORWARDING_GUE },
	{ "gre", CONF_FORWARDING_GRE },
	{ NULL, 0 },
};

const struct key_choice key_checks[] = {
	{ "none", CONF_CHECK_NONE }, { "tcp", CONF_CHECK_TCP },	    { "tls", CONF_CHECK_TLS },
	{ "http", CONF_CHECK_HTTP }, { "https", CONF_CHECK_HTTPS }, { "grpc", CONF_CHECK_GRPC },
	{ "udp", CONF_CHECK_UDP },   { "dns", CONF_CHECK_DNS },	    { "icmp", CONF_CHECK_ICMP },
	{ "exec", CONF_CHECK_EXEC }, { "agent", CONF_CHECK_AGENT }, { NULL, 0 },
};

const struct key_choice key_stops[] = {
	{ "keep", CONF_STOP_KEEP },
	{ "drain", CONF_STOP_DRAIN },
	{ "flush", CONF_STOP_FLUSH },
	{ NULL, 0 },
};

static const struct key_choice log_levels[] = {
	{ "err", LOG_ERR },   { "warning", LOG_WARNING }, { "notice", LOG_NOTICE },
	{ "info", LOG_INFO }, { "debug", LOG_DEBUG },	  { NULL, 0 },
};

static const struct key_choice kernel_policies[] = {
	{ "set", CONF_KERNEL_SET },
	{ "report", CONF_KERNEL_REPORT },
	{ "ignore", CONF_KERNEL_IGNORE },
	{ NULL, 0 },
};

static const struct key_choice routing_policies[] = {
	{ "any-availability-zone", CONF_ROUTING_ANY_ZONE },
	{ "partial-availability-zone-affinity", CONF_ROUTING_PARTIAL_AFFINITY },
	{ "availability-zone-affinity", CONF_ROUTING_ZONE_AFFINITY },
	{ NULL, 0 },
};

static const struct key_choice cross_zones[] = {
	{ "use-load-balancer-configuration", CONF_TRI_INHERIT },
	{ "no", CONF_TRI_FALSE },
	{ "yes", CONF_TRI_TRUE },
	{ NULL, 0 },
};

/* include/uapi/linux/ip_vs.h: IP_VS_TUNNEL_ENCAP_FLAG_* */
static const struct key_choice tunnel_flags[] = {
	{ "nocsum", 0 },
	{ "csum", 1 },
	{ "remcsum", 2 },
	{ NULL, 0 },
};

static const struct key_choice passives[] = {
	{ "off", CONF_PASSIVE_OFF },
	{ "probe", CONF_PASSIVE_PROBE },
	{ "unhealthy", CONF_PASSIVE_UNHEALTHY },
	{ NULL, 0 },
};

static const struct key_choice http_versions[] = {
	{ "1.1", 0 },
	{ "2", 0 },
	{ NULL, 0 },
};

static const struct key_choice failovers[] = {
	{ "no-rebalance", 0 },
	{ "rebalance", 1 },
	{ NULL, 0 },
};

static const struct key global_keys[] = {
	{ GLOBAL(control_socket), .name = "control-socket", .type = KEY_FILE, .min = 1,
	  .fallback = "/run/ipvsd/control.sock",
	  .help = "The unix socket of the control interface." },
	{ GLOBAL(state_directory), .name = "state-directory", .type = KEY_FILE, .min = 1,
	  .fallback = "/var/lib/ipvsd",
	  .help = "Where verdicts, drains and runtime registrations outlive the daemon." },
	{ GLOBAL(health_user), .name = "health-user", .type = KEY_TEXT, .max = 32,
	  .fallback = "ipvsd-health",
	  .help = "The unprivileged user that the health workers run as." },
	{ GLOBAL(exec_user), .name = "health-exec-user", .type = KEY_TEXT, .max = 32,
	  .fallback = "ipvsd-exec",
	  .help = "The unprivileged user that programs of exec checks run as. It should be nobody "
		  "else's: its limit of processes is theirs alone then, and they cannot signal the "
		  "health workers." },
	{ GLOBAL(log_level), .name = "log-level", .type = KEY_CHOICE, .choices = log_levels,
	  .fallback = "notice", .help = "Messages less urgent than this are not logged." },
	{ GLOBAL(reconcile_interval_usec), .name = "reconcile-interval", .type = KEY_DURATION,
	  .min = SECONDS(1), .max = SECONDS(3600), .fallback = "10s",
	  .help = "How often the data plane is read back and drift is repaired." },
	{ GLOBAL(state_max_age_usec), .name = "state-max-age", .type = KEY_DURATION,
	  .max = SECONDS(86400), .fallback = "10m",
	  .help = "Persisted verdicts that are older than this are not believed after a start." },
	{ GLOBAL(exclusive), .name = "exclusive", .type = KEY_BOOL, .fallback = "no",
	  .help = "Also remove IPVS services that ipvsd did not make. Leave it off where "
		  "kube-proxy or an operator has services of their own." },
	{ GLOBAL(stop), .name = "stop", .type = KEY_CHOICE, .choices = key_stops,
	  .fallback = "keep",
	  .help = "What a stop of the daemon does to the traffic: keep leaves it running, drain "
		  "sets all weights to 0, waits and removes the services, flush removes them at "
		  "once." },
	{ GLOBAL(stop_drain_timeout_usec), .name = "stop-drain-timeout", .type = KEY_DURATION,
	  .max = SECONDS(3600), .fallback = "1m",
	  .help = "With stop = drain: how long connections are waited for." },
	{ GLOBAL(sysctls), .name = "sysctls", .type = KEY_CHOICE, .choices = kernel_policies,
	  .fallback = "set",
	  .help = "What to do about a sysctl that is not as the configuration needs it." },
	{ GLOBAL(modules), .name = "modules", .type = KEY_CHOICE, .choices = kernel_policies,
	  .fallback = "set",
	  .help = "What to do about a kernel module that is needed and not loaded; set loads it." },
	{ GLOBAL(vip_interface), .name = "vip-interface", .type = KEY_INTERFACE,
	  .help = "The interface that the listeners' addresses are added to, and removed from when "
		  "they are configured no more. Without it addresses are left to the "
		  "administrator." },
	{ GLOBAL(tcp_timeout_usec), .name = "tcp-timeout", .type = KEY_DURATION, .zero = "kernel",
	  .min = SECONDS(1), .max = SECONDS(31 * 86400), .fallback = "kernel",
	  .help = "Idle time after which IPVS forgets an established TCP connection. The kernel's "
		  "is "
		  "900 seconds; a Network Load Balancer's is 350." },
	{ GLOBAL(tcp_fin_timeout_usec), .name = "tcp-fin-timeout", .type = KEY_DURATION,
	  .zero = "kernel", .min = SECONDS(1), .max = SECONDS(31 * 86400), .fallback = "kernel",
	  .help = "The same after a FIN. The kernel's is 120 seconds." },
	{ GLOBAL(udp_timeout_usec), .name = "udp-timeout", .type = KEY_DURATION, .zero = "kernel",
	  .min = SECONDS(1), .max = SECONDS(31 * 86400), .fallback = "kernel",
	  .help = "The same for UDP. The kernel's is 300 seconds; a Network Load Balancer's is "
		  "120." },
	{ GLOBAL(zone), .name = "zone", .type = KEY_ZONE,
	  .help = "The availability zone that this gateway stands in. Targets without a zone, or "
		  "with "
		  "zone=all, count as near to every gateway." },
	{ GLOBAL(cross_zone), .name = "cross-zone", .type = KEY_BOOL, .fallback = "yes",
	  .help = "Whether targets of other zones get traffic from this gateway: "
		  "load_balancing.cross_zone.enabled. A Network Load Balancer's default is no; "
		  "here it "
		  "is yes, because a single gateway serves all zones." },
	{ GLOBAL(routing_policy), .name = "client-routing-policy", .type = KEY_CHOICE,
	  .choices = routing_policies, .fallback = "any-availability-zone",
	  .help = "dns_record.client_routing_policy: the part of the traffic that stays in this "
		  "gateway's zone; the rest goes to the targets of all zones by their weights. 0, "
		  "85 or 100 percent. As soon as fewer of the zone's targets are healthy than "
		  "dns-failover-minimum demands, it is not preferred any more. Where cross-zone is "
		  "no, nothing leaves the zone anyway." },
	{ GLOBAL(health_workers), .name = "health-workers", .type = KEY_UINT, .zero = "auto",
	  .min = 1, .max = 64, .fallback = "auto",
	  .help = "Number of health worker processes; targets are divided among them. auto: as "
		  "many as the checks need, which is one for some thousands of targets, and at "
		  "most "
		  "one for each processor. A reload changes it." },
	{ GLOBAL(metrics_listen), .name = "metrics-listen", .type = KEY_SOCKET, .later = "metrics",
	  .help = "Address and port of the read-only metrics page." },
	{ GLOBAL(event_history), .name = "event-history", .type = KEY_UINT, .max = 1000000,
	  .fallback = "1000", .help = "State changes that are kept for ipvsd events." },
	{ GLOBAL(health_history), .name = "health-history", .type = KEY_UINT, .zero = "off",
	  .min = 1, .max = 10000, .fallback = "60",
	  .help = "Probe results that are kept of each target for ipvsd explain and ipvsd replay; "
		  "16 "
		  "bytes each. They are lost when the daemon ends." },
	{ GLOBAL(lateness_limit_usec), .name = "health-lateness-limit", .type = KEY_DURATION,
	  .zero = "off", .min = MSECS(10), .max = SECONDS(60), .fallback = "1s",
	  .help = "How late a probe may begin. A failed probe that began later does not count, nor "
		  "one whose timeout ran out while the health worker did not run; and when one "
		  "probe "
		  "of a hundred is later, an alarm is raised. With off lateness is no excuse." },
	{ GLOBAL(verdict_age_limit_usec), .name = "health-verdict-age-limit", .type = KEY_DURATION,
	  .zero = "auto", .min = SECONDS(1), .max = SECONDS(86400), .fallback = "auto",
	  .help = "How old a target's last result may be before an alarm is raised; auto is three "
		  "intervals of its health check and a timeout, but at least 10 seconds." },
	{ GLOBAL(correlated_failure_percent), .name = "correlated-failure-percentage",
	  .type = KEY_UINT, .zero = "off", .min = 1, .max = 100, .fallback = "off",
	  .help = "When at least this percentage of all healthy targets, and at least two, fail at "
		  "the same time, ipvsd suspects itself: it looks at its own routes, interfaces "
		  "and "
		  "gateways, raises an alarm, and holds the verdicts. AWS has no such thing: "
		  "off." },
	{ GLOBAL(correlated_failure_window_usec), .name = "correlated-failure-window",
	  .type = KEY_DURATION, .min = SECONDS(1), .max = SECONDS(3600), .fallback = "10s",
	  .help = "Targets that became unhealthy within this time count among those that fail." },
	{ GLOBAL(correlated_failure_hold_usec), .name = "correlated-failure-hold",
	  .type = KEY_DURATION, .min = SECONDS(1), .max = SECONDS(3600), .fallback = "60s",
	  .help = "How long verdicts are held then. Afterwards targets that still fail become "
		  "unhealthy." },
	{ GLOBAL(passive_interval_usec), .name = "passive-health-interval", .type = KEY_DURATION,
	  .zero = "reconcile", .min = SECONDS(1), .max = SECONDS(3600), .fallback = "reconcile",
	  .help = "How often the data plane's counters are looked at for connections without an "
		  "answer; reconcile is whenever the plane is read back anyway. Anything else "
		  "reads the counters of every target once more." },
	{ GLOBAL(dns_servers), COUNT(struct conf_global, n_dns_servers), .name = "dns-server",
	  .type = KEY_TEXTS,
	  .help = "The name servers that host names and discovery are looked up at, each ADDRESS "
		  "or ADDRESS:PORT. Without it, those of /etc/resolv.conf, whose changes are "
		  "followed." },
	{ GLOBAL(dns_timeout_usec), .name = "dns-timeout", .type = KEY_DURATION, .min = MSECS(50),
	  .max = SECONDS(60), .fallback = "2s",
	  .help = "How long one attempt waits for a name server; there are two at each server." },
	{ GLOBAL(dns_min_ttl_usec), .name = "dns-min-ttl", .type = KEY_DURATION, .min = MSECS(100),
	  .max = SECONDS(3600), .fallback = "5s",
	  .help = "A name is looked up again when its answer's time to live is over, but no sooner "
		  "than this." },
	{ GLOBAL(dns_max_ttl_usec), .name = "dns-max-ttl", .type = KEY_DURATION, .min = SECONDS(1),
	  .max = SECONDS(86400), .fallback = "5m", .help = "The same, no later than this." },
	{ GLOBAL(dns_absent_answers), .name = "dns-absent-answers", .type = KEY_UINT, .min = 1,
	  .max = 100, .fallback = "3",
	  .help = "An address that a name had is deregistered when so many answers in a row lack "
		  "it, because some name servers give a part of the addresses at a time." },
	{ GLOBAL(dns_drain_after_usec), .name = "dns-drain-after", .type = KEY_DURATION,
	  .zero = "never", .min = SECONDS(1), .max = SECONDS(7 * 86400), .fallback = "never",
	  .help = "A name that does not exist any more, or has no addresses, keeps those that it "
		  "had for so long. A name server that fails or does not answer takes none away, "
		  "ever." },
	{ GLOBAL(dns_max_targets), .name = "dns-max-targets", .type = KEY_UINT, .min = 1,
	  .max = 1000, .fallback = "256",
	  .help = "Targets that one name may give; what is beyond is left out, and status says "
		  "so." },
};

static const struct key group_keys[] = {
	{ GROUP(targets), COUNT(struct conf_group, n_targets), .name = "targets",
	  .type = KEY_TARGETS,
	  .help = "The targets, each ADDRESS or ADDRESS:PORT (an IPv6 address in brackets before a "
		  "port) or NAME or NAME:PORT, then optionally weight=N (0 to 65535, default 100) "
		  "and zone=ZONE, which belong to what stands before them. The same address may "
		  "appear with several ports, but a target only once; one without a port has the "
		  "group's, or else that of the listeners where they have the same one. A host "
		  "name stands for all its addresses; see HOST NAMES AND DISCOVERY." },
	{ GROUP(targets_file), .name = "targets-file", .type = KEY_FILE,
	  .help = "A file with more targets, in the same form, line by line. A relative path "
		  "starts "
		  "at the main configuration file's directory. The file is watched: see TARGETS "
		  "FILES." },
	{ GROUP(discovery), .name = "discovery", .type = KEY_TEXT, .max = 300,
	  .help = "Where further targets are looked up: dns:NAME, the addresses of a host name, or "
		  "dns:_SERVICE._PROTOCOL.NAME, the SRV records of a service. See HOST NAMES AND "
		  "DISCOVERY." },
	{ GROUP(port), .name = "port", .type = KEY_UINT, .zero = "listener-port", .min = 1,
	  .max = 65535, .fallback = "listener-port",
	  .help = "Port of the targets that name none." },
	{ GROUP(algorithm), .name = "algorithm", .type = KEY_ALGORITHM,
	  .fallback = "least-connections",
	  .help = "How a target is chosen: round-robin (the kernel's wrr), least-connections "
		  "(wlc), "
		  "flow-hash (mh over client address and port, as a Network Load Balancer does), "
		  "source-ip-hash (mh over the client address); or a scheduler of the kernel: rr "
		  "wrr lc "
		  "wlc lblc lblcr sh mh dh sed nq fo ovf twos. After sh and mh the word port adds "
		  "the "
		  "client's port to the hash. Both always have the kernel's fallback flag, so that "
		  "the "
		  "share of a target without weight goes to others instead of being refused. "
		  "Network Load "
		  "Balancers always use flow-hash." },
	{ GROUP(forwarding), .name = "forwarding", .type = KEY_CHOICE, .choices = key_forwardings,
	  .fallback = "nat",
	  .help = "How packets reach the target. With nat the target's way back must lead through "
		  "this gateway. With direct, ipip, gue and gre the target must have the "
		  "listener's "
		  "address and its port, and answers clients by itself. full-nat works on the fast "
		  "path "
		  "only; the kernel plane uses nat." },
	{ GROUP(tunnel_port), .name = "tunnel-port", .type = KEY_UINT, .min = 1, .max = 65535,
	  .fallback = "6080", .help = "With forwarding = gue: the UDP port of the tunnel." },
	{ GROUP(tunnel_flags), .name = "tunnel-checksum", .type = KEY_CHOICE,
	  .choices = tunnel_flags, .fallback = "nocsum",
	  .help = "With gue and gre: checksum of the tunnel header; remcsum is for gue alone." },
	{ GROUP(check.protocol), .name = "health-check-protocol", .type = KEY_CHOICE,
	  .choices = key_checks, .fallback = "tcp",
	  .help = "How targets are probed; see HEALTH CHECKS. This version accepts tls, https and "
		  "grpc with a warning, and tcp is used in their stead. With none every target "
		  "counts as healthy. The default is a Network Load Balancer's." },
	{ GROUP(check.port), .name = "health-check-port", .type = KEY_UINT, .zero = "traffic-port",
	  .min = 1, .max = 65535, .fallback = "traffic-port",
	  .help = "The port that is probed; traffic-port is each target's own." },
	{ GROUP(check.path), .name = "health-check-path", .type = KEY_URL_PATH,
	  .max = CONF_PATH_MAX, .fallback = "/",
	  .help = "The path of an http, https or grpc probe. grpc has the default "
		  "/AWS.ALB/healthcheck." },
	{ GROUP(check.host_header), .name = "health-check-host", .type = KEY_HOST,
	  .help = "The Host header of an http, https or grpc probe; without it the probed address "
		  "and port." },
	{ GROUP(check.http_version), .name = "health-check-http-version", .type = KEY_CHOICE_TEXT,
	  .choices = http_versions, .fallback = "1.1",
	  .help = "The HTTP version of an http or https probe. An answer in another is a "
		  "failure." },
	{ GROUP(check.matcher), .name = "matcher", .type = KEY_MATCHER, .fallback = "200-399",
	  .help = "The status codes of a healthy answer, such as 200,202 or 200-299. The default "
		  "is a "
		  "Network Load Balancer's; grpc has the default 12, or 0 with gRPC's own "
		  "method." },
	{ GROUP(check.interval_usec), .name = "health-check-interval", .type = KEY_DURATION,
	  .min = MSECS(100), .max = SECONDS(300), .fallback = "30s",
	  .help = "Time from the start of a probe to the start of the next. AWS accepts 5 to 300 "
		  "seconds; probes of one's own machines may be more frequent." },
	{ GROUP(check.timeout_usec), .name = "health-check-timeout", .type = KEY_DURATION,
	  .min = MSECS(50), .max = SECONDS(120), .fallback = "10s",
	  .help = "A probe without an answer after this time, counted from its start, has failed. "
		  "At "
		  "most the interval. The default is AWS's 10 seconds, 6 with http, but never more "
		  "than "
		  "the interval. AWS accepts 2 to 120 seconds." },
	{ GROUP(check.healthy_threshold), .name = "healthy-threshold", .type = KEY_UINT, .min = 1,
	  .max = 10, .fallback = "5",
	  .help = "Consecutive good probes that make an unhealthy target healthy. AWS accepts 2 to "
		  "10." },
	{ GROUP(check.unhealthy_threshold), .name = "unhealthy-threshold", .type = KEY_UINT,
	  .min = 1, .max = 10, .fallback = "2",
	  .help = "Consecutive failed probes that make a healthy target unhealthy. AWS accepts 2 "
		  "to "
		  "10." },
	{ GROUP(check.send), .name = "health-check-send", .type = KEY_TEXT, .max = 1024,
	  .help = "What a udp or agent probe sends, the question of a dns probe, a name and a "
		  "type, "
		  "and the service that a grpc probe asks for. Within double quotes \\r \\n \\t "
		  "\\xHH \\\" and \\\\ stand for bytes." },
	{ GROUP(check.expect), .name = "health-check-expect", .type = KEY_TEXT, .max = 1024,
	  .help = "What the answer to a udp probe, or the body of the answer to an http or https "
		  "probe, must contain: a text, or regex: and an extended regular expression "
		  "without back-references. Of a "
		  "dns probe: a response code, an address, or both." },
	{ GROUP(check.server_name), .name = "health-check-server-name", .type = KEY_HOST,
	  .help = "The server name of a tls, https or grpc probe: what it asks for, and what the "
		  "certificate must name where it is verified. Without it health-check-host, if "
		  "that is a name." },
	{ GROUP(check.tls), .name = "health-check-tls", .type = KEY_BOOL, .fallback = "no",
	  .help = "Whether a grpc probe goes over TLS." },
	{ GROUP(check.command), .name = "health-check-command", .type = KEY_TEXT, .max = 4096,
	  .help = "The program of an exec probe, with its arguments: words parted by blanks, with "
		  "quotes and \\ as in a shell, but nothing is expanded." },
	{ GROUP(check.verify_certificate), .name = "health-check-verify-certificate",
	  .type = KEY_BOOL, .fallback = "no",
	  .help = "Whether the certificate of a target is verified in a tls, https or grpc probe. "
		  "AWS does not verify it." },
	{ GROUP(check.ca_file), .name = "health-check-ca-file", .type = KEY_FILE,
	  .help = "With health-check-verify-certificate: the authorities that a target's "
		  "certificate must come from, instead of the system's; a file of certificates in "
		  "PEM, which is watched: a change is taken up at once, and a bad file changes "
		  "nothing. A relative path starts at the directory of the main configuration "
		  "file. See HEALTH CHECKS." },
	{ GROUP(check.source), .name = "health-check-source", .type = KEY_ADDRESS,
	  .help = "The address that probes come from. Those of targets of the other address "
		  "family have the one that the kernel chooses." },
	{ GROUP(check.interface), .name = "health-check-interface", .type = KEY_INTERFACE,
	  .help = "The interface that probes leave by." },
	{ GROUP(check.firewall_mark), .name = "health-check-firewall-mark", .type = KEY_UINT,
	  .zero = "none", .min = 1, .max = UINT32_MAX, .fallback = "none",
	  .help = "The firewall mark of probes, for policy routing. Probes with a mark have a "
		  "worker of their own, which keeps CAP_NET_RAW: under systemd, add the drop-in "
		  "/usr/share/ipvsd/probe-marks.conf. Needs Linux 5.17." },
	{ GROUP(check.via_vip), .name = "health-check-via-vip", .type = KEY_BOOL, .fallback = "no",
	  .help = "With direct, ipip, gue and gre: probe the listener's address through the "
		  "target; see HEALTH CHECKS." },
	{ GROUP(deregistration_delay_usec), .name = "deregistration-delay", .type = KEY_DURATION,
	  .max = SECONDS(3600), .fallback = "300s",
	  .help = "deregistration_delay.timeout_seconds: how long a removed target keeps the "
		  "connections that it has. It gets no new ones, and is let go when its last "
		  "connection "
		  "ends. It is checked meanwhile: unhealthy-connection-termination is for it, "
		  "too." },
	{ GROUP(deregistration_termination), .name = "deregistration-delay-connection-termination",
	  .type = KEY_BOOL, .fallback = "no",
	  .help = "deregistration_delay.connection_termination.enabled: end the connections that "
		  "remain after the delay. Without it they go on until they end by themselves." },
	{ GROUP(unhealthy_termination), .name = "unhealthy-connection-termination",
	  .type = KEY_BOOL, .fallback = "yes",
	  .help = "target_health_state.unhealthy.connection_termination.enabled: end the "
		  "connections "
		  "of a target that becomes unhealthy, unless its group fails open: it leaves the "
		  "table "
		  "until it is needed again, the client's next TCP segment is answered with a "
		  "reset, "
		  "and UDP goes to another target. With no it stays there with weight 0. Not with "
		  "flow-hash, source-ip-hash, mh, sh and dh, whose targets must keep their "
		  "places." },
	{ GROUP(unhealthy_draining_usec), .name = "unhealthy-draining-interval",
	  .type = KEY_DURATION, .max = SECONDS(360000), .fallback = "0",
	  .help = "target_health_state.unhealthy.draining_interval_seconds: without the "
		  "termination "
		  "above, how long a healthy target that fails is unhealthy.draining, and keeps "
		  "its connections; then it is unhealthy and they end. 0 keeps them for good." },
	{ GROUP(slow_start_usec), .name = "slow-start", .type = KEY_DURATION, .zero = "off",
	  .min = SECONDS(1), .max = SECONDS(900), .fallback = "off",
	  .help = "slow_start.duration_seconds: time in which the weight of a target that became "
		  "healthy grows in a line to its full share. Not for the first targets of a "
		  "group: "
		  "only while another one is healthy and not in slow start itself. Not with rr, "
		  "lc, dh, "
		  "fo and ovf, which do not go by weights. AWS accepts 30 to 900 seconds." },
	{ GROUP(stickiness), .name = "stickiness", .type = KEY_BOOL, .fallback = "no",
	  .help = "Connections of one client go to one target: stickiness.type source_ip, by the "
		  "persistence of IPVS." },
	{ GROUP(stickiness_duration_usec), .name = "stickiness-duration", .type = KEY_DURATION,
	  .min = SECONDS(1), .max = SECONDS(604800), .fallback = "300s",
	  .help = "How long after its last connection a client stays with its target. The default "
		  "is "
		  "ipvsadm's; AWS's is 86400 seconds, for cookies." },
	{ GROUP(stickiness_prefix_v4), .name = "stickiness-prefix-ipv4", .type = KEY_UINT, .min = 1,
	  .max = 32, .fallback = "32",
	  .help = "Clients of one prefix of this length count as one client." },
	{ GROUP(stickiness_prefix_v6), .name = "stickiness-prefix-ipv6", .type = KEY_UINT, .min = 1,
	  .max = 128, .fallback = "128", .help = "The same for IPv6." },
	{ GROUP(cross_zone), .name = "cross-zone", .type = KEY_CHOICE, .choices = cross_zones,
	  .fallback = "use-load-balancer-configuration",
	  .help = "load_balancing.cross_zone.enabled of this group; goes before that of [ipvsd]." },
	{ GROUP(minimum_healthy_routing.count), .name = "unhealthy-state-routing-minimum-count",
	  .type = KEY_UINT, .zero = "off", .min = 1, .max = 100000, .fallback = "1",
	  .help = "target_group_health.unhealthy_state_routing.minimum_healthy_targets.count: with "
		  "fewer healthy targets the group fails open and all its targets get traffic. At "
		  "least 1 "
		  "is always in effect. IPv4 and IPv6 targets count by themselves, but for "
		  "tunnels: "
		  "a listener has one kind." },
	{ GROUP(minimum_healthy_routing.percent),
	  .name = "unhealthy-state-routing-minimum-percentage", .type = KEY_UINT, .zero = "off",
	  .min = 1, .max = 100, .fallback = "off",
	  .help = "The same as a percentage of the registered targets that are not drained and "
		  "have a weight; the stricter of the two decides." },
	{ GROUP(minimum_healthy_dns.count), .name = "dns-failover-minimum-count", .type = KEY_UINT,
	  .zero = "off", .min = 1, .max = 100000, .fallback = "1",
	  .help = "target_group_health.dns_failover.minimum_healthy_targets.count: with fewer "
		  "healthy "
		  "targets (of its zone, where cross-zone is no) this gateway counts as unhealthy: "
		  "dns_healthy of the group in ipvsd status --json; and its zone is not preferred. "
		  "At least the number above." },
	{ GROUP(minimum_healthy_dns.percent), .name = "dns-failover-minimum-percentage",
	  .type = KEY_UINT, .zero = "off", .min = 1, .max = 100, .fallback = "off",
	  .help = "The same as a percentage of the registered targets." },
	{ GROUP(correlated_failure_percent), .name = "correlated-failure-percentage",
	  .type = KEY_UINT, .zero = "off", .min = 1, .max = 100, .fallback = "off",
	  .help = "As in [ipvsd], of this group's healthy targets." },
	{ GROUP(capacity_loss_percent), .name = "capacity-loss-limit", .type = KEY_UINT,
	  .zero = "off", .min = 1, .max = 100, .fallback = "off",
	  .help = "The percentage of the group's targets that may become unhealthy within a "
		  "minute, "
		  "but always one; the others wait, with an alarm. AWS has no such limit: off." },
	{ GROUP(passive), .name = "passive-health-check", .type = KEY_CHOICE, .choices = passives,
	  .fallback = "probe",
	  .help = "What happens to a healthy target whose new connections get no answer, by the "
		  "data plane's own counters: probe sends a health check at once; unhealthy also "
		  "marks it unhealthy after two readings in a row without any answer. Health "
		  "checks "
		  "bring it back, but not before 5 seconds, and twice as long each time it happens "
		  "again, up to 10 minutes. Only of TCP, without stickiness and not by "
		  "firewall-mark. "
		  "With direct and tunnels, where answers do not come by the gateway, and while "
		  "older connections are answered, half-open connections are reason for a probe. "
		  "A Network Load Balancer's passive checks cannot be configured." },
	{ GROUP(passive_min_connections), .name = "passive-minimum-connections", .type = KEY_UINT,
	  .min = 1, .max = 1000000, .fallback = "10",
	  .help = "With fewer new connections a target's counters say nothing; they are gathered "
		  "for up to a minute." },
	{ GROUP(passive_percent), .name = "passive-unanswered-percentage", .type = KEY_UINT,
	  .min = 1, .max = 100, .fallback = "100",
	  .help = "The percentage of new connections that got no answer." },
	{ GROUP(max_connections), .name = "max-connections", .type = KEY_UINT, .zero = "unlimited",
	  .min = 1, .max = INT32_MAX, .fallback = "unlimited",
	  .help = "A target with this many connections gets no new ones." },
	{ GROUP(min_connections), .name = "min-connections", .type = KEY_UINT, .zero = "kernel",
	  .min = 1, .max = INT32_MAX, .fallback = "kernel",
	  .help = "A target that was at max-connections gets new ones below this many; the "
		  "kernel's "
		  "choice is three quarters of max-connections." },
	{ GROUP(anomaly_mitigation), .name = "anomaly-mitigation", .type = KEY_BOOL,
	  .fallback = "off",
	  .help = "load_balancing.algorithm.anomaly_mitigation: a target of which more checks and "
		  "connections fail than of the others gets less: half, a quarter or an eighth of "
		  "its weight, a step every 10 seconds (or health-check-interval, where that is "
		  "longer) and back likewise. It is measured by its last 32 results and the median "
		  "of the group's healthy targets: an eighth more failures, and twice as many, "
		  "is too "
		  "much. At least 3 targets must be healthy, and at most a third of them get less. "
		  "Not "
		  "with rr, lc, dh, fo and ovf." },
	{ GROUP(preserve_client_ip), .name = "preserve-client-ip", .type = KEY_BOOL,
	  .fallback = "yes", .later = later_fastpath,
	  .help = "preserve_client_ip.enabled: targets see the client's address. IPVS always "
		  "preserves it, but for full-nat; AWS does not for TCP targets by address." },
	{ GROUP(proxy_protocol_v2), .name = "proxy-protocol-v2", .type = KEY_BOOL, .fallback = "no",
	  .later = later_proxy,
	  .help = "proxy_protocol_v2.enabled: tell targets the client's address ahead of the "
		  "data, and begin probes with such a header: see HEALTH CHECKS." },
	{ GROUP(failover_on_unhealthy), .name = "target-failover-on-unhealthy", .type = KEY_CHOICE,
	  .choices = failovers, .fallback = "no-rebalance",
	  .help = "target_failover.on_unhealthy: rebalance takes existing flows from a target "
		  "that becomes unhealthy, as unhealthy-connection-termination does." },
	{ GROUP(failover_on_deregistration), .name = "target-failover-on-deregistration",
	  .type = KEY_CHOICE, .choices = failovers, .fallback = "no-rebalance",
	  .help = "target_failover.on_deregistration: the same." },
};

static const struct key_table global = { global_keys, ARRAY_SIZE(global_keys) };
static const struct key_table group = { group_keys, ARRAY_SIZE(group_keys) };

static const struct key_table *const tables[_KEY_SECTION_MAX] = {
	[KEY_SECTION_GLOBAL] = &global,
	[KEY_SECTION_LISTENER] = &keys_listener,
	[KEY_SECTION_GROUP] = &group,
	[KEY_SECTION_SECURITY_GROUP] = &keys_security,
	[KEY_SECTION_FASTPATH] = &keys_fastpath,
};

static_assert(ARRAY_SIZE(group_keys) <= KEY_SECTION_KEYS_MAX, "raise KEY_SECTION_KEYS_MAX");

const struct key *keys_of(enum key_section section, size_t *ret_n)
{
	assert(section < _KEY_SECTION_MAX);
	*ret_n = tables[section]->n;
	return tables[section]->keys;
}

const struct key *key_find(enum key_section section, const char *name)
{
	size_t n;
	const struct key *keys = keys_of(section, &n);

	for (size_t i = 0; i < n; i++)
		if (keys[i].name[0] == name[0] && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

size_t key_index(const struct key *key)
{
	return (size_t)(key - tables[key->section]->keys);
}

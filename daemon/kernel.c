/* SPDX-License-Identifier: GPL-2.0-or-later */

#include "daemon/kernel.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/number.h"
#include "conf/conf.h"
#include "conf/value.h"

enum {
	VALUE_MAX = 32,
	MODPROBE_MSEC = 5000,
	DEP_LINE_MAX = 4096,
};

/* What of the configuration makes a setting matter. */
enum need {
	NEED_IPV4 = 1 << 0,
	NEED_IPV6 = 1 << 1,
	NEED_NAT = 1 << 2,
	NEED_NO_NAT = 1 << 3, /* direct and tunnels alone */
	NEED_STICKY = 1 << 4,
	NEED_VIA_VIP = 1 << 5, /* IPv4 probes through their targets */
};

/*
 * Reasons from Documentation/networking/ipvs-sysctl.rst, ip-sysctl.rst and the code of 6.1. All bits of `needs` must
 * be given. `least`: a greater value does as well. Listed once for each value that a need calls for.
 */
static const struct setting {
	const char *name;
	unsigned needs;
	unsigned wanted;
	bool least;
	const char *reason;
} settings[] = {
	{ "net.ipv4.ip_forward", NEED_NAT | NEED_IPV4, 1, false,
	  "the targets' answers pass through this host" },
	{ "net.ipv6.conf.all.forwarding", NEED_NAT | NEED_IPV6, 1, false,
	  "the targets' answers pass through this host; an interface that learns its routes from "
	  "router advertisements then needs accept_ra=2" },
	{ "net.ipv4.conf.all.accept_local", NEED_VIA_VIP, 1, false,
	  "answers to probes through a target come from the listener's address, which is this "
	  "host's own" },
	{ "net.ipv4.vs.conntrack", 0, 0, false,
	  "connection tracking of what IPVS forwards costs a lookup and an entry a packet, and "
	  "ipvsd needs none" },
	{ "net.ipv4.vs.expire_nodest_conn", 0, 1, false,
	  "connections of a removed target end at once instead of hanging until they time out" },
	{ "net.ipv4.vs.expire_quiescent_template", NEED_STICKY, 1, false,
	  "a sticky client of a target with weight 0 moves on, else a drain never ends" },
	{ "net.ipv4.vs.conn_reuse_mode", NEED_NAT, 1, true,
	  "a client that reuses a source port is scheduled anew when the old connection is over" },
	{ "net.ipv4.vs.conn_reuse_mode", NEED_NO_NAT, 3, false,
	  "as 1, and in FIN_WAIT too: without NAT the end of a connection is not seen" },
	{ "net.ipv4.vs.sloppy_tcp", 0, 0, false,
	  "a scan with stray segments would create connections" },
	{ "net.ipv4.vs.secure_tcp", 0, 0, false,
	  "it shortens the time-outs of established connections" },
	{ "net.ipv4.vs.drop_entry", 0, 0, false, "it drops connections at random" },
	{ "net.ipv4.vs.drop_packet", 0, 0, false, "it drops packets at random" },
	{ "net.ipv4.vs.backup_only", 0, 0, false,
	  "with a backup synchronization thread it switches load balancing off" },
	{ "net.ipv4.vs.run_estimation", 0, 1, false, "without it the counters stand still" },
};

static unsigned needs_of(const struct conf *conf)
{
	unsigned needs = 0;
	bool nat = false;

	for (size_t i = 0; i < conf->n_listeners; i++)
		needs |= conf->listeners[i].family == AF_INET6 ? NEED_IPV6 : NEED_IPV4;
	for (size_t i = 0; i < conf->n_groups; i++) {
		const struct conf_group *g = &conf->groups[i];

		nat = nat || (g->in_use && g->forwarding == CONF_FORWARDING_NAT);
		if (g->in_use && g->stickiness)
			needs |= NEED_STICKY;
		if (g->in_use && g->check.via_vip && (needs & NEED_IPV4))
			needs |= NEED_VIA_VIP;
	}
	return needs | (nat ? NEED_NAT : NEED_NO_NAT);
}

/* "net.ipv4.vs.conntrack" -> "/proc/sys/net/ipv4/vs/conntrack"; no interface names are among ours. */
static int open_setting(const char *name, int flags)
{
	char path[128];
	int len = snprintf(path, sizeof(path), "/proc/sys/%s", name);

	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;
	for (char *c = path; *c; c++) {
		if (*c == '.')
			*c = '/';
	}
	len = open(path, flags | O_CLOEXEC);
	return len < 0 ? -errno : len;
}

static int read_setting(const char *name, char value[static VALUE_MAX])
{
	_cleanup_close_ int fd = open_setting(name, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		return fd;
	len = read(fd, value, VALUE_MAX - 1);
	if (len < 0)
		return -errno;
	value[len] = '\0';
	value[strcspn(value, "\n")] = '\0';
	return 0;
}

static int write_text(const char *name, const char *value)
{
	_cleanup_close_ int fd = open_setting(name, O_WRONLY);
	ssize_t len = (ssize_t)strlen(value);

	if (fd < 0)
		return fd;
	return write(fd, value, (size_t)len) == len ? 0 : -errno;
}

static int write_setting(const char *name, unsigned wanted)
{
	char value[VALUE_MAX];

	(void)snprintf(value, sizeof(value), "%u\n", wanted);
	return write_text(name, value);
}

static int add_finding(json_t *findings, const char *name, const char *wanted, const char *actual,
		       const char *reason, bool done, const char *remedy)
{
	return json_array_append_new(findings,
				     json_pack("{s:s, s:s, s:s, s:s, s:b, s:s}", "name", name,
					       "wanted", wanted, "actual", actual, "reason", reason,
					       "done", done, "remedy", remedy));
}

static int check_setting(const struct setting *s, enum conf_kernel_policy policy, json_t *findings)
{
	char wanted[VALUE_MAX], actual[VALUE_MAX], remedy[192] = "";
	uint64_t value;
	bool done = false;
	int error = read_setting(s->name, actual);

	if (error == -ENOENT)
		return 0; /* this kernel has no such thing to get wrong, or IPv6 is off */
	if (error < 0)
		(void)snprintf(actual, sizeof(actual), "unknown");
	if (error == 0 && number_parse(actual, INT32_MAX, &value) == 0 &&
	    (value == s->wanted || (s->least && value > s->wanted)))
		return 0;

	(void)snprintf(wanted, sizeof(wanted), "%u", s->wanted);
	if (policy == CONF_KERNEL_SET) {
		error = write_setting(s->name, s->wanted);
		done = error == 0;
	}
	if (!done)
		(void)snprintf(remedy, sizeof(remedy), "sysctl -w %s=%u%s%s", s->name, s->wanted,
			       policy == CONF_KERNEL_SET ? "; ipvsd could not: " : "",
			       policy == CONF_KERNEL_SET ? strerror(-error) : "");
	return add_finding(findings, s->name, wanted, actual, s->reason, done, remedy);
}

static bool pings(const struct conf *conf)
{
	for (size_t i = 0; i < conf->n_groups; i++)
		if (conf->groups[i].in_use && conf->groups[i].check.protocol == CONF_CHECK_ICMP)
			return true;
	return false;
}

static bool parse_groups(const char *text, uint64_t *low, uint64_t *high)
{
	char copy[VALUE_MAX], *cursor = copy, *first, *second;

	(void)snprintf(copy, sizeof(copy), "%s", text);
	first = value_next_word(&cursor);
	second = value_next_word(&cursor);
	return first && second && number_parse(first, UINT32_MAX, low) == 0 &&
	       number_parse(second, UINT32_MAX, high) == 0;
}

/*
 * Who may have ping sockets: a range of groups, "1 0" for nobody (icmp(7)). It is widened to the workers' group and
 * never narrowed.
 */
static int check_ping_groups(const struct conf *conf, json_t *findings)
{
	static const char name[] = "net.ipv4.ping_group_range";
	const struct passwd *pw = geteuid() == 0 ? getpwnam(conf->global.health_user) : NULL;
	gid_t gid = pw ? pw->pw_gid : getegid();
	uint64_t low = 1, high = 0;
	char wanted[VALUE_MAX], actual[VALUE_MAX] = "unknown", remedy[192] = "";
	int error = read_setting(name, actual);

	if (error == 0 && parse_groups(actual, &low, &high) && gid >= low && gid <= high)
		return 0;
	if (low > high)
		low = high = gid;
	(void)snprintf(wanted, sizeof(wanted), "%" PRIu64 " %" PRIu64, MIN(low, gid),
		       MAX(high, gid));
	error = conf->global.sysctls == CONF_KERNEL_SET ? write_text(name, wanted) : -EPERM;
	if (error < 0)
		(void)snprintf(remedy, sizeof(remedy), "sysctl -w %s='%s'", name, wanted);
	return add_finding(findings, name, wanted, actual,
			   "icmp checks are made by the group of the health workers", error == 0,
			   remedy);
}

static bool module_is_loaded(const char *module)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/sys/module/%s", module);
	return access(path, F_OK) == 0;
}

/* Is "/MODULE.ko" in this index? -1 when there is no index to ask: a container, or ProtectKernelModules=. */
static int index_has(const char *release, const char *index, const char *module)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[256], needle[64], line[DEP_LINE_MAX];

	(void)snprintf(path, sizeof(path), "/lib/modules/%s/%s", release, index);
	(void)snprintf(needle, sizeof(needle), "/%s.ko", module);
	f = fopen(path, "re");
	if (!f)
		return -1;
	while (fgets(line, sizeof(line), f)) {
		char *colon = strchr(line, ':');

		if (colon)
			*colon = '\0'; /* what the module depends on */
		if (strstr(line, needle))
			return 1;
	}
	return 0;
}

/* Builtin modules without parameters have no directory in /sys/module. */
static bool module_is_absent(const char *module)
{
	struct utsname u;

	if (uname(&u) < 0)
		return false;
	return index_has(u.release, "modules.dep", module) == 0 &&
	       index_has(u.release, "modules.builtin", module) != 1;
}

/* Waits for the child, but no longer than modprobe may need. */
static int wait_bounded(pid_t pid)
{
	_cleanup_close_ int fd = (int)syscall(SYS_pidfd_open, pid, 0);
	struct pollfd p = { .fd = fd, .events = POLLIN };
	int status;

	if (fd < 0 || poll(&p, 1, MODPROBE_MSEC) <= 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR)
			return -errno;
	}
	return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : -EIO;
}

int kernel_load_module(const char *module)
{
	char name[64];
	char *argv[] = { (char *)"modprobe", (char *)"-q", (char *)"--", name, NULL };
	char *envp[] = { (char *)"PATH=/usr/sbin:/usr/bin:/sbin:/bin", NULL };
	pid_t pid;
	int error;

	(void)snprintf(name, sizeof(name), "%s", module);
	error = posix_spawnp(&pid, "modprobe", NULL, NULL, argv, envp);
	return error ? -error : wait_bounded(pid);
}

/*
 * The kernel itself loads ip_vs and a scheduler when one is asked for, so a module that is merely not loaded yet is
 * no finding; loading it here is only earlier.
 */
static int check_module(const char *module, enum conf_kernel_policy policy, json_t *findings)
{
	char remedy[192];

	if (module_is_loaded(module))
		return 0;
	if (policy == CONF_KERNEL_SET && kernel_load_module(module) == 0)
		return 0;
	if (!module_is_absent(module))
		return 0;
	(void)snprintf(
		remedy, sizeof(remedy),
		"install the kernel package that has %s.ko (Debian: linux-image-amd64, not a "
		"custom kernel without CONFIG_IP_VS)",
		module);
	return add_finding(findings, module, "loaded", "not in this kernel",
			   "the configuration needs it", false, remedy);
}

static bool is_named_before(const struct conf *conf, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (!strcmp(conf->groups[k].algorithm.scheduler,
			    conf->groups[i].algorithm.scheduler))
			return true;
	}
	return false;
}

static int check_modules(const struct conf *conf, json_t *findings)
{
	enum conf_kernel_policy policy = conf->global.modules;
	int ret = check_module("ip_vs", policy, findings);

	for (size_t i = 0; i < conf->n_groups && ret == 0; i++) {
		const char *scheduler = conf->groups[i].algorithm.scheduler;
		char module[CONF_SCHEDULER_MAX + sizeof("ip_vs_")];

		if (!*scheduler || !strcmp(scheduler, "none") || is_named_before(conf, i))
			continue;
		(void)snprintf(module, sizeof(module), "ip_vs_%s", scheduler);
		ret = check_module(module, policy, findings);
	}
	return ret;
}

/* Modules first: net.ipv4.vs.* is not there without ip_vs. */
json_t *kernel_prepare(const struct conf *conf)
{
	json_t *findings = json_array();
	unsigned needs = needs_of(conf);
	int ret = 0;

	if (!findings)
		return NULL;
	if (conf->global.modules != CONF_KERNEL_IGNORE)
		ret = check_modules(conf, findings);
	for (size_t i = 0; i < ARRAY_SIZE(settings) && ret == 0; i++) {
		if (conf->global.sysctls != CONF_KERNEL_IGNORE &&
		    (settings[i].needs & needs) == settings[i].needs)
			ret = check_setting(&settings[i], conf->global.sysctls, findings);
	}
	if (ret == 0 && conf->global.sysctls != CONF_KERNEL_IGNORE && pings(conf))
		ret = check_ping_groups(conf, findings);
	if (ret < 0) {
		json_decref(findings);
		return NULL;
	}
	return findings;
}
